"""The page in a browser: clicks and keys against a real server, its console, axe-core, dark and light."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from funnel.artifacts import Store
from tests.service.server import Server, server, soon
from tests.serving.test_reload import settings, variant
from tests.tiny import TinyBuild

CHROMIUM = Path("/usr/bin/chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed")

HOSTILE = "<img src=x onerror=\"document.title='taken'\"><b>bold</b>"

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def store(built: TinyBuild, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles, the second of which is published."""
    folder = tmp_path_factory.mktemp("page") / "indexes"
    shutil.copytree(built.indexes, folder)
    Store(folder).publish(variant(Store(folder), settings(note="second")))
    return folder


@pytest.fixture(scope="module")
def running(store: Path) -> Iterator[Server]:
    with server(store, "--workers", "2") as own:
        for user in range(1, 20):
            assert own.post("/v1/recommend", {"user_id": user if user % 4 else "nobody"})[0] == 200
        yield own


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(running: Server, chromium: Any) -> Iterator[Open]:
    """Opens a part of the page; whatever the console says at the end is an error."""
    contexts, told = [], []

    def page(query: str = "", scheme: str = "light", port: int = running.port, **more: Any) -> Any:
        contexts.append(
            chromium.new_context(color_scheme=scheme, viewport={"width": 1440, "height": 900}, **more)
        )
        contexts[-1].set_default_timeout(20_000)
        own = contexts[-1].new_page()
        own.on("console", lambda message: told.append(f"{message.type}: {message.text}"))
        own.on("pageerror", lambda error: told.append(str(error)))
        own.goto(f"http://127.0.0.1:{port}/{query}")
        return own

    yield page
    for context in contexts:
        context.close()
    assert told == []


def photographed(page: Any, tmp_path: Path, name: str) -> None:
    """A picture for people: in FUNNEL_SCREENSHOTS where that is set."""
    folder = Path(os.environ.get("FUNNEL_SCREENSHOTS", tmp_path))
    page.screenshot(path=folder / f"{name}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_part_by_clicks(opened: Open, tmp_path: Path, scheme: str) -> None:
    page = opened("", scheme)
    page.wait_for_selector("[data-live=stages] tr:nth-child(4)")  # of all workers' counters
    assert page.locator("[data-live=answers]").inner_text() == "19"
    assert "unknown_user" in page.locator("[data-live=reasons]").inner_text()
    assert "ms" in page.locator("[data-stage=rank]").text_content()
    page.wait_for_selector("#quality canvas")
    page.wait_for_selector("#traffic canvas")
    serious(page)
    photographed(page, tmp_path, f"overview-{scheme}")

    page.click("nav a[data-tab=explorer]")
    page.fill("input[name=user_id]", "7")
    page.fill("input[name=where]", '{"genres": "Comedy"}')
    page.click("text=Explore >> nth=-1")
    page.wait_for_url("**user_id=7**")
    page.wait_for_selector(".stage:nth-child(4) .item[hx-get*='user_id=7'][hx-get*='Comedy']")
    item = page.locator(".stage:last-child .item").first
    item.click()
    page.wait_for_selector("[data-why=listed]")
    assert "position 1 of" in page.locator(".verdict").inner_text()
    assert page.locator("#why svg rect.shape").count() > 2
    assert page.locator(".item.same").count() == 4  # in each stage's list
    page.wait_for_timeout(300)
    serious(page)
    photographed(page, tmp_path, f"explorer-{scheme}")
    page.fill("#result input[name=item_id]", "no such item")
    page.click("text=Why?")
    page.wait_for_selector("[data-why=unknown]")

    page.click("nav a[data-tab=items]")
    page.fill("form[data-form=items] input", "5")  # when it is there
    page.click("button:has-text('Show')")
    page.wait_for_selector("h1:has-text('Movie 5')")
    page.wait_for_selector("[data-changes]")
    page.click("tbody a >> nth=0")
    page.wait_for_selector("h1:not(:has-text('Movie 5'))")
    serious(page)
    photographed(page, tmp_path, f"items-{scheme}")

    page.click("nav a[data-tab=bundles]")
    page.wait_for_selector("details >> nth=1")
    page.click("summary >> nth=1")
    assert page.locator("details[open]").count() == 2
    serious(page)
    photographed(page, tmp_path, f"bundles-{scheme}")
    page.go_back()
    page.wait_for_selector("text=Neighbours")


def serious(page: Any) -> None:
    """Raises: AssertionError for what axe-core calls serious or critical."""
    found = axe.Axe().run(page).response["violations"]
    assert [
        (finding["id"], [node["html"] for node in finding["nodes"]][:3])
        for finding in found
        if finding["impact"] in ("serious", "critical")
    ] == []


def test_by_keyboard_alone(opened: Open) -> None:
    page = opened()
    page.wait_for_selector("h1")

    def tab_to(selector: str, most: int = 40) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
                return
        raise AssertionError(f"{selector} cannot be reached")

    tab_to("a.skip")
    tab_to("nav a[data-tab=explorer]")
    page.keyboard.press("Enter")
    page.wait_for_selector(".stage")
    tab_to("input[name=user_id]")
    page.keyboard.press("Control+a")
    page.keyboard.type("9")
    page.keyboard.press("Enter")
    page.wait_for_url("**user_id=9**")
    page.wait_for_selector(".item[hx-get*='user_id=9']")
    tab_to(".item")
    page.keyboard.press("ArrowDown")
    second = page.evaluate("document.activeElement.dataset.item")
    assert second == page.locator(".stage >> nth=0").locator(".item >> nth=1").get_attribute("data-item")
    page.keyboard.press("Enter")
    page.wait_for_selector("#why [data-why]")
    assert f"Item {second}" in page.locator("#why").inner_text()


def test_hostile_words_stay_words(opened: Open, running: Server) -> None:
    item = running.post("/v1/recommend", {"user_id": 11, "k": 1})[1]["items"][0]["item_id"]
    record = {"item_id": item, "title": HOSTILE, "genres": ["Drama", HOSTILE], "year": 1999}
    assert running.post("/v1/items", {"items": [record]}, "PUT")[0] == 200
    page = opened("?tab=explorer&user_id=11")
    page.wait_for_selector(f".item[data-item='{item}']")
    page.click(f".stage:last-child .item[data-item='{item}']")
    page.wait_for_selector("#why [data-why]")
    assert page.locator("#why h3").inner_text() == HOSTILE
    page.fill("#result input[name=item_id]", HOSTILE)
    page.click("text=Why?")
    page.wait_for_selector("[data-why=unknown]")
    page.fill("input[name=user_id]", HOSTILE)
    page.keyboard.press("Enter")
    page.wait_for_url("**user_id=%3Cimg**")
    page.wait_for_selector(".stage")
    page.goto(page.url.replace("explorer", "items") + f"&item_id={item}")
    page.wait_for_selector("dl")
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("main img, main b:has-text('bold')").count() == 0
    assert page.title() == "Items · funnel"


def test_a_mistake_is_told_and_what_was_there_stays(running: Server, chromium: Any) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{running.port}/?tab=explorer&user_id=7")
    page.wait_for_selector(".stage")
    page.fill("input[name=where]", '{"genre": "Drama"}')
    page.keyboard.press("Enter")
    page.wait_for_selector("#status:not(:empty)")
    assert "genres" in page.locator("#status").inner_text()
    assert page.locator(".stage").count() == 4
    context.close()


def test_keys_and_going_back_to_what_was_published(store: Path, chromium: Any, tmp_path: Path) -> None:
    from funnel.service.keys import add

    own = Path(shutil.copytree(store, tmp_path / "indexes"))
    keys = tmp_path / "keys.json"
    reader, admin = add(keys, "reader", "read"), add(keys, "boss", "admin")
    before, now = Store(own).previous(), Store(own).current()
    with server(own, "--keys", str(keys)) as running:
        page = chromium.new_page()
        page.goto(f"http://127.0.0.1:{running.port}/?tab=bundles")
        page.wait_for_selector("#status:has-text('key')")
        assert page.locator("main").inner_text() == ""
        page.fill("#key-field", reader)
        page.keyboard.press("Enter")
        page.wait_for_selector("details")
        assert page.locator("[data-act]").count() == 0
        page.fill("#key-field", admin)
        page.keyboard.press("Tab")
        page.wait_for_selector("[data-act=rollback]")
        asked = []
        page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
        page.click("[data-act=rollback]")
        assert len(asked) == 1
        assert Store(own).current() == now
        page.once("dialog", lambda dialog: dialog.accept())
        page.click("[data-act=rollback]")
        page.wait_for_selector("#status:has-text('rolled back')")
        assert Store(own).current() == before
        assert page.locator("summary:has-text('in use')").inner_text().startswith(str(before))
        page.close()


def test_publishing_by_a_click(store: Path, chromium: Any, tmp_path: Path) -> None:
    """It is asked for, judged by the gates, and served by new workers when it is said; what cannot be used is
    told, and not served."""
    own = Path(shutil.copytree(store, tmp_path / "indexes"))
    before, now = Store(own).previous(), Store(own).current()
    damaged = variant(Store(own), lambda folder: (folder / "serve.json").write_text("{}"))
    with server(own) as running:
        workers = running.workers()
        page = chromium.new_page()
        page.set_default_timeout(180_000)
        page.goto(f"http://127.0.0.1:{running.port}/?tab=bundles")
        page.on("dialog", lambda dialog: dialog.accept())
        publish(page, str(before))
        page.wait_for_selector("#status:has-text('published')")
        assert Store(own).current() == before != now
        assert page.locator("summary:has-text('in use')").inner_text().startswith(str(before))
        assert running.post("/v1/recommend", {"user_id": 7})[1]["version"] == before
        assert soon(lambda: not set(workers) & set(running.workers()))
        publish(page, damaged)
        page.wait_for_selector("#status:has-text('cannot be used')")
        assert Store(own).current() == before
        page.close()


def publish(page: Any, version: str) -> None:
    """Click on it, where it is folded away too."""
    bundle = page.locator("details", has_text=version)
    if bundle.get_attribute("open") is None:
        bundle.locator("summary").click()
    bundle.locator("[data-act=publish]").click()

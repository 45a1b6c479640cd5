"""The page over HTTP: its files, what its parts show, and that nothing typed or stored is markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import pytest

from funnel import Live
from tests.service.conftest import asked, get, post

from funnel.service.app import Service  # isort: skip
from funnel.service.admission import Admission
from funnel.service.page.waterfall import MOST, WIDTH, bars

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}'
PARTS = ("overview", "explorer", "trace", "why", "items", "bundles")


class Tags(HTMLParser):
    """Names of tags, names of attributes, and the text of a document."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def part(live: Live, name: str, **query: Any) -> Any:
    return get(Service(live), f"/view/{name}?{urlencode(query)}")


@pytest.mark.parametrize("text", ["[" * 15_000, '{"not":' * 3_000, "NaN", '{"a": ' + "1" * 5000])
@pytest.mark.parametrize("field", ["where", "context"])
def test_what_is_typed_and_is_no_json_object_is_told(live: Live, field: str, text: str) -> None:
    reply = part(live, "trace", user_id="7", **{field: text})
    assert reply.status_code == 422
    assert "JSON" in reply.json()["detail"]


def test_the_page_is_its_own_files_and_no_inline_script(live: Live) -> None:
    service = Service(live)
    page = get(service, "/")
    assert page.status_code == 200
    read = Tags(page.text)
    linked = re.findall(r'(?:src|href)="(/page/[^"]+)"', page.text)
    assert len(linked) == 5
    for name in (*linked, "/page/htmx.LICENSE.txt", "/page/uPlot.LICENSE.txt"):
        got = get(service, name)
        assert got.status_code == 200
        policy = got.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
    assert "//" not in page.text.replace("<!doctype", "")  # nothing of another site
    assert not [name for name in read.attributes if name.startswith("on") or name == "style"]
    assert not re.search(r"<script(?![^>]*src=)", page.text)


@pytest.mark.parametrize("name", ["nothing.js", "..%2f__init__.py", "../views.py", "%2e%2e/render.py"])
def test_no_other_file_is_given(live: Live, name: str) -> None:
    assert get(Service(live), f"/page/{name}").status_code == 404


def test_files_are_sent_once(live: Live) -> None:
    service = Service(live)
    first = get(service, "/page/funnel.css")
    given = {"if-none-match": first.headers["etag"]}
    again = asked(service, lambda own: own.get("/page/funnel.css", headers=given))
    assert (again.status_code, again.content) == (304, b"")


def test_our_script_is_short_and_writes_no_markup() -> None:
    own = (files("funnel.service.page") / "static" / "funnel.js").read_text()
    assert len(own.splitlines()) < 300
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "eval(", "document.write"):
        assert word not in own
    for template in (files("funnel.service.page") / "templates").iterdir():
        text = template.read_text()
        assert "style=" not in text
        assert "<script" not in text
        assert not re.search(r"\son\w+=", text)


@pytest.mark.parametrize("name", PARTS)
def test_what_is_stored_and_typed_is_text(live: Live, name: str) -> None:
    """A title, a category, an id, a user and every field of the form."""
    answered = live.recommend(7, 3).items[0].item_id
    record = {"item_id": [answered], "title": [HOSTILE], "genres": [[HOSTILE, "Drama"]], "year": [1999]}
    live.items.upsert(pd.DataFrame(record))
    fields = {"user_id": HOSTILE, "history": f"3,{answered}", "k": 8, "item_id": answered}
    clean, dirty = part(live, name, user_id=7, k=8, item_id=3), part(live, name, **fields)
    assert (clean.status_code, dirty.status_code) == (200, 200), dirty.text
    read = Tags(dirty.text)
    assert not {"img", "script"} & set(read.tags)
    assert "49" not in re.findall(r"\{\{.*?\}\}|>49<", dirty.text)
    assert not [attribute for attribute in read.attributes if attribute.startswith("on")]
    if name in ("trace", "why", "items"):
        assert HOSTILE in read.text


def test_the_trace_shows_the_answer_and_the_reason(live: Live) -> None:
    answer = live.recommend(7, 5)
    shown = Tags(part(live, "trace", user_id=7, k=5).text).text
    for item in answer.items:
        assert item.attributes["title"] in shown
    seen = live.history(7)[-1]
    assert "excluded: seen" in part(live, "why", user_id=7, item_id=seen).text
    reason = part(live, "why", user_id=7, item_id=answer.items[0].item_id).text
    assert "listed: position 1 of 10" in reason
    assert "SHAP" in reason
    assert "unknown: the catalogue" in part(live, "why", user_id=7, item_id="none such").text


def test_the_waterfall_adds_up(live: Live) -> None:
    item = live.recommend(7, 1).items[0]
    contributions = live.explain(7, item.item_id)
    rows = bars(contributions)
    assert len(rows) <= MOST + 1
    assert rows[-1].total == pytest.approx(item.score, abs=1e-5)
    assert sum(row.value for row in rows) + contributions["base"] == pytest.approx(rows[-1].total)
    assert all(0 <= row.x <= row.x + row.width <= WIDTH + 1 for row in rows)
    lefts = {round(row.x, 6) for row in rows}
    assert 0 in lefts  # the leftmost begins at the edge


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"where": "{"}, "the filter is not JSON"),
        ({"where": "[1]"}, "the filter is a JSON object"),
        ({"where": '{"genre": "Drama"}'}, "genres"),
        ({"context": '{"x": 1}'}, "context"),
        ({"k": "0"}, "a whole number from 1"),
        ({"k": "²"}, "a whole number from 1"),
    ],
)
def test_what_cannot_be_meant_is_a_problem(live: Live, query: dict[str, str], told: str) -> None:
    for name in ("trace", "why"):
        refused = part(live, name, user_id=7, **query)
        assert refused.status_code == 422
        assert told in refused.json()["detail"]


class Role:
    """Lets everybody in with one role."""

    def __init__(self, role: Any) -> None:
        self.admission = Admission(role, 1_000_000)

    def admit(self, scope: Any) -> Admission:
        return self.admission

    def leave(self, admission: Admission) -> None:
        pass


@pytest.mark.parametrize(("role", "may"), [("read", False), ("write", False), ("admin", True)])
def test_publishing_and_people_are_for_admins_alone(live: Live, role: str, may: bool) -> None:
    service = Service(live, guard=Role(role))
    shown = get(service, "/view/bundles").text
    assert live.version in shown
    assert ("hx-post" in shown) == may
    assert ("<option" in get(service, "/view/explorer").text) == may
    told = get(service, "/view/trace?user_id=7").text
    assert ("History, the latest first" in told) == may
    assert f"A history of {len(live.history(7))}" in told or may
    answer = post(service, "/v1/trace", {"user_id": 7}).json()
    assert (answer["history"], answer["history_length"]) == ([], len(live.history(7)))


def test_changes_of_items_are_listed_the_latest_first(live: Live) -> None:
    assert "none since the bundle" in part(live, "items").text
    live.items.delete([5])
    live.items.patch([7], {"year": 1999.0})
    new = {"item_id": 9001, "title": "New", "genres": ["Drama"], "year": 1990.0}
    live.items.upsert(pd.DataFrame([new]))
    live.items.forget([5])
    told = [(change["item_id"], change["what"]) for change in live.items.changes()]
    assert told == [("5", "forgotten"), ("9001", "upserted"), ("7", "patched")]
    assert [change["item_id"] for change in live.items.changes(calls=1)] == ["5"]
    assert len(live.items.changes(most=2)) == 2
    page = part(live, "items")
    assert page.status_code == 200
    assert "patched: year is 1999" in Tags(page.text).text

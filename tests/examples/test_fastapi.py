"""The service of the examples, asked over HTTP; where FastAPI is not installed, what needs none of it."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.tiny import TinyBuild

FOLDER = ROOT / "examples"


@pytest.fixture
def client(built: TinyBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    testing = pytest.importorskip("fastapi.testclient")
    pytest.importorskip("httpx")
    shutil.copytree(built.indexes, tmp_path / "indexes")
    monkeypatch.setenv("FUNNEL_STORE", str(tmp_path / "indexes"))
    monkeypatch.setenv("FUNNEL_STATE", str(tmp_path / "state.sqlite"))
    monkeypatch.setenv("FUNNEL_DEADLINE_MS", "10000")
    spec = importlib.util.spec_from_file_location("fastapi_app", FOLDER / "fastapi_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fastapi_app", module)
    spec.loader.exec_module(module)
    with testing.TestClient(module.app) as found:
        yield found
    module.live.close()


def test_the_service_answers(client: Any, tmp_path: Path) -> None:
    answer = client.get("/recommend/7", params={"k": 3}).json()
    assert len(answer["items"]) == 3
    assert "unknown_user" in client.get("/recommend/nobody").json()["reasons"]
    wanted = {"history": [1, 2], "where": {"genres": "Comedy"}, "k": 4, "exclude": [3]}
    found = client.post("/recommend", json=wanted).json()["items"]
    assert len(found) == 4
    assert all("Comedy" in item["attributes"]["genres"] for item in found)
    first = answer["items"][0]["item_id"]
    assert client.post("/events", json=[{"user_id": 7, "item_id": first}]).status_code == 204
    assert first not in [item["item_id"] for item in client.get("/recommend/7").json()["items"]]
    assert (tmp_path / "state.sqlite").is_file()


def test_the_service_says_what_was_wrong(client: Any) -> None:
    wrong = client.post("/recommend", json={"where": {"colour": "red"}})
    assert wrong.status_code == 422
    assert "no such item column" in wrong.json()["detail"]
    assert client.get("/recommend/7", params={"k": 0}).status_code == 422
    assert client.post("/events", json=[{"user_id": 7, "item_id": 1, "time": 10**13}]).status_code == 422


def test_the_service_is_healthy(client: Any) -> None:
    found = client.get("/health")
    assert found.status_code == 200
    assert found.json()["refused"] is None
    assert found.json()["watching"] is True


def called(path: Path, on: str) -> set[str]:
    """What a program calls and names of an object."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == on
    }


def test_the_service_uses_what_there_is() -> None:
    """Without FastAPI, too: a method of `Live` that is gone is found."""
    from funnel import Live

    names = called(FOLDER / "fastapi_app.py", "live")
    assert {"recommend", "observe", "health"} <= names
    assert all(hasattr(Live, name) for name in names)


def test_gunicorn_reads_its_config() -> None:
    found: dict[str, Any] = {}
    exec((FOLDER / "gunicorn_conf.py").read_text(), found)
    assert found["preload_app"] is True
    assert found["workers"] >= 1


def test_the_image_compiles_before_it_gives_up_its_rights() -> None:
    lines = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line for line in lines if line and not line.startswith("#")]
    warm = next(n for n, line in enumerate(steps) if "funnel warm" in line)
    user = next(n for n, line in enumerate(steps) if line.startswith("USER"))
    assert warm < user
    assert not steps[user].endswith(("root", " 0"))
    copied = [word for line in steps if line.startswith("COPY") for word in line.split()[1:-1]]
    assert copied
    assert all((ROOT / name).exists() for name in copied)
    assert steps[-1].startswith("CMD [")

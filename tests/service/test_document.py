"""What the page on the service says is run, command by command, against a server."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from funnel import config as configs
from tests.conftest import ROOT
from tests.service.server import server
from tests.test_docs import BLOCK

PAGES = [ROOT / "README.md", ROOT / "docs" / "service.md"]


def lines(page: Path) -> list[str]:
    """The commands of a page that want a server, or are one."""
    blocks = [code for language, code in BLOCK.findall(page.read_text()) if language == "sh"]
    return [line.partition("  #")[0].strip() for code in blocks for line in code.splitlines() if line]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page(page: Path, indexes: Path) -> None:
    serve, *others = lines(page)
    assert others
    program, command, *arguments = shlex.split(serve)
    assert (program, command) == ("funnel", "serve")
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    given |= {"--store": str(indexes)}
    port = given.pop("--port", "8000")
    with server(*[given.pop("--store")], *(part for pair in given.items() for part in pair)) as running:
        for line in others:
            assert f"localhost:{port}/" in line
            there = shlex.split(line.replace(f"localhost:{port}/", f"127.0.0.1:{running.port}/"))
            done = subprocess.run([*there, "--fail-with-body"], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            json.loads(done.stdout)


def test_the_problem_of_the_page_is_one(indexes: Path) -> None:
    text = PAGES[1].read_text()
    (example,) = (code for language, code in BLOCK.findall(text) if language == "json")
    with server(indexes) as running:
        assert running.post("/v1/recommend", {"kk": 1}) == (422, json.loads(example))


def test_the_config_of_the_page_is_one(tmp_path: Path) -> None:
    (code,) = (code for language, code in BLOCK.findall(PAGES[1].read_text()) if language == "toml")
    path = tmp_path / "shop.toml"
    path.write_text(f'name = "shop"\n[data]\nreader = "movielens"\npath = "data"\n{code}')
    assert configs.load(path).serve.workers == 2


def test_every_route_is_on_the_page() -> None:
    from funnel.service.openapi import OPERATIONS

    text = re.sub(r"\bI?D\b|VERSION", "", PAGES[1].read_text())
    for _, path in OPERATIONS:
        assert re.sub(r"\{\w+\}", "", path) in text.replace("/ID", "/")

"""The reference of the config says what the settings say."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from typer.testing import CliRunner

from funnel.cli import app
from funnel.config import parse
from funnel.reference import keys, page

ROOT = Path(__file__).parents[1]


def test_every_key_is_described() -> None:
    assert [key.name for key in keys() if not key.description] == []


def test_the_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "config.md").read_text()
    assert written == page(), "write it again: funnel config --all > docs/config.md"


def test_a_config_of_all_defaults_is_the_short_one() -> None:
    """The defaults are written in TOML, and a config that spells all of them out is the same config."""
    sections: dict[str, dict[str, object]] = {}
    for key in keys():
        section, _, name = key.name.rpartition(".")
        if key.default not in ("", "required") and not section.startswith("data.synthetic"):
            sections.setdefault(section, {})[name] = tomllib.loads(f"x = {key.default}")["x"]
    assert {"towers", "index", "retrieve", "ranker", "gates"} <= set(sections)
    required = {"name": "x", "data": {"reader": "synthetic"}}
    top = sections.pop("")
    sections["data"] = {**sections.get("data", {}), "reader": "synthetic"}
    assert parse({**top, **sections, "name": "x"}) == parse(required)


def test_the_command_finds_keys() -> None:
    found = json.loads(CliRunner().invoke(app, ["config", "retrieve.k", "--json"]).stdout)
    assert [key["name"] for key in found] == ["retrieve.k"]
    assert found[0]["default"] == "500"
    assert "retrieve.k" in CliRunner().invoke(app, ["config", "retrieve"]).stdout
    assert "no key contains" in CliRunner().invoke(app, ["config", "nothing of the kind"]).stdout


def test_the_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout.startswith("funnel 0.")

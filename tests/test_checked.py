"""What the step `validate` is keyed by: all of the config that its checks read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from funnel.artifacts import Store
from funnel.config import Config
from funnel.pipeline import checks
from funnel.pipeline.prepare import prepare
from funnel.pipeline.run.context import Context
from funnel.pipeline.run.steps import STEPS
from funnel.settings import Settings
from tests.tiny import TinyBuild, movie_config

#: Read by the step `ingest`, whose result is a part of the key; and the names of what is written.
ELSEWHERE = {"data", "name"}


def read_of(
    config: Config, work: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> set[tuple[str, str]]:
    """Sections and keys that are read while something is done; those of no section have no key."""
    fields = {name: getattr(config, name) for name in Config.model_fields}
    sections = {id(value): name for name, value in fields.items() if isinstance(value, Settings)}
    seen: set[tuple[str, str]] = set()
    plain = Settings.__getattribute__

    def watching(self: Settings, name: str) -> Any:
        if self is config and name in fields and not isinstance(fields[name], Settings):
            seen.add((name, ""))
        elif id(self) in sections and name in type(self).model_fields:
            seen.add((sections[id(self)], name))
        return plain(self, name)

    with monkeypatch.context() as patched:
        patched.setattr(Settings, "__getattribute__", watching)
        work()
    return {(section, key) for section, key in seen if section not in ELSEWHERE}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_validate_is_keyed_by_all_that_is_read(
    built: TinyBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = movie_config(
        Path(str(built.config.data.path)),
        rules=[{"kind": "at_most", "column": "genres", "n": 3}],
        retrieve={"k": 100, "sources": ["towers", "popular"], "where": {"genres": ["Comedy"]}},
        rank={"value": "p_event * year"},
    )
    store, (validate,) = Store(built.indexes), [step for step in STEPS if step.name == "validate"]

    def key(of: Config) -> dict[str, Any]:
        return validate.inputs(Context(of, store, Store(tmp_path)))

    def changed(section: str, name: str) -> Config:
        before = getattr(config, section)
        value = getattr(before, name) if name else before
        other = () if isinstance(value, tuple) else -1
        return config.model_copy(update={section: before.model_copy(update={name: other}) if name else other})

    seen = read_of(config, lambda: checks.check(prepare(config), store), monkeypatch)
    assert {("rules", ""), ("towers", "d"), ("rank", "value"), ("retrieve", "where")} <= seen
    assert [read for read in sorted(seen) if key(changed(*read)) == key(config)] == []

"""A few of the bodies of `python -m benchmarks.service_fuzz`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from benchmarks import service_fuzz
from benchmarks.service_fuzz import fuzz, fuzzed, right
from funnel import Live
from funnel.service.app import Service


def test_no_body_makes_the_service_fail(live: Live) -> None:
    found = fuzz(live, 3500)
    assert found["first_wrong"] == []
    for path, statuses in found["statuses"].items():
        assert sum(statuses.values()) == 500
        assert {"200", "400", "422"} <= set(statuses), path  # right ones, no JSON, and JSON that is wrong
        assert min(statuses["200"], statuses["422"]) > 20


def test_it_would_be_seen(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(live, "recommend", fails)
    _, found = asyncio.run(fuzzed(Service(live), right([1, 2], [1, 2, 3, 4, 5]), 70, seed=1))
    assert found
    assert {one["path"] for one in found} == {"/v1/recommend"}
    assert service_fuzz.wrong(404, "text/plain", b'{"status": 404}')

"""The model beside what was measured: what it says of a million and ten million items and of two
processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.plan_model import Measured


def checked(measured: Measured, results: Path) -> list[dict[str, Any]]:
    """Each of: what, model, measured, error (model by measured, less one)."""
    checks = []
    for name, items in (("latency-100000", 100_000), ("latency-10000000", 10_000_000)):
        whole = _read(results, name)["milliseconds"]["whole"]["mean"]
        checks.append(
            (f"milliseconds of the stages, {items:,} items", _stages(measured, items, results), whole)
        )
    live = _read(results, "latency-1000000x1000000")["milliseconds"]["Live.recommend"]["mean"]
    checks.append(("milliseconds of Live.recommend, 1,000,000 items", _request(measured, 1_000_000), live))
    service = _read(results, "service")
    # What one process of the service takes a request says what two do; the search is in it.
    one = 1000 / service["saturated"]["processor_ms"]
    checks.append(
        ("requests a second of two processes on two cores", 2 * one, service["two_workers"]["a_second"])
    )
    return [
        {"what": what, "model": round(model, 3), "measured": seen, "error": round(model / seen - 1, 4)}
        for what, model, seen in checks
    ]


def _request(measured: Measured, items: int) -> float:
    return (measured.search.microseconds(items) + measured.other) / 1000


def _stages(measured: Measured, items: int, results: Path) -> float:
    """A request without what stands beside the stages, which those files do not have."""
    beside = _read(results, "latency-1000000x1000000")["milliseconds"]["beside the stages"]["mean"]
    return _request(measured, items) - float(beside)


def _read(results: Path, name: str) -> Any:
    return json.loads((results / f"{name}.json").read_text())

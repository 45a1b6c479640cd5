"""What the manifest of a bundle says of how it came about."""

from __future__ import annotations

from typing import Any

import pandas as pd

from funnel.bundle.contents import Contents
from funnel.evaluation import Report
from funnel.pipeline.prepare import Prepared
from funnel.types import Log, Requests


def manifest_fields(
    prepared: Prepared, contents: Contents, report: Report, fallback: list[str], notes: list[str]
) -> dict[str, Any]:
    """The fields of the manifest beside the files' hashes."""
    config, data = prepared.config, prepared.dataset
    last, k = report.rows[-1], report.k
    return {
        "config": config.model_dump(mode="json"),
        "seed": config.seed,
        "schema_fingerprint": data.schema.fingerprint(),
        "towers_fingerprint": contents.encoder.fingerprint,
        "data_checksum": data.checksum(),
        "data_read": prepared.read_at,
        "data_end": contents.statistics.end if contents.statistics.clock == "time" else None,
        "data_window": windows(prepared),
        "metrics": {name: last.metrics[name].mean for name in (f"ndcg@{k}", f"recall@{k}")},
        "plugins": config.needs,
        "fallback": tuple(fallback),
        "notes": tuple(notes),
    }


def windows(prepared: Prepared) -> dict[str, tuple[str, str]]:
    """First and last moment of each window, ISO 8601; empty where the data has no clock."""
    parts = prepared.split
    if parts.train.clock != "time":
        return {}
    return {
        "towers": _moments(parts.train),
        "ranker": _moments(parts.ranker.requests),
        "test": _moments(parts.test.requests),
    }


def _moments(of: Log | Requests) -> tuple[str, str]:
    first, last = (pd.Timestamp(int(at), unit="s", tz="UTC") for at in (of.times.min(), of.times.max()))
    return first.isoformat(), last.isoformat()

"""The ranker's features of kinds of events: each as a slow, plain definition has it, and live as offline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from funnel.errors import ConfigError
from funnel.features import CandidateFeatures, FeaturesConfig, Statistics
from funnel.types import Candidates, EventKinds, Log, Ragged, Requests
from tests.features.worlds import SPECS, USER_SPECS, event_requests, item_columns, make_candidates, make_log

KINDS = EventKinds(("buy", "hide", "view"), (3.0, 0.0, 1.0), (3.0, 0.0, 1.0), (False, True, False))
ITEMS, REACH = 60, 50


def kinds_log(seed: int = 0) -> tuple[Log, np.ndarray]:
    """A log with kinds, hides among them, and which events are none."""
    log = make_log(seed, items=ITEMS)
    kinds = np.random.default_rng(seed).choice(3, len(log), p=[0.2, 0.1, 0.7]).astype(np.int8)
    return replace(log, kinds=kinds, event_kinds=KINDS), kinds == 1


def with_kinds(log: Log, hides: np.ndarray, rows: np.ndarray) -> Requests:
    """One request an event: what its user did strictly before, and what they hid."""
    assert log.kinds is not None
    read, refused = log.where(~hides), log.where(hides)
    assert read.kinds is not None
    users, times = log.users[rows], log.times[rows]

    def before(of: Log, values: np.ndarray) -> Ragged:
        masks = [(of.users == u) & (of.times < t) for u, t in zip(users, times, strict=True)]
        return Ragged.from_lists([values[mask] for mask in masks], values.dtype)

    history = before(read, read.items)
    return Requests(
        users, times, history, before(read, read.times), history_kinds=before(read, read.kinds),
        negatives=before(refused, refused.items),
    )  # fmt: skip


def features(statistics: Statistics, vectors: Any, columns: Any, **parts: Any) -> CandidateFeatures:
    return CandidateFeatures(
        FeaturesConfig(names=("kinds",)),
        statistics,
        columns,
        vectors,
        USER_SPECS,
        SPECS,
        kinds=KINDS,
        **parts,
    )


@pytest.fixture(scope="module")
def world() -> tuple[Log, np.ndarray, Requests, Candidates, Any, Any]:
    log, hides = kinds_log()
    rows = np.random.default_rng(1).choice(len(log), 40, replace=False)
    vectors = np.random.default_rng(2).normal(size=(ITEMS, 8)).astype(np.float32)
    requests = with_kinds(log, hides, rows)
    return log, hides, requests, make_candidates(40, ITEMS, 12), vectors, item_columns(ITEMS)


def cosine(mean: np.ndarray, vector: np.ndarray) -> float:
    lengths = np.linalg.norm(mean) * np.linalg.norm(vector)
    return float(mean @ vector / lengths) if lengths else np.nan


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def slow(
    log: Log, hides: np.ndarray, requests: Requests, row: int, item: int, vectors: Any, columns: Any
) -> dict[str, float]:
    """All columns of one candidate, event by event."""
    assert log.kinds is not None
    assert requests.history_kinds is not None
    assert requests.negatives is not None
    now, out = int(requests.times[row]), {}
    counts = [int(((log.items == item) & (log.kinds == k) & (log.times < now)).sum()) for k in range(3)]
    for name, count in zip(KINDS.names, counts, strict=True):
        out[f"popularity_{name}"] = np.log1p(count)
        out[f"rate_{name}"] = np.log(
            (1 + count) / (1 + counts[0] + counts[2])
        )  # a hide is no event like others
    done = list(
        zip(requests.history[row], requests.history_times[row], requests.history_kinds[row], strict=True)
    )
    newest = done[::-1][:REACH]
    for code, name in ((0, "buy"), (2, "view")):
        mine = [(one, at, 0.9**step) for step, (one, at, kind) in enumerate(newest) if kind == code]
        out[f"share_{name}"] = len(mine) / len(newest) if newest else np.nan
        out[f"since_{name}"] = np.log1p(now - mine[0][1]) if mine else np.nan
        out[f"met_{name}"] = np.log1p(sum(one == item for one, *_ in mine))
        mean = sum((w * unit(vectors[one]) for one, _, w in mine), np.zeros(8))
        out[f"near_{name}"] = cosine(mean, vectors[item])
    weighed = [(one, 0.9**step * KINDS.history[kind]) for step, (one, _, kind) in enumerate(newest)]
    out["near"] = cosine(sum((w * unit(vectors[one]) for one, w in weighed), np.zeros(8)), vectors[item])
    shop = columns["shop"]
    total = sum(w for one, w in weighed if shop[one] > 0)
    same = sum(w for one, w in weighed if shop[one] == shop[item])
    out["affinity_shop"] = same / total if total and shop[item] > 0 else np.nan
    refused = requests.negatives[row]
    out["no"] = np.log1p(int((refused == item).sum()))
    out["no_near"] = cosine(sum((unit(vectors[one]) for one in refused), np.zeros(8)), vectors[item])
    return {f"kinds.{name}": value for name, value in out.items()}


def test_every_column_is_what_its_name_says(world: Any) -> None:
    log, hides, requests, candidates, vectors, columns = world
    known = log.where(~hides)
    whole = features(Statistics.fit(known, known, negatives=log.where(hides)), vectors, columns)
    matrix = whole.matrix(requests, candidates)
    assert np.isnan(matrix[~candidates.filled]).all()
    seen = set()
    for row, position in zip(*np.nonzero(candidates.filled), strict=True):
        want = slow(log, hides, requests, row, int(candidates.items[row, position]), vectors, columns)
        assert list(want) == whole.names
        np.testing.assert_allclose(matrix[row, position], list(want.values()), rtol=1e-5, atol=1e-6)
        seen |= {name for name, value in want.items() if np.isfinite(value) and value != 0}
    assert seen >= set(want)  # each says something somewhere


def test_one_request_gives_the_bits_of_a_batch(world: Any) -> None:
    log, hides, requests, candidates, vectors, columns = world
    known = log.where(~hides)
    whole = features(Statistics.fit(known, known, negatives=log.where(hides)), vectors, columns)
    together = whole.matrix(requests, candidates)
    for row in range(0, len(requests), 3):
        one = np.array([row])
        np.testing.assert_array_equal(
            whole.matrix(requests.take(one), candidates.take(one))[0], together[row]
        )


def test_observed_kinds_count_as_if_they_had_been_fitted(world: Any, tmp_path: Any) -> None:
    log, hides, requests, candidates, vectors, columns = world
    known = log.where(~hides)
    cut = int(np.median(known.times))
    early, late = known.where(known.times < cut), known.where(known.times >= cut)
    refused = log.where(hides)
    fitted = Statistics.fit(known, early, negatives=refused)
    before = refused.where(refused.times < cut)
    Statistics.fit(early, early, windows=fitted.windows, negatives=before).save(tmp_path)
    live = Statistics.load(tmp_path).serving(ITEMS)
    live.observe(late.items, late.times)
    since = log.where(log.times >= cut)
    assert since.kinds is not None
    live.observe_kinds(since.items, since.times, since.kinds)
    now = requests.take(np.flatnonzero(requests.times > late.times.max() - 40 * 86_400))
    some = candidates.take(np.arange(len(now)))
    expected = features(fitted, vectors, columns).matrix(now, some)
    np.testing.assert_array_equal(features(live, vectors, columns).matrix(now, some), expected)


def test_a_request_without_kinds_has_no_figures_of_them(world: Any) -> None:
    log, hides, requests, candidates, vectors, columns = world
    known = log.where(~hides)
    whole = features(Statistics.fit(known, known, negatives=log.where(hides)), vectors, columns)
    plain = replace(requests, history_kinds=None, negatives=None)
    matrix = whole.matrix(plain, candidates)
    named = dict(zip(whole.names, np.moveaxis(matrix, 2, 0), strict=True))
    assert np.isfinite(named["kinds.popularity_buy"][candidates.filled]).all()
    for name in ("kinds.share_buy", "kinds.near", "kinds.no", "kinds.affinity_shop"):
        assert np.isnan(named[name]).all()


def test_without_kinds_there_is_no_such_group() -> None:
    log = make_log()
    statistics = Statistics.fit(log, log)
    assert statistics.by_kind == ()
    with pytest.raises(ConfigError, match="give no column"):
        CandidateFeatures(FeaturesConfig(names=("kinds",)), statistics, {}, None, {}, {})
    standard = CandidateFeatures(FeaturesConfig(), statistics, {}, None, {}, {})
    assert not [name for name in standard.names if name.startswith("kinds.")]
    assert FeaturesConfig().beside("kinds").groups[-1] == "kinds"
    assert FeaturesConfig(names=("popularity",)).beside("kinds").groups == ("popularity",)
    assert len(event_requests(log, np.arange(3))) == 3

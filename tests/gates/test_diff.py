"""How two bundles differ."""

from __future__ import annotations

import numpy as np
import pytest

from funnel.artifacts import Manifest, Store
from funnel.bundle.contents import load_contents
from funnel.bundle.holdout import HOLDOUT, Holdout
from funnel.gates.diff import diff


def test_a_bundle_does_not_differ_from_itself(store: Store) -> None:
    found = diff(store, "current", "current")
    assert found.config == {}
    assert found.unlike == ()
    assert all(a == b for a, b in found.metrics.values())
    assert (found.items.shared, found.items.gone, found.items.new) == (200, 0, 0)
    said = found.answers
    assert (said.overlap, said.same_first, said.same_list, said.score) == (1.0, 1.0, 1.0, 0.0)


def test_two_bundles_of_the_same_data(store: Store, second: str) -> None:
    """The answers' figures, against a loop over requests."""
    found = diff(store, "current", second)
    assert found.config["ranker.leaves"] == (15, 14)
    assert found.features.shared > 10
    assert found.unlike == ()  # the ranker is another one, and the requests are the same
    old, new = (load_contents(store.path(version)) for version in ("current", second))
    requests = Holdout.load(store.path(second) / HOLDOUT, new).examples.requests
    a, b = (one.funnel(10)(requests) for one in (old, new))
    overlap = [len(set(x) & set(y)) / 10 for x, y in zip(a.items.tolist(), b.items.tolist(), strict=True)]
    assert found.answers.overlap == pytest.approx(np.mean(overlap))
    assert found.answers.same_first == pytest.approx(np.mean(a.items[:, 0] == b.items[:, 0]))
    apart = [
        abs(float(a.scores[i, j]) - float(b.scores[i, k]))
        for i in range(len(requests))
        for j in range(10)
        for k in range(10)
        if a.items[i, j] == b.items[i, k]
    ]
    assert found.answers.score == pytest.approx(np.mean(apart), rel=1e-4)
    assert 0.3 < found.answers.overlap < 1


def test_a_bundle_with_an_earlier_key_is_read_and_does_not_differ_by_it(store: Store, second: str) -> None:
    """`split.protocol` was `split.reading` once, and is in the manifests of that time."""
    manifest = Manifest.load(store.path(second))
    split = {**manifest.config["split"]}
    split["reading"] = split.pop("protocol")
    manifest.model_copy(update={"config": {**manifest.config, "split": split}}).save(store.path(second))
    assert "reading" in store.verify(second).config["split"]
    changed = diff(store, "current", second).config
    assert "ranker.leaves" in changed
    assert [key for key in changed if key.startswith("split.")] == []

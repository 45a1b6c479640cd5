"""AUC, log loss and graded NDCG: equal to scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from funnel.errors import DataError
from funnel.evaluation.scored import auc, auc_by_group, graded_ndcg, log_loss


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=60))
@settings(deadline=None)
def test_auc_equals_sklearn_with_ties(rows):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    if labels.all() or not labels.any():
        with pytest.raises(DataError, match="positive and a negative"):
            auc(labels, scores)
    else:
        assert auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores))


def test_auc_by_group_is_auc_of_each_group():
    rng = np.random.default_rng(0)
    sizes = np.array([5, 1, 0, 30, 8, 12])
    labels, scores = rng.integers(0, 2, sizes.sum()), rng.integers(0, 9, sizes.sum()) / 3
    values = auc_by_group(labels, scores, sizes)
    for value, start, size in zip(values, np.cumsum(sizes) - sizes, sizes, strict=True):
        part = slice(start, start + size)
        if len(np.unique(labels[part])) == 2:
            assert value == pytest.approx(sk.roc_auc_score(labels[part], scores[part]))
        else:
            assert np.isnan(value)


def test_log_loss_equals_sklearn_also_at_zero_and_one():
    labels = np.array([1, 0, 1, 0, 1, 0])
    probabilities = np.array([0.9, 0.2, 0.0, 1.0, 1.0, 0.0])
    assert log_loss(labels, probabilities) == pytest.approx(sk.log_loss(labels, probabilities))


@pytest.mark.parametrize("k", [1, 5, 10])
def test_graded_ndcg_equals_sklearn_with_exponential_gain(k):
    rng = np.random.default_rng(1)
    sizes = rng.integers(2, 40, 50)
    labels, scores = rng.integers(0, 5, sizes.sum()), rng.normal(size=sizes.sum())
    values = graded_ndcg(labels, scores, sizes, k)
    for value, start, size in zip(values, np.cumsum(sizes) - sizes, sizes, strict=True):
        gain, score = 2.0 ** labels[start : start + size] - 1, scores[start : start + size]
        assert value == pytest.approx(sk.ndcg_score([gain], [score], k=k) if gain.any() else 1.0)


def test_a_query_without_a_relevant_document_counts_one_or_what_is_asked():
    labels, scores, sizes = np.array([0, 0, 2, 0]), np.array([1.0, 2.0, 0.5, 0.7]), np.array([2, 2])
    discounted = 1 / np.log2(3)
    np.testing.assert_allclose(graded_ndcg(labels, scores, sizes), [1, discounted])
    np.testing.assert_allclose(graded_ndcg(labels, scores, sizes, empty=0.0), [0, discounted])


def test_bad_input_says_what_is_wrong():
    with pytest.raises(DataError, match="2 labels, 3 scores"):
        auc(np.array([0, 1]), np.array([0.1, 0.2, 0.3]))
    with pytest.raises(DataError, match="finite"):
        auc(np.array([0, 1]), np.array([0.1, np.nan]))
    with pytest.raises(DataError, match="within"):
        log_loss(np.array([0, 1]), np.array([0.1, 1.2]))

"""Expressions: what they mean, beside Python's own arithmetic, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel.errors import ConfigError
from funnel.stages.formula import Formula

#: Expressions of three names, built from parts.
LEAVES = st.sampled_from(["a", "b", "c"]) | st.floats(0.1, 9, allow_nan=False).map(lambda x: f"{x:.3f}")
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        inner.map(lambda one: f"-{one}"),
        inner.map(lambda one: f"abs({one})"),
        st.tuples(inner, inner).map(lambda p: f"max({p[0]}, {p[1]})"),
        st.tuples(inner, inner).map(lambda p: f"min({p[0]}, {p[1]}, 2)"),
    ),
    max_leaves=12,
)
ROWS = st.lists(st.tuples(*[st.floats(-9, 9, width=32)] * 3), min_size=1, max_size=5)


@given(EXPRESSIONS, ROWS)
def test_it_is_what_python_says_row_by_row(text: str, rows: list[tuple[float, float, float]]) -> None:
    columns = {name: np.array([row[at] for row in rows]) for at, name in enumerate("abc")}
    found = np.broadcast_to(Formula.parse(text)(columns), len(rows))
    for value, row in zip(found.tolist(), rows, strict=True):
        names = dict(zip("abc", row, strict=True)) | {"abs": abs, "min": min, "max": max}
        try:
            expected = eval(text, {"__builtins__": {}}, names)  # the test's own words, not a config's
        except ZeroDivisionError:
            assert math.isnan(value)  # whatever is made of it
            continue
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_functions_powers_and_precedence() -> None:
    values = {"p_event": np.array([0.1, 0.2]), "bid": np.array([4.0, 9.0])}
    found = Formula.parse("2 * p_event ** 2 * exp(log(bid)) - -1")(values)
    np.testing.assert_allclose(found, [2 * 0.01 * 4 + 1, 2 * 0.04 * 9 + 1])
    assert Formula.parse("p_event * bid + p_event").names == ("p_event", "bid")


@pytest.mark.parametrize(
    ("text", "bid"),
    [("1 / bid", 0.0), ("log(bid)", -1.0), ("bid ** 0.5", -1.0), ("exp(bid)", 1e6), ("bid", np.nan)],
)
def test_what_has_no_value_is_not_finite_and_no_error(text: str, bid: float) -> None:
    with np.errstate(all="raise"):
        assert not np.isfinite(Formula.parse(text)({"bid": np.array([bid])})).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p_event *", "is no expression"),
        ("", "is no expression"),
        ("p_event > 1", "'p_event > 1' cannot be in an expression"),
        ("__import__('os').system('x')", "cannot be in an expression"),
        ("(lambda: 1)()", "cannot be in an expression"),
        ("bid.real", "'bid.real' cannot be in an expression"),
        ("bid[0]", "cannot be in an expression"),
        ("'a'", "cannot be in an expression"),
        ("True", "cannot be in an expression"),
        ("bid % 2", "cannot be in an expression"),
        ("sqrt(bid)", r"sqrt\(\) is not known in an expression; there are: min, max, log, exp, abs"),
        ("mx(bid, 1)", r"did you mean 'max'\?"),
        ("max(bid)", "takes two values or more, not 1"),
        ("log(bid, 2)", "takes one value, not 2"),
        ("min(*bid)", "cannot be in an expression"),
        ("1e999 * bid", "too large"),
        ("9" * 400 + " * bid", "too large"),
        ("bid\0", "is no expression"),
        ("-" * 60 + "bid", "nested 50 deep"),
        ("bid + " * 400 + "bid", "1,000 at most"),
    ],
)
def test_what_is_no_expression_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Formula.parse(text)


def test_a_name_that_is_not_there_gets_the_nearest() -> None:
    formula = Formula.parse("p_evnt * bid")
    with pytest.raises(
        ConfigError, match=r"'p_evnt' in 'p_evnt \* bid' is not known; did you mean 'p_event'\?"
    ):
        formula.check(["p_event", "bid"])


@pytest.mark.parametrize(
    "text",
    [
        "min(bid / stock, 5)", "max(bid / stock, -5)", "min(stock ** -1, 2)", "exp(-bid / stock)",
        "stock / stock", "max(log(stock), 0)", "max(log(-bid), 0)", "max((-bid) ** 0.5, 0)",
        "bid / (1 + 1 / stock)", "unknown ** 0", "1 ** unknown", "min(unknown, 2)", "max(2, unknown)",
        "(1 / stock) ** 0", "1 / (bid / stock)",
    ],
)  # fmt: skip
def test_what_is_made_of_no_value_has_none(text: str) -> None:
    """A division by zero is no infinite value, of which less may be made."""
    values = {"bid": np.array([1.0, 2.0]), "stock": np.zeros(2), "unknown": np.full(2, np.nan)}
    assert np.isnan(Formula.parse(text)(values)).all()


def test_what_is_next_to_it_keeps_its_value() -> None:
    values = {"bid": np.array([1.0, 1.0, 1.0]), "stock": np.array([0.0, 10.0, 0.1])}
    found = Formula.parse("min(bid / stock, 5) + 0 ** 0 + min(exp(1000), 2)")(values)
    np.testing.assert_allclose(found, [np.nan, 3.1, 8.0])

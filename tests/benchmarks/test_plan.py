"""The plan of machines: what must hold of any, whatever was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plan import at_least, plan
from benchmarks.plan_check import checked
from benchmarks.plan_model import (
    Assumed,
    Measured,
    Search,
    by_lists,
    by_rows,
    hottest,
    layout,
    needed,
    quantile,
)
from benchmarks.plan_tail import Machine, answers, drawn, fanned_out, tail
from funnel.vectors import Form

SHAPE = [(0.0, 0.6), (0.5, 0.95), (0.9, 1.3), (0.99, 2.0), (1.0, 4.0)]
CALM = Assumed(stragglers=0.0)


@pytest.fixture(scope="module")
def measured() -> Measured:
    """Numbers of about the right size, made up."""
    probes = (1000 / np.arange(1, 2049) ** 0.7).astype(int).tolist()
    search = Search(
        start=50, centre=0.02, code=0.005, candidate=0.1, k=500, k_factor=2, probes=33, items=1_000_000
    )
    parts = {"index": 41.6, "ids": 16.0, "columns": 80.0}
    seconds = {"index": 1e-5, "step build": 5e-5}
    return Measured(64, parts, 250.0, search, 1500.0, SHAPE, probes, 10_000_000, seconds)


@pytest.mark.parametrize("value", [0.0, -5.0, float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(typer.BadParameter, match="at least 1 is expected"):
        at_least(1)(value)


@settings(max_examples=40, deadline=None)
@given(st.floats(5, 9), st.floats(0, 7), st.floats(0, 2), st.sampled_from(["float32", "float16", "int8"]))
def test_more_requests_or_items_never_take_fewer_machines(
    measured: Measured, items: float, qps: float, more: float, form: str
) -> None:
    def machines(items: float, qps: float) -> int:
        laid = layout(measured, int(10**items), form, CALM)  # type: ignore[arg-type]
        return needed(laid.machines, by_rows(measured, laid).whole, 10**qps, CALM)

    assert machines(items, qps + more) >= machines(items, qps)
    # Whole groups: a larger catalogue needs no fewer, but for the rest of the last group.
    laid = layout(measured, int(10 ** (items + more)), form, CALM)  # type: ignore[arg-type]
    assert machines(items + more, qps) + laid.machines >= machines(items, qps)


@pytest.mark.parametrize("items", [1_000, 10_000_000, 10_000_001, 300_000_000, 1_000_000_000])
def test_shards_are_no_larger_than_what_was_measured_and_hold_all(measured: Measured, items: int) -> None:
    laid = layout(measured, items, "int8", CALM)
    assert laid.items <= measured.largest
    assert laid.shards * laid.items >= items
    assert laid.machines * laid.a_machine >= laid.shards
    whole = items * (68 + 41.6 + 16 + 80)
    assert whole / laid.machines <= CALM.memory * 2**30
    assert laid.machines == 1 or whole / (laid.machines - 1) > CALM.memory * 2**30


def test_fewer_bytes_never_take_more_machines(measured: Measured) -> None:
    forms: tuple[Form, ...] = ("int8", "float16", "float32")
    machines = [layout(measured, 10**9, form, CALM).machines for form in forms]
    assert machines == sorted(machines)
    assert machines[0] < machines[2]


def test_a_fan_out_of_one_has_the_services_own_p99() -> None:
    """A request now and then, on one machine: nothing waits, and what was measured comes out."""
    searched, rest = answers(Machine(1.0, 1, 1000.0, 500.0), SHAPE, CALM, 20_000, seed=0)
    for share in (0.5, 0.9, 0.99):
        wanted = 1000 * quantile(SHAPE, np.array(share))
        assert np.quantile(searched, share) == pytest.approx(wanted, rel=0.002)
        assert np.quantile(fanned_out(searched, 1, 200_000, 1), share) == pytest.approx(wanted, rel=0.03)
        assert np.quantile(rest, share) == pytest.approx(wanted / 2, rel=0.03)


def test_a_fan_out_is_the_slowest_of_so_many() -> None:
    """P(the slowest of n is below t) is P(one is below t) to the n-th."""
    times = drawn(SHAPE, 1000.0, 50_000, np.random.default_rng(0))
    for n in (2, 10, 100):
        slowest = fanned_out(times, n, 20_000, 1)
        wanted = 1000 * quantile(SHAPE, np.array(0.99 ** (1 / n)))
        assert np.quantile(slowest, 0.99) == pytest.approx(wanted, rel=0.05)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.floats(0, 0.05), st.integers(0, 1000))
def test_hedging_makes_no_request_slower(fan_out: int, stragglers: float, seed: int) -> None:
    assumed = replace(CALM, stragglers=stragglers)
    times, _ = answers(Machine(10.0, 2, 1000.0, 500.0), SHAPE, assumed, 2000, seed)
    usual, hedged = (fanned_out(times, fan_out, 2000, seed, hedged=one) for one in (False, True))
    assert (hedged <= usual).all()


@pytest.mark.parametrize("machines", [1, 5, 40])
def test_hedging_never_raises_the_tail_at_low_load(machines: int) -> None:
    """Although each machine gets 5% more; and it takes stragglers away."""
    machine = Machine(200.0, 3, 1000.0, 800.0, machines)
    assert machine.busy(16) < 0.1
    calm = [tail(machine, SHAPE, CALM, hedged=one, n=5000).p99 for one in (False, True)]
    assert calm[1] <= calm[0] * 1.001
    late = replace(CALM, stragglers=0.02, pause=50_000.0)
    usual, hedged = (tail(machine, SHAPE, late, hedged=one, n=5000).p99 for one in (False, True))
    assert hedged < usual / 2


def test_more_load_is_never_faster() -> None:
    """The same draws at every load: each request waits as long or longer."""
    before = np.zeros(3000)
    for busy in (0.05, 0.3, 0.6, 0.9):
        machine = Machine(busy * 16 / 0.004, 3, 1000.0, 1000.0)
        assert machine.busy(16) == pytest.approx(busy)
        searched, _ = answers(machine, SHAPE, CALM, 3000, seed=3)
        assert (searched >= before - 1e-6).all()
        before = searched


def test_waiting_is_that_of_the_queue_with_one_server() -> None:
    """Mean waiting of M/G/1 by Pollaczek and Khinchine: rate · E[s²] / (2 · (1 − busy))."""
    assumed, rate = replace(CALM, cores=1), 600.0
    searched, _ = answers(Machine(rate, 1, 1000.0, 0.0), SHAPE, assumed, 200_000, seed=5)
    service = drawn(SHAPE, 1000.0, 200_000, np.random.default_rng(0))
    load = rate * service.mean() / 1e6
    wanted = rate / 1e6 * (service**2).mean() / (2 * (1 - load))
    assert searched.mean() - service.mean() == pytest.approx(wanted, rel=0.05)


def test_lists_do_less_and_less_evenly(measured: Measured) -> None:
    laid = layout(measured, 10**9, "int8", CALM)
    work, hot = by_lists(measured, laid, 10**9)
    assert work.whole < by_rows(measured, laid).whole
    assert hot >= 1
    assert hottest([1] * 64, 6400, 8) == 1.0
    assert hottest([1000, *[0] * 63], 64, 8) == pytest.approx(8.0)


def test_a_plan_says_the_same_again(measured: Measured) -> None:
    plans = [plan(measured, 10**8, 1e4, "int8", Assumed(), seed=1, n=2000) for _ in range(2)]
    assert plans[0] == plans[1]
    assert json.loads(json.dumps(plans[0])) == plans[0]
    for way in ("rows", "lists"):
        assert plans[0][way]["busiest"] <= Assumed().busy + 1e-9
        assert plans[0][way]["p50"] < plans[0][way]["p99"]
    assert plans[0]["rebuild"]["processor_hours"] == pytest.approx(2 * 1e8 * 5e-5 / 3600, rel=0.01)


def test_what_is_on_file_is_read_and_held_against_measurements() -> None:
    """The errors that the documents state are those of the files."""
    results = Path(__file__).parents[2] / "benchmarks" / "results"
    saved = json.loads((results / "plan.json").read_text())
    assert checked(Measured.load(results / "plan-measured.json"), results) == saved["checked"]

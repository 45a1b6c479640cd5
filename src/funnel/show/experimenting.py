"""Experiments that run, and what one of them says so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from funnel.terminal import literal, table

if TYPE_CHECKING:
    from funnel.experiments.judging import ArmResult, Judgement
    from funnel.experiments.running import Running


def experiments(now: Running, out: Console) -> None:
    """What runs in a store."""
    rows = table("experiments", "name", "layer", "arms", "users", "metric", "days", text=(2, 4))
    for name, each in now.experiments.items():
        config = each.config
        now_shares = {**{arm: about.share for arm, about in config.arms.items()}, **each.shares[-1]}
        arms = ", ".join(f"{arm} {share:.3g}" for arm, share in now_shares.items())
        rows.add_row(name, config.layer, arms, f"{100 * config.ramp:.3g}%", config.metric, str(config.days))
    out.print(rows)


def judgement(state: Judgement, out: Console) -> None:
    """The state of an experiment, and what to do."""
    users = ", ".join(f"{arm} {n:,}" for arm, n in state.users.items())
    rows = table(
        f"{state.experiment}, day {state.days} of {state.horizon}",
        "metric", "arm", "control", "treated", "effect", "any day", "on the last day", "p", "", text=(0, 1),
    )  # fmt: skip
    for each in state.comparisons:
        rows.add_row(
            each.metric, each.arm, f"{each.control:.4g}", f"{each.treated:.4g}", _relative(each.relative),
            _interval(each.sequence_low, each.sequence_high), _declared(each, state.days > state.horizon),
            "" if each.p_value is None else f"{each.p_value:.2g}", each.state,
        )  # fmt: skip
    out.print(rows)
    for arm, lists in state.shadows.items():
        shadow = (
            f"  shadow {arm}: {lists.requests:,} answers; {100 * lists.overlap:.1f}% of the items, "
            f"{100 * lists.same_first:.1f}% of first items, {100 * lists.same_list:.1f}% of lists alike"
        )
        out.print(literal(shadow))
    out.print(literal(f"  users: {users}"), style="dim")
    what = state.decision if state.arm is None else f"{state.decision} {state.arm}"
    out.print(literal(what, "bold"))
    for sentence in state.reasons:
        out.print(literal(f"  {sentence}"))


def _relative(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.2f}%"


def _declared(each: ArmResult, is_over: bool) -> str:
    """The interval of the last day, with the effect on that day where others came behind it."""
    interval = _interval(each.low, each.high)
    return f"{_relative(each.declared)}: {interval}" if is_over and interval else interval


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{100 * low:+.2f} … {100 * high:+.2f}"

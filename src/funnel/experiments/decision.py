"""What to do with an experiment, and why, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from funnel.experiments.config import ExperimentConfig

if TYPE_CHECKING:
    from funnel.experiments.judging import ArmResult, Judgement, State

Decision = tuple[Literal["ship", "stop", "go on"], str | None, tuple[str, ...]]


def decide(
    config: ExperimentConfig, results: Sequence[ArmResult], ratio: float, days: int, ratio_alpha: float
) -> Decision:
    """What to do, with which arm, and the sentences that say why.

    A wrong sample ratio or, in every arm, a broken guardrail or a worse primary metric ends it. An arm ships
    whose primary metric is better and whose guardrails are all shown to be kept. Else it goes on up to its
    horizon, and ends there.
    """
    if ratio <= ratio_alpha:
        return "stop", None, (_ratio(ratio, ratio_alpha),)
    if not results:
        return _nothing_yet(config, days)
    arms = [arm for arm in config.served if arm != config.control]
    states = {arm: [each for each in results if each.arm == arm] for arm in arms}
    ready = [arm for arm in arms if _ships(states[arm])]
    if ready:
        best = max(ready, key=lambda arm: _gain(states[arm]))
        return "ship", best, tuple(_why(best, states[best], days, config))
    lost = [arm for arm in arms if _lost(states[arm])]
    reasons = tuple(sentence for arm in arms for sentence in _why(arm, states[arm], days, config))
    if len(lost) == len(arms):
        return "stop", None, reasons
    return ("stop" if days >= config.days else "go on"), None, reasons


def without_its_start(judgement: Judgement, until: float) -> Judgement:
    """What is judged of an experiment whose answers of before `until`, seconds since 1970, were removed: it
    has no winner, since those who were there first are missing, or what they did first."""
    over = judgement.days >= judgement.horizon
    decision = ("stop" if over else "go on") if judgement.decision == "ship" else judgement.decision
    moment = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d %H:%M")
    sentence = (
        f"Its answers of before {moment} UTC are gone from the log, by `keep` or `size` of `[impressions]`: "
        "all figures are of what is left, and nothing ships by them. Let it have more, and start another."
    )
    about = {"decision": decision, "arm": None, "answers_from": until}
    return judgement.model_copy(update={**about, "reasons": (sentence, *judgement.reasons)})


def _ships(each: Sequence[ArmResult]) -> bool:
    guards = [result.state for result in each if result.role == "guardrail"]
    return _primary_state(each) == "better" and all(state == "kept" for state in guards)


def _gain(each: Sequence[ArmResult]) -> float:
    """How far the primary metric is from the control: a ratio there may not be."""
    return sum(abs(result.treated - result.control) for result in each if result.role == "primary")


def _lost(each: Sequence[ArmResult]) -> bool:
    return _primary_state(each) == "worse" or any(result.state == "broken" for result in each)


def _primary_state(each: Sequence[ArmResult]) -> State:
    """Open as long as there is nothing to compare."""
    return next((result.state for result in each if result.role == "primary"), "open")


def _why(arm: str, each: Sequence[ArmResult], days: int, config: ExperimentConfig) -> Iterator[str]:
    """Of one arm: its primary metric, then each guardrail."""
    primary = next((result for result in each if result.role == "primary"), None)
    if primary is None:
        yield (f"{arm}: {config.metric} cannot be compared, since no two users of each arm differ in it: are "
               "such events observed?")  # fmt: skip
    else:
        yield from _of_primary(primary, days, config)
    for result in each:
        if result.role == "guardrail":
            yield _guard(result, days, config)


def _of_primary(primary: ArmResult, days: int, config: ExperimentConfig) -> Iterator[str]:
    words = {"better": "is better", "worse": "is worse", "open": "is not told apart from the control"}
    yield f"{primary.arm}: {primary.metric} {words[primary.state]}{_interval(primary, days, config)}."
    if primary.state == "open" and primary.smallest is not None:
        yield _could_be_seen(primary, days, config)


def _could_be_seen(primary: ArmResult, days: int, config: ExperimentConfig) -> str:
    share, power = f"{100 * (primary.smallest or 0):.2g}%", f"{100 * config.power:.0f}%"
    if days < config.days:
        return f"On day {config.days} an effect of {share} or more would be found with {power}."
    return f"An effect of {share} or more would have been found with {power}."


def _guard(result: ArmResult, days: int, config: ExperimentConfig) -> str:
    words = {
        "kept": "is kept",
        "broken": "is broken",
        "open": "is not shown to be kept yet" if days < config.days else "is not shown to be kept",
    }
    state = f"{words[result.state]}{_interval(result, days, config)}"
    margin = f"{100 * (result.margin or 0):.2g}%"
    return f"{result.arm}: the guardrail {result.metric} {state}, with a margin of {margin}."


def _interval(result: ArmResult, days: int, config: ExperimentConfig) -> str:
    """The intervals that the state goes by, each with the estimate of the same days: the sequence's before
    the horizon, the declared one on it, and both behind it."""
    now = _within(result.relative, result.sequence_low, result.sequence_high)
    once = _within(result.declared, result.low, result.high)
    if days < config.days:
        return now and f" ({now})"
    if days == config.days or not now or not once:
        return once and f" ({once})"
    return f" ({once} on day {config.days}; {now} on day {days}, as on any day)"


def _within(relative: float | None, low: float | None, high: float | None) -> str:
    if relative is None or low is None or high is None:
        return ""
    return f"{100 * relative:+.3g}% [{100 * low:+.3g}, {100 * high:+.3g}]"


def _ratio(value: float, limit: float) -> str:
    return (
        f"Users did not come into the arms as declared (p {value:.1g}, at most {limit:g}): something loses "
        "or moves users of one arm, and no other figure can be believed. Look at arms that fail, answers "
        "that are not logged, and users who change ids."
    )


def _nothing_yet(config: ExperimentConfig, days: int) -> Decision:
    if days < 1:
        return "go on", None, ("The first day is not over: there is nothing to judge yet.",)
    why = (
        f"In {days} days no two users of each arm did anything that differs: is the log of answers on "
        "(`[impressions] log`), and are events observed?"
    )
    return ("stop" if days >= config.days else "go on"), None, (why,)

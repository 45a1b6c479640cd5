"""From what the stages left to the answer that a caller gets, which is then logged and offered to shadows."""

from __future__ import annotations

from collections.abc import Sequence

from funnel.bundle.contents import Contents
from funnel.engine import Step
from funnel.serving.arms import Chosen
from funnel.serving.exploring import policy_of
from funnel.serving.parts import ServingParts
from funnel.serving.probabilities import ranked
from funnel.serving.reasons import recommendations
from funnel.serving.recording import Called
from funnel.serving.response import (
    ALL_FILTERED,
    FEWER_THAN_K,
    GAVE_WAY,
    NO_VALUE,
    RETRIEVAL_ORDER,
    RULES_NOT_PROVEN,
    SKIPPED,
    STATE_UNREADABLE,
    Answer,
)
from funnel.types import Candidates, Int32, Requests


def finished(
    parts: ServingParts,
    chosen: Chosen,
    given: Called,
    requests: Requests,
    steps: Sequence[Step],
    wanted: int,
    reasons: Sequence[str],
    attributes: Sequence[str] | None = None,
    like: Int32 | None = None,
) -> Answer:
    """The answer to one request. chosen: what answered. wanted: items, where there are as many. reasons:
    codes of what was missing in the request. attributes: see `Live.recommend`. like: see `recommendations`.
    """
    contents, final = chosen.loaded.contents, steps[-1].candidates
    items = recommendations(contents, requests, final, attributes, ranked(steps), like)
    codes = [*reasons, *_missing(contents, len(items), wanted), *_outcomes(final)]
    if STATE_UNREADABLE not in codes and _unread(parts, requests):
        codes.append(STATE_UNREADABLE)
    codes += [f"{SKIPPED}{step.name}" for step in steps if step.skipped]
    answer = Answer(
        user_id=given.request.user_id,
        items=items,
        version=chosen.loaded.version,
        reasons=tuple(codes),
        milliseconds={step.name: 1000 * step.seconds for step in steps},
        state=chosen.state,
        arms=chosen.arms,
        weights=chosen.weights,
        policy=policy_of(contents, requests),
    )
    answer = parts.interleaving.mixed(chosen, given, requests, answer, wanted, attributes)
    parts.recording.record(parts.loaded, contents, given, requests, final, answer, wanted)
    if chosen.arms and given.call == "recommend":
        parts.shadow.offer(parts.loaded, chosen, given, answer, wanted)
    parts.shadow.left()
    return answer


def _missing(contents: Contents, filled: int, wanted: int) -> list[str]:
    """Codes of items, a ranker or a value that there were not."""
    codes = []
    if filled < wanted:  # of a given list: what a stage of a plugin left out
        codes.append(FEWER_THAN_K if filled else ALL_FILTERED)
    if contents.ranker is None:
        codes.append(RETRIEVAL_ORDER)
    if contents.rank.value is not None and contents.expected_value is None:
        codes.append(NO_VALUE)
    return codes


def _unread(parts: ServingParts, requests: Requests) -> bool:
    """Whether the log of all, or what caps of this very request go by, could not be read: what others could
    not read, or can, is nothing to it."""
    occasion = requests.occasion
    return parts.follower.error is not None or (occasion is not None and not occasion.known.all())


def _outcomes(final: Candidates) -> list[str]:
    """Codes of what became of the rules."""
    codes = []
    for outcome in final.outcomes:
        codes += [f"{GAVE_WAY}{name}" for name in outcome.gave_way]
        codes += [] if outcome.proven else [RULES_NOT_PROVEN]
    return codes

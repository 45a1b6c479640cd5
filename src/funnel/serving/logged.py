"""An answer as the log has it: made in the background, of what the request handed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from funnel.bundle.contents import Contents
from funnel.impressions import Impression
from funnel.serving.response import Answer
from funnel.types import Candidates, Float32, Int32, Policy, Requests
from funnel.values.ids import written
from funnel.values.text import mended


class Front(NamedTuple):
    """The candidates of one request in front of re-ranking: rows and scores, [K]."""

    items: Int32
    scores: Float32


def impression_of(
    contents: Contents, call: str, front: Front, requests: Requests, final: Candidates, answer: Answer,
    wanted: int, most: int, now: float, facts: Mapping[str, Any],
) -> Impression:  # fmt: skip
    """front: the candidates, of which the first `most` are kept. requests, final: of that one request. facts:
    what the caller may change meanwhile, as it was."""
    items, scores, shown = _listed(contents, front, answer, most)
    whole = None if facts["request"] is None else _request(contents, requests, facts["request"])
    return Impression(
        id=answer.id,
        time=now,
        user=_user(answer.user_id),
        version=answer.version,
        k=wanted,
        items=items,
        scores=scores,
        shown=shown,
        propensities=_chances(answer, final, len(shown)),
        state=answer.state,
        call=call,
        arms=answer.arms,
        weights=answer.weights,
        teams=answer.teams,
        context=facts["context"],
        where=facts["where"],
        policy=None if answer.policy is None else _policy(answer.policy),
        seed=facts["seed"],
        reasons=tuple(mended(reason) for reason in answer.reasons),
        ms={name: round(ms, 2) for name, ms in answer.milliseconds.items()},
        request=whole,
    )


def _listed(
    contents: Contents, front: Front, answer: Answer, most: int
) -> tuple[tuple[Any, ...], Float32, tuple[int, ...]]:
    """The first candidates and behind them what was shown from further down, or of another arm: ids, scores,
    and where each shown item is among them."""
    n = int(np.count_nonzero(front.items >= 0))
    ids = contents.catalogue.ids
    items, scores = list(ids.take(front.items[: min(n, most)])), front.scores[: min(n, most)]
    position_of = {item: at for at, item in enumerate(items)}
    shown = [item.item_id for item in answer.items]
    further = [item for item in shown if item not in position_of]
    if further:
        position_of |= {item: len(items) + at for at, item in enumerate(further)}
        items += further
        scores = np.concatenate([scores, _scores_of(front, ids.rows(further))])
    return tuple(items), scores, tuple(position_of[item] for item in shown)


def _scores_of(front: Front, rows: Int32) -> Float32:
    """Of items by their rows; NaN where a candidate is none of them."""
    of_row = dict(zip(front.items.tolist(), front.scores.tolist(), strict=True))
    scores = [of_row.get(row, np.nan) if row >= 0 else np.nan for row in rows.tolist()]
    return np.array(scores, dtype=np.float32)


def _chances(answer: Answer, final: Candidates, length: int) -> tuple[float, ...] | None:
    """Of each position; None where nothing was left to chance."""
    if answer.teams:
        return tuple(item.propensity for item in answer.items)
    if answer.policy is None or final.propensities is None:
        return None
    return tuple(final.propensities[0, :length].tolist())


def _request(contents: Contents, requests: Requests, user: Any) -> dict[str, Any]:
    """What a request was made of, by ids: with the version and the state it makes the answer again."""
    ids = contents.catalogue.ids
    lists = {
        "history": requests.history,
        "exclude": requests.exclude,
        "negatives": requests.negatives,
        "items": None if requests.shown is None else requests.shown.items,
    }
    whole: dict[str, Any] = {name: ids.take(of[0]) for name, of in lists.items() if of is not None}
    whole |= {"time": int(requests.times[0]), "history_times": requests.history_times[0].tolist()}
    if requests.history_kinds is not None:
        whole["history_kinds"] = requests.history_kinds[0].tolist()
    if requests.occasion is not None:
        occasion = requests.occasion
        whole["occasion"] = {
            "now": int(occasion.now[0]),
            "key": int(occasion.keys[0]),
            "known": bool(occasion.known[0]),
            "impressions": ids.take(occasion.impressions[0]),
            "impression_times": occasion.impression_times[0].tolist(),
        }
    return whole | ({"user": user} if user else {})


def _policy(policy: Policy) -> dict[str, Any]:
    """Its fields; `asdict` copies each, which takes longer than all else."""
    return {field.name: getattr(policy, field.name) for field in fields(policy)}


def _user(value: Any) -> Any:
    """A user's id as the log has it: a number where the caller gave one, else its text; None for nobody."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    text = written(value)
    return None if text is None else mended(text)

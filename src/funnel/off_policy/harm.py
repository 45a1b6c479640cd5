"""Whether drawing lists does more harm than was stated, by users whose lists are drawn and users whose are
not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from funnel.artifacts.store import Store
from funnel.bundle.contents import load_contents
from funnel.errors import FunnelError
from funnel.experiments.effects import effect
from funnel.experiments.moments import UserMoments
from funnel.experiments.sequences import multiplier
from funnel.impressions import Impression, answers_folder, read
from funnel.off_policy.replay import GONE, Reward, earned_by_answer, with_all_events
from funnel.policies import Drawing
from funnel.serving.exploring import let_go_on_at, set_exploring
from funnel.serving.feedback import KeptEvents
from funnel.serving.state import StateLog, open_state
from funnel.serving.state.retention import kept
from funnel.values.ids import written

#: The loss that may be, where the bundle does not say one.
ALLOWED = 0.05

#: Users of both kinds at which the sequence is narrowest.
BEST_AT = 10_000

#: Users of each kind below which nothing is said.
LEAST = 50


@dataclass(frozen=True)
class Harm:
    """What drawn lists earn a list beside others: a relative `change`, and the bound `hi` that it is below at
    every look together, with 95% confidence. allowed: the loss that was stated. is_shown: whether the loss is
    surely larger. users: whose lists are drawn, and the others."""

    change: float | None
    hi: float | None
    allowed: float
    is_shown: bool
    users: tuple[int, int]
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def harm(
    answers: Path,
    state: StateLog,
    *,
    allowed: float,
    reward: Reward | None = None,
    since: float | None = None,
) -> Harm:
    """Compare them by the log of answers and what came of them. It may be looked at any time, by all
    together. Answers whose callers gave a seed are of neither: chance did not say whose they are.

    answers: the folder of the log. state: where events were observed. allowed: the loss that was stated, as a
    share. since: seconds, of the first answer that counts.
    Raises: BundleError where the state cannot be read; FunnelError for an allowed loss that is none.
    """
    if not 0 <= allowed < 1:
        raise FunnelError(f"the allowed loss is {allowed!r}; a share of at least 0 and below 1 is expected")
    records = [
        record
        for record in read(answers, since)
        if record.call == "recommend" and record.user is not None and record.seed is None
    ]
    first = min((record.time for record in records if record.policy is not None), default=np.inf)
    records = [record for record in records if record.time >= first]  # before that nobody's lists were drawn
    events = KeptEvents()
    earned = earned_by_answer(records, state, Reward() if reward is None else reward, events)
    records, gone = with_all_events(records, events)
    drawn, others = _by_user(records, earned)
    judged = judge_harm(drawn, others, allowed)
    left_out = f"; {gone:,} lists are left out {GONE}" if gone else ""
    return replace(judged, sentence=judged.sentence + left_out)


def drawing_of(store: Store) -> Drawing | None:
    """By what the published bundle draws its lists; None where it draws none."""
    return load_contents(store.path("current")).explore


def harm_of(
    store: Store,
    drawing: Drawing | None,
    *,
    allowed: float | None = None,
    reward: Reward | None = None,
    state: StateLog | str | Path | None = None,
) -> Harm:
    """Of a store, since drawing was last let go on by hand, and since when the state has the events.

    drawing: whose `max_loss` is allowed, unless `allowed` is given. state: where events are observed; default
    the store's own file. Raises: as `harm`.
    """
    if allowed is None:
        allowed = ALLOWED if drawing is None or drawing.max_loss is None else drawing.max_loss
    events = store.folder / "live" / "state.sqlite" if state is None else state
    log = open_state(events) if isinstance(events, str | Path) else events
    bounds = kept(store)
    since = max(let_go_on_at(store.folder) or 0.0, 0.0 if bounds is None else bounds.since)
    return harm(answers_folder(store.folder), log, allowed=allowed, reward=reward, since=since)


def end_where_shown(folder: Path, seen: Harm) -> None:
    """End drawing in every process that serves a store, where harm is shown. Raises: BundleError."""
    if seen.is_shown:
        set_exploring(folder, on=False, why=seen.sentence)


def judge_harm(drawn: UserMoments | None, others: UserMoments | None, allowed: float) -> Harm:
    """drawn, others: sums of rewards and lists a user; None for too few users."""
    users = (0 if drawn is None else int(drawn.n), 0 if others is None else int(others.n))
    if drawn is None or others is None or min(users) < LEAST or float(others.value) <= 0:
        sentence = f"{users[0]:,} users with drawn lists and {users[1]:,} without are too few to say"
        return Harm(None, None, allowed, False, users, sentence)
    measured = effect(others, drawn, adjust=False)
    wide = float(multiplier(sum(users) / BEST_AT, one_sided=True))
    change, error = float(measured.relative), float(measured.se) / float(measured.control)
    hi = change + wide * error
    sentence = (
        f"drawn lists earn {change:+.2%} of what others earn, surely less than {hi:+.2%} "
        f"({users[0]:,} users and {users[1]:,}); a loss of {allowed:.2%} was stated"
    )
    return Harm(change, hi, allowed, hi < -allowed, users, sentence)


def _by_user(
    records: Iterable[Impression], earned: dict[str, list[float]]
) -> tuple[UserMoments | None, UserMoments | None]:
    """Of users with any drawn list, and of the others."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for record in records:
        own = sums[written(record.user) or ""]
        own[0] += sum(earned[record.id])
        own[1] += 1
        own[2] = max(own[2], float(record.policy is not None))
    table = np.array(list(sums.values())).reshape(-1, 3)
    return _moments(table[table[:, 2] > 0]), _moments(table[table[:, 2] == 0])


def _moments(table: np.ndarray[Any, Any]) -> UserMoments | None:
    return UserMoments.of(table[:, 0], table[:, 1]) if len(table) > 1 else None

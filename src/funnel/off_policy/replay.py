"""What another policy or another bundle would have earned, from a store's log of answers and what came of
them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from funnel.artifacts.store import Store
from funnel.errors import FunnelError
from funnel.impressions import Impression, read
from funnel.impressions.join import INTERACTION, SKEW, Joiner
from funnel.off_policy.batches import Batch, batches, contents_of, joined
from funnel.off_policy.estimates import Estimate
from funnel.off_policy.estimators import FLOOR, estimate
from funnel.off_policy.judged import JudgedPolicy, OtherBundle
from funnel.off_policy.lists import DrawnLists
from funnel.serving.feedback import KeptEvents, named_events
from funnel.serving.state import Event, StateLog
from funnel.serving.state.retention import kept
from funnel.values.ids import written

#: The share of lists whose logged chances must come out again: else the log says less than the policy went
#: by.
AGREE = 0.99

#: The share of users, the most active ones, of whom some answers may be left out while the others' count: of
#: more of them, all answers of that time are.
_FEW = 0.01

#: Why answers are left out whose events went by the data or as a user's oldest.
GONE = "whose events have left the state"


@dataclass(frozen=True)
class Replay:
    """lists: drawn answers that were judged. left_out: how many were not, by why. agree: the share of lists
    whose logged chances come out again. earned: what the log earned a list, with its interval. estimates: of
    the judged policy."""

    lists: int
    left_out: Mapping[str, int]
    agree: float
    earned: Estimate
    estimates: tuple[Estimate, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Reward:
    """What counts. kind: of events; None: any event that came of an item. valued: its value, in place of
    one."""

    kind: str | None = None
    valued: bool = False
    window: float = 86_400.0

    def of(self, row: Mapping[str, Any]) -> float:
        """Of one item that was shown, see `funnel.impressions.join`."""
        if self.valued:
            names = [name for name in row if name.startswith("value.")]
            return sum(float(row[name]) for name in names if self.kind in (None, name[len("value.") :]))
        return float(row["clicked"] if self.kind is None else row.get(f"outcome.{self.kind}", False))


def replay(
    store: Store,
    judged: JudgedPolicy,
    answers: Path,
    state: StateLog,
    *,
    reward: Reward | None = None,
    estimators: Sequence[str] = ("snips", "snrips"),
    clip: float | None = None,
    floor: float = FLOOR,
) -> Replay:
    """What a policy or bundle would have earned a list, from the answers that were drawn by chance.

    store: with the bundles that gave the answers. answers: the folder of the log. state: where events were
    observed. For the others see `estimate`.
    Raises: ConfigError where the published bundle has not what the judged policy names, or goes by what no
    log holds; FunnelError where the log has no drawn list, where it does not hold what most of the judged
    lists go by, where chances do not come out again, or as `estimate` does; BundleError where the state
    cannot be read.
    """
    published = store.published()
    if published is not None and (contents := contents_of(store, published)) is not None:
        judged.check(contents)
    bounds = kept(store)
    since = float("-inf") if bounds is None else bounds.since
    records, left_out = _drawn(read(answers), whole=isinstance(judged, OtherBundle), since=since)
    if not records:
        raise FunnelError(
            f"{answers} has no answer that was drawn by chance and can be judged ({_in_words(left_out)}): "
            "what other lists would have earned cannot be told from lists that were always the same. Draw a "
            "share of them ([explore] in the config)"
        )
    events = KeptEvents()
    rewards = earned_by_answer(records, state, Reward() if reward is None else reward, events)
    records, gone = with_all_events(records, events)
    left_out += Counter({GONE: gone} if gone else {})
    lacking = Counter[str]()
    parts = list(batches(store, judged, records, rewards, left_out, lacking))
    left_out += lacking
    if lacking.total() > sum(len(part.users) for part in parts):
        raise FunnelError(
            f"{answers} does not hold what most of the judged lists would go by ({_in_words(lacking)}): what "
            "came of them cannot be told"
        )
    if not parts:
        raise FunnelError(f"no answer of {answers} can be judged: {_in_words(left_out)}")
    lists, agree = joined(parts)
    if agree < AGREE:
        raise FunnelError(
            f"the logged chances of {1 - agree:.1%} of the lists do not come out again from what was logged"
            f"{_of_arms(parts)}: the log holds fewer candidates than the draw went by "
            "(impressions.candidates is to be rerank.pool at least), rules go by what it does not hold "
            "(caps, budgets, floors), or an arm of an experiment has settings of its own"
        )
    (earned,) = estimate(_same(lists), ["snips"], floor=1)
    return Replay(
        len(lists), left_out, agree, earned, tuple(estimate(lists, estimators, clip=clip, floor=floor))
    )


def _in_words(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {why}" for why, count in left_out.items()) or "it is empty"


def _drawn(
    records: Iterable[Impression], *, whole: bool, since: float
) -> tuple[list[Impression], Counter[str]]:
    """Those that can be judged, and how many cannot. whole: only those with what makes the answer again.
    since: of which moment on the state has all events."""
    drawn, left_out = [], Counter[str]()
    for record in records:
        if record.call != "recommend" or not record.shown:
            left_out["not recommended, or empty"] += 1
        elif record.policy is None or record.propensities is None:
            left_out["not drawn"] += 1
        elif record.seed is not None:
            left_out["drawn by a seed that its caller gave"] += 1
        elif record.time < since:
            left_out[GONE] += 1
        elif whole and not record.request:
            left_out["logged without the request"] += 1
        else:
            drawn.append(record)
    return drawn, left_out


def earned_by_answer(
    records: Sequence[Impression], state: StateLog, reward: Reward, kept: KeptEvents | None = None
) -> dict[str, list[float]]:
    """By answer, what came of each position. kept: counts the state's events.

    Raises: FunnelError where the reward is of a kind that none of their events has, and they have others.
    """
    events = list(_events(records, state, kept))
    kinds = {event.kind or INTERACTION for event in events}
    if kinds and reward.kind is not None and reward.kind not in kinds:
        raise FunnelError(
            f"no event that names one of the answers is of the kind {reward.kind!r}; there are: "
            f"{', '.join(sorted(kinds))}"
        )
    joiner = Joiner(events, reward.window)
    return {record.id: [reward.of(row) for row in joiner.rows(record)] for record in records}


def with_all_events(records: Sequence[Impression], kept: KeptEvents) -> tuple[list[Impression], int]:
    """Those of which all events are there, and how many others there are. Of each user the state keeps the
    newest events: what came of the older answers of those who do most would be nothing.

    Which users those are goes by what came of their answers. So where they are more than one in a hundred,
    answers count from the moment since which they are not.
    """
    since = {user: kept.whole_since(user) for user in {written(record.user) for record in records}}
    moments = sorted(since.values())
    everyone = moments[len(moments) - 1 - int(_FEW * len(moments))] if moments else 0.0
    whole = [record for record in records if record.time >= max(everyone, since[written(record.user)])]
    return whole, len(records) - len(whole)


def _events(records: Sequence[Impression], state: StateLog, kept: KeptEvents | None) -> Iterator[Event]:
    """Those that name one of the answers, whoever they are of: an answer may have been given to nobody."""
    wanted = {record.id for record in records}
    since = min((record.time for record in records), default=0.0) - SKEW
    return (event for event in named_events(state, since, kept) if event.answer in wanted)


def _of_arms(parts: Sequence[Batch]) -> str:
    """Whose chances do not come out again, where they are those of some arms: each arm of which one in a
    hundred does not, or more."""
    agree: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for part in parts:
        for arms, same in zip(part.arms, part.agree.tolist(), strict=True):
            for arm in arms.items():
                agree[arm].append(same)
    of = [
        f"{1 - np.mean(same):.1%} of those of the arm {arm!r} of the experiment {experiment!r}"
        for (experiment, arm), same in agree.items() if np.mean(same) < AGREE
    ]  # fmt: skip
    return f" ({', '.join(of)})" if of else ""


def _same(lists: DrawnLists) -> DrawnLists:
    return DrawnLists(lists.rewards, lists.logged, lists.logged, lists.users)

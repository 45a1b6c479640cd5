"""One list of both arms' lists, for users in an experiment of that kind: by team draft, with a seed that is
the answer's id, so that it can be drafted again."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from funnel.errors import FunnelError
from funnel.experiments.interleaving import drafted
from funnel.serving.again import Readers, kept
from funnel.serving.arms import Arms, Chosen
from funnel.serving.probabilities import ranked
from funnel.serving.reasons import recommendations
from funnel.serving.recording import Called
from funnel.serving.response import ALL_FILTERED, FEWER_THAN_K, Answer, Recommendation
from funnel.types import Requests

log = logging.getLogger(__name__)

#: What the second arm's list took, among the milliseconds of an answer.
INTERLEAVED_MS = "interleaved"


class Interleaving:
    """Of one process. done: lists of both arms. alone: answers that were the control's, since the other arm
    could not answer, or the request can be read once only: those are in no arm, so that nothing is judged by
    them."""

    def __init__(self, arms: Arms, readers: Readers) -> None:
        self._arms, self._readers = arms, readers
        self.done = self.alone = 0

    def mixed(
        self,
        chosen: Chosen,
        given: Called,
        requests: Requests,
        answer: Answer,
        wanted: int,
        attributes: Sequence[str] | None = None,
    ) -> Answer:
        """The answer with the list of both arms; itself where the user is in no such experiment.

        chosen: what made the answer, which is the control. requests: the request as that read it. wanted:
        items. attributes: see `Live.recommend`.
        """
        if chosen.interleaved is None or given.call != "recommend":
            return answer
        began = time.perf_counter()
        items = self._other(chosen, given, requests, wanted, attributes)
        if items is None:
            self.alone += 1
            return replace(answer, arms=chosen.alone().arms)
        self.done += 1
        return _drafted(answer, items, wanted, 1000 * (time.perf_counter() - began))

    def _other(
        self, chosen: Chosen, given: Called, requests: Requests, wanted: int, attributes: Sequence[str] | None
    ) -> tuple[Recommendation, ...] | None:
        """The other arm's list; None where it has none."""
        try:
            other = self._arms.both(chosen)
            if other.loaded.contents.catalogue is not chosen.loaded.contents.catalogue:
                if (request := kept(given.request)) is None:
                    return None
                requests = self._readers.requests(other, request)
            steps = other.loaded.funnel(wanted).trace(requests)
            contents = other.loaded.contents
            return recommendations(contents, requests, steps[-1].candidates, attributes, ranked(steps))
        except FunnelError as error:  # the control's list is there: nobody waits for nothing
            log.warning("the list of %s is the control's: %s", chosen.interleaved, error)
            return None

    def figures(self) -> dict[str, int]:
        """For `Live.health`."""
        return {"done": self.done, "alone": self.alone}


def _drafted(answer: Answer, other: Sequence[Recommendation], wanted: int, milliseconds: float) -> Answer:
    """An item is as the arm has it that put it in, the control where both did."""
    of_team = [{item.item_id: item for item in items} for items in (answer.items, other)]
    draft = drafted(list(of_team[0]), list(of_team[1]), wanted, int(answer.id, 16))
    items = [
        replace(of_team[max(team, 0)][item], propensity=chance)
        for item, team, chance in zip(draft.items, draft.teams, draft.chances, strict=True)
    ]
    fewer = (ALL_FILTERED, FEWER_THAN_K)
    codes = [code for code in answer.reasons if code not in fewer]
    if len(items) < wanted:
        codes.append(FEWER_THAN_K if items else ALL_FILTERED)
    return replace(
        answer,
        items=tuple(items),
        teams=tuple(draft.teams),
        reasons=tuple(codes),
        milliseconds={**answer.milliseconds, INTERLEAVED_MS: milliseconds},
    )

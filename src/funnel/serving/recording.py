"""What `Live` hands over to the log of answers: taken as it stood, and put into writing in the background."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from funnel.bundle.contents import Contents
from funnel.engine import RANK, Step
from funnel.errors import BundleError, DataError
from funnel.impressions import Impression, ImpressionsConfig, Recorder, read
from funnel.impressions.erase import erase
from funnel.serving.loaded import Loaded
from funnel.serving.request import Request
from funnel.serving.response import Answer
from funnel.types import Candidates, Float32, Int32, Policy, Requests
from funnel.values.ids import written
from funnel.values.plain import plain
from funnel.values.text import mended

log = logging.getLogger(__name__)

#: Stages behind which the order is that of scores, the last of them first; what stands behind re-ranks.
_SCORED = ("value", RANK)
_RETRIEVED = ("eligible", "filter", "retrieve")


class Front(NamedTuple):
    """The candidates of one request in front of re-ranking: rows and scores, [K]."""

    items: Int32
    scores: Float32


def in_front(contents: Contents, steps: Sequence[Step], row: int = 0) -> Front:
    """Of a request of a batch, by its row in it."""
    names = [step.name for step in steps]
    chosen = next((name for name in _SCORED if name in names), None)
    if chosen is None:  # no ranker: behind the last stage of a plugin in front of it
        there = [*reversed(contents.retrieve.stages), *_RETRIEVED]
        chosen = next((name for name in there if name in names), names[0])
    candidates = steps[names.index(chosen)].candidates
    return Front(candidates.items[row], candidates.scores[row])


@dataclass(frozen=True, slots=True)
class Called:
    """What a call of `Live` was, for the log. call: its name. front: see `in_front`."""

    call: str
    request: Request
    front: Front


class Recording:
    """The log of answers of one `Live`. settings: None: as the bundle in use has them in its config.

    With the bundle's settings the log goes on and off with what is published.
    """

    def __init__(self, folder: Path, settings: ImpressionsConfig | None) -> None:
        self._settings, self.folder = settings, folder
        self._recorder: Recorder | None = None
        self._of_bundle: tuple[str, ImpressionsConfig] | None = None
        self._refused: str | None = None
        self._paused = False
        self.feedback = 0

    def settings(self, loaded: Loaded) -> ImpressionsConfig:
        """What counts for a bundle."""
        if self._settings is not None:
            return self._settings
        if self._of_bundle is None or self._of_bundle[0] != loaded.version:
            self._of_bundle = loaded.version, self._read(loaded)
        return self._of_bundle[1]

    def _read(self, loaded: Loaded) -> ImpressionsConfig:
        try:
            settings = ImpressionsConfig.model_validate(loaded.manifest.config.get("impressions", {}))
            self._refused = None
        except ValidationError as error:  # of a later funnel: nobody knows what was allowed
            self._refused = f"[impressions] of {loaded.version} cannot be read, so that nothing is logged"
            log.error("%s: %s", self._refused, error)
            settings = ImpressionsConfig()
        return settings

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Requests that nobody made, such as those that warm a process, are not logged."""
        self._paused, before = True, self._paused
        try:
            yield
        finally:
            self._paused = before

    def record(self, published: Loaded, contents: Contents, given: Called, requests: Requests,
               final: Candidates, answer: Answer, wanted: int) -> None:  # fmt: skip
        """Log one answer; it costs what references cost. published: whose settings count. contents: what
        answered. requests, final: of that one request."""
        settings = self.settings(published)
        if not settings.log or self._paused:
            return
        request, sampled = given.request, _is_sampled(answer.id, settings.sample)
        facts = {
            "context": plain(request.context) if request.context else {},  # the caller's, who may change it
            "where": plain(request.where) if request.where else None,
            "request": plain(dict(request.user or {})) if sampled else None,
        }
        self._writer(settings).put(
            partial(
                _impression, contents, given, requests, final, answer, wanted, settings.candidates,
                time.time(), facts,
            )
        )  # fmt: skip

    def _writer(self, settings: ImpressionsConfig) -> Recorder:
        if self._recorder is None:
            self._recorder = Recorder(self.folder, settings.buffer)
        return self._recorder

    def figures(self, loaded: Loaded) -> dict[str, Any]:
        """For `Live.health`: of this process."""
        settings = self.settings(loaded)
        figures = Recorder.nothing(settings.buffer) if self._recorder is None else self._recorder.figures()
        figures["error"] = figures["error"] or self._refused
        return {"log": settings.log, "folder": str(self.folder), **figures, "feedback": self.feedback}

    def answers_of(self, user: str) -> list[dict[str, Any]]:
        """What a person was answered and is still in the log, as plain values, by time. It reads the whole
        log. Raises: BundleError where it cannot be read."""
        self.flush()
        with self._as_bundle_error():
            theirs = [shown for shown in read(self.folder) if str(shown.user) == mended(user)]
        return [
            {
                "answer": shown.id,
                "time": shown.time,
                "version": shown.version,
                "items": list(shown.shown_items),
            }
            for shown in sorted(theirs, key=lambda shown: shown.time)
        ]

    def erase(self, user: str) -> int:
        """Remove what a person was answered from the log; how many answers there were. Raises: BundleError
        where the log cannot be written, or is damaged; what is left then is removed when it is called again.
        """
        self.flush()
        with self._as_bundle_error():
            return erase(self.folder, mended(user))

    @contextmanager
    def _as_bundle_error(self) -> Iterator[None]:
        try:
            yield
        except (OSError, DataError) as error:
            raise BundleError(f"the log of answers in {self.folder}: {error}") from error

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until what was answered is in the log; whether it was within so many seconds."""
        return self._recorder is None or self._recorder.flush(seconds)

    def close(self) -> None:
        """Write what waits, and give the file back; the next answer opens another."""
        if self._recorder is not None:
            self._recorder.close()


def _is_sampled(answer: str, share: float) -> bool:
    """By the answer's id, which is chance."""
    return int(answer[:8], 16) < share * 2**32


def _impression(
    contents: Contents, given: Called, requests: Requests, final: Candidates, answer: Answer, wanted: int,
    most: int, now: float, facts: Mapping[str, Any],
) -> Impression:  # fmt: skip
    """In the background."""
    rows, scores, shown = _listed(given.front, final.items[0], most)
    ids = contents.catalogue.ids
    chances = None if answer.policy is None else final.propensities
    whole = None if facts["request"] is None else _request(contents, requests, facts["request"])
    return Impression(
        id=answer.id,
        time=now,
        user=_user(answer.user_id),
        version=answer.version,
        k=wanted,
        items=tuple(ids.take(rows)),
        scores=scores,
        shown=shown,
        propensities=None if chances is None else tuple(chances[0, : len(shown)].tolist()),
        state=answer.state,
        call=given.call,
        arms=answer.arms,
        context=facts["context"],
        where=facts["where"],
        policy=None if answer.policy is None else _policy(answer.policy),
        reasons=tuple(mended(reason) for reason in answer.reasons),
        ms={name: round(ms, 2) for name, ms in answer.milliseconds.items()},
        request=whole,
    )


def _listed(front: Front, final: Int32, most: int) -> tuple[Int32, Float32, tuple[int, ...]]:
    """The first candidates and behind them what was shown from further down: rows, scores, and where each
    shown item is among them."""
    n = int(np.count_nonzero(front.items >= 0))
    rows, scores = front.items[: min(n, most)], front.scores[: min(n, most)]
    position_of = {row: at for at, row in enumerate(rows.tolist())}
    further = [row for row in final.tolist() if row >= 0 and row not in position_of]
    if further:
        of_row = dict(zip(front.items.tolist(), front.scores.tolist(), strict=True))
        more = np.array([of_row.get(row, np.nan) for row in further], dtype=np.float32)
        position_of |= {row: len(rows) + at for at, row in enumerate(further)}
        rows = np.concatenate([rows, np.array(further, dtype=np.int32)])
        scores = np.concatenate([scores, more])
    return rows, scores, tuple(position_of[row] for row in final.tolist() if row >= 0)


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

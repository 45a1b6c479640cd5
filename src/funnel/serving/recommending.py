"""The best items for a user, and for many users together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any, TypeAlias

from funnel.engine import RANK
from funnel.serving import arguments
from funnel.serving.arms import Chosen, groups
from funnel.serving.encoding import encoded, on_occasion
from funnel.serving.finishing import finished
from funnel.serving.parts import ServingParts
from funnel.serving.reasons import nearest_of_history
from funnel.serving.recent import read_together
from funnel.serving.recording import Called, in_front
from funnel.serving.request import Request, encode_requests
from funnel.serving.response import STATE_UNREADABLE, Answer

#: One context for all requests, or a list of one for each.
Contexts: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None


def recommend(
    parts: ServingParts,
    request: Request,
    k: int,
    *,
    deadline: float | None,
    attributes: Iterable[str] | None,
    seed: int | None,
) -> Answer:
    """See `Live.recommend`. request: with the time that the caller gave."""
    began = perf_counter()
    wanted = arguments.item_count(k)
    limit = None if deadline is None else arguments.milliseconds(deadline) / 1000
    chosen = parts.chosen(request.user_id)
    chosen = chosen if limit is None else chosen.alone()  # two lists take twice as long
    loaded = chosen.loaded
    columns = arguments.attributes(attributes, loaded.contents.catalogue.names)
    users, time, request = [request.user_id], request.time, parts.at_moment(request)
    seeds = parts.exploring.seeds(loaded.contents, users, seed)
    requests, reasons = encoded(parts, loaded, request, seeds)
    requests = on_occasion(parts, loaded, requests, users, time)
    left = None if limit is None else limit - (perf_counter() - began)
    steps = loaded.for_requests(requests, wanted).trace(requests, seconds=left)
    given = Called("recommend", request, in_front(loaded.contents, steps), seed)
    return finished(parts, chosen, given, requests, steps, wanted, reasons, columns)


def recommend_many(
    parts: ServingParts, user_ids: Iterable[Any], k: int, request: Request, context: Contexts
) -> list[Answer]:
    """See `Live.recommend_many`. request: what is the same for all of them, but the context."""
    wanted = arguments.item_count(k)
    users = [arguments.user(user_id) for user_id in arguments.ids(user_ids, "user_ids")]
    parts.served()
    parts.shadow.came()
    answers: dict[int, Answer] = {}
    for chosen, numbers in groups([parts.arms.choose(user_id) for user_id in users], parts.arms.of({})):
        some = [users[number] for number in numbers]
        own = arguments.contexts_of(context, numbers, len(users))
        together = _together(parts, chosen, some, wanted, request, own)
        answers |= zip(numbers, together, strict=True)
    return [answers[number] for number in range(len(users))]


def _together(
    parts: ServingParts, chosen: Chosen, users: list[Any], wanted: int, same: Request, context: Contexts
) -> list[Answer]:
    """An answer a user, all of one arm."""
    loaded, where, seen = chosen.loaded, same.where, same.seen
    recent, readable = read_together(parts, users)
    moment = parts.moment(same.time)
    seeds = parts.exploring.seeds(loaded.contents, users, None)
    requests, reasons = encode_requests(loaded.contents, users, where, moment, recent, seen, context, seeds)
    if not users:
        return []
    requests = on_occasion(parts, loaded, requests, users, same.time)
    steps = loaded.for_requests(requests, wanted).trace(requests)
    like = nearest_of_history(loaded.contents, requests, steps[-1].candidates)
    answers = []
    for number, (user_id, codes) in enumerate(zip(users, reasons, strict=True)):
        row = slice(number, number + 1)
        codes = codes if readable else [*codes, STATE_UNREADABLE]
        own = [step.of(row) if step.name in (steps[-1].name, RANK) else step for step in steps]
        moment_of = context[number] if isinstance(context, Sequence) else context
        request = Request(user_id, time=moment, where=where, seen=seen, context=moment_of)
        given = Called("recommend", request, in_front(loaded.contents, steps, number))
        some = requests.take(row)
        answers.append(finished(parts, chosen, given, some, own, wanted, codes, like=like[row]))
    return answers

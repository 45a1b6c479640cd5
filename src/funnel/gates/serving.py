"""Does it answer as it was measured, and in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from funnel.bundle.contents import Contents
from funnel.bundle.holdout import Holdout
from funnel.evaluation import Latency
from funnel.evaluation.chunks import each_chunk
from funnel.evaluation.walk import Competitor, time_each
from funnel.gates.config import GatesConfig
from funnel.gates.findings import Finding, at_least, at_most
from funnel.recipes import Recipe
from funnel.serving.request import Request, encode_request, of_users
from funnel.types import Int32, Requests

_TIMED, _ALONE = 200, 100


def latency(contents: Contents, requests: Requests, config: GatesConfig, seed: int) -> Finding:
    """The 95th percentile over at most 200 single requests."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(requests))[:_TIMED])
    seconds = time_each(Competitor("stage", contents.funnel().trace), requests.take(rows)).sum(axis=1)
    return at_most("latency", Latency.of(seconds).p95, config.latency_ms, "ms a request, 95th percentile")


def parity(
    contents: Contents, lists: Int32, holdout: Holdout, config: GatesConfig, seed: int
) -> list[Finding]:
    """Lists come out as when the bundle was built, and single requests as in a batch.

    lists: what the bundle shows to the holdout's requests now, item rows int32 [B, k].
    """
    rows = np.random.default_rng(seed).permutation(len(contents.users.ids))[:_ALONE]
    together = answers(contents, of_users(contents, rows))
    funnel = contents.funnel()
    one_by_one = (
        funnel(encode_request(contents, Request(contents.users.ids.values[row].item()))[0]).items
        for row in rows
    )
    alone = _filled(one_by_one, len(rows), contents.rerank.k)
    return [
        at_least(
            "parity", same(lists, holdout.answers), config.parity, "share of lists as measured at the build"
        ),
        at_least("parity", same(alone, together), config.parity, "share of served lists as offline"),
    ]


def answers(contents: Contents, requests: Requests) -> Int32:
    """What the bundle shows: item rows, int32 [B, k], −1 = empty."""
    return _filled(each_chunk(Recipe(_shown, contents), requests), len(requests), contents.rerank.k)


def _filled(chunks: Iterable[Int32], n: int, k: int) -> Int32:
    """Lists of n requests in one array: a chunk is as wide as its longest list, and what is short of k
    positions is filled with −1."""
    out, start = np.full((n, k), -1, dtype=np.int32), 0
    for items in chunks:
        out[start : start + len(items), : items.shape[1]] = items[:, :k]
        start += len(items)
    return out


def _shown(contents: Contents) -> Callable[[Requests], Int32]:
    funnel = contents.funnel()
    return lambda part: funnel(part).items


def same(a: Int32, b: Int32) -> float:
    """The share of lists that are equal, position by position. a, b: [B, K]; the narrower is filled with
    −1.
    """
    width = max(a.shape[1], b.shape[1]) if len(a) else 0
    a, b = (np.pad(x, ((0, 0), (0, width - x.shape[1])), constant_values=-1) for x in (a, b))
    return float((a == b).all(axis=1).mean()) if len(a) else 1.0

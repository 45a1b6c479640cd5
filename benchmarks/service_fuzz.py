"""Bodies that nobody should send, by the hundred thousand, to every route that takes one.

    python -m benchmarks.service_fuzz --indexes indexes [--bodies 100000]

A body begins as one that is right. Then its fields are given other values (of another type, out of every
range, nested, of another field), fields come and go, and last its bytes are cut, doubled and changed. The
service is asked in this process. Whatever comes: no status of 5xx, and what is no answer is a problem
document.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from zlib import crc32

import typer

from benchmarks.serving import RESULTS, save
from funnel import Live
from funnel.service.app import Service

#: Values that are seldom right, in the order from likely to strange.
STRANGE: list[Any] = [
    None, True, False, 0, 1, -1, 7, 0.5, -0.0, 1e308, -1e308, 5e-324, 2**31, 2**53 + 1, 2**63, -(2**63) - 1,
    10**40, 1_600_000_000, 1_600_000_000_000, "", " ", "7", "\x00", "ü", "\U0001f600", "\ud800", "a" * 5000,
    "NaN", "../../x", "exclude", "impression", "purchase", "item_id", [], [[]], [None], [7, "click"],
    [[7, "click"]], ["title"], {}, {"": {}}, {"genres": "Comedy"}, {"year": {">": 1990}},
    {"year": [1990, None]}, {"and": []}, {"or": [{}]}, {"not": {"genres": ["Comedy"]}}, {"year": {">": "x"}},
    {"year": {">": {"context": "hour"}}}, {"nothing": 1},
]  # fmt: skip

NAMES = [
    "user_id", "k", "history", "user", "where", "exclude", "time", "deadline", "attributes", "seen",
    "context", "items", "rerank", "events", "kind", "value", "user_ids", "item_id", "answer", "top", "K",
    "__class__", "",
]  # fmt: skip


def right(users: Sequence[Any], items: Sequence[Any]) -> dict[str, list[dict[str, Any]]]:
    """Bodies that are right, by path."""
    user, other, item = users[0], users[1], items[0]
    return {
        "/v1/recommend": [
            {"user_id": user, "k": 5},
            {"history": list(items[:3]), "k": 3, "where": {}, "seen": "allow", "exclude": [item]},
            {"user_id": user, "k": 3, "deadline": 50.0, "attributes": [], "time": 1_500_000_000},
        ],
        "/v1/recommend/many": [
            {"user_ids": [user, other, None], "k": 3},
            {"user_ids": [], "seen": "exclude"},
        ],
        "/v1/rank": [{"user_id": user, "items": list(items[:5])}, {"items": [item, item], "rerank": True}],
        "/v1/events": [
            {"events": [{"user_id": user, "item_id": item}]},
            {"events": [{"user_id": "x", "item_id": item, "kind": "impression", "answer": "a", "value": 1}]},
        ],
        "/v1/similar": [{"item_id": item, "k": 3, "user_id": user}],
        "/v1/explain": [{"user_id": user, "item_id": item}],
        "/v1/trace": [{"user_id": user, "k": 3, "top": 2, "item_id": item}],
    }  # fmt: skip


def mutated(body: Any, rng: random.Random) -> Any:
    """The same with a value, a name or a length changed somewhere."""
    if isinstance(body, dict) and body and rng.random() < 0.8:
        name = rng.choice(list(body))
        changed = dict(body)
        match rng.randrange(5):
            case 0:
                del changed[name]
            case 1:
                changed[rng.choice(NAMES)] = rng.choice(STRANGE)
            case 2:
                changed[rng.choice(NAMES)] = changed.pop(name)
            case _:
                changed[name] = mutated(changed[name], rng)
        return changed
    if isinstance(body, list) and body and rng.random() < 0.6:
        at = rng.randrange(len(body))
        some = mutated(body[at], rng)
        return rng.choice(([*body[:at], some, *body[at + 1 :]], [some] * rng.choice((2, 40)), [*body, some]))
    value = rng.choice(STRANGE)
    for _ in range(rng.choice((0, 0, 0, 0, 1, 3, 150, 1000)) if rng.random() < 0.1 else 0):
        value = [value] if rng.random() < 0.5 else {"not": value}
    return value


def spoilt(raw: bytes, rng: random.Random) -> bytes:
    """Bytes changed, cut out, put in or doubled."""
    at = rng.randrange(len(raw) + 1)
    end = min(len(raw), at + rng.choice((1, 1, 2, 8, 1000)))
    some = rng.choice(
        (b"", rng.randbytes(3), b'"', b"{", b"]", b"\\u", b"1e999", b"NaN", b"\xff", raw[at:end] * 2)
    )
    return raw[:at] + some + raw[end:]


def written(body: Any, rng: random.Random) -> bytes:
    """As it goes over the wire; one in five is no JSON, or JSON by chance."""
    try:
        raw = json.dumps(body).encode()
    except RecursionError:
        raw = b"[" * 5000
    return spoilt(raw, rng) if rng.random() < 0.2 else raw


async def asked(service: Service, path: str, body: bytes) -> tuple[int, str, bytes]:
    """Status, type and body of an answer."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"idempotency-key", b"%d" % (crc32(body) % 100))]
    await service(
        {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
         "headers": headers, "root_path": "", "scheme": "http"},
        receive, send,
    )  # fmt: skip
    types = dict(sent[0]["headers"])
    return sent[0]["status"], types[b"content-type"].decode(), b"".join(m.get("body", b"") for m in sent[1:])


def wrong(status: int, kind: str, answer: bytes) -> str:
    """What an answer should not be; empty where it is right."""
    if status >= 500:
        return f"status {status}: {answer[:300]!r}"
    document = json.loads(answer)
    if status != 200 and (kind != "application/problem+json" or document["status"] != status):
        return f"status {status} as {kind}: {answer[:300]!r}"
    return ""


async def fuzzed(
    service: Service, bodies: dict[str, list[dict[str, Any]]], n: int, seed: int
) -> tuple[Counter[tuple[str, int]], list[dict[str, Any]]]:
    """How often each status came of each path, and what was wrong."""
    rng, counts, found = random.Random(seed), Counter[tuple[str, int]](), list[dict[str, Any]]()
    paths = list(bodies)
    for number in range(n):
        path = paths[number % len(paths)]
        body: Any = rng.choice(bodies[path])
        for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
            body = mutated(body, rng)
        raw = written(body, rng)
        status, kind, answer = await asked(service, path, raw)
        counts[path, status] += 1
        if message := wrong(status, kind, answer):
            found.append({"path": path, "body": raw[:2000].decode("latin-1"), "wrong": message})
    return counts, found


def fuzz(
    live: Live, n: int, seed: int = 0, progress: Callable[[str], object] = lambda _: None
) -> dict[str, Any]:
    """What came of n bodies, as plain values."""
    contents = live.contents
    users, items = contents.users.ids.values[:5].tolist(), contents.catalogue.ids.values[:5].tolist()
    service, began = Service(live), time.perf_counter()
    counts, found = asyncio.run(fuzzed(service, right(users, items), n, seed))
    service.close()
    progress(f"{n:,} bodies in {time.perf_counter() - began:.0f} seconds")
    by_path: dict[str, dict[str, int]] = {}
    for (path, status), count in sorted(counts.items()):
        by_path.setdefault(path, {})[str(status)] = count
    return {"bodies": n, "seed": seed, "statuses": by_path, "wrong": len(found), "first_wrong": found[:5]}


def main(
    indexes: Annotated[Path, typer.Option(help="where the bundle is published")] = Path("indexes"),
    bodies: int = 100_000,
    seed: int = 0,
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Print and save which statuses came. What the bodies change is changed in a copy of the store."""
    logging.disable(logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(shutil.copytree(indexes, Path(scratch, "indexes")))
        live = Live(store)
        about = fuzz(live, bodies, seed, progress=print)
        live.close()
    print(save("service-fuzz", about, results).read_text())  # noqa: T201


if __name__ == "__main__":
    typer.run(main)

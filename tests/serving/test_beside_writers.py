"""Compiled code that reads what another thread writes at the same time: every kind, in a process of its own.

Compiled code looks at no bound, so what it gets wrong ends the process: its exit code is what is looked at
first. A number of turns is counted, not time.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.processes import python
from tests.tiny import TinyBuild

#: What all have in common: readers that go on until the writer's turns are done.
_BEGIN = """
import faulthandler, sys, threading
from dataclasses import replace
import numpy as np
import pandas as pd
from funnel import Live
from funnel.allow import Allow, put_bits
faulthandler.enable()
sys.setswitchinterval(1e-5)  # threads take turns as often as they can

def beside(write, *reads, turns, least=20):
    done, wrong, counts = threading.Event(), [], [0] * len(reads)
    def go_on(number, read):
        try:
            while not done.is_set() or counts[number] < least:
                read(counts[number])
                counts[number] += 1
        except BaseException as error:
            wrong.append(error)
    threads = [threading.Thread(target=go_on, args=one) for one in enumerate(reads)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(turns):
            write(turn)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    if wrong:
        raise wrong[0]
    assert min(counts) >= least
"""

#: Bits of a filter that change between counting and reading: exact search, and the walk along lists.
_BITS = """
from funnel.index import ExactIndex, FaissIndex, IndexConfig
rng = np.random.default_rng(0)
n = 6000
vectors = rng.normal(size=(n, 16)).astype(np.float32)
queries = vectors[:3] + 0.1
allow = Allow(Allow.of(rng.random(n) < 0.3, 1).bits, np.zeros(3, np.int32), n)
indexes = [ExactIndex(vectors)]
config = IndexConfig(spec="IVF64,Flat", k=10)
indexes.append(FaissIndex.build(vectors, config, queries, seed=0, towers_fingerprint="x"))

def read(turn):
    for index in indexes:
        for k in (1, 10, 2000):
            rows, scores = index.search(queries, k, allow=allow)
            assert rows.shape == (3, k) and (rows < n).all() and (rows >= -1).all()
            for some in rows:
                assert len(set(some[some >= 0].tolist())) == (some >= 0).sum()

def write(turn):
    some = np.unique(rng.integers(n, size=2000))
    put_bits(allow.bits[0], some, rng.random(len(some)) < (0.02, 0.9)[turn % 2])

beside(write, read, turns=4000)
"""

#: Events that are counted while others come, until the ring was gone round many times.
_COUNTS = """
from funnel.features import Statistics
from funnel.features.counts import EventCounts
from funnel.features.observed import Observed
rng = np.random.default_rng(0)
events = EventCounts.build(np.repeat(np.arange(50), 3), np.arange(150), 50)
events = replace(events, observed=Observed(60, events.end, room=700))
items = np.arange(-1, 60, dtype=np.int32)

def read(turn):
    for time in (events.end, events.end + 1, events.end + 50, events.end + 10**6):
        times = np.full(len(items), time)
        counts, first, last = events.summary(items, times, [1, 100, None])
        assert (counts >= 0).all() and counts[0].sum() == 0 and (counts[1:51, 2] >= 3).all()
        assert (events.total(np.array([time]), [5, None]) >= 0).all()

def write(turn):
    some = np.where(rng.random(97) < 0.6, 7, rng.integers(0, 60, 97)).astype(np.int32)
    events.observed.add(some, np.full(97, events.end + turn))

beside(write, read, read, turns=8000)
assert events.count(np.array([7], np.int32), np.array([events.end]), [None])[0, 0] > 8000 * 97 // 2
"""

#: Requests through everything, beside changes of items, clicks and a new index now and then.
_LIVE = """
from funnel.serving.state import follower
follower.COMPACT_AT = 150
live = Live(sys.argv[1])
gone = set()

def read(turn):
    kinds = (
        {}, {"where": {"year": {"ge": 1995}}}, {"where": {"not": {"genres": "Drama"}}},
        {"history": [3, 4, 5]},
        {"where": {"or": [{"year": 1850.0}, {"genres": ["Western", "Horror"]}]}},
        {"time": 1_100_000_000 + 86_400 * (turn % 50)}, {"exclude": list(range(1, 60))},
    )
    before = set(gone)  # acknowledged before the request began, and not brought back
    answer = live.recommend(1 + turn % 60, k=(10, 40)[turn % 2], **kinds[turn % len(kinds)])
    found = [item.item_id for item in answer.items]
    assert len(set(found)) == len(found), found
    assert not before & set(found), before & set(found)
    assert not any(reason.startswith("state") for reason in answer.reasons)

def write(turn):
    new = 1000 + turn % 400
    live.items.upsert(pd.DataFrame({
        "item_id": [new, 1 + turn % 50], "title": "x", "genres": [["Western"], ["Drama"]], "year": 1900.0}))
    live.items.patch([20 + turn % 30], {"year": 1850.0 + turn % 2})
    live.observe((1 + turn % 60, new), ("stranger", 1 + turn % 100))
    live.items.delete([60 + turn % 20])
    gone.add(60 + turn % 20)
    if turn % 100 == 99:
        live.items.compact()

beside(write, read, read, turns=300)
health = live.health()["memory"]
assert all(one["size"] <= one["bound"] for one in health.values()), health
live.close()
"""

#: What was changed, as filters see it: nothing that was acknowledged is lost.
_FILTERS = """
from funnel.serving.state import filters as state
from funnel.serving.state.filters import ChangedRows, LiveFilters
from funnel.catalogue.filter_cache import FilterCache
from funnel.catalogue.where import Filters
state._REMEMBERED = 50
n, rng = 20_000, np.random.default_rng(0)
values, changed = np.zeros(n), ChangedRows(n)
own = Filters.of(pd.DataFrame({"price": values.copy()}))
live = LiveFilters(own, n, changed, lambda _, rows: values[rows].tolist())
written = [0]

def read(turn):
    upto = written[0]
    if turn % 3 == 0:
        live.cache = FilterCache()  # made anew from all that ever were changed
    bits = live.compile({"price": {"gt": 0}})
    mask = np.unpackbits(bits.view(np.uint8), bitorder="little")[:n]
    assert mask[:upto].all(), (upto, np.flatnonzero(mask[:upto] == 0))

def write(turn):
    rows = np.arange(10 * turn, 10 * turn + 10, dtype=np.int32)
    values[rows] = 1.0
    changed.add(rows)
    written[0] = 10 * turn + 10

beside(write, read, read, turns=2000)
"""


@pytest.mark.parametrize(
    "code", [_BITS, _COUNTS, _FILTERS, _LIVE], ids=["bits", "counts", "filters", "everything"]
)
def test_reading_beside_a_writer(code: str, built: TinyBuild, tmp_path: Path) -> None:
    store = shutil.copytree(built.indexes, tmp_path / "indexes")
    done = python("-c", _BEGIN + code, store)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr[-3000:]}"

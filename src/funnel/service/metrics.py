"""`/metrics`: the rows of all workers, as Prometheus reads them.

Counters and histograms are sums over the workers. Gauges are of one worker each, of those that live.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from funnel.errors import FunnelError
from funnel.service.counters import BOUNDS, Counters, Instrument, WorkerRow
from funnel.service.instruments import PROCESS


class Exposition:
    """Writes the counters of all workers. Any worker may, whenever it is asked.

    Raises: FunnelError naming the extra where prometheus-client is not installed.
    """

    def __init__(self, counters: Counters) -> None:
        try:
            from prometheus_client import CollectorRegistry
        except ModuleNotFoundError as missing:
            raise FunnelError('metrics need prometheus-client: pip install "funnel-rank[serve]"') from missing
        self._counters = counters
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics and their type, in the form that a header Accept prefers."""
        from prometheus_client.exposition import choose_encoder

        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type

    def collect(self) -> Iterator[Any]:
        """Each instrument, see prometheus_client's collectors."""
        rows = self._counters.rows()
        living = {worker: row for worker, row in enumerate(rows) if _lives(row.value(PROCESS.name))}
        for instrument in self._counters.instruments:
            if instrument.kind == "gauge":
                yield _gauge(instrument, living)
            else:
                yield _sums(instrument, rows)


def _gauge(instrument: Instrument, rows: dict[int, WorkerRow]) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    metric = GaugeMetricFamily(instrument.name, instrument.help, labels=["worker", *instrument.labels])
    for worker, row in rows.items():
        for label, (value,) in row.values(instrument):
            metric.add_metric([str(worker), *_parts(instrument, label)], value)
    return metric


def _sums(instrument: Instrument, rows: list[WorkerRow]) -> Any:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    sums: dict[str, list[int]] = defaultdict(lambda: [0] * instrument.width)
    for row in rows:
        for label, numbers in row.values(instrument):
            sums[label] = [old + new for old, new in zip(sums[label], numbers, strict=True)]
    if instrument.kind == "counter":
        counter = CounterMetricFamily(instrument.name, instrument.help, labels=instrument.labels)
        for label, (value,) in sums.items():
            counter.add_metric(_parts(instrument, label), value)
        return counter
    histogram = HistogramMetricFamily(instrument.name, instrument.help, labels=instrument.labels)
    for label, numbers in sums.items():
        histogram.add_metric(_parts(instrument, label), _buckets(numbers[:-1]), numbers[-1] / 1e9)
    return histogram


def _buckets(bins: list[int]) -> list[tuple[str, float]]:
    """Each bound and how many took at most that long."""
    below, buckets = 0, []
    for bound, number in zip((*map(str, BOUNDS), "+Inf"), bins, strict=True):
        below += number
        buckets.append((bound, float(below)))
    return buckets


def _parts(instrument: Instrument, label: str) -> list[str]:
    """Values of an instrument's labels, which one text holds with spaces between; "other" is one for all."""
    parts = label.rsplit(" ", len(instrument.labels) - 1) if instrument.labels else []
    return parts + parts[:1] * (len(instrument.labels) - len(parts))


def _lives(process: int) -> bool:
    if process <= 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True

"""What the store says of bundles: their reports, their gates and when they were published."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from funnel.artifacts import Store
from funnel.evaluation.report import Report
from funnel.pages import picture
from funnel.serving.live import Live


class Stored:
    """Of the store that a `Live` serves from."""

    def __init__(self, live: Live) -> None:
        self._store = Store(live.folder)

    def overview(self, version: str) -> dict[str, Any]:
        """The picture of the bundle in use, publications, the latest first, and a figure of each bundle over
        time."""
        report = self._report(version)
        publications = [
            done.model_dump(mode="json", exclude={"gates"}) for done in self._store.publications()
        ]
        return {
            "report": report,
            "layers": [] if report is None else picture.layers(report),
            "height": picture.HEIGHT,
            "step": picture.HEIGHT + picture.GAP,
            "publications": publications[::-1],
            **self._over_time(),
        }

    def _over_time(self) -> dict[str, Any]:
        """The headline figure of each bundle, by when it was built."""
        manifests = self._store.versions()[::-1]
        name = next((metric for m in manifests for metric in m.metrics if metric.startswith("ndcg")), "")
        known = [(m, m.metrics.get(name)) for m in manifests]
        points = [
            (datetime.fromisoformat(m.created).timestamp(), value) for m, value in known if value is not None
        ]
        return {"metric": name, "points": [[at for at, _ in points], [value for _, value in points]]}

    def bundles(self) -> list[dict[str, Any]]:
        """All of them, the newest first."""
        store = self._store
        marks = {store.anchor(): "anchor", store.previous(): "previous", store.published(): "in use"}
        gates = {done.version: done for done in store.publications()}
        return [
            {
                "version": manifest.version,
                "created": manifest.created[:19].replace("T", " "),
                "mark": marks.get(manifest.version, ""),
                "metrics": manifest.metrics,
                "fallback": manifest.fallback,
                "published": gates.get(manifest.version),
                "report": self._report(manifest.version),
            }
            for manifest in store.versions()
        ]

    def _report(self, version: str) -> Report | None:
        """None where there is none that can be read."""
        path = Path(self._store.folder) / version / "report.json"
        try:
            return Report.load(path) if path.is_file() else None
        except Exception:  # of another funnel, or damaged: the page shows the rest
            return None

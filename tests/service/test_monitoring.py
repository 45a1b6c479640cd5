"""A service says what is wrong with what it serves: in its health, in its metrics, and on the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from funnel import Alarm, Live
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.files import ALARMS, monitor_folder, read
from funnel.monitoring.kinds import KINDS
from funnel.monitoring.thread import HEALTH, Monitoring
from funnel.service.app import Service
from tests.service.conftest import get
from tests.service.server import server, soon
from tests.service.test_observing import metrics

QUICK = MonitorConfig(every=1.0, golden=50)


def test_an_alarm_is_in_health_metrics_and_on_the_page(live: Live) -> None:
    monitoring = Monitoring(live, QUICK)
    service = Service(live)
    assert soon(lambda: get(service, "/health").json()[HEALTH]["looks"] >= 1)
    assert "finds nothing wrong" in get(service, "/view/overview").text
    assert metrics(service)["funnel_alarms", "golden", "0"] == 0
    live.overlay.vectors[:] = 0
    assert soon(lambda: get(service, "/health").json()[HEALTH]["alarms"])
    counted = metrics(service)
    assert counted["funnel_alarms", "golden", "0"] == 1
    assert sum(counted["funnel_alarms", kind, "0"] for kind in KINDS) == 1
    assert counted["funnel_monitor_looks_total",] >= 1
    text = get(service, "/view/overview").text
    assert "golden served" in text
    assert KINDS["golden"].look in text
    monitoring.stop()


def test_what_callers_send_is_text_on_the_page(live: Live) -> None:
    """Parts of alarms are values of callers' contexts."""
    nasty = Alarm("empty", "", 1.0, 2.0, 1e-9, "<script>alert(1)</script>", "place=<img src=x>")
    live.reports[HEALTH] = lambda: {"looks": 1, "error": "", "alarms": [nasty.to_dict()]}
    text = get(Service(live), "/view/overview").text
    assert "<script>alert" not in text
    assert "<img src=x>" not in text
    assert "place=&lt;img" in text


def test_a_service_without_a_monitor_has_the_metrics_and_no_alarm(live: Live) -> None:
    counted = metrics(Service(live))
    assert counted["funnel_alarms", "golden", "0"] == 0
    assert counted["funnel_monitor_blind", "0"] == 0


@pytest.mark.parametrize("on", [True, False])
def test_a_served_store_is_watched_as_its_config_says(indexes: Path, tmp_path: Path, on: bool) -> None:
    config = tmp_path / "serve.toml"
    settings = f"[monitor]\non = {json.dumps(on)}\nevery = 1.0\ngolden = 10\n"
    config.write_text(f'name = "x"\n[data]\nreader = "frames"\n{settings}')
    with server(indexes, "--workers", "2", "--config", str(config)) as running:
        folder = monitor_folder(indexes)
        if on:
            assert soon(lambda: (folder / ALARMS).exists())
            raw = read(folder / ALARMS)
            assert raw is not None
            assert raw["process"] in running.workers()
            assert raw["alarms"] == []
        else:
            status, health = running.post("/health", None, "GET")
            assert status == 200
            assert health[HEALTH]["error"] == "it is off"
            assert not folder.exists()

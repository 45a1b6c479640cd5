"""Much at once: what a server is asked for, told or to remove in parts."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from funnel.serving.state import open_state
from funnel.serving.state.log import Patch
from tests.servers import emptied


def test_what_changed_is_parsed_when_the_server_waits_no_longer(
    pool: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from funnel.serving.state.on_postgres import log as on_postgres
    from funnel.serving.state.on_postgres import server

    log = open_state(emptied("postgres", pool).url)
    patches = [Patch(str(item), "price", item, 1.0) for item in range(22)]
    log.patch(patches)
    monkeypatch.setattr(server, "_PART", 4)
    monkeypatch.setattr(
        on_postgres.json, "loads", lambda text, loads=json.loads: (time.sleep(0.1), loads(text))[1]
    )
    assert sorted(log.changes_after(0).patches) == sorted(patches)

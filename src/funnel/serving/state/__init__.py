"""What changes while bundles serve: items that come and go, and what users do."""

from funnel.serving.state.log import Event, StateLog
from funnel.serving.state.opened import open_state
from funnel.serving.state.sqlite import SqliteLog

__all__ = ["Event", "SqliteLog", "StateLog", "open_state"]

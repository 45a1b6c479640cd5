"""What changes while a bundle serves: items that come and go, and what users do."""

from funnel.serving.state.users import Event, RecentUsers, UserEvents

__all__ = ["Event", "RecentUsers", "UserEvents"]

"""What changes while a bundle serves: items that come and go, and what users do."""

from funnel.bundle.changing.users import Event, RecentUsers, UserEvents

__all__ = ["Event", "RecentUsers", "UserEvents"]

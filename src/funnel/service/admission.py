"""Who may come in, before a body is read: the seam that keys and limits fill."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from funnel.service.problem import HttpProblem

Role: TypeAlias = Literal["read", "write", "admin"]
Scope: TypeAlias = MutableMapping[str, Any]

_ORDER: dict[Role, int] = {"read": 0, "write": 1, "admin": 2}


@dataclass(frozen=True, slots=True)
class Admission:
    """What a request may do, and how many bytes its body may have."""

    role: Role
    body: int

    def require(self, role: Role) -> None:
        """Raises: HttpProblem (403) unless the role reaches to that one."""
        if _ORDER[self.role] < _ORDER[role]:
            raise HttpProblem(403, f"this takes a key with the role {role}; yours is {self.role}")


class Guard(Protocol):
    """Lets requests in, and is told when each has been answered."""

    def admit(self, scope: Scope) -> Admission:
        """Raises: HttpProblem, such as 401 or 429."""

    def leave(self, admission: Admission) -> None:
        """The request was answered, or went away."""


class Open:
    """Lets everybody in: for a service that only this machine reaches."""

    def __init__(self, body: int) -> None:
        self._admission = Admission("admin", body)

    def admit(self, scope: Scope) -> Admission:
        """See `Guard`."""
        return self._admission

    def leave(self, admission: Admission) -> None:
        """See `Guard`."""

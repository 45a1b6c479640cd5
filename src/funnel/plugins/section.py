"""Sections of a config that name plugins, and the error for a plugin that is not what it must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field, JsonValue, model_serializer

from funnel.errors import FunnelError
from funnel.settings import Settings


class Optioned(Settings):
    """A section of a config that names plugins, with their options by name; none are left out of what is
    written, so that sections without them stay what they were."""

    options: dict[str, dict[str, JsonValue]] = Field(
        {}, description="of plugins that are named here, by name"
    )

    @model_serializer(mode="wrap")
    def _without_none(self, written: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        section = written(self)
        return section if self.options else {key: value for key, value in section.items() if key != "options"}


class PluginFault(FunnelError):
    """A plugin raised, or did not give what its kind must: no fault of whoever asked."""


def refused(plugin: str, why: str) -> PluginFault:
    """The error for a plugin that does not give what its kind must."""
    return PluginFault(f"{plugin} does not do what it must: {why}")

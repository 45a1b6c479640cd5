"""The plugins that a bundle needs: recorded when it is built, asked for when it is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

from funnel.errors import BundleError
from funnel.plugins.plugin import Kind, Plugin, UnknownPlugin
from funnel.plugins.registry import GROUP, find
from funnel.settings import Settings


class Needed(Settings):
    """A plugin that a bundle needs. distribution: empty where its module belongs to none."""

    kind: str
    name: str
    module: str
    distribution: str = ""
    version: str = ""


def needed(used: Iterable[tuple[Kind, str]]) -> tuple[Needed, ...]:
    """Of these, what is not funnel's own, by kind and name."""
    plugins = {(kind, name): find(kind, name) for kind, name in used}
    return tuple(_needed(plugins[key]) for key in sorted(plugins) if not plugins[key].own)


def _needed(plugin: Plugin) -> Needed:
    name, version = _distribution(plugin.module.split(".")[0])
    return Needed(
        kind=plugin.kind, name=plugin.name, module=plugin.module, distribution=name, version=version
    )


def require(wanted: Iterable[Needed], where: str) -> None:
    """Raises: BundleError naming the plugins that are not there, and what to install."""
    missing = []
    for need in wanted:
        try:
            find(need.kind, need.name)
        except UnknownPlugin as error:
            missing.append(f"{need.kind} {need.name!r} {_from(need)} ({error})")
    if missing:
        raise BundleError(f"{where} needs what is not there: {'; '.join(missing)}")


def _from(need: Needed) -> str:
    if need.distribution:
        return f"of {need.distribution} {need.version}: pip install {need.distribution}=={need.version}"
    return f"of the module {need.module!r}, which no distribution has: import it first"


def _distribution(package: str) -> tuple[str, str]:
    """Name and version of what a top-level package came with: of its entry point, else of its files."""
    for point in metadata.entry_points(group=GROUP):
        if point.module.split(".")[0] == package and point.dist is not None:
            return point.dist.name, point.dist.version
    for name in metadata.packages_distributions().get(package, ()):
        return name, metadata.version(name)
    return "", ""

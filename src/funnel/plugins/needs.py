"""The plugins that a bundle needs: recorded when it is built, asked for when it is loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache
from importlib import metadata

from funnel.errors import BundleError
from funnel.plugins.plugin import Kind, Plugin, UnknownPlugin
from funnel.plugins.registry import GROUP, find
from funnel.settings import Settings

log = logging.getLogger(__name__)

#: What Python calls the module of a program, whichever it is, and its copy in another process.
_SCRIPTS = {"__main__", "__mp_main__"}


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
    """Check that these are here, by name and origin; what is of another version is logged.

    Raises: BundleError naming the plugins that are not there, or that another module or distribution has
    given the name of, and what to install.
    """
    wanted, missing = list(wanted), []
    for need in wanted:
        try:
            here = _needed(find(need.kind, need.name))
        except UnknownPlugin as error:
            missing.append(f"{need.kind} {need.name!r} {_from(need)} ({error})")
        else:
            if not _same_origin(need, here):
                missing.append(f"{need.kind} {need.name!r} {_from(need)} (what is here is {_origin(here)})")
    if missing:
        raise BundleError(f"{where} needs what is not there: {'; '.join(missing)}")
    for sentence in unlike(wanted):
        log.warning("%s: %s", where, sentence)


def unlike(wanted: Iterable[Needed]) -> list[str]:
    """A sentence for each of these that is here in another version, or where that cannot be told. Raises:
    UnknownPlugin where one is not here."""
    pairs = [(need, _needed(find(need.kind, need.name))) for need in wanted]
    return [
        f"{need.kind} {need.name!r} was {_origin(need)}, and is {_origin(here)}"
        for need, here in pairs
        if _origin(need) != _origin(here)
    ]


def _same_origin(need: Needed, here: Needed) -> bool:
    """Of the same distribution; where one of them has none, of the same module. A script's module has no name
    that would say which."""
    if need.distribution and here.distribution:
        return need.distribution == here.distribution
    return need.module == here.module or bool(_SCRIPTS & {need.module, here.module})


def _origin(plugin: Needed) -> str:
    if plugin.distribution:
        return f"of {plugin.distribution} {plugin.version}"
    return f"of the module {plugin.module!r}"


def _from(need: Needed) -> str:
    if need.distribution:
        return f"of {need.distribution} {need.version}: pip install {need.distribution}=={need.version}"
    return f"of the module {need.module!r}, which no distribution has: import it first"


@cache
def _distribution(package: str) -> tuple[str, str]:
    """Name and version of what a top-level package came with: of its entry point, else of its files."""
    for point in metadata.entry_points(group=GROUP):
        if point.module.split(".")[0] == package and point.dist is not None:
            return point.dist.name, point.dist.version
    for name in metadata.packages_distributions().get(package, ()):
        return name, metadata.version(name)
    return "", ""

"""All plugins, by kind and name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any, TypeVar, get_args

from funnel.errors import ConfigError, FunnelError
from funnel.plugins.plugin import Kind, Plugin, UnknownPlugin
from funnel.plugins.section import refused
from funnel.values.nearest import hint

log = logging.getLogger(__name__)

#: The group of entry points.
GROUP = "funnel.plugins"

Target = TypeVar("Target", bound=Callable[..., Any])


#: Everything that was registered, by kind and name, and what became of each entry point: None, or its error.
_PLUGINS: dict[tuple[str, str], Plugin] = {}
_LOADED: dict[str, str | None] = {}


def register(kind: Kind, name: str) -> Callable[[Target], Target]:
    """A decorator that puts a function or a class into the registry.

    name: what a config calls it; letters, digits and "_". Keyword-only arguments are its options: a config's
    values are checked by their annotations.
    Raises: ConfigError for a kind that there is not, a name that is taken by something else, or a class whose
    `name` is another. The same function defined again, as in a notebook, takes the place of what it was.
    """
    if kind not in get_args(Kind):
        raise ConfigError(f"no kind of plugin {kind!r}; {hint(kind, get_args(Kind))}")
    if not name.isidentifier():
        raise ConfigError(f"{name!r} cannot name a {kind}: letters, digits and '_' are expected")

    def take(target: Target) -> Target:
        called = vars(target).get("name") if isinstance(target, type) else None
        if isinstance(called, str) and called != name:
            raise ConfigError(
                f"{kind} {name!r} of {target.__module__} calls itself {called!r}: "
                f"set `name = {name!r}`, as it is registered"
            )
        plugin, before = Plugin(kind, name, target), _PLUGINS.get((kind, name))
        if before is not None and _known_as(before.make) != _known_as(target):
            raise ConfigError(
                f"{kind} {name!r} of {plugin.module}: {before.module} has one of that name; take another"
            )
        _PLUGINS[kind, name] = plugin
        return target

    return take


def names(kind: str, *, own: bool = False) -> list[str]:
    """What is registered of a kind, in that order. own: only what is funnel's."""
    return [
        plugin.name for plugin in list(_PLUGINS.values()) if plugin.kind == kind and (plugin.own or not own)
    ]


def find(kind: str, name: str) -> Plugin:
    """A plugin by its name. Raises: UnknownPlugin with the nearest name."""
    if (kind, name) not in _PLUGINS:
        _load()
    try:
        return _PLUGINS[kind, name]
    except KeyError:
        broken = "".join(f"; {which} could not be loaded: {error}" for which, error in _broken())
        raise UnknownPlugin(f"no {kind} {name!r}; {hint(name, names(kind))}{broken}") from None


def check(kind: Kind, name: str, options: Mapping[str, Any]) -> None:
    """Raises: UnknownPlugin where there is no such plugin, or it does not take these options."""
    find(kind, name).bound(options)


def check_options(kind: Kind, used: Iterable[str], options: Mapping[str, Mapping[str, Any]]) -> None:
    """Check all that a section of a config names. options: by name. Raises: UnknownPlugin."""
    used = list(used)
    for name in used:
        check(kind, name, options.get(name, {}))
    for name in options:
        if name not in used:
            raise UnknownPlugin(f"options of {name!r}, which is not used; {hint(name, used, 'used are: ')}")


def make(kind: Kind, name: str, *given: Any, options: Mapping[str, Any] | None = None) -> Any:
    """What a plugin makes of the arguments of its kind, with its options. Raises: UnknownPlugin, and
    PluginFault where it raises, see `calling`."""
    plugin = find(kind, name)
    bound = plugin.bound(options or {})
    with calling(kind, name):
        return plugin.make(*given, **bound)


@contextmanager
def calling(kind: Kind, name: str) -> Iterator[None]:
    """What a plugin that is not funnel's raises in the block becomes a PluginFault that names it; an error of
    funnel's goes on as it is."""
    try:
        yield
    except FunnelError:
        raise
    except Exception as error:
        plugin = _PLUGINS.get((kind, name))
        if plugin is not None and plugin.own:
            raise
        raise refused(f"{kind} {name!r}", f"it raised {error!r}") from error


def _load() -> None:
    """Import the modules that entry points name, each once; what fails is kept for the message."""
    for point in metadata.entry_points(group=GROUP):
        key = f"plugin {point.name!r} ({point.value})"
        if key not in _LOADED:
            try:
                point.load()
                _LOADED[key] = None
            except Exception as error:  # one that is broken must not take others with it
                log.warning("%s could not be loaded: %r", key, error)
                _LOADED[key] = repr(error)


def _broken() -> list[tuple[str, str]]:
    return [(key, error) for key, error in _LOADED.items() if error is not None]


def _known_as(target: Any) -> tuple[str, str]:
    return str(getattr(target, "__module__", "")), str(getattr(target, "__qualname__", repr(target)))

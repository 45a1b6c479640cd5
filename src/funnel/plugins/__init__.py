"""What a config may name: readers, sources, stages, features, metrics, losses, encoders, gates.

    @funnel.register("metric", "first")
    def first(positions, k): ...

funnel's own register here when their room is loaded. Those of other distributions do when their entry point
in the group `funnel.plugins`, which names a module, is loaded: when a name is looked up that is not here yet.
"""

from funnel.plugins.needs import Needed, needed, require, unlike
from funnel.plugins.plugin import Given, Kind, Plugin, UnknownPlugin
from funnel.plugins.registry import GROUP, calling, check, check_options, find, make, names, register
from funnel.plugins.section import Optioned, PluginFault, refused

__all__ = [
    "GROUP",
    "Given",
    "Kind",
    "Needed",
    "Optioned",
    "Plugin",
    "PluginFault",
    "UnknownPlugin",
    "calling",
    "check",
    "check_options",
    "find",
    "make",
    "names",
    "needed",
    "refused",
    "register",
    "require",
    "unlike",
]

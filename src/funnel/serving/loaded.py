"""One version in memory: verified, loaded, and warm before anyone asks it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from funnel.allow import Allow
from funnel.artifacts.manifest import Manifest
from funnel.artifacts.store import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.catalogue.schemas import check_columns, load_schema
from funnel.compiling import without_collection
from funnel.data import Schema
from funnel.durations import Durations
from funnel.engine import Funnel
from funnel.errors import BundleError, FunnelError
from funnel.serving.arguments import MOST_ITEMS
from funnel.serving.background import in_background
from funnel.serving.reasons import recommendations
from funnel.serving.request import Request, encode_request
from funnel.types import Requests

#: Funnels that are kept, one for each kind and number of items asked for; one more takes the oldest's place.
KEPT = 32

#: What ends in k items of the catalogue, the best or drawn; what ranks a list, and re-ranks it to k items
#: unless k is None. What finds the k neighbours of an item.
Wanted: TypeAlias = tuple[Literal["recommend", "drawn", "rank", "similar"], int | None]


@dataclass(frozen=True)
class Loaded:
    """One version, ready to answer. durations: of stages so far; those of what was in use before go on."""

    version: str
    manifest: Manifest
    schema: Schema
    contents: Contents
    funnels: dict[Wanted, Funnel] = field(default_factory=dict)
    durations: Durations = field(default_factory=Durations)

    @classmethod
    def load(cls, store: Store, version: str, *, serving: bool = False) -> Loaded:
        """Verify every file, load, and answer once, so that what is compiled is compiled now.

        serving: whether requests are answered meanwhile, which hashing then gives way to.

        Raises: BundleError naming what is damaged, or what stood in the way.
        """
        folder = store.path(version)
        version = folder.name  # "current" may be another one a moment later
        manifest = in_background(lambda: store.verify(version)) if serving else store.verify(version)
        try:
            contents = load_contents(folder, manifest.towers_fingerprint)
            loaded = cls(manifest.version, manifest, load_schema(folder), contents)
            with without_collection():
                warm(loaded)
        except FunnelError:
            raise
        except Exception as error:  # whole, but not what this funnel reads: any library may stumble over it
            raise BundleError(f"bundle {version} is whole but cannot be used: {error!r}") from error
        return loaded

    @property
    def data_read(self) -> float:
        """When reading its data began: seconds since 1970, 0 where that is not known."""
        return self.manifest.data_read

    def funnel(self, k: int) -> Funnel:
        """The funnel that ends in k items, at most all there are or a million; the last 32 made are kept."""
        return self._kept(("recommend", min(k, len(self.contents.catalogue.ids), MOST_ITEMS)))

    def drawn(self, k: int) -> Funnel:
        """The same with lists that are drawn. Raises: BundleError where the bundle draws none."""
        return self._kept(("drawn", min(k, len(self.contents.catalogue.ids), MOST_ITEMS)))

    def for_requests(self, requests: Requests, k: int) -> Funnel:
        """What answers them: with lists that are drawn where any request has a seed."""
        return self.funnel(k) if requests.seeds is None else self.drawn(k)

    def ranking(self, k: int | None = None) -> Funnel:
        """The funnel that ranks a list which a request brings; k: re-ranks it to k items as well."""
        return self._kept(("rank", k))

    def neighbours(self, k: int) -> Funnel:
        """The funnel that finds an item's neighbours, at most all there are or a million."""
        return self._kept(("similar", min(k, len(self.contents.catalogue.ids), MOST_ITEMS)))

    def _kept(self, wanted: Wanted) -> Funnel:
        funnel = self.funnels.get(wanted)
        if funnel is None:
            while len(self.funnels) >= KEPT:
                self.funnels.pop(next(iter(list(self.funnels))), None)
            funnel = self.funnels[wanted] = self._funnel_of(self.contents, wanted)
        return funnel

    def _funnel_of(self, contents: Contents, wanted: Wanted) -> Funnel:
        kind, k = wanted
        if kind == "similar":
            return contents.neighbours(k or 1, self.durations)
        builders = {"recommend": contents.funnel, "drawn": contents.drawn, "rank": contents.ranking}
        return builders[kind](k, self.durations)

    def with_contents(self, contents: Contents) -> Loaded:
        """The same version with other contents, and the funnels that it has been asked for made again."""
        funnels = {wanted: self._funnel_of(contents, wanted) for wanted in list(self.funnels)}
        return replace(self, contents=contents, funnels=funnels)

    def following(self, other: Loaded) -> Loaded:
        """This one in place of another that was in use: what that learned of how long stages take goes on."""
        return replace(self, durations=other.durations, funnels={})

    def check_successor(self, other: Loaded) -> None:
        """Raises: BundleError when the other lacks columns that callers of this one may name."""
        check_columns(self.version, self.schema, other.version, other.schema)


@dataclass(frozen=True)
class Refused:
    """A published version that could not be used. at: UTC, ISO 8601."""

    version: str
    reason: str
    at: str


def warm(loaded: Loaded) -> None:
    """Answer, so that what is compiled is compiled now: a request without a filter, with one that lets
    everything pass, and with one that lets one item pass; each with a context, where there is one."""
    contents = loaded.contents
    context = {} if contents.context is None else contents.context.example()
    requests, _ = encode_request(contents, Request(context=context))
    each = [requests]
    if contents.explore is not None:
        each.append(replace(requests, seeds=np.zeros(1, dtype=np.int64)))
    everything = np.ones(len(contents.catalogue.ids), dtype=np.bool_)
    for requests in each:
        funnel = loaded.for_requests(requests, contents.rerank.k)
        for allow in (None, Allow.of(everything, 1), Allow.of(np.arange(len(everything)) == 0, 1)):
            recommendations(contents, requests, funnel(replace(requests, allow=allow)))

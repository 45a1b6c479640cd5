"""The bodies of requests. OpenAPI is made from them; the names are those of `Live`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from funnel.service.fields import RAISED, Body, Id, PastEvent, Seconds, Whole

Columns = dict[str, Any]
SeenKinds = Literal["exclude", "allow"] | Annotated[list[str], Field(min_length=1)]


class RecommendBody(Body):
    """The best items for one user; see `Live.recommend`."""

    user_id: Id | None = Field(None, description="nobody, where it is left out")
    k: Whole = Field(10, ge=1, description="how many items")
    history: list[PastEvent] | None = Field(None, description="in place of the stored history, oldest first")
    user: Columns | None = Field(None, description="columns in place of the stored ones")
    where: Columns | None = Field(None, description="a filter on item columns")
    exclude: list[Id] | None = Field(None, description="items that must not come back")
    time: Seconds | None = Field(None, description="seconds since 1970; parts of one are cut off")
    deadline: float | None = Field(None, description="milliseconds; what would end later is left out")
    attributes: list[str] | None = Field(None, description="item columns of the answer")
    seen: SeenKinds | None = Field(None, description="whether items of the history come back")
    context: Columns | None = Field(None, description="what is known at this moment")
    seed: Whole | None = Field(None, description="of a list that is drawn, in place of chance; -1 draws none")


class ManyBody(Body):
    """The best items for each of several users; see `Live.recommend_many`."""

    user_ids: list[Id | None]
    k: Whole = Field(10, ge=1, description="how many items for each")
    where: Columns | None = None
    time: Seconds | None = None
    seen: SeenKinds | None = None
    context: Columns | list[Columns | None] | None = Field(None, description="one for all, or one for each")


class RankBody(Body):
    """All of a given list, best first; see `Live.rank`."""

    raised: ClassVar[dict[str, str]] = {**RAISED, "items": "FunnelError"}

    user_id: Id | None = None
    items: list[Id] = Field(max_length=10_000)
    history: list[PastEvent] | None = None
    user: Columns | None = None
    time: Seconds | None = None
    attributes: list[str] | None = None
    rerank: bool = Field(False, description="also the stages behind the ranker, for at most 1,000 items")
    context: Columns | None = None


class ExplainBody(Body):
    """Why an item has its score; see `Live.explain`."""

    user_id: Id | None = None
    item_id: Id
    history: list[PastEvent] | None = None
    user: Columns | None = None
    time: Seconds | None = None
    seen: SeenKinds | None = None
    context: Columns | None = None


class TraceBody(Body):
    """What each stage makes of a request, and why an item is missing; see `funnel.service.explore`."""

    user_id: Id | None = None
    k: Whole = Field(10, ge=1, description="how many items")
    history: list[PastEvent] | None = None
    user: Columns | None = None
    where: Columns | None = None
    exclude: list[Id] | None = None
    time: Seconds | None = None
    seen: SeenKinds | None = None
    context: Columns | None = None
    attributes: list[str] = Field(default_factory=list, description="item columns beside the title")
    top: Whole = Field(50, ge=1, le=1_000, description="items of each stage's list, at most")
    item_id: Id | None = Field(None, description="an item: where it is, or what kept it out")


class SimilarBody(Body):
    """The nearest to an item; see `Live.similar`."""

    item_id: Id
    k: Whole = Field(10, ge=1, description="how many items")
    user_id: Id | None = Field(None, description="somebody whose history counts as well")
    where: Columns | None = None
    exclude: list[Id] | None = None
    time: Seconds | None = None
    attributes: list[str] | None = None
    seen: SeenKinds | None = None
    context: Columns | None = None


class EventBody(Body):
    """A user interacted with an item, or was shown it (kind "impression")."""

    user_id: Id
    item_id: Id
    time: Seconds | None = Field(
        None, description="seconds since 1970, parts of one are cut off; now, where it is left out"
    )
    kind: str | None = None
    value: float | None = Field(None, ge=0)
    answer: str | None = Field(
        None, min_length=1, max_length=64, description="the id of the answer that showed the item"
    )


class EventsBody(Body):
    """What users did; see `Live.observe`. All of them are taken in, or none."""

    events: list[EventBody] = Field(min_length=1, max_length=10_000)
    kind: str = Field("interaction", description="of the events that do not say one")
    value: float | None = Field(None, description="of the events that do not say one")


class ItemsBody(Body):
    """New items, or all columns of those that are there; see `LiveItems.upsert`."""

    items: list[Columns] = Field(min_length=1, max_length=10_000)


class PatchesBody(Body):
    """Columns of items by id; see `LiveItems.patch_each`."""

    patches: dict[str, Columns] = Field(max_length=10_000)


class DeleteBody(Body):
    """Items that are gone; see `LiveItems.delete`."""

    item_ids: list[Id] = Field(max_length=10_000)


class RollbackBody(Body):
    """What to serve again: what was published before, or this version, which was. force: also while an
    experiment runs on bundles."""

    version: str | None = None
    force: bool = False

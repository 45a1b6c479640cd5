"""The bodies of answers, and of problems. OpenAPI is made from them; the names are those of `Live`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from funnel.service.fields import Body, Id
from funnel.service.models import Columns


class AcceptedBody(Body):
    """How many events were taken in."""

    accepted: int


class ItemBody(Body):
    """One item of an answer; see `Recommendation`."""

    item_id: Id
    score: float | None
    probabilities: dict[str, float | None]
    value: dict[str, float | None] = Field(default_factory=dict)
    sources: dict[str, int]
    reasons: list[str]
    attributes: dict[str, Any]
    propensity: float = Field(1.0, description="only where the answer has a policy")


class PolicyBody(Body):
    """By which the items of an answer were drawn; see `Policy`."""

    temperature: float
    epsilon: float
    top: int
    seed: int


class AnswerBody(Body):
    """What `Live` answered; see `Answer`."""

    id: str
    user_id: Id | None
    version: str
    state: str
    reasons: list[str]
    milliseconds: dict[str, float]
    policy: PolicyBody | None = Field(None, description="only where items were drawn")
    arms: dict[str, str] = Field({}, description="of the user, by experiment; only where there are any")
    items: list[ItemBody]


class AnswersBody(Body):
    """An answer a user, in their order."""

    answers: list[AnswerBody]


class ContributionsBody(Body):
    """Each feature's contribution to the score, largest first; they and `base` add up to it."""

    contributions: dict[str, float]


class ShownBody(Body):
    """An item for people."""

    item_id: Id
    title: str
    attributes: dict[str, Any] = Field(default_factory=dict)


class TracedItemBody(ShownBody):
    """An item in a stage's list. moved: positions up from the stage before; null where it was not there.
    sources: its rank in each that found it."""

    position: int
    score: float | None
    moved: int | None
    sources: dict[str, int]


class StageBody(Body):
    """What a stage left. count: of the whole list."""

    name: str
    milliseconds: float
    skipped: bool
    count: int
    items: list[TracedItemBody]


class AnsweredBody(Body):
    """Why an item of the last list is in it."""

    item_id: Id
    reasons: list[str]
    probabilities: dict[str, float | None]
    value: dict[str, float | None]


class StandingBody(Body):
    """Where an item stands in a source, among all that the request may be given."""

    source: str
    rank: int | None
    score: float | None
    returned: bool


class WhyBody(Body):
    """What became of an item; see `funnel.service.missing.Why`."""

    item_id: Id
    title: str
    code: str
    sentence: str
    stage: str | None
    positions: dict[str, int]
    standings: list[StandingBody]


class TracedBody(Body):
    """A request as every stage left it. history: where the request brought it; what is stored of a person is
    for the role admin, at `/v1/users/ID/history`."""

    user_id: Id | None
    version: str
    state: str
    reasons: list[str]
    history_length: int
    history: list[ShownBody]
    stages: list[StageBody]
    items: list[AnsweredBody]
    why: WhyBody | None = None


class BodyError(Body):
    """A mistake in a body. pointer: where, as RFC 6901 has it."""

    pointer: str
    detail: str


class ProblemBody(Body):
    """What went wrong (RFC 9457). error: the class of funnel's errors. verdict: of the gates."""

    type: str
    title: str
    status: int
    detail: str
    error: str
    errors: list[BodyError] = Field(default_factory=list)
    verdict: dict[str, Any] | None = None


class MissingBody(Body):
    """The ids that were not there."""

    missing: list[Id]


class ItemRecord(Body):
    """An item as it is now."""

    item_id: Id
    version: str
    attributes: Columns


class KnownBody(Body):
    """All that is known of a person; see `LiveUsers.known`."""

    user_id: str
    bundle: Columns | None
    events: list[Columns]
    impressions: list[Columns]
    answers: list[Columns]


class HistoryBody(Body):
    """What a person interacted with; see `Live.history`."""

    history: list[Id]


class ForgottenBody(Body):
    """What was forgotten of a person; see `Erased`."""

    events: int
    bundle: str | None
    impressions: int
    answers: int


class BundlesBody(Body):
    """The versions of the store, newest first, and what was published when."""

    bundles: list[Columns]
    publications: list[Columns]


class ProbeBody(Body):
    """Whether a process runs, or can answer."""

    status: str
    version: str | None = None
    state: str | None = None

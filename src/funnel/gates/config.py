"""What a bundle must keep to before it is served."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from funnel import plugins


class GatesConfig(plugins.Optioned):
    """A threshold for each gate, named before the colon. Shares are of 1; falls, rises and changes are
    from the published bundle.
    """

    holdout: int = Field(10_000, ge=1, description="requests of the test window that travel with the bundle")
    columns_gone: int = Field(0, ge=0, description="schema: columns gone or of another kind")
    rows: float = Field(0.3, ge=0, description="rows: largest change of items, users or events, as a share")
    gaps: float = Field(0.1, ge=0, le=1, description="gaps: largest rise of a column's share without value")
    not_finite: float = Field(0.0, ge=0, le=1, description="finite: item vectors with NaN or infinity")
    norms: float = Field(0.01, ge=0, le=1, description="norms: vectors 10 times off the median length")
    similarity: float = Field(0.9, ge=-1, le=1, description="collapse: mean cosine of two items' vectors")
    dead_dimensions: float = Field(0.1, ge=0, le=1, description="dimensions: share that does not vary")
    search_recall: float = Field(0.95, ge=0, le=1, description="search: least share of exact search's k")
    stage_fall: float = Field(0.05, ge=0, description="stages: fall of NDCG or recall that must be excluded")
    anchor_fall: float | None = Field(
        None, ge=0, description="anchor: the same, from the anchor bundle; default stage_fall"
    )
    visible_fall: float = Field(
        0.1, ge=0, description="stages, anchor: up to this, the least fall that a small holdout can exclude"
    )
    power: float = Field(
        0.95, gt=0.5, lt=1, description="stages, anchor: share of such falls that are stopped"
    )
    alarms: float = Field(
        0.01, gt=0, lt=0.5, description="stages, anchor: share of equal bundles that a comparison may stop"
    )
    baseline_fall: float = Field(0.0, ge=0, description="baselines: fall, beyond chance, from a source alone")
    slice_fall: float = Field(0.1, ge=0, description="slices: largest fall of NDCG in a part of the requests")
    slice_requests: int = Field(50, ge=2, description="slices: requests that a part must have to be judged")
    latency_ms: float = Field(50.0, gt=0, description="latency: 95th percentile of single requests")
    parity: float = Field(0.99, ge=0, le=1, description="parity: least share of lists that come out the same")
    calibration_error: float = Field(
        0.02, ge=0, le=1, description="calibration: largest ECE, beyond what chance would have"
    )
    calibration_ratio: float = Field(
        1.5, ge=1, description="calibration: predicted over happened or the other way round, beyond chance"
    )
    concentration: float = Field(0.8, ge=0, le=1, description="concentration: positions of the k most shown")
    popularity_rise: float = Field(0.1, ge=0, description="popularity: rise of the shown items' percentile")
    reachable: float = Field(0.05, ge=0, le=1, description="reach: least share of items on a shortlist")
    reachable_fall: float = Field(0.3, ge=0, le=1, description="reach: largest fall of that, as a share")
    monitor_alarms: int = Field(
        0, ge=0, description="monitor: alarms that are going on, on what a bundle learns from"
    )
    also: tuple[str, ...] = Field((), description="gates of plugins, beside funnel's own")

    @model_validator(mode="after")
    def _are_there(self) -> Self:
        plugins.check_options("gate", self.also, self.options)
        return self

"""What `[monitor]` may say."""

from __future__ import annotations

from pydantic import Field, field_validator

from funnel.errors import DataError
from funnel.settings import Settings
from funnel.values.urls import check_no_password


class MonitorConfig(Settings):
    """What is watched while a bundle is served, and from when on it is an alarm."""

    on: bool = Field(True, description="whether `funnel serve` watches")
    every: float = Field(60.0, ge=1, le=3600, description="seconds between two looks")
    golden: int = Field(20, ge=0, le=1000, description="requests of the holdout asked at each look")
    replay: int = Field(60, ge=0, le=10_000, description="sampled answers made again at each look, at most")
    answers: int = Field(
        3000, ge=100, le=1_000_000, description="answers of the log that are counted at each look, at most"
    )
    window: float = Field(180.0, ge=10, le=86_400, description="seconds that a distribution is compared over")
    least: int = Field(100, ge=20, le=1_000_000, description="values that a window is closed with, at least")
    effect: float = Field(
        0.3, gt=0, le=10, description="change of a distribution that is none yet: Cohen's w, same hour"
    )
    drift: float = Field(0.2, gt=0, le=10, description="the same of a whole day, beside the first days")
    days: int = Field(14, ge=2, le=60, description="days of each hour that are remembered")
    anchor_days: int = Field(7, ge=1, le=60, description="first days, which slow changes are measured from")
    passing_days: int = Field(
        5,
        ge=2,
        le=30,
        description="days that a step may last and be a campaign, and no slow change; at most `days`",
    )
    rate: float = Field(0.02, gt=0, lt=1, description="how far above the same hour a rate may be")
    rate_ratio: float = Field(1.5, ge=1, le=100, description="the same as a factor; whichever is more")
    labels: float = Field(
        0.2, gt=0, lt=1, description="change of click rates and calibration that is none yet"
    )
    false_alarms: float = Field(
        0.5,
        gt=0,
        le=100_000,
        description="false alarms by chance in 30 days, of all that is looked at, at most",
    )
    settle: float = Field(
        120.0, ge=0, le=86_400, description="seconds after an answer that feedback is counted"
    )
    parts: int = Field(
        20, ge=0, le=1000, description="parts of the answers that rates are counted of, at most"
    )
    webhook: str = Field("", description="URL that alarms are sent to; ${NAME} is of the environment")
    timeout: float = Field(5.0, gt=0, le=60, description="seconds that the webhook has to answer")
    attempts: int = Field(3, ge=1, le=10, description="tries of the webhook, with growing pauses")

    @field_validator("webhook")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("a URL that begins with http:// or https:// is expected")
        try:
            check_no_password(url, "monitor.webhook", "FUNNEL_WEBHOOK_TOKEN")
        except DataError as error:
            raise ValueError(str(error)) from error
        return url

"""Results of gates: findings, and the verdict on a bundle."""

from __future__ import annotations

import math

from pydantic import model_validator

from funnel.settings import Settings


class Finding(Settings):
    """The result of one check of a gate.

    gate: its name. passed: whether the value keeps to the limit. value: what was measured, None where that is
    not finite. limit: the threshold of the config. sentence: both in words.
    """

    gate: str
    passed: bool
    value: float | None
    limit: float
    sentence: str

    @model_validator(mode="before")
    @classmethod
    def _finite(cls, raw: dict[str, object]) -> dict[str, object]:
        value = raw.get("value")
        finite = isinstance(value, int | float) and math.isfinite(value)
        return {**raw, "value": float(value) if finite else None}  # type: ignore[arg-type]


class Verdict(Settings):
    """All findings on a bundle.

    version: the bundle. served: the version that was published then, None for none. beside: the version that
    the bundle was compared with: an earlier one where `served` cannot be read, None where there is none.
    figures: of the bundle on its holdout, such as "rerank ndcg@10".
    """

    version: str
    served: str | None
    beside: str | None
    figures: dict[str, float]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings that did not pass."""
        return tuple(finding for finding in self.findings if not finding.passed)

    @property
    def failed_gates(self) -> tuple[str, ...]:
        """The names of the gates that failed, each once."""
        return tuple(dict.fromkeys(finding.gate for finding in self.failed))


def at_most(gate: str, value: float, limit: float, what: str) -> Finding:
    """Passes when the value is not above the limit; NaN fails."""
    sentence = f"{what}: {_short(value)}, at most {_short(limit)}"
    return Finding(gate=gate, passed=bool(value <= limit), value=value, limit=limit, sentence=sentence)


def at_least(gate: str, value: float, limit: float, what: str) -> Finding:
    """Passes when the value is not below the limit; NaN fails."""
    sentence = f"{what}: {_short(value)}, at least {_short(limit)}"
    return Finding(gate=gate, passed=bool(value >= limit), value=value, limit=limit, sentence=sentence)


def could_not_look(gate: str, why: str) -> Finding:
    """A gate that could not measure anything fails."""
    sentence = f"{why}. --force publishes all the same"
    return Finding(gate=gate, passed=False, value=None, limit=0, sentence=sentence)


def _short(value: float) -> str:
    return f"{value:.4g}"

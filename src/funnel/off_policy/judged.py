"""The chances that a policy or another bundle has of lists that were logged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from funnel.bundle.contents import Contents
from funnel.engine import Funnel
from funnel.errors import ConfigError, FunnelError
from funnel.impressions import Impression
from funnel.monitoring.remaking import requests_of
from funnel.policies import Draw, Drawing
from funnel.rules import Rule, Ruleset, check_rules
from funnel.rules.config import AtLeastRule, BoostRule, BudgetRule, CapRule, PinRule, ReserveRule
from funnel.stages.stage import Stage
from funnel.types import Candidates, Float64, Int32, Ragged, Requests


class JudgedPolicy(Protocol):
    """Whose chances are wanted."""

    def check(self, contents: Contents) -> None:
        """Raises: ConfigError where no list of a bundle can be judged. contents: of that bundle."""

    def lacks(self, contents: Contents, records: Sequence[Impression], k: int) -> list[str]:
        """Of each answer, what its log does not hold and the policy goes by; empty where it can be judged.
        For the arguments see `chances`."""

    def chances(self, contents: Contents, records: Sequence[Impression], k: int) -> Float64:
        """Of the lists of answers for k items: float64 [n, k]. contents: of the bundle that gave them."""


@dataclass(frozen=True)
class LoggedPolicy:
    """The policy that drew the lists: its chances must be those that were logged."""

    drawing: Drawing

    def chances(self, contents: Contents, records: Sequence[Impression], k: int) -> Float64:
        """See `JudgedPolicy`."""
        return _by(contents, self.drawing, records, k)


@dataclass(frozen=True)
class OtherPolicy:
    """Other settings of what stands behind the ranker, on the candidates and scores that were logged.

    settings: `rerank` and `rules` in place of the bundle's. drawing: None for lists that are not drawn.
    """

    settings: dict[str, object]
    drawing: Drawing | None

    def check(self, contents: Contents) -> None:
        """See `JudgedPolicy`."""
        rules = self._of(contents).rules
        check_rules(rules, contents.catalogue.layout)
        for rule in rules:
            if isinstance(rule, PinRule) and contents.catalogue.ids.row(rule.item) < 0:
                raise ConfigError(f"rule {rule.label!r}: the bundle does not have the item {rule.item!r}")
        both = [rule for rule in rules if rule in contents.rules]
        for rule in (*rules, *contents.rules):
            if isinstance(rule, CapRule | BudgetRule) and rule not in both:
                raise ConfigError(
                    f"rule {rule.label!r} goes by what had been shown or spent by then, which the log does "
                    "not hold: the judged config and the bundle that answered must both have it, or neither"
                )

    def lacks(self, contents: Contents, records: Sequence[Impression], k: int) -> list[str]:
        """See `JudgedPolicy`. What the bundle itself goes by is in the log, or its chances do not come out
        again."""
        judged = self._of(contents)
        rules = [rule for rule in judged.rules if rule not in contents.rules]
        most = min(max(contents.retrieve.k, k), len(contents.catalogue.ids))
        deeper = judged.rerank.pool > max(contents.rerank.pool, k)
        needed = min(judged.rerank.pool, most) if deeper else 0
        needed = most if any(isinstance(rule, BoostRule) for rule in rules) else needed
        ruleset = Ruleset(rules, contents.catalogue)
        few = f"with fewer than {needed} logged candidates, which the judged pool or boosts bring in"
        out = []
        for record in records:
            items = rows_of(contents, record.items)
            wanting = (rule.label for rule in rules if _is_wanting(rule, ruleset, items))
            why = f"without logged candidates for the rule {label!r}" if (label := next(wanting, "")) else ""
            out.append(few if len(items) < needed else why)
        return out

    def _of(self, contents: Contents) -> Contents:
        return replace(contents, **self.settings)  # type: ignore[arg-type]

    def chances(self, contents: Contents, records: Sequence[Impression], k: int) -> Float64:
        """See `JudgedPolicy`."""
        return _by(self._of(contents), self.drawing, records, k)


@dataclass(frozen=True)
class OtherBundle:
    """Another bundle, which answers the requests again as it serves. The answers must have been logged with
    what makes them again (`impressions.sample`).

    Raises: FunnelError, or what a damaged record brings.
    """

    bundle: Contents

    def check(self, contents: Contents) -> None:
        """See `JudgedPolicy`."""
        for rule in self.bundle.rules:
            if isinstance(rule, BudgetRule):
                raise ConfigError(
                    f"rule {rule.label!r} of the judged bundle goes by what had been spent by then, which "
                    "the log does not hold"
                )

    def lacks(self, contents: Contents, records: Sequence[Impression], k: int) -> list[str]:
        """See `JudgedPolicy`."""
        why = "logged without what the user had been shown, which a cap of the judged bundle goes by"
        needs = self.bundle.ruleset.is_live
        return [why if needs and not (record.request or {}).get("occasion") else "" for record in records]

    def chances(self, contents: Contents, records: Sequence[Impression], k: int) -> Float64:
        """See `JudgedPolicy`."""
        out = np.zeros((len(records), k))
        ranking = Funnel(self.bundle.until_reranking(k))
        stages = _stages(self.bundle, self.bundle.explore, k)
        for row, record in enumerate(records):
            requests = requests_of(self.bundle, record, contents)
            lists = _lists(self.bundle, [record], k)
            if (lists >= 0).sum() == len(record.shown):  # else it does not have what was shown
                out[row] = _chances(stages, requests, ranking(requests), lists)[0]
        return out


def _is_wanting(rule: Rule, ruleset: Ruleset, items: Int32) -> bool:
    """Whether the engine would have looked for candidates of a rule beside these."""
    if isinstance(rule, PinRule):
        return int(ruleset.catalogue.ids.row(rule.item)) not in items
    if isinstance(rule, AtLeastRule | ReserveRule):
        wanted = rule.n if isinstance(rule, AtLeastRule) else len(rule.positions)
        return int(ruleset.passes(rule.where, items).sum()) < wanted
    return False


def _by(contents: Contents, drawing: Drawing | None, records: Sequence[Impression], k: int) -> Float64:
    candidates = logged_candidates(contents, records)
    nothing = Ragged.from_lists([[]] * len(records))
    none = np.zeros(len(records), dtype=np.int64)
    requests = Requests(none.astype(np.int32) - 1, none, nothing, nothing)
    return _chances(_stages(contents, drawing, k), requests, candidates, _lists(contents, records, k))


def _stages(contents: Contents, drawing: Drawing | None, k: int) -> list[Stage]:
    return contents.behind_ranking(k) if drawing is None else contents.drawing(drawing, k)


def _chances(stages: Sequence[Stage], requests: Requests, candidates: Candidates, lists: Int32) -> Float64:
    for stage in stages:
        if isinstance(stage, Draw):
            return stage.chances(requests, candidates, lists)
        candidates = stage(requests, candidates)
    return certain(candidates.items, lists)


def certain(shown: Int32, lists: Int32) -> Float64:
    """The chances of lists [B, k] where another one is shown for sure: 1 down to where they differ, and 0
    throughout for a list of another length."""
    width = lists.shape[1]
    shown = np.pad(shown, ((0, 0), (0, max(0, width - shown.shape[1]))), constant_values=-1)[:, :width]
    same_length = (shown >= 0).sum(axis=1) == (lists >= 0).sum(axis=1)
    same = np.cumprod(shown == lists, axis=1).astype(np.float64)
    return np.where(same_length[:, None], same, 0.0)


def logged_candidates(contents: Contents, records: Sequence[Impression]) -> Candidates:
    """The candidates in front of re-ranking, as they were logged. Raises: FunnelError for an item that the
    bundle does not have."""
    width = max(len(record.items) for record in records)
    items = np.full((len(records), width), -1, dtype=np.int32)
    scores = np.full((len(records), width), -np.inf, dtype=np.float32)
    for row, record in enumerate(records):
        items[row, : len(record.items)] = rows_of(contents, record.items)
        scores[row, : len(record.items)] = record.scores
    ranks = np.full((*items.shape, 1), -1, dtype=np.int32)
    return Candidates(items, scores, ("log",), np.full(ranks.shape, np.nan, dtype=np.float32), ranks)


def rows_of(contents: Contents, items: Sequence[object]) -> Int32:
    """Ids as rows. Raises: FunnelError for one that the bundle does not have."""
    rows = contents.catalogue.ids.rows(list(items))
    if (rows < 0).any():
        raise FunnelError(f"the bundle does not have the item {items[int(np.argmin(rows))]!r}")
    return rows


def _lists(contents: Contents, records: Sequence[Impression], k: int) -> Int32:
    """What was shown: rows, int32 [n, k], −1 behind the end and for an item that the bundle does not have."""
    lists = np.full((len(records), k), -1, dtype=np.int32)
    for row, record in enumerate(records):
        lists[row, : len(record.shown)] = contents.catalogue.ids.rows(list(record.shown_items))
    return lists

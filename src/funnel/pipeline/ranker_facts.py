"""What is known and said about how the ranker was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from funnel.evaluation import Difference
from funnel.evaluation.advice import RankerOutcome
from funnel.pipeline.heads import Heads
from funnel.pipeline.logged import Logged
from funnel.pipeline.order import Order
from funnel.pipeline.value_heads import ValueHeads
from funnel.ranker import RankerConfig, TrainingLists
from funnel.ranker.calibration import Head
from funnel.ranker.config import FOLDS


@dataclass(frozen=True)
class RankerFacts:
    """How the ranker was trained.

    order: the retrieval order, which the ranker must beat. verdict: NDCG@10 of the ranker's order less that
    of the retrieval order in the ranker's window, each user ranked by trees that were grown on others; None
    when there was nothing to train on. users: the number of users, where too few to hold some out.
    heads: its scores as probabilities, fitted on the scores of that verdict; none where `no_heads` says why.
    logged: what it learned from lists that were shown, in words. further: heads with trees of their own.
    worth: what events are worth, where the order goes by that.
    """

    order: Order
    verdict: Difference | None
    lists: int = 0
    rows: int = 0
    positives: int = 0
    missed: int = 0
    missed_choice: str = "drop"
    trees: int = 0
    objective: str = ""
    users: int | None = None
    heads: Mapping[str, Head] = field(default_factory=dict)
    no_heads: str = ""
    logged: tuple[str, ...] = ()
    further: Heads = field(default_factory=Heads)
    worth: ValueHeads = field(default_factory=ValueHeads)

    @classmethod
    def of(
        cls, order: Order, lists: TrainingLists, logged: Logged | None, config: RankerConfig
    ) -> RankerFacts:
        """What is known before trees are grown."""
        return cls(
            order=order,
            verdict=None,
            lists=len(lists),
            rows=len(lists.labels),
            positives=lists.positives,
            missed=lists.missed,
            missed_choice=config.missed,
            logged=() if logged is None else logged.notes,
        )

    def outcome(self, *, trained: bool) -> RankerOutcome:
        """For the report's advice. trained: whether there were lists to train a ranker on."""
        return RankerOutcome(
            left_out=self._left_out(trained),
            held_out=self.verdict,
            lists=self.lists,
            positives=self.positives,
            missed=self.missed,
            trees=self.trees,
        )

    def _left_out(self, trained: bool) -> str | None:
        """Why there is no ranker."""
        if self.users is not None:
            return f"its window has {self.users} users, and it takes {FOLDS} to hold some out"
        if not trained or self.verdict is None:
            return "too little of what was taken in its window was retrieved"
        return None if self.verdict.better else "it was not better than the retrieval order"

    def sentences(self) -> list[str]:
        """For the report's notes."""
        notes = [self.order.sentence()]
        notes.append(
            f"the ranker saw {self.lists:,} lists with {self.rows:,} rows and {self.positives:,} positives; "
            f"{self.missed:,} more were not retrieved ({self.missed_choice}); "
            f"{self.trees} trees were kept{self.objective and f', objective {self.objective}'}"
        )
        notes += self.logged
        if self.users is not None:
            notes.append(
                f"the ranker's window has {self.users} users, and it takes {FOLDS} to hold some out: "
                "there is no ranker"
            )
        elif self.verdict is None:
            notes.append("nothing that was taken in the ranker's window was retrieved: there is no ranker")
        else:
            what = "better" if self.verdict.better else "not better"
            notes.append(
                f"in its own window, on users that it was not grown on, the ranker is {what} than "
                f"the retrieval order on NDCG@10: {self.verdict.mean:+.4f} "
                f"[{self.verdict.lo:.4f}, {self.verdict.hi:.4f}]"
            )
        return [*notes, *self._of_heads()]

    def _of_heads(self) -> list[str]:
        """How probabilities came about."""
        sentences = [
            f"p_{name} is {head.calibration.method} of the ranker's scores, fitted on {head.rows:,} "
            f"candidates that its trees did not see, {head.base_rate:.3%} of which happened; log loss on "
            "other users: " + ", ".join(f"{method} {loss:.5f}" for method, loss in head.log_loss.items())
            for name, head in self.heads.items()
        ]
        sentences += [*self.further.notes, *self.worth.notes]
        return [*sentences, *([f"there are no probabilities: {self.no_heads}"] if self.no_heads else [])]

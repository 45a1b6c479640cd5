"""The options of the ranker."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from funnel.settings import MOST_SEEDS, Settings

#: The compiled evaluation numbers leaves with two bytes.
MOST_LEAVES = 65_536

#: The ranker's window is cut into so many folds by user, so that it is judged on users it was not trained on.
FOLDS = 3


class RankerConfig(Settings):
    """How the training lists are cut and how the trees are grown.

    The objectives are LightGBM's: `rank_xendcg` (Bruch et al. 2020, XE-NDCG), `lambdarank` (Burges 2010) and
    `binary` (log loss, the only one whose scores are log odds).
    """

    objective: Literal["auto", "rank_xendcg", "lambdarank", "binary"] = Field(
        "auto",
        description="auto: XE-NDCG or lambdarank, whichever has the better NDCG@10 after `stop_after` trees, "
        "on lists that they were not grown on; XE-NDCG where there are none",
    )
    trees: int = Field(300, ge=1, le=100_000, description="most trees; early stopping may keep fewer")
    leaves: int = Field(15, ge=2, le=MOST_LEAVES, description="most leaves of a tree")
    learning_rate: float = Field(0.05, gt=0, le=1, description="what a tree counts")
    min_data_in_leaf: int = Field(
        200, ge=1, lt=2**31, description="fewest rows of a leaf, those counted that weighted rows stand for"
    )
    feature_fraction: float = Field(0.7, gt=0, le=1, description="share of the features that a tree may use")
    bagging_fraction: float = Field(
        1.0,
        ge=0.01,
        le=1,
        description="share of the lists that a tree of the order sees; trees of probabilities and values see "
        "all rows",
    )
    l2: float = Field(1.0, ge=0, description="pull of the leaf values towards zero")
    truncation: int = Field(
        30, ge=1, lt=2**31, description="lambdarank: pairs count when one is among the first so many"
    )
    stop_after: int = Field(50, ge=1, lt=2**31, description="early stopping: rounds without a better NDCG@10")
    lists: int = Field(
        12_000,
        ge=FOLDS,
        description="most training lists, drawn by chance from those that hold a positive, a share of each "
        f"of the {FOLDS} parts that users are cut into",
    )
    negatives: int | None = Field(
        100,
        ge=2,  # of one there is no other half to draw
        description="most negatives kept a list: the first half from the top, the others drawn and weighted, "
        "so that they stand for all that the ranker meets when it serves; None keeps all",
    )
    missed: Literal["drop", "append"] = Field(
        "drop",
        description="a positive that retrieval missed: `drop` only counts it, `append` adds it as one more "
        "row, which no source ranked (see training_lists for what that does)",
    )
    impressions: bool = Field(
        True,
        description="learn from lists that were shown, beside what is retrieved, where they are logged and "
        "the split is by time; the protocol shown ranks such lists anyway",
    )
    propensity: Literal["auto", "none"] = Field(
        "auto",
        description="auto: a click counts 1 / how far its position is looked at, which is estimated from the "
        "log; none: each click counts the same",
    )
    clip: float = Field(10.0, ge=1, le=1e6, description="most that a click counts for its position")
    threads: int = Field(
        0, ge=0, le=1024, description="threads of training; 0 = what the data is worth, at most one a core"
    )
    seed: int = Field(0, ge=0, lt=MOST_SEEDS, description="of the lists that are drawn and of the folds")

    def each_objective(self) -> tuple[RankerConfig, ...]:
        """This config with each objective that is tried."""
        if self.objective != "auto":
            return (self,)
        return tuple(self.model_copy(update={"objective": name}) for name in ("rank_xendcg", "lambdarank"))

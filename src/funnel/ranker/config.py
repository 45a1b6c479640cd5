"""The options of the ranker."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from funnel.settings import Settings


class RankerConfig(Settings):
    """How the training lists are cut and how the trees are grown.

    The objectives are LightGBM's: `lambdarank` (Burges 2010), `rank_xendcg` (Bruch et al. 2020, XE-NDCG)
    and `binary` (log loss, the only one whose scores are log odds). XE-NDCG with small trees is the default:
    cross-fitted on the ranker's windows of MovieLens 100K and latest-small it gained .002 and .012 of NDCG@10
    over the retrieval order, where lambdarank with 31 leaves lost .004 and gained .006.
    """

    objective: Literal["lambdarank", "rank_xendcg", "binary"] = "rank_xendcg"
    trees: int = Field(300, ge=1, description="most trees; early stopping may keep fewer")
    leaves: int = Field(15, ge=2, description="most leaves of a tree")
    learning_rate: float = Field(0.05, gt=0, le=1)
    min_data_in_leaf: int = Field(200, ge=1, description="fewest rows of a leaf")
    feature_fraction: float = Field(0.7, gt=0, le=1, description="share of the features that a tree may use")
    bagging_fraction: float = Field(1.0, gt=0, le=1, description="share of the lists that a tree sees")
    l2: float = Field(1.0, ge=0, description="pull of the leaf values towards zero")
    truncation: int = Field(
        30, ge=1, description="lambdarank: pairs count when one is among the first so many"
    )
    stop_after: int = Field(50, ge=1, description="early stopping: rounds without a better NDCG@10")
    lists: int = Field(
        12_000, ge=1, description="most training lists, drawn by chance from those that hold a positive"
    )
    negatives: int | None = Field(
        None,
        ge=1,
        description="most negatives kept a list; None keeps all, as the ranker meets them when it serves",
    )
    missed: Literal["drop", "append"] = Field(
        "drop",
        description="a positive that retrieval missed: `drop` only counts it, `append` adds it as one more "
        "row, which no source ranked (see training_lists for what that does)",
    )
    threads: int = Field(
        0, ge=0, description="threads of training; 0 = what the data is worth, at most one a core"
    )
    seed: int = 0

"""Order: training lists from real candidates, LightGBM, explanations."""

from funnel.ranker.config import RankerConfig
from funnel.ranker.letor import graded_ndcg, read_letor
from funnel.ranker.lists import FeatureSource, TrainingLists, concatenate, training_lists
from funnel.ranker.membership import contains
from funnel.ranker.ranker import CrossFit, Ranker

__all__ = [
    "CrossFit",
    "FeatureSource",
    "Ranker",
    "RankerConfig",
    "TrainingLists",
    "concatenate",
    "contains",
    "graded_ndcg",
    "read_letor",
    "training_lists",
]

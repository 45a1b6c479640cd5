"""Decide: retrieve, merge, filter, rank, diversify, cut."""

from funnel.stages.config import RankConfig, RerankConfig, RetrieveConfig
from funnel.stages.diversify import Diversify
from funnel.stages.filter import Filter
from funnel.stages.given import Given
from funnel.stages.parts import Parts
from funnel.stages.rank import Rank
from funnel.stages.retrieve import Retrieve, source_weights
from funnel.stages.rules import Eligible, Rules
from funnel.stages.similar import VECTOR_WEIGHT, ItemQueries
from funnel.stages.sources import CovisitationSource, PopularSource, ShownSource, Source, choose
from funnel.stages.stage import Skippable, Stage
from funnel.stages.top import Top
from funnel.stages.towers import EmbeddingSpace, TowerSource
from funnel.stages.value import ByValue, ExpectedValue, check_names

__all__ = [
    "VECTOR_WEIGHT",
    "ByValue",
    "CovisitationSource",
    "Diversify",
    "Eligible",
    "EmbeddingSpace",
    "ExpectedValue",
    "Filter",
    "Given",
    "ItemQueries",
    "Parts",
    "PopularSource",
    "Rank",
    "RankConfig",
    "RerankConfig",
    "Retrieve",
    "RetrieveConfig",
    "Rules",
    "ShownSource",
    "Skippable",
    "Source",
    "Stage",
    "Top",
    "TowerSource",
    "check_names",
    "choose",
    "source_weights",
]

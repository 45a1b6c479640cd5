"""What is known at a moment: encoded columns, statistics, and the candidate features made of both."""

from funnel.features.candidates import CandidateFeatures, FeaturesConfig
from funnel.features.click_rates import ClickRates
from funnel.features.context import ContextConfig, ContextEncoder
from funnel.features.covisitation import fit_covisitation, fit_transitions
from funnel.features.encoders import Spec, TableEncoder
from funnel.features.groups import FeatureGroup
from funnel.features.neighbours import Neighbours
from funnel.features.rates import Rates, fit_rates, load_rates, save_rates
from funnel.features.statistics import Statistics

__all__ = [
    "CandidateFeatures",
    "ClickRates",
    "ContextConfig",
    "ContextEncoder",
    "FeatureGroup",
    "FeaturesConfig",
    "Neighbours",
    "Rates",
    "Spec",
    "Statistics",
    "TableEncoder",
    "fit_covisitation",
    "fit_rates",
    "fit_transitions",
    "load_rates",
    "save_rates",
]

"""The values that walk between the rooms: ragged lists, requests, candidates.

All of them are immutable and hold arrays. Inside funnel an item is a *row* of the catalogue (int32, the
catalogue sorted by external id, −1 for "none"); external ids appear at the boundary only.
"""

from funnel.types.arrays import Bool, Clock, Features, Float32, Float64, Int8, Int32, Int64
from funnel.types.candidates import Candidates
from funnel.types.growable import growable
from funnel.types.kinds import MOST_KINDS, EventKinds
from funnel.types.log import Log
from funnel.types.outcome import RulesOutcome
from funnel.types.policy import Policy
from funnel.types.ragged import Lists, Ragged
from funnel.types.requests import Examples, Occasion, Requests, Shown

__all__ = [
    "MOST_KINDS",
    "Bool",
    "Candidates",
    "Clock",
    "EventKinds",
    "Examples",
    "Features",
    "Float32",
    "Float64",
    "Int8",
    "Int32",
    "Int64",
    "Lists",
    "Log",
    "Occasion",
    "Policy",
    "Ragged",
    "Requests",
    "RulesOutcome",
    "Shown",
    "growable",
]

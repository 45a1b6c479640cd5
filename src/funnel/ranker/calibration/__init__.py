"""Scores become probabilities: fitted on lists that the trees did not see, chosen by log loss."""

from funnel.ranker.calibration.choose import FEWEST, METHODS, Head, base_rate, calibrate
from funnel.ranker.calibration.files import load_heads, save_heads
from funnel.ranker.calibration.isotonic import Isotonic, fit_isotonic
from funnel.ranker.calibration.sigmoid import Seen, Sigmoid, fit_beta, fit_platt

#: What the probability is of, where events have one kind: that the request's next event is of this item.
EVENT = "event"

__all__ = [
    "EVENT",
    "FEWEST",
    "METHODS",
    "Head",
    "Isotonic",
    "Seen",
    "Sigmoid",
    "base_rate",
    "calibrate",
    "fit_beta",
    "fit_isotonic",
    "fit_platt",
    "load_heads",
    "save_heads",
]

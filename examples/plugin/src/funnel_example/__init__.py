"""One plugin of each kind; the entry point names this module, which registers them all."""

from funnel_example import encoder, feature, gate, loss, metric, reader, source, stage

__all__ = ["encoder", "feature", "gate", "loss", "metric", "reader", "source", "stage"]

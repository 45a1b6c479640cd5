"""How far a command is, where no terminal shows a bar: a dated line a step and an epoch, to stderr."""

from __future__ import annotations

import logging
import time

#: Whose lines of level INFO say how far a build is.
LOGGERS = ("funnel.pipeline.progress", "funnel.towers.training.trainer")


def log_steps() -> None:
    """Print what the steps log. A line is dated in UTC: "2026-01-31T04:05:06Z train the towers: 61.2 s"."""
    lines = logging.Formatter("%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ")
    lines.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(lines)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False

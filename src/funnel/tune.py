"""Measure kinds of index on a bundle's own vectors and the requests of its users, and say which to take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from funnel.bundle.contents import Contents
from funnel.errors import ConfigError, DataError
from funnel.evaluation.frontier import Frontier, measure
from funnel.index import FaissIndex
from funnel.serving.request import of_users


def tune(
    contents: Contents,
    *,
    specs: Sequence[str] = (),
    recall: float | None = None,
    k: int | None = None,
    queries: int = 200,
    seed: int = 0,
    threads: int = 1,
) -> Frontier:
    """The frontier of kinds of index for a bundle; nothing in the bundle is changed.

    specs: FAISS factory strings; default those that suit the catalogue's size. recall, k: the goal; default
    the bundle's own, from `index.recall` and `index.k` of its config. queries: so many of its users are drawn
    by the seed; their requests have the histories and columns of the bundle. threads: for building.

    Raises: ConfigError for a goal that is no share or a spec that FAISS does not know; DataError where the
    bundle has no users to make requests of.
    """
    users = np.random.default_rng(seed).permutation(len(contents.users.ids))[:queries]
    if len(users) == 0:
        raise DataError("the bundle has no users: there is no request to measure with")
    contents = contents.own or contents  # what was built, not what was changed since
    assert isinstance(contents.index, FaissIndex)
    info = contents.index.info
    return measure(
        contents.vectors,
        contents.queries.encode(of_users(contents, np.sort(users))),
        k=info.recall_k if k is None else k,
        goal=info.recall_goal if recall is None else recall,
        specs=specs,
        seed=seed,
        threads=threads,
    )


def advice(frontier: Frontier) -> str:
    """The lines for the config; or, where the goal is out of reach, the best there is."""
    chosen = frontier.chosen
    if chosen is None:
        best = max(frontier.points, key=lambda p: (p.recall, -p.ms))
        return (
            f"no index reaches recall@{frontier.k} {frontier.goal}: the best is {best.spec} with "
            f"{best.recall:.4f} in {best.ms:.3f} ms"
        )
    return f'[index]\nspec = "{chosen.spec}"\nrecall = {frontier.goal}\nk = {frontier.k}'


def as_json(frontier: Frontier) -> dict[str, Any]:
    """Everything measured, the frontier, the choice and the lines for the config as plain values."""
    chosen = frontier.chosen
    return {
        **frontier.model_dump(mode="json"),
        "best": [point.model_dump(mode="json") for point in frontier.best],
        "chosen": None if chosen is None else chosen.model_dump(mode="json"),
        "advice": advice(frontier),
    }


def check_picture(path: Path) -> None:
    """Refuse what `draw` could not write, before minutes are spent. Raises: ConfigError."""
    if path.suffix not in (".png", ".svg") or path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"--plot {path}: give a .png or .svg file in a folder that is there")


def draw(frontier: Frontier, path: Path) -> None:
    """Recall and milliseconds of everything that was measured, as a picture (.png or .svg).

    Raises: ConfigError for another ending or a folder that is not there; FunnelError without matplotlib.
    """
    from funnel.pages.curves import Curve, draw_curves

    check_picture(path)
    by_spec: dict[str, list[tuple[float, float]]] = {}
    for point in frontier.points:
        by_spec.setdefault(point.spec, []).append((point.recall, point.ms))
    chosen = frontier.chosen
    curves = [
        Curve(spec, points, chosen is not None and chosen.spec == spec) for spec, points in by_spec.items()
    ]
    draw_curves(curves, path, recall=f"recall@{frontier.k}", goal=frontier.goal)

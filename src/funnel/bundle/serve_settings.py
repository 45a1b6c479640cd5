"""serve.json: the settings that a bundle's funnel is put together from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from funnel.bundle.components import Components
from funnel.stages import RankConfig
from funnel.towers.queries import EncoderConfig

#: Sections of the config that decide no answer and count while a bundle is in use. They are in serve.json all
#: the same: a bundle with others must be another version, or nobody would take it up.
WHILE_SERVED = ("impressions", "monitor")


def save_settings(folder: Path, contents: Components) -> None:
    """serve.json: the settings that the funnel is put together from."""
    settings: dict[str, Any] = {
        "features": contents.features.model_dump(mode="json"),
        "retrieve": contents.retrieve.model_dump(mode="json", exclude={"where"}),
        "rerank": contents.rerank.model_dump(mode="json"),
        "weights": contents.weights,
        "exclude_seen": contents.exclude_seen,
        "shown": contents.shown,
        "use_ranker": contents.ranker is not None,
    }
    if contents.encoding != EncoderConfig():
        settings["encoder"] = contents.encoding.model_dump(mode="json")
    if contents.retrieve.where is not None:
        settings["retrieve"]["where"] = contents.retrieve.where
    if contents.rules:
        settings["rules"] = [rule.model_dump(mode="json") for rule in contents.rules]
    if contents.rank != RankConfig():
        settings["rank"] = contents.rank.model_dump(mode="json")
    if contents.explore is not None:
        settings["explore"] = contents.explore.model_dump(mode="json")
    if contents.kinds is not None:
        settings["kinds"] = asdict(contents.kinds)
    if needs := contents.needs:
        settings["plugins"] = [plugin.model_dump(mode="json") for plugin in needs]
    settings.update(contents.while_served)
    (folder / "serve.json").write_text(json.dumps(settings, indent=1, sort_keys=True))

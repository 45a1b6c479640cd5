"""One run of the whole funnel on a data set: towers, bundle, report."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from typing import Any

import funnel.config as configs
from benchmarks.quality.result import Result, processor_seconds
from funnel.artifacts import Store
from funnel.config import Config
from funnel.errors import ConfigError
from funnel.pipeline import build, prepare, train_towers


def configured(name: str, data: Path, seed: int, changes: list[str]) -> Config:
    """configs/NAME.toml with another seed, and with `section.key=value` changes, values as in TOML."""
    config = configs.load(configs.packaged(f"{name}.toml"), data=data)
    raw: dict[str, Any] = config.model_dump(mode="json", exclude_defaults=True)
    raw["seed"] = seed
    for change in changes:
        key, value = assignment(change)
        *sections, last = key.split(".")
        place = raw
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return configs.parse(raw, where=f"{name}.toml with {changes}")


def assignment(change: str) -> tuple[str, Any]:
    """`key=value`, the value as in TOML. Raises: ConfigError when it is not."""
    key, _, value = change.partition("=")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError as error:
        example = "ranker.leaves=7 or towers.loss='\"gbce\"'"
        raise ConfigError(f"--set {change}: not a key and a TOML value, such as {example}") from error


def run(config: Config, work: Path, label: str = "") -> Result:
    """Towers and bundle are kept in `work`; towers that are there already are not trained again."""
    began, used = time.perf_counter(), processor_seconds()
    prepared = prepare(config)
    read = time.perf_counter()
    towers = train_towers(prepared, Store(work / "embeddings"), progress=True)
    trained = time.perf_counter()
    built = build(prepared, towers, Store(work / "indexes"), progress=True)
    done = time.perf_counter()
    seconds = {"read": read - began, "towers": trained - read, "build": done - trained, "total": done - began}
    fallback = Store(work / "indexes").verify(built.version).fallback
    return Result.of(
        built.report,
        config.name,
        config.seed,
        {name: round(value, 1) for name, value in seconds.items()},
        used,
        label=label,
        fallback=fallback,
    )

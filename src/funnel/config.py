"""One TOML file says what is built. Read once, into frozen settings; a mistake is reported with its key.

Each room defines its own settings; this file only puts them side by side.
"""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from funnel import plugins
from funnel.artifacts import signing
from funnel.data import DataConfig, EventsConfig, SplitConfig
from funnel.errors import ConfigError
from funnel.experiments.config import ExperimentConfig
from funnel.features import ContextConfig, FeaturesConfig
from funnel.gates import GatesConfig
from funnel.impressions import ImpressionsConfig
from funnel.index import IndexConfig, check_spec
from funnel.monitoring.config import MonitorConfig
from funnel.policies import ExploreConfig
from funnel.ranker import RankerConfig
from funnel.rules import KINDS, Rule, check_together
from funnel.scale.config import ScaleConfig
from funnel.service.config import ServeConfig
from funnel.settings import LONGEST_LIST, MOST_SEEDS, Settings
from funnel.stages import RankConfig, RerankConfig, RetrieveConfig
from funnel.towers.config import TowersConfig
from funnel.towers.queries import EncoderConfig
from funnel.values.nearest import hint
from funnel.values.urls import hide_passwords, without_password


class EvaluateConfig(plugins.Optioned):
    """What the report measures."""

    ks: tuple[Annotated[int, Field(ge=1, le=LONGEST_LIST)], ...] = Field(
        (10, 20, 50, 100), min_length=1, description="cut-offs, rising; the first is the one that decides"
    )
    latency_requests: int = Field(200, ge=1, le=1_000_000, description="requests timed one at a time")
    also: tuple[str, ...] = Field((), description="metrics of plugins, beside funnel's own")

    @model_validator(mode="after")
    def _metrics_are_there(self) -> Self:
        plugins.check_options("metric", self.also, self.options)
        return self

    @field_validator("ks")
    @classmethod
    def _rising(cls, ks: tuple[int, ...]) -> tuple[int, ...]:
        if any(later <= sooner for sooner, later in pairwise(ks)):
            raise ValueError(f"write them rising, each once: {sorted(set(ks))}; the first is what decides")
        return ks


class StoreConfig(Settings):
    """What the store of bundles keeps."""

    keep: int = Field(5, ge=1, description="newest bundles kept, beside the published and the previous")
    trust: tuple[str, ...] = Field(
        (), description="public keys, one of which must have signed what is pulled, published or served"
    )
    key: str = Field(
        "", description="file of a private key, which `funnel run` signs with what it publishes; empty: none"
    )

    @field_validator("trust")
    @classmethod
    def _are_keys(cls, trust: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(map(signing.checked, trust))
        except ConfigError as error:
            raise ValueError(str(error)) from error


class Config(Settings):
    """Everything that decides what a bundle is."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=100,
        description="what versions of towers and bundles are called; letters, figures, `.`, `_` and `-`",
    )
    seed: int = Field(0, ge=0, lt=MOST_SEEDS, description="of all that is drawn by chance")
    data: DataConfig
    events: EventsConfig = EventsConfig()
    split: SplitConfig = SplitConfig(kind="time")
    context: ContextConfig = ContextConfig()
    towers: TowersConfig = TowersConfig()
    encoder: EncoderConfig = EncoderConfig()
    index: IndexConfig = IndexConfig()
    features: FeaturesConfig = FeaturesConfig()
    retrieve: RetrieveConfig = RetrieveConfig()
    ranker: RankerConfig = RankerConfig()
    rank: RankConfig = RankConfig()
    rerank: RerankConfig = RerankConfig()
    explore: ExploreConfig = ExploreConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    rules: tuple[Rule, ...] = Field(
        (),
        max_length=100,
        description="what must hold of a list; see docs/rules.md for the tables of each kind",
    )
    gates: GatesConfig = GatesConfig()
    store: StoreConfig = StoreConfig()
    impressions: ImpressionsConfig = ImpressionsConfig()
    monitor: MonitorConfig = MonitorConfig()
    serve: ServeConfig = Field(ServeConfig(), exclude=True)  # no part of what a bundle is
    scale: ScaleConfig = Field(ScaleConfig(), exclude=True)  # nor where it is made
    experiments: dict[str, ExperimentConfig] = Field({}, exclude=True, description="see docs/experiments.md")

    @property
    def needs(self) -> tuple[plugins.Needed, ...]:
        """The plugins that the config names and that are not funnel's own."""
        return plugins.needed(
            [
                ("reader", self.data.reader),
                ("encoder", self.encoder.name),
                *(("source", name) for name in self.retrieve.sources),
                *(("stage", name) for name in (*self.retrieve.stages, *self.rerank.stages)),
                *(("feature", name) for name in self.features.groups),
                *(("metric", name) for name in self.evaluate.also),
                *(("gate", name) for name in self.gates.also),
                *(() if self.towers.loss == "auto" else (("loss", self.towers.loss),)),
            ]
        )

    @model_validator(mode="after")
    def _each_stage_is_named_once(self) -> Self:
        if both := sorted(set(self.retrieve.stages) & set(self.rerank.stages)):
            raise ValueError(f"the stage {both[0]!r} is in retrieve.stages and in rerank.stages: choose one")
        return self

    @model_validator(mode="after")
    def _rules_can_hold_together(self) -> Self:
        check_together(self.rules, self.rerank.k)
        return self

    @model_validator(mode="after")
    def _draws_come_last(self) -> Self:
        if self.explore.is_on and "diversify" in self.rerank.stages[:-1]:
            raise ValueError(
                "explore: lists are drawn where diversify stands, which must be last in rerank.stages"
            )
        return self

    @model_validator(mode="after")
    def _index_fits_the_towers(self) -> Self:
        if self.index.spec != "auto":
            try:
                check_spec(self.index.spec, self.towers.d, self.index.params)
            except ConfigError as error:  # so that it is reported with the other mistakes, and the file
                raise ValueError(str(error)) from error
        return self


def load(path: Path, *, data: Path | None = None) -> Config:
    """Read a TOML config; `data` replaces `data.path`.

    Raises: ConfigError when the file is missing, is not TOML, or does not say what a Config needs.
    """
    try:
        raw = tomllib.loads(Path(path).read_text())
    except IsADirectoryError as error:
        raise ConfigError(
            f"{path} is a folder: a config is expected; `funnel init {path} --config {Path(path).name}.toml` "
            "writes one for the files in it"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    if data is not None and isinstance(raw.get("data"), dict):
        raw["data"]["path"] = str(data)
    return parse(raw, where=str(path))


def configure(name: str, **sections: Any) -> Config:
    """A Config from its sections as plain values, as a TOML file would have them.

    Without a section `data`, the data are those that `prepare` is given. Raises: ConfigError, see `parse`.

    >>> configure("shop", towers={"d": 32}).towers.d
    32
    """
    return parse({"name": name, "data": {"reader": "frames"}, **sections})


def parse(raw: dict[str, Any], *, where: str = "config") -> Config:
    """A Config from plain values. Raises: ConfigError, one line a mistake, each with its path."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        lines = [f"{where}: {_explain(problem)}" for problem in error.errors()]
        raise ConfigError("\n".join(lines)) from None  # pydantic's own message has what was given, as it is


def _explain(problem: Any) -> str:
    """One pydantic error as a sentence: where, what, and what would be right."""
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        valid = _keys_beside(problem["loc"])
        return f"unknown key '{path}'; {hint(problem['loc'][-1], valid, 'known here: ')}"
    if problem["type"] == "missing":
        return f"'{path}' is missing"
    if problem["type"].startswith("union_tag_"):
        kind = problem["input"].get("kind") if isinstance(problem["input"], dict) else None
        kind_given = "is missing" if kind is None else f"is {kind!r:.200}"
        return f"'{path}.kind' {kind_given}; {hint(kind, KINDS)}"
    message = problem["msg"].removeprefix("Value error, ")
    if isinstance(problem["input"], dict) and problem["type"] == "value_error":  # of several keys together
        return f"{path}: {message}" if path else message
    value = problem["input"]
    given = hide_passwords(repr(without_password(value) if isinstance(value, str) else value))[:200]
    return f"'{path}' is {given}: {message[0].lower()}{message[1:]}"


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """The keys that are valid where an unknown one was found."""
    model: type[BaseModel] = Config
    for part in location[:-1]:
        if isinstance(part, int):  # which of a list's entries; behind it stands the kind
            continue
        if part in KINDS and model is Config:
            model = KINDS[str(part)]
            continue
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        options = [annotation, *get_args(annotation)]
        models = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if part == "rules" or not options[0]:  # a list, or the name of one of several tables
            continue
        if not models:
            return []
        model = models[0]
    return sorted(model.model_fields)


def packaged(name: str) -> Path:
    """A config that comes with funnel: from the installed package, or from the checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "configs", here.parents[1] / "configs"):
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"the config {name} did not come with this installation of funnel")

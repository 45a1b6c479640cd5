"""Multi-stage ranking: retrieve, filter, rank, re-rank, and measure each step.

    live = funnel.Live("indexes/")
    answer = live.recommend(user_id, k=10)

The public names are here and nowhere else: `docs/python.md` has a line on each. Each is loaded when it is
first used, so that `import funnel` stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from funnel.artifacts import Store
    from funnel.client import AsyncClient, Client
    from funnel.config import Config, configure
    from funnel.config import load as load_config
    from funnel.data import Column, Dataset, Reader, Schema
    from funnel.errors import (
        BundleError,
        ConfigError,
        DataError,
        DownloadError,
        FunnelError,
        GateError,
        NotFittedError,
        ServiceError,
    )
    from funnel.evaluation import Comparison, Evaluation, Report
    from funnel.evaluation.metrics import Metric
    from funnel.experiments.config import ExperimentConfig
    from funnel.experiments.interleaving import preference, team_draft
    from funnel.experiments.judging import Judgement
    from funnel.experiments.running import start as start_experiment
    from funnel.experiments.running import stop as stop_experiment
    from funnel.features import FeatureGroup as Feature
    from funnel.gates import Case, Finding, Gate, Verdict
    from funnel.gates.diff import BundleDifference, diff
    from funnel.gates.judge import judge
    from funnel.gates.publish import publish
    from funnel.impressions import Impression, ImpressionsConfig
    from funnel.impressions import join as join_impressions
    from funnel.impressions import read as read_impressions
    from funnel.monitoring.alarm import Alarm
    from funnel.monitoring.config import MonitorConfig
    from funnel.monitoring.thread import Monitoring
    from funnel.off_policy import DrawnLists
    from funnel.off_policy import estimate as estimate_earned
    from funnel.pipeline.build import Built, build
    from funnel.pipeline.prepare import Prepared, prepare
    from funnel.pipeline.report import evaluate, measure
    from funnel.pipeline.train import train_towers as train
    from funnel.plugins import register
    from funnel.profile.figures import Profile
    from funnel.profile.figures import profile as profile_data
    from funnel.scale import cluster
    from funnel.serving.evidence import judged as judge_experiment
    from funnel.serving.live import Live
    from funnel.serving.response import Answer, Recommendation
    from funnel.serving.state import Event, SqliteLog, StateLog
    from funnel.stages import Parts, Source, Stage, choose
    from funnel.towers.losses import Loss
    from funnel.towers.queries import Encoder, EncoderParts
    from funnel.types import Candidates, Ragged, Requests

    __version__: str

#: Where each public name is defined: the module, and its name there where that is another one.
_HOME = {
    "Alarm": "funnel.monitoring.alarm",
    "Answer": "funnel.serving.response",
    "AsyncClient": "funnel.client",
    "Built": "funnel.pipeline.build",
    "BundleDifference": "funnel.gates.diff",
    "BundleError": "funnel.errors",
    "Candidates": "funnel.types",
    "Case": "funnel.gates",
    "Client": "funnel.client",
    "Column": "funnel.data",
    "Comparison": "funnel.evaluation",
    "Config": "funnel.config",
    "ConfigError": "funnel.errors",
    "DataError": "funnel.errors",
    "Dataset": "funnel.data",
    "DownloadError": "funnel.errors",
    "DrawnLists": "funnel.off_policy",
    "Encoder": "funnel.towers.queries",
    "EncoderParts": "funnel.towers.queries",
    "Evaluation": "funnel.evaluation",
    "Event": "funnel.serving.state",
    "ExperimentConfig": "funnel.experiments.config",
    "Feature": "funnel.features:FeatureGroup",
    "Finding": "funnel.gates",
    "FunnelError": "funnel.errors",
    "Gate": "funnel.gates",
    "GateError": "funnel.errors",
    "Impression": "funnel.impressions",
    "ImpressionsConfig": "funnel.impressions",
    "Judgement": "funnel.experiments.judging",
    "Live": "funnel.serving.live",
    "Loss": "funnel.towers.losses",
    "Metric": "funnel.evaluation.metrics",
    "MonitorConfig": "funnel.monitoring.config",
    "Monitoring": "funnel.monitoring.thread",
    "NotFittedError": "funnel.errors",
    "Parts": "funnel.stages",
    "Prepared": "funnel.pipeline.prepare",
    "Profile": "funnel.profile.figures",
    "Ragged": "funnel.types",
    "Reader": "funnel.data",
    "Recommendation": "funnel.serving.response",
    "Report": "funnel.evaluation",
    "Requests": "funnel.types",
    "Schema": "funnel.data",
    "ServiceError": "funnel.errors",
    "Source": "funnel.stages",
    "SqliteLog": "funnel.serving.state",
    "Stage": "funnel.stages",
    "StateLog": "funnel.serving.state",
    "Store": "funnel.artifacts",
    "Verdict": "funnel.gates",
    "build": "funnel.pipeline.build",
    "choose": "funnel.stages",
    "cluster": "funnel.scale",
    "configure": "funnel.config",
    "diff": "funnel.gates.diff",
    "estimate_earned": "funnel.off_policy:estimate",
    "evaluate": "funnel.pipeline.report",
    "join_impressions": "funnel.impressions:join",
    "judge": "funnel.gates.judge",
    "judge_experiment": "funnel.serving.evidence:judged",
    "load_config": "funnel.config:load",
    "measure": "funnel.pipeline.report",
    "preference": "funnel.experiments.interleaving",
    "prepare": "funnel.pipeline.prepare",
    "profile_data": "funnel.profile.figures:profile",
    "publish": "funnel.gates.publish",
    "read_impressions": "funnel.impressions:read",
    "register": "funnel.plugins",
    "start_experiment": "funnel.experiments.running:start",
    "stop_experiment": "funnel.experiments.running:stop",
    "team_draft": "funnel.experiments.interleaving",
    "train": "funnel.pipeline.train:train_towers",
}

__all__ = [
    "Alarm",
    "Answer",
    "AsyncClient",
    "Built",
    "BundleDifference",
    "BundleError",
    "Candidates",
    "Case",
    "Client",
    "Column",
    "Comparison",
    "Config",
    "ConfigError",
    "DataError",
    "Dataset",
    "DownloadError",
    "DrawnLists",
    "Encoder",
    "EncoderParts",
    "Evaluation",
    "Event",
    "ExperimentConfig",
    "Feature",
    "Finding",
    "FunnelError",
    "Gate",
    "GateError",
    "Impression",
    "ImpressionsConfig",
    "Judgement",
    "Live",
    "Loss",
    "Metric",
    "MonitorConfig",
    "Monitoring",
    "NotFittedError",
    "Parts",
    "Prepared",
    "Profile",
    "Ragged",
    "Reader",
    "Recommendation",
    "Report",
    "Requests",
    "Schema",
    "ServiceError",
    "Source",
    "SqliteLog",
    "Stage",
    "StateLog",
    "Store",
    "Verdict",
    "__version__",
    "build",
    "choose",
    "cluster",
    "configure",
    "diff",
    "estimate_earned",
    "evaluate",
    "join_impressions",
    "judge",
    "judge_experiment",
    "load_config",
    "measure",
    "preference",
    "prepare",
    "profile_data",
    "publish",
    "read_impressions",
    "register",
    "start_experiment",
    "stop_experiment",
    "team_draft",
    "train",
]


def __getattr__(name: str) -> Any:
    """A public name, loaded and kept (PEP 562)."""
    if name == "__version__":
        value: Any = _version()
    elif name in _HOME:
        module, _, attribute = _HOME[name].partition(":")
        value = getattr(importlib.import_module(module), attribute or name)
    else:
        raise AttributeError(f"module 'funnel' has no attribute {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """What is public."""
    return list(__all__)


def _version() -> str:
    """Of the distribution; "0" where the package lies on the path without having been installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("funnel-rank")
    except PackageNotFoundError:
        return "0"

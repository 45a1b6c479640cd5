"""The steps of a run in their order: what each depends on, and what it does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from funnel.artifacts import Manifest, Store, signing
from funnel.artifacts.retention import retain
from funnel.bundle.contents import WHILE_SERVED
from funnel.data import read
from funnel.errors import DataError
from funnel.experiments.running import arm_bundles
from funnel.gates import Verdict, judge, refuse_failed, serve
from funnel.pipeline import checks
from funnel.pipeline import train as training
from funnel.pipeline.build import finish
from funnel.pipeline.bundle_parts import write_parts
from funnel.pipeline.click_rates import wants_factors
from funnel.pipeline.manifest import windows
from funnel.pipeline.ranker_parts import add_ranker
from funnel.pipeline.run.context import Context
from funnel.pipeline.run.experiments import settle
from funnel.pipeline.run.harm import ended_where_harmful
from funnel.pipeline.run.sources import moment, signature
from funnel.pipeline.run.work import RESULT, Result, Writing
from funnel.ranker.group import check_cluster
from funnel.stages.value import values_read


@dataclass(frozen=True)
class PipelineStep:
    """A step of a run.

    after: the steps whose results it reads. inputs: what else its result depends on. do: the work. there:
    whether what it wrote to a store still exists.
    """

    name: str
    after: tuple[str, ...]
    inputs: Callable[[Context], dict[str, Any]]
    do: Callable[[Context, Writing], None]
    there: Callable[[Context, Result], bool] = lambda run, result: True


def _ingest(run: Context, out: Writing) -> None:
    """Read the source into clean tables; no later step reads the source again."""
    before = out.inputs["files"]
    data = read(run.config.data)
    out.inputs["files"] = signature(run.config.data)  # reading may have made them
    if before and out.inputs["files"] != before:
        raise DataError(f"{run.config.data.path} was changed while it was read: run again when it is whole")
    data.save(out.folder / "data")
    (out.folder / "notes.json").write_text(json.dumps(data.notes))
    out.output = data.checksum()
    out.facts = {"events": len(data.event_table), "users": len(data.users), "items": len(data.items)}
    run.dataset = data


def _validate(run: Context, out: Writing) -> None:
    check_cluster(run.config.scale.list_shards)
    beside = checks.check(run.prepared, run.indexes)
    out.facts = {"windows": windows(run.prepared), "beside": beside}
    (out.folder / "validated.json").write_text(json.dumps(out.facts))


def _train(run: Context, out: Writing) -> None:
    """Train the towers, or take those that equal inputs gave before, also in `funnel train`."""
    start = training.starting_version(run.embeddings, run.start_from, run.config.name)
    kept = None
    if "train" not in run.forced:
        kept = training.trained_before(run.prepared, run.embeddings, start)
    if kept is not None:
        training.restore(run.embeddings.path(kept.version), out.folder)
        out.facts = {"as": kept.version}
        return
    out.facts = training.fit_towers(
        run.prepared,
        out.folder,
        start_from=None if start is None else run.embeddings.path(start.version),
        checkpoint=run.work.checkpoint(out.key),
        progress=run.progress,
    )
    if start is not None:
        out.facts["start_from"] = start.version


def _export(run: Context, out: Writing) -> None:
    with run.embeddings.writing(run.config.name) as draft:
        training.write_version(run.prepared, run.folder("train"), draft)
        (draft.folder / training.TRAINING / RESULT).unlink()  # when it was made is no part of what it is
    _leave(out, run.embeddings, draft.version)
    retain(run.embeddings, run.config.store.keep, also=[draft.version])


def _build(run: Context, out: Writing) -> None:
    towers = run.embeddings.path(run.results["export"].output)
    out.facts = write_parts(run.prepared, towers, out.folder)


def _rank(run: Context, out: Writing) -> None:
    check_cluster(run.config.scale.list_shards)
    towers = run.embeddings.path(run.results["export"].output)
    out.facts = add_ranker(run.prepared, towers, run.folder("build"), out.folder)


def _evaluate(run: Context, out: Writing) -> None:
    """Copy the parts into a bundle and evaluate it. The next run reads the parts, which stay as they are."""
    with run.indexes.writing(run.config.name) as draft:
        for step in ("build", "rank"):
            shutil.copytree(
                run.folder(step), draft.folder, ignore=shutil.ignore_patterns(RESULT), dirs_exist_ok=True
            )
        finish(run.prepared, draft, progress=run.progress)
    retain(run.indexes, run.config.store.keep, also=[draft.version, *arm_bundles(run.indexes.folder)])
    manifest = _leave(out, run.indexes, draft.version)
    out.facts |= {"metrics": manifest.metrics, "fallback": list(manifest.fallback)}


def _gate(run: Context, out: Writing) -> None:
    version = run.results["evaluate"].output
    held = [*settle(run.indexes, run.config), *ended_where_harmful(run.indexes, run.config)]
    verdict = judge(run.indexes, version, run.config.gates)
    verdict = verdict.model_copy(update={"findings": (*verdict.findings, *held)})
    if run.indexes.published() != version:  # published by hand, past the gates
        refuse_failed(verdict)
    (out.folder / "verdict.json").write_text(verdict.model_dump_json(indent=1))
    out.facts = {"gates": len(verdict.findings), "beside": verdict.beside}


def _publish(run: Context, out: Writing) -> None:
    verdict = Verdict.model_validate_json((run.folder("gate") / "verdict.json").read_bytes())
    if run.config.store.key:  # before it is published: whoever copies what is published finds it signed
        out.facts["signed"] = run.indexes.sign(verdict.version, Path(run.config.store.key))
    if run.indexes.published() != verdict.version:
        serve(run.indexes, verdict)
    out.output = verdict.version
    out.facts["served"] = verdict.served


def _signed(run: Context) -> dict[str, Any]:
    """Who signs, where anybody does."""
    key = run.config.store.key
    return {**run.sections(), **({"signed": signing.public(Path(key))} if key else {})}


def _leave(out: Writing, store: Store, version: str) -> Manifest:
    """Record that the step's result is a version of a store."""
    manifest = Manifest.load(store.path(version))
    out.output, out.facts = version, {"version": version}
    out.bytes = sum(entry.bytes for entry in manifest.files.values())
    return manifest


def _beside(run: Context) -> str | None:
    """The bundle to compare with: the published one, or, once this bundle was published, the one before it.

    So an unchanged run does nothing, and a bundle that was rolled back by hand is not published again the
    next night.
    """
    done = run.work.latest("publish")
    if done is not None and done.output == run.results["evaluate"].output:
        return str(done.facts["served"]) if done.facts["served"] else None
    return run.indexes.published()


def _checked(run: Context) -> dict[str, Any]:
    """The inputs of the checks: whatever of the config they read, so that what is wrong is told before the
    towers are trained."""
    sections = run.sections(
        "split", "events", "context", "seed", "gates", "index", "features", "retrieve", "rank", "rules"
    )
    ranker = {"missed", "impressions", "lists"}  # the last two: which probabilities there are to be named
    of_ranker = run.config.ranker.model_dump(mode="json", include=ranker)
    return {**sections, "d": run.config.towers.d, "ranker": of_ranker}


def _anchor(run: Context) -> str | None:
    """The anchor to compare with; None where it is the bundle itself, as after a first publication."""
    anchor = run.indexes.anchor()
    return None if anchor == run.results["evaluate"].output else anchor


STEPS = (
    PipelineStep(
        "ingest",
        (),
        lambda run: {**run.sections("data"), "files": signature(run.config.data), **moment(run.config.data)},
        _ingest,
    ),
    PipelineStep("validate", ("ingest",), _checked, _validate),
    PipelineStep(
        "train",
        ("ingest",),
        lambda run: {
            **run.sections("split", "events", "context", "seed", "towers"),
            **({"shards": shards} if (shards := run.config.scale.item_shards) > 1 else {}),
        },
        _train,
    ),
    PipelineStep(
        "export",
        ("train",),
        lambda run: run.sections(),
        _export,
        there=lambda run, result: (run.embeddings.folder / result.output).is_dir(),
    ),
    PipelineStep(
        "build",
        ("ingest", "export"),
        lambda run: {
            **run.sections("split", "events", "context", "seed", "index", "encoder"),
            **({} if wants_factors(run.config) else {"factors": False}),
        },
        _build,
    ),
    PipelineStep(
        "rank",
        ("ingest", "export", "build"),
        lambda run: {
            **run.sections("split", "events", "context", "seed", "features", "retrieve", "ranker"),
            **({"worth": reads} if (reads := values_read(run.config.rank)) else {}),
            **({"shards": shards} if (shards := run.config.scale.list_shards) > 1 else {}),
        },
        _rank,
    ),
    PipelineStep(
        "evaluate",
        ("ingest", "build", "rank"),
        lambda run: {
            **run.sections(
                "split", "events", "context", "seed", "features", "retrieve", "rerank", "rules", "evaluate"
            ),
            "value": run.sections("rank")["rank"],  # the step of that name has its result under it
            "holdout": run.config.gates.holdout,
            **run.sections(*WHILE_SERVED),
            **(run.sections("explore") if run.config.explore.is_on else {}),
        },
        _evaluate,
        there=lambda run, result: (run.indexes.folder / result.output).is_dir(),
    ),
    PipelineStep(
        "gate",
        ("evaluate",),
        lambda run: {**run.sections("gates"), "beside": _beside(run), "anchor": _anchor(run)},
        _gate,
    ),
    PipelineStep("publish", ("evaluate", "gate"), _signed, _publish),
)

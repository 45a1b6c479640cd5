"""Build a bundle from trained towers: index, statistics, ranker, report; written as one version."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from funnel.artifacts import Draft, Store
from funnel.artifacts.retention import retain
from funnel.bundle.contents import Contents, load_contents, save_settings
from funnel.bundle.holdout import HOLDOUT
from funnel.evaluation import Report
from funnel.evaluation.advice import Origin, RankerOutcome
from funnel.experiments.running import arm_bundles
from funnel.gates.explored import choose
from funnel.pipeline.bundle_parts import TRAINED, configured, write_parts
from funnel.pipeline.checks import check
from funnel.pipeline.held_out import holdout_of, sample
from funnel.pipeline.manifest import manifest_fields
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.progress import step
from funnel.pipeline.ranker_parts import RANKED, add_ranker
from funnel.pipeline.report import ranker_is_better, report_on, write_report
from funnel.ranker import Ranker
from funnel.ranker.group import check_cluster

#: Why a bundle keeps the retrieval order.
NOT_BETTER_HELD_OUT = "ranker_not_better_on_other_users"
NOT_BETTER_ON_TEST = "ranker_not_better_on_test"


@dataclass(frozen=True)
class Built:
    """A bundle that was written, its report on the test window, and three users of that window to try."""

    version: str
    folder: Path
    report: Report
    users: tuple[str, ...]


def build(
    prepared: Prepared, towers: str | Path, store: Store | str | Path, *, progress: bool = False
) -> Built:
    """Build the index, train the ranker, evaluate, and write a bundle as a new version of the store.

    towers: the folder that `train_towers` returned. store: or its folder. The bundle that is evaluated
    was loaded from disk. The ranker is left out when it is not better than the retrieval order, either on
    users of its own window that it was not trained on, or on the test window; the report and the manifest
    then say so.
    Raises: see `funnel.pipeline.checks.check`.

        built = build(prepared, towers, Store("indexes"))
    """
    towers, store = Path(towers), Store.of(store)
    check_cluster(prepared.config.scale.list_shards)
    check(prepared, store)
    with store.writing(prepared.config.name) as draft:
        with step("index the items"):
            write_parts(prepared, towers, draft.folder)
        add_ranker(prepared, towers, draft.folder, draft.folder)
        report, users = finish(prepared, draft, progress=progress)
    retain(store, prepared.config.store.keep, also=[draft.version, *arm_bundles(store.folder)])
    return Built(draft.version, store.path(draft.version), report, users)


def finish(prepared: Prepared, draft: Draft, *, progress: bool = False) -> tuple[Report, tuple[str, ...]]:
    """Evaluate the parts and the ranker in a draft, and write report, holdout and manifest.

    Returns the report, and users of the test window to try.
    """
    config, folder = prepared.config, draft.folder
    ranked, trained = (json.loads((folder / name).read_text()) for name in (RANKED, TRAINED))
    for name in (RANKED, TRAINED):
        (folder / name).unlink()
    origin = Origin.model_validate({**trained, "ranker": ranked["outcome"]})
    ranker = Ranker.load(folder / "ranker") if (folder / "ranker").is_dir() else None
    contents = replace(configured(folder, config), weights=ranked["weights"])
    if ranker is not None:
        contents = contents.with_ranker(ranker, folder / "ranker")
    save_settings(folder, contents)
    notes, fallback = list(ranked["notes"]), [] if ranker is not None else [NOT_BETTER_HELD_OUT]
    with step("evaluate"):
        report = report_on(load_contents(folder), prepared, origin=origin, notes=notes, progress=progress)
    if ranker is not None and not ranker_is_better(report):
        fallback = [NOT_BETTER_ON_TEST]
        sentence = report.comparison("rank", "retrieve").sentence
        notes.append(f"{sentence}: the retrieval order is kept")
        left_out = RankerOutcome.model_validate({**ranked["outcome"], "left_out": sentence})
        origin = origin.model_copy(update={"ranker": left_out})
        save_settings(folder, contents.without_ranker())
        with step("evaluate without the ranker"):
            report = report_on(load_contents(folder), prepared, origin=origin, notes=notes, progress=progress)
    notes += [advice.sentence for advice in report.advice if advice.about == "part_better"]
    contents = load_contents(folder)
    if config.explore.is_on:
        with step("choose how lists are drawn"):
            contents = _exploring(contents, prepared, folder, notes)
    with step("write the report"):
        examples = write_report(report, contents, prepared, folder)
        holdout_of(contents, prepared).save(folder / HOLDOUT)
    draft.describe(**manifest_fields(prepared, contents, report, fallback, notes))
    return report, tuple(example["user"] for example in examples)


def _exploring(contents: Contents, prepared: Prepared, folder: Path, notes: list[str]) -> Contents:
    """The contents with what their lists are drawn by, saved; and a note on what that loses."""
    config = prepared.config
    examples = sample(prepared.split.test, config.gates.holdout, config.seed)
    drawing, sentence = choose(contents, examples, config.explore, config.seed)
    notes.append(sentence)
    contents = replace(contents, explore=drawing)
    save_settings(folder, contents)
    return contents

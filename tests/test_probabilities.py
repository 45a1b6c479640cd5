"""Probabilities from the build to the answer: what they are of, where they are kept, and who watches them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import funnel
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents
from funnel.evaluation import Report
from funnel.gates import GatesConfig, judge
from funnel.gates.judged import Judged
from funnel.gates.probabilities import calibration
from tests.tiny import TinyBuild


@pytest.fixture(scope="module")
def live(built: TinyBuild) -> funnel.Live:
    return funnel.Live(built.indexes)


def test_every_item_has_a_probability_and_the_order_is_kept(built: TinyBuild, live: funnel.Live) -> None:
    for user in built.built.users:
        chances = [item.probabilities["event"] for item in live.recommend(int(user), k=20).items]
        assert len(chances) == 20
        assert all(0 < chance < 1 for chance in chances)
        assert chances == sorted(chances, reverse=True)


def test_they_are_in_every_form_of_an_answer(built: TinyBuild, live: funnel.Live) -> None:
    answer = live.recommend(int(built.built.users[0]))
    chances = [item.probabilities["event"] for item in answer.items]
    written = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
    assert [item["probabilities"]["event"] for item in written["items"]] == chances
    assert answer.to_frame()["probabilities.event"].tolist() == chances


def test_many_users_get_the_same_as_one_by_one(built: TinyBuild, live: funnel.Live) -> None:
    users = [int(user) for user in built.built.users]
    for user, answer in zip(users, live.recommend_many(users), strict=True):
        alone = live.recommend(user)
        assert [item.probabilities for item in answer.items] == [item.probabilities for item in alone.items]


def test_diversity_changes_scores_and_no_probability(built: TinyBuild) -> None:
    """A later stage has scores of its own; what is probable goes by the ranker's."""
    contents = load_contents(Store(built.indexes).path(built.built.version))
    mixed = replace(contents, rerank=contents.rerank.model_copy(update={"trade_off": 0.3}))
    live = funnel.Live(built.indexes)
    user = int(built.built.users[0])
    straight = {item.item_id: item.probabilities for item in live.recommend(user, k=100).items}
    live.overlay.loaded = live.overlay.loaded.with_contents(replace(mixed, own=None))
    answer = live.recommend(user, k=10)
    assert [item.item_id for item in answer.items] != list(straight)[:10]
    assert [item.probabilities for item in answer.items] == [straight[one.item_id] for one in answer.items]


def test_none_where_a_deadline_left_the_ranker_out(built: TinyBuild) -> None:
    live = funnel.Live(built.indexes)
    user = int(built.built.users[0])
    for _ in range(30):  # until it is known how long ranking takes
        live.recommend(user)
    answer = live.recommend(user, deadline=1e-6)
    assert "skipped:rank" in answer.reasons
    assert all(item.probabilities == {} for item in answer.items)


def test_a_bundle_of_before_has_none_and_serves(built: TinyBuild, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(Store(built.indexes).path(built.built.version), folder)
    (folder / "ranker" / "probabilities.json").unlink()
    contents = load_contents(folder)
    assert contents.ranker is not None
    assert contents.heads == {}


def test_the_file_is_part_of_the_fingerprint(built: TinyBuild) -> None:
    store = Store(built.indexes)
    assert "ranker/probabilities.json" in store.verify(built.built.version).files


def test_they_come_from_whole_lists_of_other_users(built: TinyBuild) -> None:
    """Training lists have a tenth of the candidates that were not taken; what is calibrated on has all."""
    head = load_contents(Store(built.indexes).path(built.built.version)).heads["event"]
    prepared = built.prepared
    assert head.rows == len(prepared.split.ranker) * min(100, len(prepared.dataset.items))
    assert set(head.log_loss) == {"platt", "beta", "isotonic"}
    assert head.log_loss[head.calibration.method] == min(head.log_loss.values())


def test_the_report_says_how_right_they_are(built: TinyBuild) -> None:
    """By hand from the lists that the ranker leaves on the test window."""
    contents = load_contents(Store(built.indexes).path(built.built.version))
    examples = built.prepared.split.test
    happened, chances = [], []
    for step in contents.funnel().trace(examples.requests):
        if step.name == "rank":
            for row in range(len(examples)):
                items = step.candidates.items[row]
                items = items[items >= 0]
                taken = set(examples.targets[row].tolist())
                happened += [item in taken for item in items.tolist()]
                chances += contents.heads["event"](step.candidates.scores[row, : len(items)]).tolist()
    (measured,) = Report.load(Store(built.indexes).path(built.built.version) / "report.json").probabilities
    assert (measured.rows, measured.positives) == (len(happened), sum(happened))
    assert measured.ratio.mean == pytest.approx(sum(chances) / sum(happened))
    loss = -np.mean([np.log(p) if y else np.log(1 - p) for p, y in zip(chances, happened, strict=True)])
    assert measured.log_loss.mean == pytest.approx(loss)
    base = np.mean(happened)
    entropy = -(base * np.log(base) + (1 - base) * np.log(1 - base))
    assert measured.normalised_entropy.mean == pytest.approx(loss / entropy)
    assert measured.normalised_entropy.hi < 1
    assert measured.ece.mean < 0.02


def test_the_report_has_parts_by_what_is_known_before(built: TinyBuild) -> None:
    folder = Store(built.indexes).path(built.built.version)
    (measured,) = Report.load(folder / "report.json").probabilities
    names = [part.name for part in measured.slices]
    assert "items of the long tail" in names
    assert any(name.startswith("items.genres = ") for name in names)
    by_name = {part.name: part.rows for part in measured.slices}
    assert by_name["popular items"] + by_name["items of the long tail"] == measured.rows
    page = (folder / "report.html").read_text()
    assert "How right probabilities are: p_event" in page
    assert "items of the long tail" in page


def test_the_gate_passes_what_is_right(built: TinyBuild) -> None:
    verdict = judge(Store(built.indexes), built.built.version)
    assert [one.passed for one in verdict.findings if one.gate == "calibration"] == [True, True]


@pytest.mark.parametrize("times", [0.2, 5.0])
def test_the_gate_fails_where_they_are_off(times: float, built: TinyBuild) -> None:
    judged = Judged.load(Store(built.indexes), built.built.version)
    head = judged.contents.heads["event"]

    class Off:
        calibration, kind = head.calibration, None

        def __call__(self, scores: np.ndarray) -> np.ndarray:
            return np.minimum(1.0, times * head(scores))

    contents = replace(judged.contents, heads={"event": Off()})  # type: ignore[dict-item]
    findings = calibration(contents, judged.schema, judged.holdout.examples, GatesConfig(), 0)
    assert any(not one.passed for one in findings)


def test_the_threshold_is_the_configs(built: TinyBuild) -> None:
    judged = Judged.load(Store(built.indexes), built.built.version)
    strict = GatesConfig(calibration_ratio=1.0, calibration_error=0.0)
    findings = calibration(judged.contents, judged.schema, judged.holdout.examples, strict, 0)
    assert [one.limit for one in findings] == [0.0, 1.0]


def test_the_gate_fails_where_nothing_happened(built: TinyBuild) -> None:
    """One that cannot look fails: no target of these requests is in the catalogue."""
    judged = Judged.load(Store(built.indexes), built.built.version)
    examples = judged.holdout.examples
    nowhere = np.full_like(np.asarray(examples.targets.values), len(judged.contents.catalogue.ids))
    none = replace(examples, targets=replace(examples.targets, values=nowhere))
    (finding,) = calibration(judged.contents, judged.schema, none, GatesConfig(), 0)
    assert not finding.passed
    assert "nothing says how probable" in finding.sentence

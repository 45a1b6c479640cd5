"""What the report's figures are means of, and the lists in the forms of other evaluators."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stub_world import World, evaluation

from funnel.errors import BundleError, ConfigError, DataError, FunnelError
from funnel.evaluation import Evaluation, Report
from funnel.evaluation.trec import field
from funnel.types import Examples

K = 10


@pytest.fixture(scope="module")
def found(world: World) -> Evaluation:
    """Each user twice, and ids that would divide a line."""
    twice = Examples(world.examples.requests, world.examples.targets).take(np.arange(600) % 300)
    users = np.array([f"user {row}" for row in range(300)])
    items = np.array([f"item\t{row}%20" for row in range(400)])
    rows = ["popular", "retrieve", "rank", "rerank"]
    return evaluation(world, twice, lists=rows).named(users, items)


def ndcg(shown: list[str], right: set[str], k: int) -> float:
    """Slow and exact."""
    gain = sum(1 / math.log2(position + 2) for position, item in enumerate(shown[:k]) if item in right)
    best = sum(1 / math.log2(position + 2) for position in range(min(k, len(right))))
    return gain / best if right else 0.0


def means(frame: pd.DataFrame) -> dict[str, float]:
    return frame.drop(columns=["request", "user_id", "time", "row"]).mean().dropna().to_dict()


def test_the_means_over_requests_are_the_reports_figures(found: Evaluation) -> None:
    frame = found.per_request()
    assert len(frame) == 600 * len(found.report.rows)
    for row in found.report.rows:
        wanted = {name: value.mean for name, value in row.metrics.items()} | {"recall": row.recall.mean}
        assert means(frame[frame["row"] == row.name]) == pytest.approx(wanted, abs=1e-12)


def test_each_request_says_whose_it_is(found: Evaluation, world: World) -> None:
    frame = found.per_request("rerank")
    assert frame["request"].tolist() == list(range(600))
    assert frame["user_id"].tolist() == [f"user {row % 300}" for row in range(600)]
    assert frame["time"].tolist() == world.examples.requests.times[np.arange(600) % 300].tolist()


def test_pieces_together_are_the_whole(found: Evaluation) -> None:
    pieces = [found.per_request("rank", start=start, stop=start + 250) for start in (0, 250, 500)]
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), found.per_request("rank"))


def test_users_weighted_by_their_requests_give_the_report(found: Evaluation) -> None:
    frame = found.per_user("rerank")
    assert len(frame) == 300
    assert (frame["requests"] == 2).all()
    mean = np.average(frame[f"ndcg@{K}"], weights=frame["requests"])
    assert mean == pytest.approx(found.report.row("rerank").metrics[f"ndcg@{K}"].mean, abs=1e-12)


def test_who_is_not_known_has_no_row_of_users(found: Evaluation) -> None:
    users = np.where(np.arange(600) < 300, -1, found.users).astype(np.int32)
    some = replace(found, users=users)
    assert len(some.per_user("rank")) == 300
    assert (some.per_user("rank")["requests"] == 1).all()
    assert some.per_request("rank")["user_id"].isna().sum() == 300


def test_metrics_of_plugins_are_among_them(world: World) -> None:
    def first(positions: object, k: int) -> object:
        return np.bincount(positions.list_of, weights=positions.values == 0, minlength=len(positions))  # type: ignore[attr-defined]

    found = evaluation(world, also={"first": first})
    frame = found.per_request("rerank")
    assert frame[f"first@{K}"].mean() == pytest.approx(found.report.row("rerank").metrics[f"first@{K}"].mean)


@pytest.mark.parametrize("row", ["popular", "retrieve", "rank", None])
def test_ndcg_of_the_dicts_is_the_reports(found: Evaluation, row: str | None) -> None:
    run, qrels = found.run(row), found.qrels()
    k = {"retrieve": 100, "rank": 50}.get(str(row), K)
    said = []
    for request, right in qrels.items():
        shown = sorted(run[request], key=lambda item: -run[request][item])
        said.append(ndcg(shown, set(right), k))
    wanted = found.report.row(row or "rerank").metrics[f"ndcg@{k}"].mean
    assert np.mean(said) == pytest.approx(wanted, abs=1e-12)
    frame = found.per_request(row or "rerank")
    np.testing.assert_allclose(frame[f"ndcg@{k}"], said, atol=1e-12)


def test_trec_evals_figures_are_the_reports(found: Evaluation) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    measures = {"ndcg_cut.10", "recall.10", "map_cut.10"}
    figures = pytrec_eval.RelevanceEvaluator(found.qrels(), measures).evaluate(found.run())
    metrics = found.report.row("rerank").metrics
    for theirs, ours in (("ndcg_cut_10", "ndcg"), ("recall_10", "recall"), ("map_cut_10", "map")):
        total = sum(one[theirs] for one in figures.values())
        assert total / len(found) == pytest.approx(metrics[f"{ours}@{K}"].mean, abs=1e-6)


def test_objects_of_ranx_have_what_the_dicts_have(found: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ranx takes them: in its place stands what keeps its arguments."""

    def kept(of: dict[str, Any], name: str | None = None) -> SimpleNamespace:
        return SimpleNamespace(of=of, name=name)

    kind = SimpleNamespace(from_dict=kept)
    monkeypatch.setitem(sys.modules, "ranx", SimpleNamespace(Qrels=kind, Run=kind))
    for row in ("rank", None):
        qrels, run = found.ranx(row)
        assert qrels.of == found.qrels()
        assert (run.of, run.name) == (found.run(row), row or "rerank")


def test_ranx_has_the_reports_figures(found: Evaluation) -> None:
    """It compiles for twenty seconds."""
    import ranx

    qrels, run = found.ranx()
    figures = ranx.evaluate(qrels, run, [f"ndcg@{K}", f"mrr@{K}", f"hit_rate@{K}"])
    metrics = found.report.row("rerank").metrics
    assert run.name == "rerank"
    for name, value in figures.items():
        assert value == pytest.approx(metrics[name].mean, abs=1e-6)


def test_the_files_say_what_the_dicts_say(found: Evaluation, tmp_path: Path) -> None:
    found.write_run(str(tmp_path / "run.trec"), "rank", tag="my tag")
    found.write_qrels(tmp_path / "qrels.trec")
    run: dict[str, dict[str, float]] = {request: {} for request in found.run("rank")}
    ranks: dict[str, list[int]] = {}
    for line in (tmp_path / "run.trec").read_text().splitlines():
        request, zero, item, rank, score, tag = line.split(" ")
        assert (zero, tag) == ("Q0", "my%20tag")
        run[request][unquote(item)] = float(score)
        ranks.setdefault(request, []).append(int(rank))
    assert run == found.run("rank")
    assert all(found == list(range(1, len(found) + 1)) for found in ranks.values())
    right: dict[str, dict[str, int]] = {}
    for line in (tmp_path / "qrels.trec").read_text().splitlines():
        request, zero, item, grade = line.split(" ")
        assert zero == "0"
        right.setdefault(request, {})[unquote(item)] = int(grade)
    assert right == found.qrels()


@given(st.text(min_size=1))
def test_an_id_is_one_field_and_can_be_read_back(text: str) -> None:
    written = field(text)
    assert len(written.split()) == 1
    assert unquote(written) == text


def test_a_request_without_a_list_counts_as_missed(found: Evaluation) -> None:
    none = replace(found, lists={"rerank": np.full_like(found.lists["rerank"], -1)})
    assert set(none.run()) == set(none.qrels())
    assert not any(none.run().values())


def test_the_table_is_written_in_pieces(
    found: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["funnel.evaluation.evaluation"], "PIECE", 70)
    for name, read in (("a.parquet", pd.read_parquet), ("a.csv", pd.read_csv)):
        found.save_per_request(str(tmp_path / name))
        wanted = found.per_request().sort_values(["request", "row"], ignore_index=True)
        again = read(tmp_path / name).sort_values(["request", "row"], ignore_index=True)
        pd.testing.assert_frame_equal(again, wanted, check_dtype=False, atol=1e-9)


def test_what_cannot_be_had_is_said(
    found: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"'co-visitation' were not kept \(kept: popular, retrieve"):
        found.run("co-visitation")
    with pytest.raises(KeyError, match="no row 'nothing'"):
        found.per_request("nothing")
    with pytest.raises(ConfigError, match=r"ends in \.parquet or \.csv"):
        found.save_per_request(tmp_path / "a.json")
    with pytest.raises(BundleError, match="cannot be written"):
        found.write_run(tmp_path / "nowhere" / "run.trec")
    monkeypatch.setitem(sys.modules, "ranx", None)
    with pytest.raises(FunnelError, match="pip install ranx"):
        found.ranx()


def test_a_file_that_cannot_be_finished_leaves_nothing(found: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "run.trec").write_text("before")
    broken = replace(found, item_ids=np.array(["only one"]))
    with pytest.raises(IndexError):
        broken.write_run(tmp_path / "run.trec")
    assert [path.name for path in tmp_path.iterdir()] == ["run.trec"]
    assert (tmp_path / "run.trec").read_text() == "before"


def test_the_report_is_the_same_whatever_is_kept(found: Evaluation, world: World) -> None:
    twice = Examples(world.examples.requests, world.examples.targets).take(np.arange(600) % 300)
    plain = evaluation(world, twice)
    assert plain.lists == {}

    def figures(report: Report) -> list[object]:
        return [(row.name, row.metrics, row.recall) for row in report.rows]

    assert figures(plain.report) == figures(found.report)

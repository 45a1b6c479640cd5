"""Tables at 80 columns: no figure, no id and no name is cut, and nothing is read as markup."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import funnel
from funnel import show
from funnel.artifacts import Manifest, Store
from funnel.bench import Measured
from funnel.catalogue.tables import Catalogue
from funnel.evaluation import Latency
from funnel.evaluation.frontier import Frontier, Point
from funnel.gates import Finding, Verdict
from funnel.gates.comparable import Marked
from funnel.gates.diff import Answers, BundleDifference, Change
from funnel.profile.figures import profile as make_profile
from funnel.serving.live import Live
from funnel.serving.response import Answer, Recommendation
from funnel.terminal import plain, say, table
from tests.tiny import TinyBuild

#: Names that nobody would give, each of a letter that nothing else has.
LONG = "Ж" * 90
OTHER = "Щ" * 90


def printed(draw: Callable[[Console], object], width: int = 80, *, dots: bool = False) -> str:
    """dots: some are meant."""
    out = Console(width=width, file=io.StringIO(), color_system=None)
    draw(out)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert max(len(line) for line in text.splitlines()) <= width
    assert dots or "…" not in text
    return text


def is_whole(text: str, *parts: object) -> None:
    """Figures stand on one line; long names may be folded, and every letter of them is there."""
    for part in map(str, parts):
        if set(part) <= {"Ж", "Щ"}:
            assert text.count(part[0]) >= len(part)
        else:
            assert part in text


def manifest(version: str, **metrics: float) -> Manifest:
    return Manifest(
        name="x", version=version, fingerprint="f", created="2026-01-02T03:04:05", files={}, metrics=metrics
    )


def test_bundles() -> None:
    many = {f"ndcg@{k}": k / 1000 for k in (5, 10, 20, 50, 100, 500, 1000)}
    found = [manifest(LONG, **many), manifest("short", **{"recall@10": 0.7654})]
    on = [Marked(mark="a1", rules="x: global time; protocol event"), Marked(mark="?", rules=None)]
    text = printed(lambda out: show.bundles(found, {"short": "current"}, on, out))
    is_whole(text, LONG, "short", "current", "0.7654", "2026-01-02T03:04", "a1", "?")
    is_whole(text, *(f"{value:.4f}" for value in many.values()), *many)


def test_a_report_that_nothing_is_cut_of(built: TinyBuild) -> None:
    report = built.built.report
    rows = tuple(
        row.model_copy(update={"name": LONG if row.name == "retrieve" else row.name}) for row in report.rows
    )
    text = printed(lambda out: show.report(report.model_copy(update={"rows": rows}), out))
    is_whole(text, LONG, "recent-popular", "recall of all", "targets lost here", "coverage", "popularity")
    is_whole(text, "p99 ms", "requests/s", "95% interval", "MAP@10", "whole funnel")


def test_bench() -> None:
    at = Latency(p50=1234567.25, p95=2345678.25, p99=3456789.25)
    found = Measured(
        version=LONG, requests=9, batch=4, stages={OTHER: at}, total=at, throughput=1e6, machine="m [x86]"
    )
    text = printed(lambda out: show.bench(found, out))
    is_whole(text, LONG, OTHER, "1234567.25", "3456789.25", "whole funnel", "m [x86]")


def test_diff() -> None:
    change = Change(shared=10**7, gone=3, new=2, examples_gone=(OTHER,), examples_new=("[red]x[/red]",))
    answers = Answers(requests=10**4, k=10, overlap=0.5, same_first=0.25, same_list=0.125, score=0.0625)
    found = BundleDifference(
        a=LONG, b="b", metrics={"ndcg@10": (0.1234, None)}, unlike=("reading: event and window",),
        config={f"retrieve.options.{'x' * 40}": ("[bold]", 0.5)},
        features=change, items=change, users=change, answers=answers,
    )  # fmt: skip
    text = printed(lambda out: show.difference(found, out))
    is_whole(text, LONG, OTHER, "0.1234", "[red]x[/red]", "[bold]", "reading: event and window")
    assert text.count("x") >= 40
    same = printed(lambda out: show.difference(found.model_copy(update={"unlike": ()}), out))
    assert "do not compare" in text
    assert "do not compare" not in same


def test_a_verdict() -> None:
    findings = (
        Finding(gate="stages", passed=True, value=1.0, limit=0.5, sentence=f"share of [tail] {LONG}"),
        Finding(gate=OTHER, passed=False, value=1.0, limit=0.5, sentence="x"),
    )
    found = Verdict(version="v", served=None, beside=None, figures={}, findings=findings)
    text = printed(lambda out: show.verdict(found, out))
    is_whole(text, LONG, OTHER, "[tail]", "passed", "failed")


def test_the_frontier() -> None:
    points = tuple(
        Point(spec=spec, params={"nprobe": 1024}, recall=recall, ms=ms, bytes=2**40, build_seconds=1e5)
        for spec, recall, ms in ((LONG, 0.9876, 1234.567), ("Flat", 0.9812, 1.5))
    )
    sizes = {"size": 10**9, "dimension": 64, "queries": 50, "k": 500, "goal": 0.98}
    found = Frontier(points=points, failed={"a[b]": "[c]"}, **sizes)
    text = printed(lambda out: show.frontier(found, out))
    is_whole(text, LONG, "0.9876", "1234.567", "1048576.0", "100000.0", "nprobe=1024", "left out a[b]: [c]")


def test_an_explanation() -> None:
    found = {"base": 0.5, LONG: -12345.678, "item.[tags]": 1.0}
    text = printed(lambda out: show.explanation(found, out))
    is_whole(text, LONG, "-12345.678", "item.[tags]", "score")


def test_answers_with_text_ids(built: TinyBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(built.indexes)
    monkeypatch.setattr(Catalogue, "title", lambda self, item: str(item))
    found = {"score": -1234.567, "sources": {"towers": 499, "x" * 40: 500}, "reasons": (), "attributes": {}}
    answer = Answer(
        user_id=OTHER,
        items=tuple(Recommendation(item_id=name, **found) for name in (LONG, "[bold]sale[/bold]")),
        version=live.version,
        reasons=("unknown_user",),
        milliseconds={},
    )
    text = printed(lambda out: show.answer(answer, live, out))
    is_whole(text, LONG, OTHER, "[bold]sale[/bold]", "-1234.567", "towers#499", "unknown_user")
    assert text.count("x") >= 80
    live.close()


def test_no_text_is_obeyed_by_the_terminal() -> None:
    """Neither what begins a command to it, nor what turns the order of letters, nor a further line."""
    hostile = "\x1b[2J\x9b31m\u202eRTL\nnew\ttab"
    rows = table(hostile, hostile, "b", text=(0, 1))
    rows.add_row(hostile, hostile)
    escaped = r"\x1b[2J\x9b31m\u202eRTL\nnew\ttab"
    text = printed(lambda out: out.print(rows), 160)
    assert text.count(escaped) == 4
    assert printed(lambda out: say(hostile, out)) == f"{escaped}\n"
    assert printed(lambda out: say("emoji 🎬, família", out)) == "emoji 🎬, família\n"


def test_nothing_is_printed_but_through_these() -> None:
    """A string that holds names or paths goes through `say` or `literal`: `Console.print` reads markup."""
    package = Path(str(funnel.__file__)).parent
    printing = re.compile(r"\.print\(\s*f[\"']")
    assert [
        path.name
        for room in ("cli", "show")
        for path in (package / room).glob("*.py")
        if printing.search(path.read_text())
    ] == []


def test_what_a_bundle_is(built: TinyBuild) -> None:
    live = Live(built.indexes)
    text = printed(lambda out: show.manifest(live, out), width=60)
    is_whole(text, live.version, live.manifest.fingerprint[:16], *live.manifest.metrics)
    live.close()


def test_a_profile(built: TinyBuild) -> None:
    config, data = built.config, built.prepared.dataset
    found = make_profile(data, config.split, config.seed)
    columns = [one.model_copy(update={"name": LONG}) if one.name == "title" else one for one in found.columns]
    named = found.model_copy(update={"columns": tuple(columns), "name": OTHER})
    text = printed(lambda out: show.profile(named, out), dots=True)
    is_whole(text, LONG, OTHER, "unexpected", "distinct", "top 1% have", "cold users", "history")
    is_whole(text, f"{found.rows['events']:,}", f"{found.users.mean:,.1f}", f"{found.items.most:,}")


@pytest.mark.parametrize("width", [20, 40, 79, 80, 200])
@pytest.mark.parametrize("make", [lambda *columns, **how: table("a title [b]", *columns, **how), plain])
def test_any_table_at_any_width(width: int, make: Any) -> None:
    """Columns that do not fit come below, behind the first again."""
    names = [f"column{number}" for number in range(12)]
    made = make("key", *names, text=(3,))
    for row in range(3):
        made.add_row(f"row {row}", *(f"{row}.{number:07}" for number in range(12)))
    text = printed(lambda out: out.print(made), width)
    is_whole(text, *names, *(f"{row}.{number:07}" for row in range(3) for number in range(12) if number != 2))
    assert ("row 0" in text) == ("row 2" in text)
    assert text.count("key") == text.count("row 1") >= (1 if width == 200 else 2)


def test_marks_of_what_was_measured(built: TinyBuild) -> None:
    from funnel.gates.comparable import marked, marks, measured_on, unlike

    store = Store(built.indexes)
    one = store.versions()[0]
    found = measured_on(store.path(one.version), one)
    assert found is not None
    assert unlike(found, found) == ()
    days = found.subject.model_copy(
        update={"windows": "global time: towers before 2020-01-01", "checksum": "x"}
    )
    later = found.model_copy(update={"subject": days})
    shown = found.model_copy(update={"subject": found.subject.model_copy(update={"protocol": "shown"})})
    fewer = found.model_copy(update={"split": {**found.split, "max_requests": 7}})
    other = found.model_copy(update={"subject": found.subject.model_copy(update={"dataset": "other"})})
    many = [found, later, shown, fewer, other, None, found]
    assert [mark.mark for mark in marks(many)] == ["a1", "a2", "b1", "c1", "d1", "?", "a1"]
    assert [bool(unlike(found, each)) for each in many] == [False, True, True, True, True, True, False]
    assert "protocol: event and shown" in unlike(found, shown)
    assert "split.max_requests: None and 7" in unlike(found, fewer)
    assert "content of the data" in unlike(found, later)
    assert [mark.mark for mark in marked(store, [one, one])] == ["a1", "a1"]


def test_bundles_of_different_tasks_are_said_to_be() -> None:
    found = [manifest("one"), manifest("two"), manifest("three")]
    rules = [Marked(mark=mark, rules=f"rules {mark[0]}") for mark in ("a1", "a2", "b1")]
    text = " ".join(printed(lambda out: show.bundles(found, {}, rules, out)).split())
    assert "on a: rules a on b: rules b" in text
    assert "different letters are of different tasks: do not compare them" in text
    assert "other test windows or data" in text
    alone = printed(lambda out: show.bundles(found[:1], {}, rules[:1], out))
    assert "compare" not in alone
    assert "windows" not in alone

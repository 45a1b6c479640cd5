"""What the command line prints: answers, bundles and timings as rich tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from funnel.evaluation import as_table
from funnel.profile.table import as_table as profile_table
from funnel.serving.reasons import in_words
from funnel.terminal import table
from funnel.tune import advice

if TYPE_CHECKING:
    from funnel.artifacts import Manifest
    from funnel.bench import Measured
    from funnel.evaluation import Report
    from funnel.evaluation.frontier import Frontier
    from funnel.experiments.judging import Judgement
    from funnel.experiments.running import Running
    from funnel.gates import Verdict
    from funnel.gates.comparable import Marked
    from funnel.gates.diff import BundleDifference
    from funnel.monitoring.alarm import Alarm
    from funnel.monitoring.offline import ReplayFigures
    from funnel.off_policy.replay import Replay
    from funnel.pipeline.build import Built
    from funnel.profile.figures import Profile
    from funnel.serving.live import Live
    from funnel.serving.response import Answer


def report(report: Report, out: Console) -> None:
    """The report a stage."""
    out.print(as_table(report))


def profile(profile: Profile, out: Console) -> None:
    """A data set in figures."""
    out.print(profile_table(profile))


def published(built: Built, out: Console) -> None:
    """Where things are now."""
    out.print(f"published  {built.folder}", markup=False, highlight=False, soft_wrap=True)
    out.print(f"report     {built.folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True)


def answer(answer: Answer, live: Live, out: Console) -> None:
    """One user's items, with where they came from and why."""
    contents = live.contents
    title = contents.catalogue.title
    rows = table(f"user {answer.user_id}", "item", "score", "found by", "because", text=(2, 3))
    for item in answer.items:
        sources = " ".join(f"{name}#{rank}" for name, rank in item.sources.items())
        because = ", ".join(in_words(code, contents) for code in item.reasons)
        rows.add_row(title(item.item_id), f"{item.score:.3f}", sources, because)
    out.print(rows)
    latest = [title(item) for item in live.history(answer.user_id)[-5:]]
    if latest:
        out.print(f"  latest interactions: {', '.join(latest)}", style="dim", highlight=False, markup=False)
    if answer.reasons:
        out.print(f"  reason codes: {', '.join(answer.reasons)}", style="dim", highlight=False, markup=False)
    total = sum(answer.milliseconds.values())
    out.print(f"  bundle {answer.version}, {total:.1f} ms\n", style="dim", highlight=False, markup=False)


def explanation(contributions: dict[str, float], out: Console, most: int = 12) -> None:
    """The largest SHAP contributions."""
    rows = table("why the first item is first (SHAP)", "feature", "contribution")
    base = contributions.get("base", 0.0)
    ordered = [pair for pair in contributions.items() if pair[0] != "base"]
    for name, value in ordered[:most]:
        rows.add_row(name, f"{value:+.3f}")
    rest = sum(value for _, value in ordered[most:])
    rows.add_row(f"{max(0, len(ordered) - most)} others", f"{rest:+.3f}")
    rows.add_row("base", f"{base:+.3f}")
    rows.add_row("score", f"{sum(contributions.values()):+.3f}", style="bold")
    out.print(rows)


def values(answer: Answer, out: Console) -> None:
    """What each item's expected value is made of; nothing where lists are not ordered by one."""
    items = [item for item in answer.items if item.value]
    if not items:
        return
    names = list(items[0].value)
    parts = table("what the order goes by", "item", *names)
    for item in items:
        parts.add_row(str(item.item_id), *(f"{item.value[name]:.4g}" for name in names))
    out.print(parts)


def manifest(live: Live, out: Console) -> None:
    """What a bundle is."""
    about, contents = live.manifest, live.contents
    rows = table(live.version, "what", "value", text=(1,))
    rows.add_row("made", about.created)
    rows.add_row("fingerprint", about.fingerprint[:16])
    for name, (start, end) in about.data_window.items():
        rows.add_row(f"{name} window", f"{start} to {end}")
    rows.add_row("items, users", f"{len(contents.catalogue.ids):,}, {len(contents.users.ids):,}")
    rows.add_row("index", contents.index.spec)
    rows.add_row("sources", ", ".join(f"{name} {weight:.2f}" for name, weight in contents.weights.items()))
    rows.add_row(
        "order", "the ranker's" if contents.ranker else f"of retrieval ({', '.join(about.fallback)})"
    )
    for name, value in about.metrics.items():
        rows.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    size = sum(entry.bytes for entry in about.files.values())
    rows.add_row("files", f"{len(about.files)}, {size / 2**20:.1f} MiB, all verified")
    out.print(rows)
    if contents.ranker is not None:
        importance(live, out)


def importance(live: Live, out: Console, most: int = 12) -> None:
    """What the ranker looks at most."""
    assert live.contents.ranker is not None
    frame = live.contents.ranker.importance()
    rows = table("what the ranker looks at", "feature", "share of gain")
    for row in frame.head(most).to_dict("records"):
        rows.add_row(str(row["feature"]), f"{row['gain'] / frame['gain'].sum():.1%}")
    out.print(rows)


def bench(measured: Measured, out: Console) -> None:
    """Latency a stage, and throughput."""
    title = f"{measured.version}: {measured.requests} requests, one at a time, one thread"
    rows = table(title, "stage", "p50 ms", "p95 ms", "p99 ms")
    for name, at in measured.stages.items():
        rows.add_row(name, f"{at.p50:.2f}", f"{at.p95:.2f}", f"{at.p99:.2f}")
    total = measured.total
    rows.add_row("whole funnel", f"{total.p50:.2f}", f"{total.p95:.2f}", f"{total.p99:.2f}", style="bold")
    out.print(rows)
    out.print(
        f"in batches of {measured.batch}: {measured.throughput:,.0f} requests a second", highlight=False
    )
    out.print(measured.machine, style="dim", highlight=False, markup=False)


def bundles(
    manifests: Sequence[Manifest], marks: Mapping[str | None, str], measured: Sequence[Marked], out: Console
) -> None:
    """What is in a store. marks: which version is current, which previous. measured: on what, for each."""
    metrics = sorted({name for manifest in manifests for name in manifest.metrics})
    rows = table("bundles", "version", "", "made", *metrics, "on", "MiB", text=(1,))
    for manifest, on in zip(manifests, measured, strict=True):
        figures = [
            f"{value:.4f}" if (value := manifest.metrics.get(name)) is not None else "" for name in metrics
        ]
        size = sum(entry.bytes for entry in manifest.files.values()) / 2**20
        style = "bold" if marks.get(manifest.version) == "current" else None
        mark = marks.get(manifest.version, "")
        rows.add_row(
            manifest.version, mark, manifest.created[:16], *figures, on.mark, f"{size:.1f}", style=style
        )
    out.print(rows)
    for line in _measured_on(measured):
        out.print(line, style="dim", highlight=False, markup=False)


def _measured_on(measured: Sequence[Marked]) -> list[str]:
    """What the marks stand for, and which figures are not to be compared."""
    rules_of = {marked.mark.rstrip("0123456789"): marked.rules for marked in measured}
    lines = [f"on {mark}: {rules or 'a report that cannot be read'}" for mark, rules in rules_of.items()]
    if len(rules_of) > 1:
        lines.append("figures with different letters are of different tasks: do not compare them")
    if len({marked.mark for marked in measured}) > len(rules_of):
        lines.append(
            "a letter's numbers are other test windows or data: a difference may be the days' and not the "
            "bundle's; gates ask both the same requests"
        )
    return lines


def verdict(verdict: Verdict, out: Console) -> None:
    """A line a gate; what failed comes out red."""
    beside = f"beside {verdict.beside}" if verdict.beside else "with nothing to compare it with"
    rows = table(f"{verdict.version}, {beside}", "gate", "found", "", text=(1,))
    for finding in verdict.findings:
        mark = Text("passed", "green") if finding.passed else Text("failed", "bold red")
        rows.add_row(finding.gate, finding.sentence, mark)
    out.print(rows)


def difference(difference: BundleDifference, out: Console) -> None:
    """How two bundles differ."""
    rows = table("", "what", difference.a, difference.b, text=(1, 2))
    for name, pair in difference.metrics.items():
        rows.add_row(name, *(f"{value:.4f}" if value is not None else "" for value in pair))
    for name, pair in difference.config.items():
        rows.add_row(f"config {name}", *(str(value) for value in pair))
    for name, change in {
        "features": difference.features,
        "items": difference.items,
        "users": difference.users,
    }.items():
        gone = f"{change.gone:,} only here {', '.join(change.examples_gone)}".rstrip()
        new = f"{change.new:,} only here {', '.join(change.examples_new)}".rstrip()
        rows.add_row(f"{name}, {change.shared:,} shared", gone, new)
    out.print(rows)
    if difference.unlike:
        out.print("the figures are not of the same requests, do not compare them:", style="bold yellow")
        for reason in difference.unlike:
            out.print(f"  {reason}", highlight=False, markup=False)
    answers = difference.answers
    score = "" if answers.score is None else f", scores of shared items {answers.score:.4f} apart"
    first = f"{answers.overlap:.1%} of the first {answers.k}"
    out.print(
        f"on the same {answers.requests:,} requests: {first} are shared, "
        f"{answers.same_first:.1%} have the same first item, {answers.same_list:.1%} the same list{score}",
        highlight=False,
    )


def frontier(frontier: Frontier, out: Console) -> None:
    """The kinds of index that no other is better than in everything, fastest first, and which to take."""
    title = f"{frontier.size:,} vectors of {frontier.dimension}, {frontier.queries} requests, one thread"
    columns = ("index", "parameters", f"recall@{frontier.k}", "ms", "MiB beside vectors", "s to build")
    rows = table(title, *columns, text=(1,))
    for point in frontier.best:
        rows.add_row(
            point.spec,
            " ".join(f"{name}={value}" for name, value in point.params.items()),
            f"{point.recall:.4f}",
            f"{point.ms:.3f}",
            f"{point.bytes / 2**20:.1f}",
            f"{point.build_seconds:.1f}",
            style="bold" if point == frontier.chosen else "",
        )
    out.print(rows)
    for spec, why in frontier.failed.items():
        out.print(f"left out {spec}: {why}", style="dim", markup=False, highlight=False)
    out.print(advice(frontier), markup=False, highlight=False, soft_wrap=True)


def alarms(alarms: Sequence[Alarm], version: str, at: float, out: Console) -> None:
    """What is wrong with what is served."""
    moment = datetime.fromtimestamp(at, UTC).isoformat(sep=" ", timespec="seconds")[:19]
    if not alarms:
        out.print(f"nothing is wrong with {version}, as of {moment} UTC", markup=False, highlight=False)
        return
    rows = table(f"{version}, as of {moment} UTC", "alarm", "what", "since (UTC)", "look at", text=(1, 3))
    for alarm in alarms:
        since = datetime.fromtimestamp(alarm.since, UTC).isoformat(sep=" ", timespec="minutes")[:16]
        rows.add_row(alarm.key, alarm.sentence, since, alarm.look)
    out.print(rows)


def replayed(replayed: ReplayFigures, out: Console) -> None:
    """How many answers came out again."""
    rows = table("answers made again", "same", "different", "nobody can tell", "bundle is gone")
    counts = (replayed.same, replayed.different, replayed.unknown, replayed.gone)
    rows.add_row(*(f"{count:,}" for count in counts))
    out.print(rows)
    if replayed.examples:
        out.print(f"  different: {', '.join(replayed.examples)}", highlight=False, markup=False)


def replay(replay: Replay, out: Console) -> None:
    """What a policy would have earned a list."""
    earned = replay.earned
    rows = table(
        f"{replay.lists:,} drawn lists",
        "estimator", "a list", "95%", "change", "95% ", "effective", "holds for",
        text=(0, 6),
    )  # fmt: skip
    rows.add_row("as it was", _figure(earned.value), _within(earned.lo, earned.hi), "", "", "", "")
    for each in replay.estimates:
        change = (None, None, None) if each.change is None else each.change
        rows.add_row(
            each.estimator, _figure(each.value), _within(each.lo, each.hi), _figure(change[0]),
            _within(change[1], change[2]), f"{each.effective:,.0f}", each.holds,
        )  # fmt: skip
    out.print(rows)
    for each in replay.estimates:
        if each.refused is not None:
            out.print(f"  {each.estimator}: {each.refused}", highlight=False, markup=False)
        if each.clip is not None:
            out.print(
                f"  {each.estimator}: {each.clipped:.2%} of the weights were cut at {each.clip:g}",
                highlight=False,
            )
    left_out = ", ".join(f"{count:,} {why}" for why, count in replay.left_out.items())
    if left_out:
        out.print(f"  left out: {left_out}", style="dim", highlight=False, markup=False)


def _within(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4g} … {high:.4g}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def experiments(now: Running, out: Console) -> None:
    """What runs in a store."""
    rows = table("experiments", "name", "layer", "arms", "users", "metric", "days", text=(2, 4))
    for name, each in now.experiments.items():
        config = each.config
        now_shares = {**{arm: about.share for arm, about in config.arms.items()}, **each.shares[-1]}
        arms = ", ".join(f"{arm} {share:.3g}" for arm, share in now_shares.items())
        rows.add_row(name, config.layer, arms, f"{100 * config.ramp:.3g}%", config.metric, str(config.days))
    out.print(rows)


def judgement(state: Judgement, out: Console) -> None:
    """The state of an experiment, and what to do."""
    users = ", ".join(f"{arm} {n:,}" for arm, n in state.users.items())
    rows = table(
        f"{state.experiment}, day {state.days} of {state.horizon}",
        "metric", "arm", "control", "treated", "effect", "any day", "on the last day", "p", "", text=(0, 1),
    )  # fmt: skip
    for each in state.comparisons:
        rows.add_row(
            each.metric, each.arm, f"{each.control:.4g}", f"{each.treated:.4g}", _relative(each.relative),
            _interval(each.sequence_low, each.sequence_high), _interval(each.low, each.high),
            "" if each.p_value is None else f"{each.p_value:.2g}", each.state,
        )  # fmt: skip
    out.print(rows)
    for arm, lists in state.shadows.items():
        out.print(
            f"  shadow {arm}: {lists.requests:,} answers; {100 * lists.overlap:.1f}% of the items, "
            f"{100 * lists.same_first:.1f}% of first items, {100 * lists.same_list:.1f}% of lists alike",
            highlight=False, markup=False,
        )  # fmt: skip
    out.print(f"  users: {users}", style="dim", highlight=False, markup=False)
    what = state.decision if state.arm is None else f"{state.decision} {state.arm}"
    out.print(Text(what, style="bold"))
    for sentence in state.reasons:
        out.print(f"  {sentence}", highlight=False, markup=False)


def _relative(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.2f}%"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{100 * low:+.2f} … {100 * high:+.2f}"

"""Ads as they are, in a made-up world whose truth is known: every goal of them, measured.

    python -m benchmarks.ads [--quick]

The config is `configs/synthetic-ads.toml`; `--quick` makes the world and the training smaller. Four bundles
are built: as the config has it; without the context; without what was shown; and with every click counting
the same, wherever it stood. Shares are DCG@10 by true clicks, or by true value, over that of the best list
there is; intervals are of pairs, over users. Rules and budgets are run small here, and whole by benchmarks of
their own.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.ads_measure import (
    Shares,
    beside,
    p50,
    propensities_beside_truth,
    stage_shares,
)
from benchmarks.ads_world import made, merged
from benchmarks.budgets import days
from benchmarks.rules import checked
from benchmarks.serving import RESULTS, save
from funnel import Live
from funnel import config as configs
from funnel.artifacts import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.config import Config
from funnel.data import Dataset, read
from funnel.evaluation.reliability import Reliability
from funnel.synthetic import LatentTruth
from funnel.types import Examples

#: What `--quick` makes smaller.
QUICK: dict[str, Any] = {
    "data": {"synthetic": {"users": 1200, "items": 1000, "events_per_user": 30.0}},
    "split": {"ranker": 0.7, "max_requests": 1500},
    "towers": {"d": 32, "layers": 1, "epochs": 4, "history": 30},
    "ranker": {"trees": 150},
    "retrieve": {"k": 200},
    "evaluate": {"latency_requests": 5},
}

#: What each bundle leaves out.
BUNDLES: dict[str, dict[str, Any]] = {
    "whole": {},
    "without what was shown": {"ranker": {"impressions": False}},
    "clicks count the same": {"ranker": {"propensity": "none"}},
    "without context": {"context": {"columns": [], "clock": False}},
}

#: Rows of no stage, and their goals.
RULES = ("rules: broken that need not be", "0")
BUDGETS = ("budgets, four processes: spent", "within 5%, none over")
COST = ("cost of context, heads, value and five rules, p50", "≤ 1.3 times")

#: The config with clicks alone, as one has it who knows of nothing else.
PLAIN: dict[str, Any] = {"context": {"columns": [], "clock": False}, "ranker": {"impressions": False}}


@dataclass
class Row:
    """One line of the table. holds: None where it was not measured."""

    name: str
    goal: str
    found: str
    holds: bool | None
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.holds = None if self.holds is None else bool(self.holds)  # numpy's is no JSON


@dataclass(frozen=True)
class Side:
    """One bundle and what its stages have of the ideal. by_click: what the order of p_click has of it."""

    contents: Contents
    shares: dict[str, Shares]
    test: Examples
    probabilities: tuple[Reliability, ...]
    store: Store
    notes: tuple[str, ...]
    by_click: Shares

    @property
    def last(self) -> Shares:
        """Of the list that is shown."""
        return list(self.shares.values())[-1]


def config_of(quick: bool, seed: int, world: Path, **sections: Any) -> Config:
    """The packaged config, made smaller, with sections of its own."""
    whole = configs.load(configs.packaged("synthetic-ads.toml")).model_dump(mode="json", exclude_unset=True)
    own = {"seed": seed, "data": {"path": str(world), "synthetic": {"seed": seed}}}
    return configs.parse(merged(whole, QUICK if quick else {}, own, sections))


def built(config: Config, data: Dataset, work: Path, name: str) -> Side:
    """Train, build, and measure."""
    prepared, bundle, store = made(config, data, work, name.replace(" ", "-"))
    contents, truth = load_contents(bundle.folder), data.truth
    assert isinstance(truth, LatentTruth)
    examples = prepared.split.test
    shares = stage_shares(contents, examples, truth)
    report, clicks = bundle.report, "p_click" if "click" in contents.heads else "p_event"
    stages = stage_shares(contents, examples, truth, value=clicks)
    by_click = stages.get("value", stages["retrieve"])  # without a ranker nothing is probable
    return Side(contents, shares, examples, report.probabilities, store, report.notes, by_click)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="a small world, in three minutes")] = False,
    seed: int = 0,
    bundle: Annotated[list[str] | None, typer.Option(help="build these only, the whole first")] = None,
    work: Annotated[Path, typer.Option(help="where the world and bundles are kept")] = Path("build/ads"),
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Build, measure, and print and save the table."""
    began, console = time.perf_counter(), Console()
    work = work / (f"quick-{seed}" if quick else f"whole-{seed}")
    world = work / "world"
    data = read(config_of(quick, seed, world).data)
    found = Found(data, seed)

    def kept() -> None:
        """What has been measured so far: a run that is cut short has it."""
        about = found.about() | {
            "quick": quick,
            "seconds": round(time.perf_counter() - began, 1),
            "cpu_seconds": round(time.process_time(), 1),
        }
        save("ads-quick" if quick else "ads", about, results)

    for name in bundle or BUNDLES:
        found.sides[name] = built(config_of(quick, seed, world, **BUNDLES[name]), data, work, name)
        console.log(f"{name}: {found.sides[name].last.figures}")
        kept()
    if not bundle:
        found.further = [_of_rules(quick), _of_budgets(work, quick)]
        kept()
        plain = config_of(quick, seed, world, **PLAIN)
        made(plain.model_copy(update={"rank": configs.RankConfig(), "rules": ()}), data, work, "plain")
        found.further.append(_of_cost(found.sides["whole"], work))
        kept()
    show(found.rows, console)


@dataclass
class Found:
    """What has been measured. further: rows that are of no stage."""

    data: Dataset
    seed: int
    sides: dict[str, Side] = field(default_factory=dict)
    further: list[Row] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        """The table: what is not there yet says so."""
        rows = [
            *_of_stages(self.sides["whole"]),
            _of_context(self.sides, self.seed),
            *_of_propensities(self.sides, self.data, self.seed),
            *_of_probabilities(self.sides["whole"]),
            _of_heads(self.sides["whole"], self.data, self.seed),
        ]
        named = [RULES, BUDGETS, COST]
        missing = [Row(name, goal, "", None) for name, goal in named[len(self.further) :]]
        return [*rows, *self.further, *missing]

    def about(self) -> dict[str, Any]:
        """For the file."""
        return {
            "seed": self.seed,
            "requests": len(self.sides["whole"].test),
            "rows": [vars(row) for row in self.rows],
            "stages": {
                name: {stage: one.figures for stage, one in side.shares.items()}
                for name, side in self.sides.items()
            },
        }


def _of_stages(whole: Side) -> list[Row]:
    shares = whole.shares
    figures = {name: one.figures for name, one in shares.items()}
    rising = [shares[name].value.mean() for name in ("retrieve", "rank", "value") if name in shares]
    clicks = [shares[name].clicks.mean() for name in ("retrieve", "rank") if name in shares]
    is_there = len(rising) == 3
    last, best = whole.last, shares["best of retrieved"]
    ruled, of_these = shares.get("best by the rules"), shares.get("best of retrieved by the rules")
    of_ruled = float(last.value.mean() / ruled.value.mean()) if ruled is not None else 0.0
    of_found_ruled = float(last.value.mean() / of_these.value.mean()) if of_these is not None else 0.0
    of_found = float(shares["rank"].clicks.mean() / best.clicks.mean()) if is_there else 0.0
    by_click = whole.by_click
    of_clicks = float(by_click.clicks.mean() / best.clicks.mean())
    return [
        Row(
            "share of ideal value", "retrieve < rank < value",
            " < ".join(f"{one:.3f}" for one in rising) if is_there else "there is no stage value",
            is_there and rising[0] < rising[1] < rising[2], figures,
        ),
        Row(
            "share of ideal clicks", "retrieve < rank", " < ".join(f"{one:.3f}" for one in clicks),
            clicks[0] < clicks[-1], {},
        ),
        Row(
            "ranked, of the clicks of the best of what was found", "≥ .85", f"{of_found:.3f}",
            of_found >= 0.85, {"best of retrieved": best.figures},
        ),
        Row(
            "ordered by p_click, of the same", "≥ .85", f"{of_clicks:.3f}", of_clicks >= 0.85,
            {"p_click": by_click.figures},
        ),
        Row(
            "final, of the value of the best list that keeps to the rules", "≥ .80",
            f"{of_ruled:.3f}; {last.value.mean():.3f} of the best list of all",
            of_ruled >= 0.8, {"final": last.figures, "best by the rules": ruled and ruled.figures},
        ),
        Row(
            "final, of the value of the best such list of what was found", "≥ .80", f"{of_found_ruled:.3f}",
            of_found_ruled >= 0.8, {"best of retrieved by the rules": of_these and of_these.figures},
        ),
    ]  # fmt: skip


def _of_context(sides: dict[str, Side], seed: int) -> Row:
    name, goal = "ideal value with context, over without", "more, paired"
    if "without context" not in sides:
        return Row(name, goal, "", None)
    with_it, without = sides["whole"].shares["value"], sides["without context"].shares["value"]
    found = beside(with_it.value, without.value, sides["whole"].test.requests.users, seed)
    lo, hi = found["difference"][1:]
    return Row(
        name, goal,
        f"{found['times']:.2f} times, {found['difference'][0]:+.4f} [{lo:.4f}, {hi:.4f}]",
        found["better"], found,
    )  # fmt: skip


def _of_propensities(sides: dict[str, Side], data: Dataset, seed: int) -> list[Row]:
    whole, users = sides["whole"], sides["whole"].test.requests.users
    assert isinstance(data.truth, LatentTruth)
    found = propensities_beside_truth(whole.contents, data.truth)
    if found is None:
        return [Row("position propensities", "within .03", "the bundle has none", None)]
    rows = [
        Row(
            "position propensities, furthest from the truth", "≤ .03", f"{found['largest difference']:.3f}",
            found["largest difference"] <= 0.03, found,
        )
    ]  # fmt: skip
    for other in ("clicks count the same", "without what was shown"):
        for of, what in (("rank", "clicks"), ("value", "value")) if other in sides else ():
            own, others = (getattr(side.shares[of], what) for side in (whole, sides[other]))
            apart = beside(own, others, users, seed)
            mean, lo, hi = apart["difference"]
            rows.append(
                Row(f"true {what} of {of}, less {other}", "more, paired", f"{mean:+.4f} [{lo:.4f}, {hi:.4f}]",
                    apart["better"], apart)
            )  # fmt: skip
    return rows


def _of_probabilities(whole: Side) -> list[Row]:
    rows = []
    for one in whole.probabilities:
        holds = one.ece.mean <= 0.01 and one.normalised_entropy.mean < 1
        text = (
            f"ECE {one.ece.mean:.4f}, entropy {one.normalised_entropy.mean:.3f}, {one.ratio.mean:.2f} times"
        )
        figures = one.model_dump(mode="json", exclude={"bins", "slices"})
        rows.append(Row(f"p_{one.head}", "ECE ≤ .01, entropy < 1", text, holds, figures))
    return rows or [Row("calibration", "ECE ≤ .01", "the bundle has no probabilities", None)]


def _of_heads(whole: Side, data: Dataset, seed: int) -> Row:
    """The same bundle ordered by what clicks bring alone."""
    assert isinstance(data.truth, LatentTruth)
    name = "value by two heads, less clicks only"
    if not {"click", "purchase"} <= set(whole.contents.heads):
        return Row(name, "more, paired", f"heads: {', '.join(whole.contents.heads) or 'none'}", None)
    clicks = stage_shares(whole.contents, whole.test, data.truth, value="p_click * bid")["value"]
    found = beside(whole.shares["value"].value, clicks.value, whole.test.requests.users, seed)
    mean, lo, hi = found["difference"]
    return Row(name, "more, paired", f"{mean:+.4f} [{lo:.4f}, {hi:.4f}]", found["better"], found)


def _of_rules(quick: bool) -> Row:
    found = sum((checked(7, 1, number, 100) for number in range(5 if quick else 40)), Counter[str]())
    wrong = found["could have been avoided"] + found["strict rules broken"]
    return Row(
        "rules: broken that need not be",
        "0",
        f"{wrong} of {found['requests']:,} requests",
        wrong == 0,
        dict(found),
    )


def _of_budgets(work: Path, quick: bool) -> Row:
    (day,) = days(work / "budgets", 1_500 if quick else 10_000, [4], 0)["days"]
    spent, over = day["spent of all budgets"], day["overspent by more than a request a process"]
    return Row(
        *BUDGETS, f"{spent:.3f}, {over} over",
        0.95 <= spent <= 1.05 and over == 0, day,
    )  # fmt: skip


def _of_cost(whole: Side, work: Path) -> Row:
    lives = {"plain": Live(Store(work / "indexes-plain").folder), "whole": Live(whole.store.folder)}
    context = {"placement": "placement-1", "device": "phone"}
    found = p50(lives, list(range(200)), context, 310)
    for live in lives.values():
        live.close()
    times = found["whole"] / found["plain"]
    text = f"{times:.2f} times, {found['whole']:.2f} ms over {found['plain']:.2f}"
    return Row(*COST, text, times <= 1.3, found)


def show(rows: list[Row], console: Console) -> None:
    """The table."""
    table = Table("", "goal", "found", "", title="Ads as they are", title_justify="left")
    for row in rows:
        mark = "not measured" if row.holds is None else "holds" if row.holds else "does not hold"
        table.add_row(row.name, row.goal, row.found, mark)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)

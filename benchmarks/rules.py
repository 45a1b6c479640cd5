"""Do rules hold: a million random requests under random rules, and frequency caps over four processes.

    python -m benchmarks.rules [--quick]

Each rule set of one to six rules, of all kinds, is put to many requests of a random catalogue, through
`Ruleset.excluded` and the stage `Rules`. Every list is counted anew from the items' plain values. A list that
breaks nothing is right; of one that does, each rule's cost is compared with what that rule alone could not
cost less than; what is still open goes to an integer program (HiGHS, by scipy). On catalogues of six
items the list itself is compared with the best of all lists.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.rules_audit import blocked_for_a_reason, costs, is_strict, least, longest
from benchmarks.rules_caps import capped
from benchmarks.rules_cases import KINDS, Case, drawn
from benchmarks.rules_exact import boosted, costs_of, every_list, program
from benchmarks.serving import RESULTS, save
from funnel.rules import Ruleset
from funnel.stages.rules import Rules
from funnel.types import Candidates, Occasion, Ragged, Requests

#: Requests of one rule set; the file is written again after so many sets.
TOGETHER, _SAVED = 500, 50


def requests_of(n: int, occasion: Occasion) -> Requests:
    """Requests of which rules read the occasion alone."""
    nobody, never = np.full(n, -1, dtype=np.int32), np.zeros(n, dtype=np.int64)
    return Requests(nobody, never, Ragged.empty(n), Ragged.empty(n, np.int64), occasion=occasion)


def answered(case: Case, rules: Ruleset) -> tuple[Case, NDArray[np.int32], Candidates, Counter[str]]:
    """The case with the candidates that caps and budgets leave, its lists [B, k], what the stage gave, and
    what was blocked wrongly."""
    n = len(case.candidates)
    occasion = case.occasion(np.arange(n, dtype=np.int64))
    bad = np.zeros(case.candidates.shape, dtype=np.bool_)
    for b, items in enumerate(case.candidates):
        some = np.ascontiguousarray(items[items >= 0])
        bad[b, : len(some)] = rules.excluded(occasion, b, some)
    blank = np.empty((*bad.shape, 0))
    every = Candidates(
        case.candidates, case.scores, (), blank.astype(np.float32), blank.astype(np.int32)
    ).keep(~bad)
    given = Rules(rules, case.k)(requests_of(n, occasion), every)
    lists = np.full((n, case.k), -1, dtype=np.int32)
    lists[:, : given.items.shape[1]] = given.items
    left = replace(case, candidates=every.items, scores=every.scores)
    return left, lists, given, blocked_for_a_reason(case, case.candidates, bad)


def checked(seed: int, exact: int, number: int, requests: int = TOGETHER) -> Counter[str]:
    """What is found of one rule set. exact: of so many requests that are open an integer program is asked."""
    whole = drawn(seed, number, requests)
    began = time.perf_counter()
    case, lists, given, found = answered(whole, whole.ruleset())
    found["microseconds"] = round(1e6 * (time.perf_counter() - began))
    found["requests"] = len(lists)
    lengths = (lists >= 0).sum(axis=1)
    table = np.stack([costs(case, rule, lists) for rule in case.by_priority], axis=1)
    bounds = np.stack([least(case, rule, case.candidates, lengths) for rule in case.by_priority], axis=1)
    full = lengths == longest(case, case.candidates)
    strict = np.array([is_strict(rule) for rule in case.by_priority])
    found["strict rules broken"] = int((table[:, strict] > 0).any(axis=1).sum())
    found["items that are no candidates, or twice"] = sum(map(_not_a_list, lists, case.candidates))
    found["what gave way is said wrongly"] = _said_wrongly(case, table, given)
    found["not proven"] = sum(not one.proven for one in given.outcomes)
    nothing, bounded = full & (table == 0).all(axis=1), full & (table == bounds).all(axis=1)
    found["nothing gave way"] = int(nothing.sum())
    found["least by a rule's own bound"] = int((bounded & ~nothing).sum())
    is_open = np.flatnonzero(~bounded)
    tried = is_open[np.argsort([given.outcomes[b].proven for b in is_open], kind="stable")][:exact]
    found["open, and not tried"] = len(is_open) - len(tried)
    for b in tried.tolist():
        wanted = program(case, b)
        right = (int(lengths[b]), table[b].tolist()) == wanted
        found["least by an integer program"] += right
        found["could have been avoided"] += not right
        found["could have been avoided, and proven"] += not right and given.outcomes[b].proven
    for rule in case.rules:
        found[f"rules {rule['kind']}"] += 1
    return found


def _not_a_list(shown: NDArray[Any], candidates: NDArray[Any]) -> bool:
    some = shown[shown >= 0]
    return len(np.unique(some)) < len(some) or not np.isin(some, candidates).all()


def _said_wrongly(case: Case, table: NDArray[Any], given: Candidates) -> int:
    labels = [rule["name"] for rule in case.by_priority]
    return sum(
        outcome.gave_way != tuple(label for label, cost in zip(labels, row, strict=True) if cost)
        for row, outcome in zip(table.tolist(), given.outcomes, strict=True)
    )


def compared(seed: int, number: int) -> Counter[str]:
    """One request of a handful of items, beside the best of all lists and the integer program."""
    case = drawn(seed, number, 1, small=True)
    left, lists, given, found = answered(case, case.ruleset())
    shown, cost = every_list(left, 0, boosted(left, 0))
    mine = lists[0][lists[0] >= 0].tolist()
    found["small requests"] = 1
    found["another list than the best of all"] = int(mine != shown)
    found["another cost than the best of all"] = int(costs_of(left, mine, 0) != cost)
    found["programs that differ from all lists"] = int(program(left, 0) != (len(shown), cost))
    found["not proven, small"] = int(not given.outcomes[0].proven)
    return found


def main(
    requests: Annotated[int, typer.Option(help="under random rules")] = 1_000_000,
    small: Annotated[int, typer.Option(help="of six items, beside all lists")] = 5_000,
    exact: Annotated[int, typer.Option(help="integer programs a rule set, at most")] = 10,
    seed: int = 0,
    processes: int = 2,
    quick: Annotated[bool, typer.Option("--quick", help="a fiftieth of it")] = False,
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Count, compare, and print what was broken that could have been kept."""
    if quick:
        requests, small, exact = requests // 50, small // 50, min(exact, 3)
    began, found = time.perf_counter(), Counter[str]()
    about: dict[str, Any] = {"seed": seed, "quick": quick, "asked_for": requests}
    about["caps"] = capped(rounds=6 if quick else 50)
    sets = range(-(-requests // TOGETHER))
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for one in pool.map(partial(compared, seed), range(small), chunksize=50):
            found.update(one)
        for number, one in enumerate(pool.map(partial(checked, seed, exact), sets), 1):
            found.update(one)
            if number % _SAVED == 0 or number == len(sets):  # a run that is cut short has counted what it did
                about |= {"rule_sets": number, **_named(found)}
                about["seconds"] = round(time.perf_counter() - began, 1)
                save("rules-quick" if quick else "rules", about, results)
    _show(about)


def _named(found: Counter[str]) -> dict[str, Any]:
    own = {"microseconds", *(f"rules {kind}" for kind in KINDS)}
    return {
        "found": {name: count for name, count in found.items() if name not in own},
        "rules_of_each_kind": {kind: found[f"rules {kind}"] for kind in KINDS},
        "microseconds_a_request": round(found["microseconds"] / found["requests"], 1),
    }


def _show(about: dict[str, Any]) -> None:
    table = Table("", "", title="Rules", title_justify="left", show_header=False)
    for name, value in {**about["found"], **about["caps"]}.items():
        table.add_row(name, f"{value:,}")
    table.add_row("microseconds a request", f"{about['microseconds_a_request']}")
    table.add_row("seconds", f"{about['seconds']}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)

"""What each rule costs, measured on the test window."""

from __future__ import annotations

import numpy as np

from funnel.bundle.contents import Contents
from funnel.evaluation.metrics import compute
from funnel.rules import Ruleset
from funnel.stages import Rules
from funnel.types import Candidates, Examples

#: Requests that it is measured with.
_MOST = 1000


def costs_of_rules(contents: Contents, examples: Examples, k: int, seed: int) -> list[str]:
    """A sentence a rule: NDCG@k with all rules, and with all but this one, on a sample of the requests.

    Budgets go by the clock, which a replayed request has not: they are left out. Nothing was shown to anybody
    before, so that a cap costs what it keeps from one list.
    """
    rules = [rule for rule in contents.rules if rule.kind != "budget"]
    if not rules:
        return []
    chosen = np.sort(np.random.default_rng(seed).permutation(len(examples))[:_MOST])
    some = examples.take(chosen)
    ranked = contents.funnel(k).trace(some.requests)[-2].candidates
    whole = _ndcg(Rules(contents.ruleset, k)(some.requests, ranked), some, k)
    out = []
    for rule in rules:
        others = Ruleset([other for other in contents.rules if other is not rule], contents.catalogue)
        without = _ndcg(Rules(others, k)(some.requests, ranked), some, k)
        out.append(
            f"rule {rule.label!r}: NDCG@{k} {whole:.4f} with all rules, {without:.4f} without this one "
            f"({len(some):,} requests)"
        )
    return out


def _ndcg(listed: Candidates, examples: Examples, k: int) -> float:
    return float(compute(f"ndcg@{k}", listed.items, examples.targets).mean())

"""Each kind of alarm has an entry in the runbook, which says what the code says of it."""

from __future__ import annotations

import re

import pytest

from funnel.monitoring.kinds import KINDS
from funnel.monitoring.rates import RARE
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "monitoring.md").read_text().split("## The runbook")[1]
ENTRIES = dict(re.findall(r"^### (\w+)\n\n(.*?)(?=\n### |\Z)", TEXT, flags=re.MULTILINE | re.DOTALL))


def test_there_are_no_entries_of_nothing() -> None:
    assert set(ENTRIES) == set(KINDS)
    assert set(RARE) <= set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_entry_says_what_to_do_and_whether_bundles_learn_of_it(kind: str) -> None:
    assert len(ENTRIES[kind].split()) > 12
    assert ENTRIES[kind].startswith("*Data.*") == KINDS[kind].of_data

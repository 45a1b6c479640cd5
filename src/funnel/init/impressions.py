"""Checks that impressions are lists, each shown to one user at one time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from funnel.data.impressions import LONGEST_LIST
from funnel.values.missing import quoted

if TYPE_CHECKING:
    from funnel.init.keys import Keyed


def why_no_lists(keyed: Keyed) -> str | None:
    """Why the rows of the sample are no lists that were each shown to one user; None where they are."""
    from funnel.init.keys import seconds_of

    frame, lists = keyed.sample.frame, keyed.best("request_id")
    rows = pd.DataFrame(
        {"list": frame[lists], "user": frame[keyed.best("user_id")], "at": seconds_of(keyed)}
    ).dropna()
    if not len(rows):
        return "it looks like impressions, but no row has a list, a user and a time"
    if (users := rows.groupby("list")["user"].nunique()).max() > 1:
        return f"it looks like impressions, but {lists} {quoted(users.idxmax())} is of {users.max()} users"
    spans = rows.groupby("list")["at"].agg(lambda at: at.max() - at.min())
    if spans.max() > LONGEST_LIST:
        longest = quoted(spans.idxmax())
        return f"it looks like impressions, but the rows of {lists} {longest} are over a day apart"
    if rows["list"].nunique() == len(rows):
        return f"it looks like impressions, but each row is a list of its own: {lists} comes once each"
    return None

"""Tables for notebooks: the one place where values become HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: Rows that are shown; of a longer table the first and the last.
MOST = 60
#: Told to the notebook: a "$" in a title is money and begins no formula.
_NO_FORMULAS = "tex2jax_ignore mathjax_ignore"


def as_html(frame: pd.DataFrame, caption: str = "") -> str:
    """A DataFrame as an HTML table under a caption, for `_repr_html_`.

    Ids, titles and names of columns are a stranger's text: all of it is escaped, none becomes markup. At
    most 60 rows are shown.
    """
    table = frame.to_html(escape=True, max_rows=MOST, border=0, na_rep="-", classes=_NO_FORMULAS)
    head = f'<p class="{_NO_FORMULAS}">{escape(caption)}</p>\n' if caption else ""
    return f"{head}{table}"

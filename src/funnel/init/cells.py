"""Several values inside one cell of text: lists of words, and lists of numbers that are vectors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from funnel.data.foreign import split_cell
from funnel.values.words import SEPARATOR

_SEPARATORS = ("|", ";", ",", "/", " ")
_BRACKETS = ("[]", "{}", "()")

#: Fewer numbers in a row than this are no embedding.
_LEAST_SIZE = 4


@dataclass(frozen=True)
class Inside:
    """What separates values in cells. size: of a vector; 0 for a list. odd: cells of another size."""

    separator: str
    why: str
    size: int = 0
    odd: int = 0


def vector_inside(values: pd.Series) -> Inside | None:
    """Numbers in writing, as many in each cell; None where they are no numbers."""
    best: Inside | None = None
    for separator in _SEPARATORS:
        sizes = Counter(_numbers(text, separator) for text in values)
        size, count = sizes.most_common(1)[0]
        if size < _LEAST_SIZE or count < 0.5 * len(values) or sizes[-1]:
            continue
        if not _are_fractions(values, separator):
            continue
        why = f"{size} numbers with {_shown(separator)} between in {count} of {len(values)} cells"
        if best is None or size > best.size:
            best = Inside(separator, why, size, len(values) - count)
    return best


def list_inside(values: pd.Series) -> Inside | None:
    """Short texts that come again in other cells; None where a cell is one text."""
    wrapped = values.map(lambda text: text[:1] + text[-1:] in _BRACKETS).all()
    for separator in ("|", ";", ",", "/") if not wrapped else (",", ";", "|"):
        share = values.str.contains(separator, regex=False).mean()
        parts = [split_cell(text, separator) for text in values]
        if wrapped and (share or separator == ",") and any(parts):
            return Inside(separator, f"brackets with {_shown(separator)} between")
        if share >= (0.05 if separator == SEPARATOR else 0.2) and _come_again(parts):
            return Inside(separator, f"{_shown(separator)} between words in {share:.0%} of the cells")
    return None


def _come_again(parts: list[list[str]]) -> bool:
    """Whether the parts are labels: few words each, and most of them in several cells."""
    flat = [part for cell in parts for part in cell]
    if not flat or np.mean([len(part.split()) for part in flat]) > 3:
        return False
    counts = Counter(flat)
    whole = {tuple(cell) for cell in parts}
    again = sum(count for count in counts.values() if count > 1)
    return len(whole) > 1 and again >= 0.6 * len(flat) and len(counts) <= max(len(whole), 2)


def _numbers(text: str, separator: str) -> int:
    """How many numbers; −1 where a part is none."""
    parts = split_cell(text, separator)
    try:
        np.asarray(parts, dtype=np.float64)
    except ValueError:
        return -1
    return len(parts)


def _are_fractions(values: pd.Series, separator: str) -> bool:
    """Whole numbers alone are ids or codes."""
    return any(
        "." in part or "e" in part.lower() for text in values[:50] for part in split_cell(text, separator)
    )


def _shown(separator: str) -> str:
    return "a blank" if separator == " " else repr(separator)

"""Works out how the files of a table are to be read: keys, times, gaps, kinds of events that count."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from funnel.data.foreign import in_our_decimals
from funnel.data.schema import KEYS, OPTIONAL, TableName
from funnel.data.table_file import TableFile
from funnel.errors import DataError
from funnel.init import names
from funnel.init.cells import list_inside
from funnel.init.event_kinds import find_kinds
from funnel.init.findings import Conclusion, Notes, Sure
from funnel.init.keys import Keyed, reads
from funnel.init.kinds import find_decimal
from funnel.init.sampling import Sample
from funnel.init.times import are_times_of_day, day
from funnel.values.missing import quoted
from funnel.values.times import END_OF_SECONDS
from funnel.values.truths import truth

#: Seconds by which an event may be in the future: clocks of machines that log events differ by less.
_AHEAD = 86_400

_NO_GAP = ("position", "clicked")

#: Ids that are looked at one by one.
_LOOKED_AT = 2000


def find_form(table: TableName, keyed: Keyed, keys: dict[str, str], notes: Notes) -> TableFile:
    """The entry of a table in `schema.json`: how its files are read.

    keyed: the sampled table. keys: its columns by key. notes: get what was concluded and what is left out.
    Raises: DataError where the times cannot be read in the form that they seem to have.
    """
    sample = keyed.sample
    is_csv = sample.files.form == "CSV"
    form = sample.form.model_copy(
        update={
            "columns": _columns(table, keyed, keys, notes),
            "decimal": find_decimal(sample.frame, sample.form.separator) if is_csv else ".",
            "skip_gaps": _gaps(table, keyed, keys, notes),
        }
    )
    notes.findings.append(_written(sample, form))
    notes.findings += [_of_key(table, keyed, key, name) for key, name in keys.items() if key != "time"]
    if "time" in keys:
        form = _with_times(table, keyed, keys["time"], form, notes)
    for value in sample.odd_rows[:3]:
        notes.leave(str(sample), f"{value}: funnel refuses such a file; correct the row")
    return _with_kinds(keyed, keys, form, notes) if table == "events" else form


#: What a column with the value of an event is called.
_VALUES = frozenset({"value", "revenue", "amount", "order_value", "event_value", "watch_time"})


def _columns(table: TableName, keyed: Keyed, keys: dict[str, str], notes: Notes) -> dict[str, str | None]:
    """Columns by key, where the names differ; and None for a column with a key's name that is no such key."""
    columns: dict[str, str | None] = {key: name for key, name in keys.items() if key != name}
    for name in KEYS[table] + OPTIONAL[table]:
        if name not in keyed.sample.names or keys.get(name) == name or name in ("kind", "value"):
            continue  # kinds and values are looked at with the events
        if name == "split" and set(keyed.sample.frame[name].dropna()) <= {"train", "test"}:
            because = "only train and test"
            notes.findings.append(
                Conclusion(where=f"{table}.split", what="split", because=because, sure="likely")
            )
            continue
        if name not in columns:
            columns[name] = None
        if name not in keys.values() and not (name == "time" and _of_day(keyed, keys)):
            what = f"its name has a meaning for funnel, but it is no {name}: rename it to use it"
            notes.leave(f"{table}.{name}", what)
    return columns


def _gaps(table: TableName, keyed: Keyed, keys: dict[str, str], notes: Notes) -> bool:
    """Whether there are rows without an id or a time, which are left out and counted."""
    shares = {
        name: float(keyed.sample.frame[name].isna().mean())
        for key, name in keys.items()
        if key not in _NO_GAP
    }
    for name, share in shares.items():
        if share:
            notes.leave(
                f"{table}.{name}", f"{share:.1%} of the rows have none: they are left out (skip_gaps)"
            )
    return any(shares.values())


def _with_times(table: TableName, keyed: Keyed, name: str, form: TableFile, notes: Notes) -> TableFile:
    times = keyed.times[name]
    form = form.model_copy(update=times.form)
    if not reads(form, keyed.sample.frame[name]):
        raise DataError(
            f"{keyed.sample}: the times in {name} cannot be read, though they look like {times.why}"
        )
    notes.findings.append(
        Conclusion(where=f"{table}.{name}", what="time", because=times.why, sure=times.sure)
    )
    if (first := float(times.seconds.min())) <= -END_OF_SECONDS:
        why = f"some are before 1653, such as {day(first)}: `funnel run` refuses such events; correct them"
        notes.leave(f"{table}.{name}", why)
    for beside in _of_day(keyed, {"time": name}):
        why = (
            f"times of day beside the days in {name}, and one column is read as the time: until they are "
            "one, such as 2026-01-31 14:03:22, the events of a user on one day are in the order of the file"
        )
        notes.leave(f"{table}.{beside}", why)
    late = float(times.seconds.max()) - time.time()
    if late > _AHEAD:
        why = (
            f"some are {late / _AHEAD:,.0f} days ahead of now: `funnel run` refuses such events; correct them"
        )
        notes.leave(f"{table}.{name}", why)
    return form


def _of_day(keyed: Keyed, keys: dict[str, str]) -> list[str]:
    """The columns that hold times of day, where the column that is the time holds days alone."""
    if "time" not in keys or (keyed.times[keys["time"]].seconds % 86_400 != 0).any():
        return []
    frame = keyed.sample.frame
    return [name for name in keyed.sample.names if are_times_of_day(frame[name])]


def _with_kinds(keyed: Keyed, keys: dict[str, str], form: TableFile, notes: Notes) -> TableFile:
    """The form with the rows that count as events."""
    clicked = keyed.best("clicked")
    if clicked is not None and keyed.sample.frame[clicked].nunique() > 1:
        present = keyed.sample.frame[clicked].dropna().astype("str").unique()
        values = tuple(value for value in present if truth(value, clicked))
        because = "the rows with a click are the events"
        what = f"{', '.join(values)} count"
        notes.findings.append(
            Conclusion(where=f"events.{clicked}", what=what, because=because, sure="likely")
        )
        columns = {**form.columns, **_optional(keyed, {"kind": None, "value": None}, notes)}
        return form.model_copy(update={"keep": {clicked: values}, "columns": columns})
    ratings = [name for name in keyed.sample.names if _is_rating(keyed, name, form)]
    notes.findings += [_of_ratings(name) for name in ratings]
    kinds = find_kinds(keyed, keys)
    notes.kinds, by_key = kinds, {"kind": None if kinds is None else kinds.column}
    notes.findings += [] if kinds is None else [kinds.finding]
    by_key["value"] = None if kinds is None else _value(keyed, keys, form, notes)
    return form.model_copy(update={"columns": {**form.columns, **_optional(keyed, by_key, notes)}})


def _optional(keyed: Keyed, by_key: dict[str, str | None], notes: Notes) -> dict[str, str | None]:
    """Kind and value of events by the columns that hold them; null for a column that only has such a name."""
    columns: dict[str, str | None] = {}
    for key, name in by_key.items():
        if name is not None and name != key:
            columns[key] = name
        elif name is None and key in keyed.sample.names:
            columns[key] = None
            notes.leave(f"events.{key}", f"its name has a meaning for funnel, but it is no {key}: rename it")
    return columns


def _value(keyed: Keyed, keys: dict[str, str], form: TableFile, notes: Notes) -> str | None:
    """The column that says what an event was worth: a number of at least 0 in every row that has the keys."""
    frame = keyed.sample.frame.dropna(subset=list(keys.values()))
    for name in keyed.sample.names:
        if "_".join(names.words(name)) in _VALUES and name not in keys.values():
            amounts = _as_numbers(frame[name], form)
            if keyed.sample.whole and (amounts >= 0).all():
                because = "its name, and a number of at least 0 in every row"
                where = f"events.{name}"
                notes.findings.append(Conclusion(where=where, what="value", because=because, sure="likely"))
                return name
    return None


def _as_numbers(column: pd.Series, form: TableFile) -> pd.Series:
    """As the reader takes them, NaN where one is none, and throughout where it refuses the column."""
    try:
        return pd.to_numeric(in_our_decimals(column, form.decimal, ""), errors="coerce")
    except DataError:
        return pd.Series(np.nan, index=column.index)


def _is_rating(keyed: Keyed, name: str, form: TableFile) -> bool:
    numbers = _as_numbers(keyed.sample.frame[name], form).dropna()
    return names.words(name)[-1:] in (["rating"], ["stars"]) and 2 < numbers.nunique() <= 11


def _of_ratings(name: str) -> Conclusion:
    because = "a low one too, for somebody chose it; to count high ones only, name them in `keep`"
    return Conclusion(where=f"events.{name}", what="each rating counts", because=because, sure="unsure")


def _written(sample: Sample, form: TableFile) -> Conclusion:
    rows = f"{sample.rows:,} rows"
    if not sample.whole:
        rows = f"about {rows}, {len(sample.frame):,} looked at"
    if sample.files.form != "CSV":
        return Conclusion(where=sample.files.path, what=sample.files.form, because=rows, sure="certain")
    separator = {"\t": "tab"}.get(form.separator, form.separator)
    what = f"CSV, {separator} between, {form.encoding}"
    what += ", decimal comma" if form.decimal == "," else ""
    rows += f"; {', '.join(form.missing)} for no value" if form.missing else ""
    return Conclusion(where=sample.files.path, what=what, because=rows, sure="likely")


def _of_key(table: TableName, keyed: Keyed, key: str, name: str) -> Conclusion:
    score = keyed.scores.get(key, {}).get(name, 0.0)
    from_what, sure = _reason(score)
    present = keyed.sample.frame[name].dropna()
    because = f"{from_what}: {', '.join(quoted(value) for value in present.iloc[:2])}"
    is_item = key == "item_id" and isinstance(present.dtype, pd.StringDtype)
    if is_item and (several := list_inside(present.iloc[:_LOOKED_AT])):
        because, sure = f"{because}; {several.why}: a cell is read as one id, write a row for each", "unsure"
    return Conclusion(where=f"{table}.{name}", what=key, because=because, sure=sure)


def _reason(score: float) -> tuple[str, Sure]:
    if score > 1:
        return "you said so", "certain"
    return ("its name", "likely") if score > 0.5 else ("its values", "unsure")

"""The requests that a bundle was judged on, which travel with it: anyone can judge it again, anywhere.

Rows are those of the bundle's own catalogue and users. `translate` makes them requests to another
bundle: ids are looked up in its tables, and its own user columns are read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from funnel.bundle.contents import Contents
from funnel.bundle.standing_filter import requests_under
from funnel.catalogue.encoded import load_features, save_features
from funnel.errors import BundleError
from funnel.types import MOST_KINDS, Bool, EventKinds, Examples, Features, Int32, Ragged, Requests, Shown
from funnel.values.arrays import check_offsets, check_rows, check_within, mapped

HOLDOUT = "holdout"


@dataclass(frozen=True)
class Holdout:
    """Requests, what happened next, and what the bundle answered when it was built: int32 [B, k].

    shown: lists that were shown, with what came of them, where heads learned from such lists.
    """

    examples: Examples
    answers: Int32
    shown: Examples | None = None

    def save(self, folder: Path) -> None:
        """A .npy an array, and which of them there are."""
        folder.mkdir(parents=True)
        requests = self.examples.requests
        lists = {"history": requests.history, "targets": self.examples.targets}
        if requests.exclude is not None:
            lists["exclude"] = requests.exclude
        if requests.negatives is not None:
            lists["negatives"] = requests.negatives
        if requests.shown is not None:
            lists["shown"] = requests.shown.items
            save_features(requests.shown.columns, folder / "shown_columns")
        for name, ragged in lists.items():
            np.save(folder / f"{name}_values.npy", ragged.values)
            np.save(folder / f"{name}_offsets.npy", ragged.offsets)
        np.save(folder / "history_times.npy", requests.history_times.values)
        if requests.history_kinds is not None:
            np.save(folder / "history_kinds.npy", requests.history_kinds.values)
        if self.examples.target_kinds is not None:
            np.save(folder / "target_kinds.npy", self.examples.target_kinds.values)
        for name in ("users", "times"):
            np.save(folder / f"{name}.npy", getattr(requests, name))
        np.save(folder / "answers.npy", self.answers)
        save_features(requests.user_features, folder / "user_features")
        if requests.context:
            save_features(requests.context, folder / "context")
            save_features(requests.context_numbers, folder / "context_numbers")
        (folder / "holdout.json").write_text(json.dumps({"lists": sorted(lists)}))
        if self.shown is not None:
            nothing = np.empty((len(self.shown), 0), dtype=np.int32)
            Holdout(self.shown, nothing).save(folder / "shown")

    @classmethod
    def load(cls, folder: Path, contents: Contents) -> Holdout:
        """What `save` wrote, mapped. contents: of the bundle that the folder is in.

        Raises: BundleError when the bundle has none, or it is damaged.
        """
        try:
            return cls._loaded(folder, contents)
        except (BundleError, OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(
                f"{folder} has no holdout that can be read ({error}): it cannot be judged; build it again"
            ) from error

    @classmethod
    def _loaded(cls, folder: Path, contents: Contents) -> Holdout:
        names = json.loads((folder / "holdout.json").read_text())["lists"]
        users, n_items = mapped(folder / "users.npy", "int32", None), len(contents.catalogue.ids)
        check_within(users, -1, len(contents.users.ids) - 1, folder / "users.npy")
        lists = {name: _lists(folder, name, len(users), n_items) for name in names}
        history = lists["history"]
        times = mapped(folder / "history_times.npy", "int64", len(history.values))
        answers = mapped(folder / "answers.npy", "int32", len(users), None)
        check_within(answers, -1, n_items - 1, folder / "answers.npy")
        context, context_numbers = _moments(folder, contents, len(users))
        requests = Requests(
            users=users,
            times=mapped(folder / "times.npy", "int64", len(users)),
            history=history,
            history_times=Ragged(times, history.offsets),
            exclude=lists.get("exclude"),
            negatives=lists.get("negatives"),
            user_features=load_features(folder / "user_features", contents.users.encoder.specs, len(users)),
            context=context,
            context_numbers=context_numbers,
            shown=_shown(folder / "shown_columns", lists.get("shown"), contents.shown),
        )
        n = 0 if contents.kinds is None else len(contents.kinds.names)
        kinds = _kinds(folder, "history", "int8", (-1, n - 1), history)
        targets = lists["targets"]
        bits = _kinds(folder, "target", "int32", (0, 2 ** (n or MOST_KINDS) - 1), targets)
        shown = cls._loaded(folder / "shown", contents).examples if (folder / "shown").is_dir() else None
        requests = requests_under(contents, replace(requests, history_kinds=kinds))
        return cls(Examples(requests, targets, bits), answers, shown)


def translate(examples: Examples, source: Contents, other: Contents) -> Examples:
    """The same requests, in the rows of another bundle.

    Items that it does not have are left out of histories and lists. A target that it does not have becomes
    the row behind its last: it cannot be returned, and counts as missed.
    """
    requests = examples.requests
    items = other.catalogue.ids.rows(source.catalogue.ids.values)
    users = np.append(other.users.ids.rows(source.users.ids.values), np.int32(-1))[requests.users]
    history, kept = _renumbered(requests.history, items)
    targets = np.where(items < 0, len(other.catalogue.ids), items)[examples.targets.values]
    shown = requests.shown
    if shown is not None:
        listed, inside = _renumbered(shown.items, items)
        shown = Shown(listed, {name: values[inside] for name, values in shown.columns.items()})
    translated = Requests(
        users=users,
        times=np.asarray(requests.times),
        history=history,
        history_times=Ragged(requests.history_times.values[kept], history.offsets),
        exclude=None if requests.exclude is None else _renumbered(requests.exclude, items)[0],
        negatives=None if requests.negatives is None else _renumbered(requests.negatives, items)[0],
        user_features=other.users.features_of(users.tolist(), [{}] * len(users)),
        context=_in_context(requests, source, other),
        context_numbers=requests.context_numbers,
        shown=shown,
    )
    codes, bits = _kinds_in(other.kinds, source.kinds, examples)
    if codes is not None:
        codes = Ragged(codes.values[kept], history.offsets)
    moved = Ragged(targets.astype(np.int32), examples.targets.offsets)
    translated = requests_under(other, replace(translated, history_kinds=codes))
    return replace(examples, requests=translated, targets=moved, target_kinds=bits)


def _kinds_in(
    other: EventKinds | None, source: EventKinds | None, examples: Examples
) -> tuple[Ragged | None, Ragged | None]:
    """The kinds of a history and of targets in another bundle's codes; −1 and no bit for those that it does
    not have."""
    history, targets = examples.requests.history_kinds, examples.target_kinds
    if other is None or source is None:
        return None, targets if source is None else None
    codes = other.codes_of(source)
    if history is not None:
        history = Ragged(codes[history.values], history.offsets)
    if targets is not None:
        bits = np.zeros(len(targets.values), dtype=np.int32)
        for code, to in enumerate(codes[:-1].tolist()):
            bits |= (targets.values >> code & 1) << to if to >= 0 else 0
        targets = Ragged(bits, targets.offsets)
    return history, targets


def shared_targets(examples: Examples, source: Contents, other: Contents) -> Examples:
    """The requests with a target that the other bundle has too, and those targets only."""
    shared = other.catalogue.ids.rows(source.catalogue.ids.values)[examples.targets.values] >= 0
    lengths = np.bincount(examples.targets.list_of[shared], minlength=len(examples))
    targets = Ragged.from_lengths(examples.targets.values[shared], lengths)
    kinds = examples.target_kinds
    kinds = None if kinds is None else Ragged(kinds.values[shared], targets.offsets)
    return Examples(examples.requests, targets, kinds).take(np.flatnonzero(lengths))


def _renumbered(lists: Ragged, rows: Int32) -> tuple[Ragged, Bool]:
    """Lists with new row numbers, without values that have none; and which values stayed: bool [total]."""
    values = rows[lists.values]
    kept = values >= 0
    lengths = np.bincount(lists.list_of[kept], minlength=len(lists))
    return Ragged.from_lengths(values[kept], lengths), kept


def _in_context(requests: Requests, source: Contents, other: Contents) -> Features:
    """What is known at the moments of requests, as another bundle encodes it."""
    if source.context is None or other.context is None:
        return {}
    return source.context.translated(requests.context, requests.context_numbers, other.context)


def _moments(folder: Path, contents: Contents, n: int) -> tuple[Features, Features]:
    """What is known at the moments of n requests: encoded, and its numbers as they are."""
    if contents.context is None or not (folder / "context").is_dir():
        return {}, {}
    names = json.loads((folder / "context_numbers" / "columns.json").read_text())
    numbers = {
        name: mapped(folder / "context_numbers" / f"{number}.npy", "float64", n)
        for number, name in enumerate(names)
    }
    return load_features(folder / "context", contents.context.specs, n), numbers


def _lists(folder: Path, name: str, n: int, n_items: int) -> Ragged:
    """n lists of items."""
    values = mapped(folder / f"{name}_values.npy", "int32", None)
    offsets = mapped(folder / f"{name}_offsets.npy", "int64", n + 1)
    check_rows(values, n_items, folder / f"{name}_values.npy")
    check_offsets(offsets, len(values), folder / f"{name}_offsets.npy")
    return Ragged(values, offsets)


def _kinds(folder: Path, name: str, dtype: str, within: tuple[int, int], lists: Ragged) -> Ragged | None:
    """The kinds of histories or of targets; None where there are none."""
    path = folder / f"{name}_kinds.npy"
    if not path.exists():
        return None
    values = mapped(path, dtype, len(lists.values))
    check_within(values, *within, path)
    return Ragged(values, lists.offsets)


def _shown(folder: Path, items: Ragged | None, names: Sequence[str]) -> Shown | None:
    """The lists that were shown, with a column of numbers each."""
    if items is None:
        return None
    columns = json.loads((folder / "columns.json").read_text())
    if not set(names) <= set(columns):
        raise ValueError(f"columns {columns} of the lists that were shown; {list(names)} are read")
    return Shown(
        items,
        {
            name: mapped(folder / f"{number}.npy", "float32", len(items.values))
            for number, name in enumerate(columns)
        },
    )

"""A checkpoint belongs to the training that made it; what is in doubt is left aside."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.features.encoders import Spec
from funnel.towers.training import checkpoint, digests
from funnel.towers.training.checkpoint import NAME
from funnel.towers.training.digests import fingerprint
from funnel.towers.training.train import train
from funnel.towers.training.trained import Epoch, Trained
from funnel.towers.training.warm import Start
from funnel.types import Ragged

from .world import ITEM_SPECS, SMALL, USER_SPECS, World, excluding_seen, world

CONFIG = SMALL.model_copy(update={"epochs": 2, "d": 8, "history": 4})
WORLD = world(n_users=30)


class Interrupted(Exception):
    pass


def arguments(of: World = WORLD, **changes: Any) -> dict[str, Any]:
    names = (
        "events", "item_features", "item_specs", "user_features", "user_specs", "validation",
    )  # fmt: skip
    return dict(zip(names, of.arguments(), strict=True)) | {"config": CONFIG} | changes


def numbers(folder: Path, **given: Any) -> list[int]:
    """The epochs that are trained with the folder."""
    seen: list[int] = []
    train(**given, folder=folder, on_epoch=lambda epoch: seen.append(epoch.number))
    return seen


def interrupt(folder: Path, **given: Any) -> None:
    """Stop after the first epoch."""

    def stop(epoch: Epoch) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        train(**given, folder=folder, on_epoch=stop)


def other(table: Any, name: str) -> dict[str, Any]:
    column = table[name].copy()
    column[[0, -1]] = column[[-1, 0]]
    column.flat[3] += 1
    return {**table, name: column}


def last_changed(log: Any, part: str) -> Any:
    values = getattr(log, part).copy()
    values[-1] += 1 if part == "times" else -1
    return replace(log, **{part: values})


def start() -> Start:
    """Nothing to start from, under a name."""
    columns: dict[str, tuple[list[str], list[str]]]
    columns = {"items": ([], list(ITEM_SPECS)), "users": ([], list(USER_SPECS))}
    nobody = np.zeros(WORLD.log.n_items, np.int64)
    return Start("v1", {"items.ids": torch.zeros(1, 8)}, nobody, {"items": {}, "users": {}}, columns)


TARGETS = Ragged(WORLD.validation.targets.values[::-1].copy(), WORLD.validation.targets.offsets)
CHANGES: dict[str, Callable[[], dict[str, Any]]] = {
    "an item's time": lambda: {"events": last_changed(WORLD.log, "times")},
    "an item": lambda: {"events": last_changed(WORLD.log, "items")},
    "the order of events": lambda: {"events": WORLD.log.where(np.arange(len(WORLD.log))[::-1])},
    "the clock": lambda: {"events": replace(WORLD.log, clock="order")},
    "one more user": lambda: {"events": replace(WORLD.log, n_users=WORLD.log.n_users + 1)},
    "a category of items": lambda: {"item_features": other(WORLD.item_features, "group")},
    "a list of items": lambda: {"item_features": other(WORLD.item_features, "place")},
    "a number of users": lambda: {"user_features": other(WORLD.user_features, "age")},
    "fewer columns": lambda: {"item_specs": {"group": ITEM_SPECS["group"]}},
    "the order of columns": lambda: {"item_specs": dict(reversed(ITEM_SPECS.items()))},
    "a larger column": lambda: {"user_specs": USER_SPECS | {"likes": Spec("category", 99, 1)}},
    "what is looked for": lambda: {"validation": replace(WORLD.validation, targets=TARGETS)},
    "what is left out": lambda: {"validation": excluding_seen(WORLD.validation)},
    "no validation": lambda: {"validation": None},
    "the config": lambda: {"config": CONFIG.model_copy(update={"lr": 0.02})},
    "the seed": lambda: {"seed": 1},
    "weights to start from": lambda: {"start_from": start()},
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The checkpoint of a training that was stopped after its first epoch."""
    folder = tmp_path_factory.mktemp("stopped")
    interrupt(folder, **arguments())
    return (folder / NAME).read_bytes()


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_changed_it_is_another_training(
    tmp_path: Path, stopped: bytes, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAME).write_bytes(stopped)
    given = arguments(**CHANGES[change]())
    assert numbers(tmp_path, **given)[0] == 0
    assert "starts anew" in caplog.text
    caplog.clear()
    # What was left behind is the new one's.
    assert numbers(tmp_path, **given) == []
    assert not caplog.text


def test_the_same_arguments_in_other_arrays_go_on(tmp_path: Path, stopped: bytes) -> None:
    """Equal by value: copies, mapped from a file."""
    (tmp_path / NAME).write_bytes(stopped)
    np.save(tmp_path / "group.npy", WORLD.item_features["group"])
    mapped = np.load(tmp_path / "group.npy", mmap_mode="c")
    events = replace(WORLD.log, items=WORLD.log.items.copy())
    given = arguments(item_features=WORLD.item_features | {"group": mapped}, events=events)
    assert numbers(tmp_path, **given) == [1]


def test_another_version_starts_anew(tmp_path: Path, stopped: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / NAME).write_bytes(stopped)
    monkeypatch.setattr(digests, "FORMAT", digests.FORMAT + 1)
    assert numbers(tmp_path, **arguments()) == [0, 1]


@pytest.fixture(scope="module")
def whole() -> Trained:
    return train(**arguments())


def torn(whole: bytes) -> dict[str, bytes]:
    places = np.linspace(0, len(whole) - 1, 12).astype(int)
    flipped = {}
    for at in places:
        changed = bytearray(whole)
        changed[at] ^= 0x10
        flipped[f"bit at {at}"] = bytes(changed)
    return {
        **{f"cut at {at}": whole[:at] for at in places},
        **flipped,
        "text": b"not an archive",
        "an array": _npy(),
        "zeros": bytes(len(whole)),
        "twice": whole + whole[: len(whole) // 2],
    }


def _npy() -> bytes:
    import io

    out = io.BytesIO()
    np.save(out, np.arange(5))
    return out.getvalue()


def test_a_damaged_one_is_left_aside(
    tmp_path: Path, stopped: bytes, whole: Trained, caplog: pytest.LogCaptureFixture
) -> None:
    """Cut short, a bit flipped anywhere, or something else: the result is that of a training without it.

    A flipped bit in what an archive does not use may also leave it whole.
    """
    anew = 0
    for kind, content in torn(stopped).items():
        (tmp_path / NAME).write_bytes(content)
        caplog.clear()
        try:
            found = checkpoint.load(tmp_path / NAME)
        except checkpoint.Damaged:
            anew += 1
            continue
        assert kind.startswith(("bit", "twice")), kind
        assert found is not None
    assert anew >= 20
    (tmp_path / NAME).write_bytes(stopped[:-100])
    seen: list[int] = []
    with caplog.at_level(logging.WARNING):
        again = train(**arguments(), folder=tmp_path, on_epoch=lambda epoch: seen.append(epoch.number))
    assert "damaged checkpoint" in caplog.text
    assert seen == [0, 1]
    assert again.item_vectors.tobytes() == whole.item_vectors.tobytes()


def test_contents_that_were_exchanged_are_noticed(tmp_path: Path, stopped: bytes) -> None:
    """A whole archive, with right checksums of its own, that is not what was written."""
    (tmp_path / NAME).write_bytes(stopped)
    with np.load(tmp_path / NAME) as file:
        arrays = {name: file[name] for name in file.files}
    name = next(name for name in arrays if name.startswith("model/"))
    np.savez(tmp_path / NAME, **(arrays | {name: arrays[name] + 1}))  # type: ignore[arg-type]
    with pytest.raises(checkpoint.Damaged, match="not those that were written"):
        checkpoint.load(tmp_path / NAME)


def test_where_none_can_be_written_training_goes_on(
    tmp_path: Path, whole: Trained, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"{NAME}.partial").mkdir()
    again = train(**arguments(), folder=tmp_path)
    assert "training goes on without" in caplog.text
    assert again.item_vectors.tobytes() == whole.item_vectors.tobytes()


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.lists(st.integers(0, 3), max_size=3).map(lambda x: np.array(x, dtype=np.int32)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_different_values_have_different_fingerprints(first: list[Any], second: list[Any]) -> None:
    assert (fingerprint(*first) == fingerprint(*second)) == (described(first) == described(second))


def described(value: Any) -> Any:
    """A value in writing, without a doubt about where a part ends."""
    if isinstance(value, np.ndarray):
        return ("array", str(value.dtype), value.shape, value.tolist())
    if isinstance(value, list):
        return ["list", *map(described, value)]
    if isinstance(value, dict):
        return ["dict", *((key, described(part)) for key, part in value.items())]
    return (type(value).__name__, repr(value))


def test_what_cannot_be_told_apart_is_refused() -> None:
    for value in (object(), {1, 2}, np.array([object()])):
        with pytest.raises((TypeError, ValueError)):
            fingerprint(value)

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
import torch

from funnel.errors import BundleError, FunnelError
from funnel.towers.encoder import QueryEncoder
from funnel.towers.items import ItemEncoder
from funnel.towers.training.export import export
from funnel.towers.training.model import tensors
from funnel.towers.training.train import train
from funnel.towers.training.trained import Trained
from funnel.types import Requests
from funnel.values.texts import load_ids

from .world import ITEM_SPECS, N_ITEMS, SMALL, strangers, user_table, world

WORLD = world(n_users=40)
REQUESTS = WORLD.validation.requests
ITEM_IDS = np.arange(N_ITEMS) * 10
USER_IDS = np.array([f"user {i}" for i in range(len(REQUESTS))])
FILES = {
    "item_ids.npy",
    "item_tower.onnx",
    "item_vectors.npy",
    "query_tower.onnx",
    "towers.json",
    "user_ids.npy",
    "user_vectors.npy",
}


def trained_as(encoder: Literal["transformer", "pooled"]) -> Trained:
    return train(*WORLD.arguments(), SMALL.model_copy(update={"encoder": encoder, "epochs": 2, "layers": 2}))


def export_of(trained: Trained, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    return export(trained, folder, item_ids=ITEM_IDS, user_ids=USER_IDS, requests=REQUESTS)


@pytest.fixture(scope="module", params=["transformer", "pooled"])
def trained(request: pytest.FixtureRequest) -> Trained:
    return trained_as(request.param)


@pytest.fixture(scope="module")
def folder(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("embeddings")
    export_of(trained, made)
    return made


def test_the_exported_tower_says_what_torch_says(trained: Trained, folder: Path) -> None:
    encoder = QueryEncoder.load(folder)
    np.testing.assert_allclose(encoder.encode(REQUESTS), trained.encode(REQUESTS), atol=1e-5)
    np.testing.assert_array_equal(encoder.item_vectors, trained.item_vectors)


HISTORIES = [[], [3], [1, 2, 3], list(range(8)), list(range(20)), [-1, 5, -1], [-1]]


def test_any_number_of_requests_and_any_length(trained: Trained, folder: Path) -> None:
    """One at a time, all at once, and in chunks: the same queries."""
    users = user_table(np.arange(len(HISTORIES)) % 6, np.random.default_rng(2))
    requests = strangers(HISTORIES, users)
    encoder = QueryEncoder.load(folder)
    together = encoder.encode(requests)
    np.testing.assert_allclose(together, trained.encode(requests), atol=1e-5)
    single = [encoder.encode(requests.take(np.array([i]))) for i in range(len(requests))]
    np.testing.assert_allclose(np.concatenate(single), together, atol=1e-5)


def test_many_requests_are_encoded_in_chunks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = QueryEncoder.load(folder)
    whole = encoder.encode(REQUESTS)
    monkeypatch.setattr("funnel.towers.encoder.CHUNK", 7 * SMALL.history * SMALL.d)
    np.testing.assert_allclose(encoder.encode(REQUESTS), whole, atol=1e-5)


def test_no_requests_give_no_queries(folder: Path) -> None:
    assert QueryEncoder.load(folder).encode(REQUESTS.take(np.arange(0))).shape == (0, SMALL.d)


def test_removed_items_are_as_if_never_met(folder: Path) -> None:
    encoder = QueryEncoder.load(folder)
    np.testing.assert_allclose(
        encoder.encode(strangers([[-1, 5, -1]])), encoder.encode(strangers([[5]])), atol=1e-6
    )


def test_items_without_events_are_encoded_as_torch_does(trained: Trained, folder: Path) -> None:
    encoder = ItemEncoder.load(folder)
    assert encoder is not None
    columns = WORLD.item_features
    with torch.no_grad():
        tower = copy.deepcopy(trained.model.items).eval()
        tower.rows.zero_()  # nobody has met any of them
        want = tower(torch.arange(N_ITEMS), tensors(columns, list(ITEM_SPECS))).numpy()
    np.testing.assert_allclose(encoder.encode(columns), want, atol=1e-6)
    one = {name: values[3:4] for name, values in columns.items()}
    np.testing.assert_allclose(encoder.encode(one), want[3:4], atol=1e-6)


def test_many_items_are_encoded_a_part_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = ItemEncoder.load(folder)
    assert encoder is not None
    whole = encoder.encode(WORLD.item_features)
    monkeypatch.setattr("funnel.towers.items.CHUNK", 7 * SMALL.d * 2)
    np.testing.assert_allclose(encoder.encode(WORLD.item_features), whole, atol=1e-6)
    nothing = {name: column[:0] for name, column in WORLD.item_features.items()}
    assert encoder.encode(nothing).shape == (0, SMALL.d)


def test_without_item_columns_all_new_items_are_alike(tmp_path: Path) -> None:
    events, _, _, users, specs, asked = WORLD.arguments()
    trained = train(events, {}, {}, users, specs, asked, SMALL.model_copy(update={"epochs": 1}))
    export_of(trained, tmp_path)
    encoder = ItemEncoder.load(tmp_path)
    assert encoder is not None
    vectors = encoder.encode({}, 3)
    assert vectors.shape == (3, SMALL.d)
    assert (vectors == vectors[0]).all()


def test_an_older_version_has_no_item_tower(folder: Path, tmp_path: Path) -> None:
    assert ItemEncoder.load(tmp_path) is None
    (tmp_path / "item_tower.onnx").write_bytes(b"torn")
    (tmp_path / "towers.json").write_bytes((folder / "towers.json").read_bytes())
    with pytest.raises(BundleError, match="item tower cannot be read"):
        ItemEncoder.load(tmp_path)


def test_the_folder_holds_vectors_with_ids(folder: Path, trained: Trained) -> None:
    assert {p.name for p in folder.iterdir()} == FILES
    assert np.load(folder / "item_ids.npy").tolist() == ITEM_IDS.tolist()
    assert load_ids(folder / "user_ids.npy").tolist() == USER_IDS.tolist()
    np.testing.assert_allclose(np.load(folder / "user_vectors.npy"), trained.encode(REQUESTS), atol=1e-5)
    encoder = QueryEncoder.load(folder)
    assert encoder.item_specs == trained.item_specs
    assert encoder.user_specs == trained.user_specs


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    first, second = tmp_path / "first", tmp_path / "second"
    fingerprint = export_of(trained_as("pooled"), first)
    assert export_of(trained_as("pooled"), second) == fingerprint == QueryEncoder.load(first).fingerprint
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    torch.testing.assert_close(torch.rand(3), want)  # nobody's generator was touched


def test_the_graph_says_nothing_of_the_machine(folder: Path) -> None:
    raw = (folder / "query_tower.onnx").read_bytes()
    assert b".py" not in raw
    assert str(Path.home()).encode() not in raw
    onnx.checker.check_model(onnx.load_from_string(raw))


def test_towers_that_disagree_are_refused(
    trained: Trained, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, items = ((folder / f"{name}_tower.onnx").read_bytes() for name in ("query", "item"))
    monkeypatch.setattr("funnel.towers.training.export.query_graph", lambda *_: query)
    monkeypatch.setattr("funnel.towers.training.export.item_graph", lambda *_: items)
    other = replace(trained, model=copy.deepcopy(trained.model))
    export_of(other, tmp_path / "same")
    with torch.no_grad():
        other.model.query.start[0, 0] += 1.0
    with pytest.raises(FunnelError, match="differs from torch"):
        export_of(other, tmp_path / "changed")


def test_numbers_that_are_not_finite_are_those_of_a_training_that_diverged(
    trained: Trained, tmp_path: Path
) -> None:
    spoilt = np.full_like(trained.item_vectors, np.inf)
    with pytest.raises(
        FunnelError, match=r"vectors of items are not finite; lower towers\.lr, which is 0\.01"
    ):
        export_of(replace(trained, item_vectors=spoilt), tmp_path / "items")
    other = replace(trained, model=copy.deepcopy(trained.model))
    with torch.no_grad():
        other.model.query.start.fill_(np.inf)
    with pytest.raises(FunnelError, match="queries are not finite"):
        export_of(other, tmp_path / "queries")


def test_ids_must_fit(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(FunnelError, match="29 item ids for 30 vectors"):
        export(trained, tmp_path, item_ids=ITEM_IDS[1:], user_ids=USER_IDS, requests=REQUESTS)


@pytest.mark.parametrize("name", ["towers.json", "query_tower.onnx", "item_vectors.npy"])
def test_a_damaged_version_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() if path.name != name else b"{}")
    with pytest.raises(BundleError, match=r"no towers can be read|item_vectors\.npy cannot be read"):
        QueryEncoder.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(BundleError, match=r"no towers can be read|item_vectors\.npy cannot be read"):
        QueryEncoder.load(tmp_path)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["onnx"] = None
import numpy as np
from pathlib import Path
from funnel.towers.encoder import QueryEncoder
from funnel.types import Ragged, Requests
history = Ragged.from_lists([[1, 2], []])
times = Ragged(history.values * 9, history.offsets)
requests = Requests(np.array([-1, -1], np.int32), np.zeros(2, np.int64), history, times)
print(QueryEncoder.load(Path(sys.argv[1])).encode(requests).shape)
"""


def test_encoding_needs_no_torch(folder: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(folder)], capture_output=True, text=True, check=False
    )
    assert run.stdout.strip() == f"(2, {SMALL.d})", run.stderr


def test_without_a_clock_and_without_user_columns(tmp_path: Path) -> None:
    plain = world("none", n_users=40)
    log, items, specs, _, _, validation = plain.arguments()
    bare = replace(validation, requests=replace(validation.requests, user_features={}))
    trained = train(
        log, items, specs, {}, {}, bare, SMALL.model_copy(update={"epochs": 1, "normalize": False})
    )
    requests: Requests = bare.requests
    export(trained, tmp_path, item_ids=ITEM_IDS, user_ids=USER_IDS, requests=requests)
    np.testing.assert_allclose(
        QueryEncoder.load(tmp_path).encode(requests), trained.encode(requests), atol=1e-4
    )

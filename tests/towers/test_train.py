from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import pytest
import torch

from funnel.errors import ConfigError, DataError, FunnelError
from funnel.towers.config import TowersConfig
from funnel.towers.training.checkpoint import NAME
from funnel.towers.training.train import train
from funnel.towers.training.trained import Epoch, Trained
from funnel.towers.training.validate import TorchEncoder, ndcg
from funnel.types import Examples, Ragged

from .world import COLD, N_ITEMS, SIZE, SMALL, excluding_seen, strangers, user_table, world

WORLD = world()
SHORT = SMALL.model_copy(update={"epochs": 3})
T = TypeVar("T")


def hits(trained: Trained, examples: Examples) -> float:
    """How often the best item is the target."""
    scores = trained.encode(examples.requests) @ trained.item_vectors.T
    return float((scores.argmax(1) == examples.targets.values).mean())


@pytest.mark.parametrize(
    ("encoder", "loss"),
    [
        *(("transformer", loss) for loss in ("full_softmax", "sampled_softmax", "gbce")),
        ("pooled", "sampled_softmax"),
        ("pooled", "full_softmax"),
        ("pooled", "gbce"),
    ],
)
def test_towers_learn_what_comes_next(
    encoder: Literal["transformer", "pooled"], loss: Literal["full_softmax", "sampled_softmax", "gbce"]
) -> None:
    config = SMALL.model_copy(update={"encoder": encoder, "loss": loss, "negatives": 24})
    if loss == "gbce":  # learns the same, but later
        config = config.model_copy(update={"epochs": 30, "patience": 30})
    assert hits(train(*WORLD.arguments(), config), WORLD.validation) > 0.8


def test_hard_negatives_and_frequencies_found_on_the_way_learn_too() -> None:
    changes = {"loss": "sampled_softmax", "negatives": 24, "in_batch": 0.3, "hard": 0.3}
    longer = {"frequencies": "streaming", "epochs": 30, "patience": 30}
    config = SMALL.model_copy(update={**changes, **longer})
    assert hits(train(*WORLD.arguments(), config), WORLD.validation) > 0.8


@pytest.mark.parametrize(
    ("graph", "loss"),
    [
        (0, "sampled_softmax"),
        (2, "gbce"),
        (2, "sampled_softmax"),
        (0, "gbce"),
    ],
)
def test_sets_are_learned_with_every_loss(loss: Literal["sampled_softmax", "gbce"], graph: int) -> None:
    """full_softmax is below; with and without smoothing over the graph. gBCE is slower here as well."""
    config = SMALL.model_copy(
        update={"loss": loss, "negatives": 24, "graph": graph, "epochs": 60, "patience": 60}
    )
    trained = train(*world("none").arguments(), config)
    best = (trained.encode(WORLD.validation.requests) @ trained.item_vectors.T).argmax(1)
    found = (best // SIZE == WORLD.validation.targets.values // SIZE).mean()
    assert found > (0.6 if loss == "gbce" else 0.9)


def test_the_plain_dot_product_learns_too() -> None:
    config = SMALL.model_copy(update={"normalize": False})
    assert hits(train(*WORLD.arguments(), config), WORLD.validation) > 0.8


def test_a_set_is_learned_without_its_order() -> None:
    """Which group a user walks in is all that there is to know."""
    trained = train(*world("none").arguments(), SMALL.model_copy(update={"encoder": "pooled"}))
    best = (trained.encode(WORLD.validation.requests) @ trained.item_vectors.T).argmax(1)
    assert (best // SIZE == WORLD.validation.targets.values // SIZE).mean() > 0.9


@pytest.mark.parametrize("loss", ["full_softmax", "sampled_softmax", "gbce"])
def test_towers_of_sets_do_not_depend_on_the_order_of_the_log(
    loss: Literal["full_softmax", "sampled_softmax", "gbce"],
) -> None:
    """Nor on that of the histories that early stopping asks with."""
    sets, config = world("none"), SHORT.model_copy(update={"loss": loss, "negatives": 24})
    rng = np.random.default_rng(0)
    other = replace(sets, log=sets.log.where(rng.permutation(len(sets.log))))
    requests = sets.validation.requests
    lists = [rng.permutation(requests.history[row]) for row in range(len(requests))]
    mixed = replace(requests, history=Ragged.from_lists(lists))
    other = replace(other, validation=replace(sets.validation, requests=mixed))
    first, second = train(*sets.arguments(), config), train(*other.arguments(), config)
    assert first.item_vectors.tobytes() == second.item_vectors.tobytes()
    assert first.encode(requests).tobytes() == second.encode(mixed).tobytes()
    assert [epoch.validation for epoch in first.epochs] == [epoch.validation for epoch in second.epochs]


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(*WORLD.arguments(), SMALL)


def test_a_user_never_seen_is_answered_from_columns_and_history(trained: Trained) -> None:
    groups = np.arange(6)
    users = user_table(groups, np.random.default_rng(1))
    from_columns = trained.encode(strangers([[]] * 6, users)) @ trained.item_vectors.T
    assert (from_columns.argmax(1) // SIZE == groups).all()
    from_history = (
        trained.encode(strangers([[g * SIZE, g * SIZE + 1] for g in groups])) @ trained.item_vectors.T
    )
    assert (from_history.argmax(1) == groups * SIZE + 2).mean() > 0.8


def test_nothing_known_at_all_still_gives_a_query(trained: Trained) -> None:
    assert np.isfinite(trained.encode(strangers([[]]))).all()


def test_an_item_without_events_is_found_by_its_columns(trained: Trained) -> None:
    """Among such items, the one of the group that the user walks in."""
    best = (trained.encode(WORLD.validation.requests) @ trained.item_vectors[COLD].T).argmax(1)
    assert (COLD[best] // SIZE == WORLD.validation.targets.values // SIZE).mean() > 0.8


def test_the_same_seed_gives_the_same_bytes_on_any_threads_and_another_does_not() -> None:
    first, second = (
        on_threads(number, lambda: train(*WORLD.arguments(), SHORT, seed=3)) for number in (1, 2)
    )
    assert first.item_vectors.tobytes() == second.item_vectors.tobytes()
    assert (
        first.encode(WORLD.validation.requests).tobytes()
        == second.encode(WORLD.validation.requests).tobytes()
    )
    assert (train(*WORLD.arguments(), SHORT, seed=4).item_vectors != first.item_vectors).any()


def on_threads(number: int, do: Callable[[], T]) -> T:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        return do()
    finally:
        torch.set_num_threads(before)


def test_training_leaves_torchs_own_generator_alone() -> None:
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    train(*WORLD.arguments(), SMALL.model_copy(update={"epochs": 1}))
    torch.testing.assert_close(torch.rand(3), want)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "full_softmax"},
        {"loss": "sampled_softmax"},
        {"loss": "sampled_softmax", "in_batch": 0.3, "hard": 0.3, "frequencies": "streaming"},
    ],
)
def test_a_resumed_run_ends_as_one_that_never_stopped(tmp_path: Path, changes: dict[str, object]) -> None:
    config = SMALL.model_copy(update={"epochs": 5, "negatives": 24, **changes})
    whole = train(*WORLD.arguments(), config)

    def stop(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(*WORLD.arguments(), config, folder=tmp_path, on_epoch=stop)
    seen: list[int] = []
    resumed = train(*WORLD.arguments(), config, folder=tmp_path, on_epoch=lambda e: seen.append(e.number))
    assert seen == [3, 4]
    assert resumed.item_vectors.tobytes() == whole.item_vectors.tobytes()
    assert (
        resumed.encode(WORLD.validation.requests).tobytes()
        == whole.encode(WORLD.validation.requests).tobytes()
    )
    assert [e.validation for e in resumed.epochs] == [e.validation for e in whole.epochs]
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_a_checkpoint_of_another_training_is_not_gone_on_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(*WORLD.arguments(), SHORT, folder=tmp_path)
    again = train(*WORLD.arguments(), SHORT, folder=tmp_path, seed=1)
    assert "starts anew" in caplog.text
    assert again.item_vectors.tobytes() == train(*WORLD.arguments(), SHORT, seed=1).item_vectors.tobytes()


def test_training_stops_after_patience_and_keeps_the_best() -> None:
    """Validation asks for items that are the target of nothing, so that learning makes it worse."""
    wrong = replace(WORLD.validation, targets=Ragged.from_lists([[int(COLD[0])]] * len(WORLD.validation)))
    arguments = replace(WORLD, validation=wrong).arguments()
    trained = train(*arguments, SMALL.model_copy(update={"patience": 2, "epochs": 50}))
    figures = [e.validation for e in trained.epochs]
    assert len(figures) == trained.best + 3 < 50
    assert figures[trained.best] == max(figures)
    vectors = torch.from_numpy(trained.item_vectors)
    encoder = TorchEncoder(trained.model.query, vectors, trained.user_specs, SMALL.history, "time")
    assert ndcg(encoder, wrong, 100) == pytest.approx(max(figures))


def slow_ndcg(trained: Trained, examples: Examples, k: int) -> float:
    total = 0.0
    scores = trained.encode(examples.requests) @ trained.item_vectors.T
    for i in range(len(examples)):
        hidden = set() if examples.requests.exclude is None else set(examples.requests.exclude[i].tolist())
        order = [j for j in np.argsort(-scores[i], kind="stable") if j not in hidden][:k]
        wanted = set(examples.targets[i].tolist())
        gain = sum(1 / np.log2(place + 2) for place, j in enumerate(order) if j in wanted)
        total += gain / sum(1 / np.log2(place + 2) for place in range(min(k, len(wanted))))
    return total / len(examples)


@pytest.mark.parametrize("k", [1, 4, 100])
def test_validation_is_exact(trained: Trained, k: int) -> None:
    rng = np.random.default_rng(0)
    targets = Ragged.from_lists(
        [rng.choice(N_ITEMS, 1 + i % 4, replace=False) for i in range(len(WORLD.validation))]
    )
    vectors = torch.from_numpy(trained.item_vectors)
    encoder = TorchEncoder(trained.model.query, vectors, trained.user_specs, SMALL.history, "time")
    examples = replace(WORLD.validation, targets=targets)
    assert ndcg(encoder, examples, k) == pytest.approx(slow_ndcg(trained, examples, k))
    excluding = excluding_seen(examples)
    assert ndcg(encoder, excluding, k) == pytest.approx(slow_ndcg(trained, excluding, k))


def test_nothing_to_train_on_or_to_validate_with() -> None:
    nobody = np.arange(0)
    empty = replace(WORLD, log=WORLD.log.where(nobody))
    with pytest.raises(DataError, match="log is empty"):
        train(*empty.arguments(), SMALL)
    unwatched = replace(WORLD, validation=WORLD.validation.take(nobody))
    with pytest.raises(DataError, match="validation has no requests"):
        train(*unwatched.arguments(), SMALL)


def test_one_event_and_one_item() -> None:
    log = replace(WORLD.log.where(np.arange(1)), items=np.zeros(1, dtype=np.int32), n_items=1)
    one = {name: column[:1] for name, column in WORLD.item_features.items()}
    examples = replace(
        WORLD.validation.take(np.arange(1)), targets=Ragged.from_lists([[0]]), requests=strangers([[]])
    )
    small = replace(WORLD, log=log, item_features=one, validation=examples)
    for loss in ("full_softmax", "sampled_softmax", "gbce"):
        trained = train(*small.arguments(), SMALL.model_copy(update={"loss": loss, "epochs": 2}))
        assert np.isfinite(trained.item_vectors).all()


@pytest.mark.parametrize("loss", ["full_softmax", "sampled_softmax"])
def test_a_training_that_diverges_names_what_to_lower(loss: str) -> None:
    config = TowersConfig(d=16, layers=1, batch=64, epochs=30, lr=1.0, weight_decay=10.0, loss=loss)
    with pytest.raises(FunnelError, match=r"diverged: in epoch \d+ the loss is not finite; lower towers\.lr"):
        train(*WORLD.arguments(), config)


def test_weights_that_the_last_step_of_all_spoils_are_not_kept() -> None:
    config = SMALL.model_copy(update={"batch": 1_000_000, "epochs": 1, "lr": 1e30, "weight_decay": 1e30})
    with pytest.raises(FunnelError, match="after epoch 0 weights are not finite"):
        train(*WORLD.arguments(), config)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        TowersConfig(d=10, heads=4)


def test_a_large_catalogue_is_sampled() -> None:
    assert TowersConfig().loss_for(12_101, "order") == "full_softmax"
    assert TowersConfig().loss_for(100_000, "time") == "sampled_softmax"
    assert TowersConfig().loss_for(40_981, "none") == "full_softmax"
    assert TowersConfig(loss="gbce").loss_for(5, "time") == "gbce"


def test_a_transformer_over_sets_is_refused() -> None:
    config = SMALL.model_copy(update={"encoder": "transformer"})
    with pytest.raises(ConfigError, match='these events have none: leave it at "auto"'):
        train(*world("none").arguments(), config)


def test_shares_of_negatives_are_at_most_all() -> None:
    with pytest.raises(ValueError, match="more than 1 together"):
        TowersConfig(in_batch=0.7, hard=0.4)

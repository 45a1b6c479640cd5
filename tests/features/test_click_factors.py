"""What of a request goes with what of an item, learned from shown lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import approx_fprime

import funnel
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents
from funnel.errors import BundleError
from funnel.features.click_factors import FADE, ClickFactors, request_specs
from funnel.features.fit_click_factors import ShownClicks, _epoch, fit_click_factors, log_rates
from funnel.features.groups.click_factor import begins
from funnel.features.spec import Spec
from funnel.pipeline.click_rates import click_rates
from funnel.types import Ragged, Requests
from tests.shown_shop import plain_shop
from tests.tiny import TinyBuild

ITEM_SPECS = {
    "colour": Spec("category", 4, 1),
    "tags": Spec("multi_category", 5, 2),
    "bid": Spec("number", 2, 2),
}
MOMENT_SPECS = request_specs({"team": Spec("category", 3, 1)}, {"place": Spec("category", 3, 1)})
COLUMNS = {
    "colour": np.array([1, 2, 3, 1, 0], dtype=np.int32),
    "tags": np.array([[1, 2], [3, 0], [4, 1], [0, 0], [2, 0]], dtype=np.int32),
    "bid": np.zeros((5, 2), dtype=np.float32),
}


def requests(histories: list[list[int]], team: list[int], place: list[int] | None) -> tuple[Requests, Ragged]:
    history, n = Ragged.from_lists(histories), len(histories)
    return Requests(
        users=np.arange(n, dtype=np.int32), times=np.zeros(n, np.int64), history=history,
        history_times=Ragged(np.zeros(len(history.values), np.int64), history.offsets),
        user_features={"team": np.array(team, dtype=np.int32)},
        context={} if place is None else {"place": np.array(place, dtype=np.int32)},
    ), history  # fmt: skip


def drawn(seed: int) -> ClickFactors:
    rng, d = np.random.default_rng(seed), 3

    def table(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return ClickFactors(
        -1.5, table(4), {"colour": table(4, 1 + d), "tags": table(5, 1 + d)},
        {"colour": table(4, d), "tags": table(5, d)},
        {"user.team": table(3, d), "context.place": table(3, d)},
    )  # fmt: skip


def vector(tables: dict[str, np.ndarray], item: int) -> np.ndarray:
    """Of an item, column by column and code by code."""
    total = 0.0
    for name, table in tables.items():
        codes = [code for code in np.ravel(COLUMNS[name][item]) if code > 0]
        total = total + sum((table[code].astype(float) for code in codes), np.zeros(table.shape[1])) / max(
            1, len(codes)
        )
    return total


def by_hand(
    factors: ClickFactors, history: list[int], codes: dict[str, int], item: int
) -> tuple[float, float]:
    wanted = sum(
        (factors.moments[name][code].astype(float) for name, code in codes.items() if code), np.zeros(3)
    )
    if history:
        wanted = wanted + sum(vector(factors.tastes, one) for one in history) / len(history) ** FADE
    own = float(factors.items[item]) if item < len(factors.items) else 0.0
    offered = vector(factors.values, item)
    match = float(wanted @ offered[1:])
    return factors.start + own + offered[0] + match, match


def test_log_odds_are_those_added_up_by_hand_for_new_items_too() -> None:
    factors = drawn(0)
    histories, team, place = [[0, 3, 1], [], [2]], [1, 0, 2], [2, 1, 0]
    asked, recent = requests(histories, team, place)
    items = np.array([[0, 1, 2, 3, 4], [4, 3, -1, 0, -1], [2, -1, 2, 1, 0]], dtype=np.int32)
    found = factors.over(COLUMNS).log_odds(asked, recent.rows, items)
    for row, some in enumerate(items):
        codes = {"user.team": team[row], "context.place": place[row]}
        for at, item in enumerate(some.tolist()):
            if item < 0:
                assert np.isnan(found[row, at]).all()
            else:
                expected = by_hand(factors, histories[row], codes, item)
                assert found[row, at] == pytest.approx(expected, abs=1e-5)


def test_a_batch_gives_the_bits_of_single_requests_and_what_is_not_said_counts_as_nothing() -> None:
    factors = drawn(1)
    asked, recent = requests([[0, 1], [2, 2, 2], []], [1, 2, 0], [1, 0, 2])
    items = np.array([[0, 1, 2], [3, 4, 0], [1, -1, 2]], dtype=np.int32)
    whole = factors.over(COLUMNS).log_odds(asked, recent.rows, items)
    for row in range(3):
        some = np.array([row])
        alone = factors.over(COLUMNS).log_odds(asked.take(some), recent.take(some).rows, items[some])
        np.testing.assert_array_equal(alone[0], whole[row])
    silent, recent = requests([[], []], [0, 0], None)
    found = factors.over(COLUMNS).log_odds(silent, recent.rows, items[:2])
    np.testing.assert_array_equal(found[..., 1], 0)


def test_columns_that_change_in_place_count_at_once() -> None:
    factors, columns = drawn(1), {name: column.copy() for name, column in COLUMNS.items()}
    asked, recent = requests([[0, 1]], [1], [1])
    items = np.array([[0, 1, 2]], dtype=np.int32)
    scores = factors.over(columns)
    before = scores.log_odds(asked, recent.rows, items)
    columns["colour"][0], columns["tags"][1, 0] = 3, 4
    found = scores.log_odds(asked, recent.rows, items)
    np.testing.assert_array_equal(found, factors.over(columns).log_odds(asked, recent.rows, items))
    assert (found != before).any()


def test_steps_go_by_the_gradient_of_the_position_based_model() -> None:
    """One list of one item, so that what is squared is one gradient: beside differences of the loss."""
    rng, d = np.random.default_rng(2), 2
    parts, counts = (
        np.array([[0, 1], [2, -1]], dtype=np.int32),
        np.array([[0.5, 0.5], [1, 0]], dtype=np.float32),
    )
    wanted, wanted_counts = np.array([[1, -1]], dtype=np.int32), np.array([[1, 0]], dtype=np.float32)
    shapes = [(2,), (3, 1 + d), (3, d), (2, d)]
    sizes = [int(np.prod(shape)) for shape in shapes]
    begin, looked, start = rng.normal(size=sum(sizes)), 0.4, -0.5
    history = [1, 0, 1]
    for clicked in (True, False):

        def loss(flat: np.ndarray, clicked: bool = clicked) -> float:
            biases, values, tastes, moments = (
                part.reshape(shape)
                for part, shape in zip(np.split(flat, np.cumsum(sizes)[:-1]), shapes, strict=True)
            )
            request = moments[1].copy()
            for item in history:
                for at in range(2):
                    if parts[item, at] >= 0:
                        request += len(history) ** -FADE * counts[item, at] * tastes[parts[item, at]]
            offered = 0.5 * values[0] + 0.5 * values[1]
            chance = looked / (1 + np.exp(-(start + biases[0] + offered[0] + request @ offered[1:])))
            return -np.log(chance) if clicked else -np.log(1 - chance)

        expected = approx_fprime(begin, loss, 1e-7)
        tables = [
            part.reshape(shape).copy()
            for part, shape in zip(np.split(begin, np.cumsum(sizes)[:-1]), shapes, strict=True)
        ]
        squares = [np.zeros_like(table) for table in tables]
        pulls = [np.zeros(len(tables[at])) for at in (0, 1, 1, 2, 3)]
        _epoch(
            np.array([0]), np.array([0, 1]), np.array([0], np.int32), np.array([clicked]), np.array([looked]),
            np.array([0, 3]), np.array(history, np.int32), parts, counts, wanted, wanted_counts, start,
            *tables, *squares, *pulls, FADE, 1e-9,
        )  # fmt: skip
        gradients = np.concatenate([part.ravel() for part in np.split(expected, np.cumsum(sizes)[:-1])])
        # Of tastes, each event of the history is a step of its own.
        of_events = np.zeros((3, d))
        slope = expected[sizes[0] + sizes[1] + sizes[2] :].reshape(2, d)[1]
        for item in history:
            for at in range(2):
                if parts[item, at] >= 0:
                    of_events[parts[item, at]] += (len(history) ** -FADE * counts[item, at] * slope) ** 2
        np.testing.assert_allclose(squares[2], of_events, atol=1e-5)
        kept = np.concatenate([np.ravel(squares[at]) for at in (0, 1, 3)])
        rest = np.concatenate([gradients[: sizes[0] + sizes[1]], gradients[-sizes[3] :]])
        np.testing.assert_allclose(kept, rest**2, atol=1e-5)


def world(n: int, seed: int) -> tuple[ShownClicks, np.ndarray, np.ndarray]:
    """Lists of four of forty items of two colours: teams like one each, a place turns it round, and who has
    a history likes what it holds. What is liked stands low."""
    rng = np.random.default_rng(seed)
    colour = np.arange(40) % 2 + 1
    team, place = rng.integers(1, 3, n), rng.integers(1, 3, n)
    likes = np.where(place == 1, team, 3 - team)
    shown = np.argsort(rng.random((n, 40)), axis=1)[:, :4].astype(np.int32)
    fits = colour[shown] == likes[:, None]
    shown = np.take_along_axis(shown, np.argsort(fits + rng.random((n, 4)), axis=1), axis=1)
    truth = np.where(colour[shown] == likes[:, None], 0.5, 0.1)
    examined = np.broadcast_to([1.0, 0.6, 0.4, 0.3], (n, 4))
    clicked = rng.random((n, 4)) < truth * examined
    asked, _ = requests([[]] * n, team.tolist(), place.tolist())
    lists = Ragged.from_lengths(shown.ravel(), np.full(n, 4))
    found = ShownClicks(asked, asked.history, lists, clicked.ravel(), examined.ravel().copy())
    return found, truth, colour.astype(np.int32)


def test_what_goes_together_is_found_though_it_stood_low() -> None:
    lists, truth, colour = world(6000, seed=3)
    # Team and place act together, which a pair of one part each cannot say: in each place alone it can.
    at = lists.requests.context["place"] == 1
    rows = np.flatnonzero(at)
    mine = np.repeat(at, 4)
    some = ShownClicks(
        lists.requests.take(rows), lists.recent.take(rows), lists.items.take(rows), lists.clicked[mine],
        lists.examined[mine],
    )  # fmt: skip
    columns, specs = {"colour": colour}, {"colour": Spec("category", 3, 1)}
    factors = fit_click_factors(some, columns, specs, MOMENT_SPECS, seed=0)
    assert factors is not None
    items = some.items.values.reshape(-1, 4)
    found = factors.over(columns).log_odds(some.requests, some.recent.rows, items)[..., 0]
    chance = 1 / (1 + np.exp(-found))
    for right in (0.1, 0.5):
        assert chance[truth[rows] == right].mean() == pytest.approx(right, abs=0.03)
    assert (factors.values["colour"][0] == 0).all()
    assert (factors.moments["user.team"][0] == 0).all()
    assert (factors.moments["context.place"][2] == 0).all()
    again = fit_click_factors(some, columns, specs, MOMENT_SPECS, seed=0)
    assert again is not None
    np.testing.assert_array_equal(again.values["colour"], factors.values["colour"])


def test_histories_say_what_is_liked() -> None:
    rng, n = np.random.default_rng(4), 4000
    colour = (np.arange(40) % 2 + 1).astype(np.int32)
    likes = rng.integers(1, 3, n)
    histories = [rng.choice(np.flatnonzero(colour == one), 3).tolist() for one in likes]
    asked, history = requests(histories, [0] * n, [0] * n)
    shown = rng.integers(0, 40, (n, 1)).astype(np.int32)
    truth = np.where(colour[shown] == likes[:, None], 0.6, 0.1)
    lists = ShownClicks(
        asked, history, Ragged.from_lengths(shown.ravel(), np.ones(n, np.int64)),
        (rng.random((n, 1)) < truth).ravel(), np.ones(n),
    )  # fmt: skip
    columns, specs = {"colour": colour}, {"colour": Spec("category", 3, 1)}
    factors = fit_click_factors(lists, columns, specs, {}, seed=0)
    assert factors is not None
    chance = 1 / (1 + np.exp(-factors.over(columns).log_odds(asked, history.rows, shown)[..., 0]))
    for right in (0.1, 0.6):
        assert chance[truth == right].mean() == pytest.approx(right, abs=0.05)


def test_how_many_events_a_click_has_is_smoothed_by_what_items_have_in_common() -> None:
    rng, clicks = np.random.default_rng(7), np.repeat([40, 10, 2, 0], 30)
    true = 0.2 * rng.gamma(3.0, 1 / 3.0, 120)
    items = np.repeat(np.arange(120), clicks).astype(np.int32)
    came = rng.random(len(items)) < np.minimum(true[items], 1)
    asked, history = requests([[]] * len(items), [0] * len(items), None)
    every = np.ones(len(items), dtype=bool)
    lists = ShownClicks(
        asked, history, Ragged.from_lengths(items, np.ones(len(items), np.int64)), every, np.ones(len(items))
    )
    found = log_rates(lists, came, 120)
    rate = (came.sum() + 0.5) / (len(items) + 1)
    assert found[-1] == pytest.approx(np.log(rate))
    np.testing.assert_allclose(found[90:], np.log(rate), rtol=1e-6)  # never clicked
    above = below = 0.0
    for item in range(120):
        expected = clicks[item] * rate
        above += expected**2
        below += (came[items == item].sum() - expected) ** 2 - expected
    smoothing = above / below
    assert 1 < smoothing < 9  # three, but for chance
    for item in (0, 40, 70):
        events, expected = came[items == item].sum(), clicks[item] * rate
        value = np.log(rate * (events + smoothing) / (expected + smoothing))
        assert found[item] == pytest.approx(value, abs=1e-5)


def test_a_further_event_is_as_probable_as_a_click_times_its_rate() -> None:
    rates = np.log(np.array([0.5, 0.1, 30.0, 0.2], dtype=np.float32))
    factors = replace(drawn(0), further={"purchase": rates})
    clicks = np.array([[0.0, -2.0, 1.0, 0.5, np.nan]], dtype=np.float32)
    found = factors.log_odds_of("purchase", np.array([[0, 1, 2, 7, -1]], dtype=np.int32), clicks)
    chances = 1 / (1 + np.exp(-found[0]))
    expected = [0.5 * 0.5, 0.1 / (1 + np.exp(2)), np.exp(-1e-3), 0.2 / (1 + np.exp(-0.5))]
    np.testing.assert_allclose(chances[:4], expected, rtol=1e-4)
    assert np.isnan(found[0, 4])
    assert begins("purchase", ["click_factor.log_odds", "click_factor.log_odds_purchase"]) == (
        "click_factor.log_odds_purchase"
    )
    assert begins("click", ["a", "click_factor.log_odds"]) == "click_factor.log_odds"
    assert begins("click", ["a"]) is None


def test_without_categories_there_is_nothing_to_fit_and_without_clicks_all_is_unlikely() -> None:
    lists, _, colour = world(50, seed=5)
    numbers = {"bid": np.zeros((40, 2), dtype=np.float32)}
    assert fit_click_factors(lists, numbers, {"bid": Spec("number", 2, 2)}, MOMENT_SPECS) is None
    none = replace(lists, clicked=np.zeros_like(lists.clicked))
    none = replace(none, further={"buy": none.clicked})
    columns = {"colour": colour}
    factors = fit_click_factors(none, columns, {"colour": Spec("category", 3, 1)}, MOMENT_SPECS)
    assert factors is not None
    odds = factors.over(columns).log_odds(none.requests, none.recent.rows, none.items.values.reshape(-1, 4))
    assert (odds[..., 0] < -3).all()
    assert np.isfinite(factors.further["buy"]).all()


def test_factors_come_back_from_disk_and_damage_is_told(tmp_path: Path) -> None:
    factors = replace(drawn(6), further={"add-to-cart": np.zeros(5, np.float32)})
    factors.save(tmp_path)
    loaded = ClickFactors.load(tmp_path, 4, ITEM_SPECS, MOMENT_SPECS)
    assert loaded is not None
    assert loaded.start == factors.start
    for part in ("values", "tastes", "moments", "further"):
        for name, table in getattr(factors, part).items():
            np.testing.assert_array_equal(getattr(loaded, part)[name], table)
    with pytest.raises(BundleError, match="click_factors"):
        ClickFactors.load(tmp_path, 5, ITEM_SPECS, MOMENT_SPECS)
    with pytest.raises(BundleError, match=r"click_factors\.json"):
        ClickFactors.load(tmp_path, 4, ITEM_SPECS, {})
    (tmp_path / "click_factors.json").write_text("[")
    with pytest.raises(BundleError, match=r"click_factors\.json"):
        ClickFactors.load(tmp_path, 4, ITEM_SPECS, MOMENT_SPECS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyBuild:
    return plain_shop(tmp_path_factory)


def test_a_bundle_of_shown_lists_has_them_as_features(made: TinyBuild) -> None:
    contents = load_contents(Store(made.indexes).path(made.built.version))
    assert contents.click_rates is not None
    assert contents.click_rates.factors is not None
    names = [name for name in contents.candidate_features().names if name.startswith("click_factor.")]
    assert names == ["click_factor.log_odds", "click_factor.match", "click_factor.log_odds_purchase"]
    assert contents.head_trees["click"].begin == "click_factor.log_odds"
    assert contents.head_trees["purchase"].begin == "click_factor.log_odds_purchase"
    colours = [item.attributes["colour"] for item in funnel.Live(made.indexes).recommend("u3", k=10).items]
    taste = made.prepared.dataset.users.set_index("user_id").loc["u3", "taste"]
    assert colours.count(taste) > 5


def test_what_was_shown_since_a_window_began_changes_no_factor(made: TinyBuild) -> None:
    own, window = made.prepared, made.prepared.split.ranker
    frame = own.dataset.impressions
    assert frame is not None
    late = frame["time"].to_numpy() >= window.requests.times.min()
    other = frame.assign(clicked=np.where(late, ~frame["clicked"], frame["clicked"]))
    events = own.dataset.events
    events = events[events["time"].to_numpy() < window.requests.times.min()]
    changed = replace(own, dataset=replace(own.dataset, impressions=other, events=events))
    before, after = click_rates(own, window), click_rates(changed, window)
    assert before is not None
    assert after is not None
    assert before.factors is not None
    assert after.factors is not None
    np.testing.assert_array_equal(before.factors.values["colour"], after.factors.values["colour"])
    np.testing.assert_array_equal(before.factors.further["purchase"], after.factors.further["purchase"])
    test = click_rates(own, own.split.test)
    assert test is not None
    assert test.factors is not None
    assert (test.factors.values["colour"] != before.factors.values["colour"]).any()


def test_a_log_that_begins_behind_the_rankers_window_says_nothing_yet(made: TinyBuild) -> None:
    own = made.prepared
    frame = own.dataset.impressions
    assert frame is not None
    late = frame[frame["time"].to_numpy() >= own.split.ranker.requests.times.min()]
    assert (late["time"].to_numpy() < own.split.test.requests.times.min()).any()
    changed = replace(own, dataset=replace(own.dataset, impressions=late))
    assert click_rates(changed, own.split.test) is None


def test_they_are_not_fitted_where_the_config_does_not_name_them(made: TinyBuild) -> None:
    config = made.config
    features = config.features.model_copy(update={"names": ("source", "click_rate")})
    own = replace(made.prepared, config=config.model_copy(update={"features": features}))
    rates = click_rates(own, own.split.test)
    assert rates is not None
    assert rates.factors is None

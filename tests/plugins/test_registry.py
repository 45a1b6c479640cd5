"""The registry: names, options, hints, and plugins that do not do what they must."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funnel
from funnel import plugins
from funnel.bundle.contents import load_contents
from funnel.errors import BundleError
from funnel.features import CandidateFeatures
from funnel.plugins import registry
from funnel.stages import TowerSource, guard
from funnel.towers import queries
from funnel.towers.queries import EncoderConfig
from funnel.types import Candidates
from tests.tiny import TinyBuild


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What a test registers is gone after it."""
    kept = dict(registry._PLUGINS)
    yield
    registry._PLUGINS.clear()
    registry._PLUGINS.update(kept)


def refused(**sections: Any) -> str:
    with pytest.raises(funnel.ConfigError) as error:
        funnel.configure("a", **sections)
    return str(error.value)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"data": {"reader": "movilens", "path": "x"}}, "no reader 'movilens'; did you mean 'movielens'?"),
        ({"retrieve": {"sources": ["towrs"]}}, "no source 'towrs'; did you mean 'towers'?"),
        ({"rerank": {"stages": ["diversfy"]}}, "no stage 'diversfy'; did you mean 'diversify'?"),
        ({"features": {"also": ["popularty"]}}, "no feature 'popularty'; did you mean 'popularity'?"),
        ({"evaluate": {"also": ["ndgc"]}}, "no metric 'ndgc'; did you mean 'ndcg'?"),
        ({"towers": {"loss": "gbc"}}, "no loss 'gbc'; did you mean 'gbce'?"),
        ({"encoder": {"name": "twers"}}, "no encoder 'twers'; did you mean 'towers'?"),
        ({"encoder": {"options": {"last": 3}}}, "encoder 'towers': it has no option 'last'"),
        ({"gates": {"also": ["qqqqq"]}}, "no gate 'qqqqq'; there are: "),
        (
            {"retrieve": {"options": {"populr": {}}}},
            "options of 'populr', which is not used; did you mean 'popular'?",
        ),
        ({"retrieve": {"options": {"popular": {"days": 3}}}}, "source 'popular': it has no option 'days'"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_there_is_answered_with_the_nearest(
    sections: dict[str, Any], message: str
) -> None:
    assert message in refused(**sections)


def test_the_same_name_of_another_module_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    @funnel.register("gate", "fresh")
    def fresh(case: Any) -> Any: ...

    def need(module: str) -> plugins.Needed:
        return plugins.Needed(kind="gate", name="fresh", module=module)

    plugins.require([need(__name__)], "bundle x")
    assert caplog.messages == []
    with pytest.raises(BundleError, match=f"module 'pa'.*what is here is of the module '{__name__}'"):
        plugins.require([need("pa")], "bundle x")
    plugins.require([need("__main__")], "bundle x")  # a script: which one, nobody knows
    assert "gate 'fresh' was of the module '__main__'" in caplog.messages[0]


def test_options_are_checked_by_their_annotations() -> None:
    @funnel.register("gate", "fresh")
    def fresh(case: Any, *, days: float, strict: bool = False) -> Any: ...

    def said(**options: Any) -> str:
        return refused(gates={"also": ["fresh"], "options": {"fresh": options}})

    assert "gate 'fresh': the option 'days' is missing" in said()
    assert "gate 'fresh': the option 'days' is 'x': " in said(days="x")
    assert "gate 'fresh': it has no option 'dais'; did you mean 'days'?" in said(days=1, dais=2)
    assert plugins.find("gate", "fresh").bound({"days": 3}) == {"days": 3.0, "strict": False}


def test_a_name_belongs_to_one_and_a_function_may_be_defined_again() -> None:
    def first(positions: Any, k: int) -> Any: ...
    def second(places: Any, k: int) -> Any: ...

    funnel.register("metric", "mine")(first)
    funnel.register("metric", "mine")(first)
    with pytest.raises(funnel.ConfigError, match=r"metric 'mine' .* has one of that name"):
        funnel.register("metric", "mine")(second)
    with pytest.raises(funnel.ConfigError, match="has one of that name"):
        funnel.register("metric", "ndcg")(second)
    with pytest.raises(funnel.ConfigError, match=r"no kind of plugin 'metrics'; did you mean 'metric'\?"):
        funnel.register("metrics", "mine")  # type: ignore[arg-type]
    with pytest.raises(funnel.ConfigError, match="cannot name a metric"):
        funnel.register("metric", "a-b")


def test_a_package_that_cannot_be_imported_is_told_and_takes_no_other_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
import funnel
funnel.configure("a", evaluate={{"also": ["sound"]}})
print("loaded")
funnel.configure("a", evaluate={{"also": ["broken"]}})
"""
    for name, source in (
        ("broken", "raise OSError('no licence')"),
        ("sound", "import funnel\n@funnel.register('metric', 'sound')\ndef sound(places, k): ..."),
    ):
        (tmp_path / f"{name}.py").write_text(source)
        about = tmp_path / f"{name}-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (about / "entry_points.txt").write_text(f"[funnel.plugins]\n{name} = {name}\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["loaded"], done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "no metric 'broken'" in last
    assert "plugin 'broken' (broken) could not be loaded: OSError('no licence')" in last


def test_entry_points_are_not_looked_at_for_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(**_: Any) -> Any:
        raise AssertionError("entry points were looked at")

    monkeypatch.setattr(metadata, "entry_points", never)
    funnel.configure("a", towers={"loss": "gbce"}, retrieve={"sources": ["popular"]})
    with pytest.raises(funnel.ConfigError, match="entry points were looked at"):
        funnel.configure("a", towers={"loss": "gbcee"})


def test_built_in_plugins_need_nothing_and_leave_configs_as_they_were(built: TinyBuild) -> None:
    assert built.config.needs == ()
    said = built.config.model_dump(mode="json")
    assert not any("options" in said[section] for section in ("towers", "retrieve", "gates", "rerank"))
    for name in ("serve.json", "manifest.json"):  # whose checksums are those of before there were plugins
        assert '"plugins"' not in (built.built.folder / name).read_text()
    funnel.Store(built.indexes).verify(built.built.version)


def test_a_stage_cannot_be_called_as_one_that_is_always_there() -> None:
    funnel.register("stage", "rank")(lambda parts: None)
    assert "a stage cannot be called 'rank'" in refused(rerank={"stages": ["rank"]})


# What plugins give is looked at.


def source_of(find: Any, built: TinyBuild) -> Any:
    class Mine:
        name = "mine"

        def __init__(self, parts: Any) -> None: ...

        def find(self, requests: Any, k: int) -> Any:
            rows = np.tile(np.arange(k, dtype=np.int32), (len(requests), 1))
            return find(rows, -rows.astype(np.float32))

        def score(self, requests: Any, items: Any) -> Any:
            return np.zeros(items.shape, np.float64)

    funnel.register("source", "mine")(Mine)
    return guard.source("mine", loaded(built).parts, {})


def loaded(built: TinyBuild) -> Any:
    from funnel.bundle.contents import load_contents

    return load_contents(built.built.folder)


BAD_ROWS = {
    "rows must lie within": lambda rows, scores: (rows + 100_000, scores),
    "rows int32 and scores float32": lambda rows, scores: (rows.astype(np.int64), scores),
    r"both \[3, 4\]": lambda rows, scores: (rows[:, :2], scores[:, :2]),
    "must not be NaN": lambda rows, scores: (rows, scores * np.float32(np.nan)),
    "best first": lambda rows, scores: (rows, -scores),
    "each once": lambda rows, scores: (rows * 0, scores),
    "-inf where a row is -1": lambda rows, scores: (rows * 0 - 1, scores),
    "both": lambda rows, scores: None,
    "it raised ZeroDivisionError": lambda rows, scores: 1 / 0,
}


@pytest.mark.parametrize("message", BAD_ROWS)
def test_a_source_whose_rows_lead_nowhere_is_refused(built: TinyBuild, message: str) -> None:
    requests = built.prepared.split.test.requests.take(np.arange(3))
    source = source_of(BAD_ROWS[message], built)
    with pytest.raises(funnel.FunnelError, match=f"source 'mine' does not do what it must: .*{message}"):
        source.find(requests, 4)
    with pytest.raises(funnel.FunnelError, match="`score` must give float32"):
        source.score(requests, np.zeros((3, 2), np.int32))


def test_a_source_that_does_what_it_must_is_passed_on(built: TinyBuild) -> None:
    requests = built.prepared.split.test.requests.take(np.arange(3))
    rows, scores = source_of(lambda rows, scores: (rows, scores), built).find(requests, 4)
    assert rows.tolist() == [[0, 1, 2, 3]] * 3
    assert scores[0].tolist() == [0, -1, -2, -3]


BAD_LISTS = {
    "was not given": lambda given: replace(given, items=given.items + 1),
    "one twice": lambda given: replace(given, items=given.items * 0 + given.items[:, :1]),
    "must not be NaN": lambda given: replace(given, scores=given.scores * np.float32(np.nan)),
    "Candidates of the 2 requests": lambda given: given.take(np.array([0])),
    "it raised": lambda given: given.keep(np.ones((5, 7), bool)),
    "empty positions come last": lambda given: replace(given, items=np.where([1, 0, 0], -1, given.items)),
}


@pytest.mark.parametrize("message", BAD_LISTS)
def test_a_stage_may_add_nothing(message: str) -> None:
    class Mine:
        name = "mine"

        def __call__(self, requests: Any, candidates: Candidates) -> Any:
            return BAD_LISTS[message](candidates)

    given = replace(
        Candidates.empty(2).take(np.array([0, 1])),
        items=np.array([[5, 7, 9], [1, 3, 5]], np.int32),
        scores=np.array([[3, 2, 1]] * 2, np.float32),
        source_scores=np.empty((2, 3, 0), np.float32),
        source_ranks=np.empty((2, 3, 0), np.int32),
    )
    with pytest.raises(funnel.FunnelError, match=f"stage 'mine' does not do what it must: .*{message}"):
        guard.GuardedStage(Mine(), "mine")(None, given)  # type: ignore[arg-type]


def test_a_feature_of_another_form_is_refused(built: TinyBuild) -> None:
    @funnel.register("feature", "mine")
    def mine(known: Any) -> Any:
        return funnel.Feature(
            ("a", "b"), lambda asked: np.zeros((*asked.candidates.items.shape, 1), np.float32)
        )

    contents, requests = loaded(built), built.prepared.split.test.requests.take(np.arange(3))
    config = contents.features.model_copy(update={"names": ("popularity",), "also": ("mine",)})
    features = CandidateFeatures(
        config, contents.statistics, contents.catalogue.features, contents.vectors,
        contents.users.encoder.specs, contents.encoder.item_specs, sources=(),
    )  # fmt: skip
    assert features.names[-2:] == ["mine.a", "mine.b"]
    with pytest.raises(funnel.FunnelError, match=r"feature 'mine' .* must give float32"):
        features.matrix(requests, contents.retriever()(requests))


def test_what_a_plugin_raises_when_it_is_made_names_it(built: TinyBuild) -> None:
    @funnel.register("stage", "mine")
    def mine(parts: Any) -> Any:
        raise KeyError("x")

    with pytest.raises(funnel.FunnelError, match="stage 'mine' does not do what it must: it raised KeyErr"):
        guard.stage("mine", loaded(built).parts, {})


def test_a_metric_must_give_a_finite_number_a_request() -> None:
    from funnel.evaluation import compute
    from funnel.types import Ragged

    funnel.register("metric", "mine")(lambda places, k: np.full(len(places), np.nan))
    with pytest.raises(
        funnel.FunnelError, match=r"metric 'mine@3' .* a finite number for each of 1 requests"
    ):
        compute("mine@3", np.zeros((1, 1), np.int32), Ragged.from_lists([[0]]))


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (lambda case: 1 / 0, "ZeroDivisionError"),
        (lambda case: [], "at least one"),
        (lambda case: [True], "a Finding is expected"),
    ],
)
def test_a_gate_that_raises_or_finds_nothing_fails(built: TinyBuild, gate: Any, message: str) -> None:
    funnel.register("gate", "mine")(gate)
    thresholds = built.config.gates.model_copy(update={"also": ("mine",)})
    verdict = funnel.judge(funnel.Store(built.indexes), built.built.version, thresholds)
    (found,) = [one for one in verdict.findings if one.gate == "mine"]
    assert not found.passed
    assert message in found.sentence


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (
            lambda queries: queries[:, :8],
            r"float32 \[3, 16\], 16 numbers as an item has, not float32 \[3, 8\]",
        ),
        (lambda queries: queries.astype(np.float64), r"not float64 \[3, 16\]"),
        (lambda queries: queries[:2], r"not float32 \[2, 16\]"),
        (lambda queries: queries.tolist(), "not list"),
        (lambda queries: queries @ queries, "it raised ValueError"),
        (lambda queries: queries * np.nan, "queries must be finite"),
    ],
)
def test_an_encoder_gives_what_the_index_is_searched_with(built: TinyBuild, gives: Any, said: str) -> None:
    contents = load_contents(built.built.folder)
    requests = built.prepared.split.test.requests.take(np.arange(3))

    class Wrong:
        def encode(self, requests: Any, towers: Any) -> Any:
            return gives(towers.encode(requests))

    wrong = replace(contents, query_encoder=Wrong(), encoding=EncoderConfig.model_construct(name="wrong"))
    with pytest.raises(funnel.FunnelError, match=f"encoder 'wrong' does not do what it must: .*{said}"):
        wrong.retriever()(requests, Candidates.empty(3))


def test_what_makes_no_encoder_is_refused_when_it_is_made(built: TinyBuild, tmp_path: Path) -> None:
    funnel.register("encoder", "nothing")(lambda parts: None)
    with pytest.raises(funnel.FunnelError, match="an object with a method `encode` is expected"):
        queries.fitted(
            EncoderConfig(name="nothing"),
            load_contents(built.built.folder).encoder,
            tmp_path,
            built.prepared.split.train,
        )


def test_an_encoder_learns_from_what_towers_learn_from(built: TinyBuild, tmp_path: Path) -> None:
    """For the ranker's window only from before it; and what was saved is what is loaded."""
    known, indexes = [], tmp_path / "indexes"

    @funnel.register("encoder", "curious")
    class Curious:
        def __init__(self, parts: funnel.EncoderParts) -> None:
            if parts.known is not None:
                known.append(int(parts.known.times.max()))
                (parts.folder / "last").write_text(str(known[-1]))
            self.last = int((parts.folder / "last").read_text())

        def encode(self, requests: Any, towers: Any) -> Any:
            return towers.encode(requests)

    config = built.config.model_copy(update={"encoder": EncoderConfig(name="curious")})
    (towers,) = built.embeddings.glob("movies-*")
    made = funnel.build(replace(built.prepared, config=config), towers, funnel.Store(indexes))
    split = built.prepared.split
    assert known == [split.refit.times.max(), split.train.times.max()]  # type: ignore[union-attr]
    assert known[0] < split.test.requests.times.min()
    assert known[1] < split.ranker.requests.times.min()
    contents = load_contents(made.folder)
    assert contents.query_encoder.last == known[0]  # type: ignore[attr-defined]
    assert [row.metrics for row in made.report.rows] == [row.metrics for row in built.built.report.rows]


def test_a_class_that_calls_itself_something_else_is_refused_when_it_is_registered() -> None:
    class Mine:
        name = "other"

    for kind in ("source", "stage"):
        said = f"{kind} 'mine' of .* calls itself 'other': set `name = 'mine'`"
        with pytest.raises(funnel.ConfigError, match=said):
            funnel.register(kind, "mine")(Mine)  # type: ignore[type-var, arg-type]
    assert "no source 'mine'" in refused(retrieve={"sources": ["mine"]})


def test_what_a_function_makes_is_called_what_it_is_registered_as(built: TinyBuild) -> None:
    """Nobody can know its own name before it is made, which is after training."""

    class Mine:
        def __init__(self) -> None:
            self.name = "other"

        def __call__(self, requests: Any, candidates: Any) -> Any:
            return candidates

    funnel.register("source", "mine")(lambda parts: Mine())
    funnel.register("stage", "mine")(lambda parts: Mine())
    funnel.register("source", "towers_again")(lambda parts: TowerSource(parts.encoder, parts.index))
    parts = loaded(built).parts
    assert guard.source("mine", parts, {}).name == "mine"  # type: ignore[union-attr]
    assert guard.stage("mine", parts, {}).name == "mine"  # type: ignore[union-attr]
    assert guard.source("towers_again", parts, {}).name == "towers_again"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"retrieve": {"stages": ["diversify"]}}, "it stands behind the ranker, in rerank.stages"),
        ({"retrieve": {"stages": ["thim"]}}, "no stage 'thim'; did you mean 'thin'?"),
        ({"retrieve": {"stages": ["thin"], "options": {"thin": {"to": 3}}}}, "it has no option 'to'"),
        (
            {"retrieve": {"stages": ["thin"]}, "rerank": {"stages": ["thin"]}},
            "'thin' is in retrieve.stages and in rerank.stages: choose one",
        ),
        (
            {"retrieve": {"stages": ["popular"], "sources": ["towers", "popular"]}},
            "'popular' is a source and a stage here",
        ),
    ],
)  # fmt: skip
def test_a_stage_in_front_of_the_ranker_is_named_rightly(sections: dict[str, Any], said: str) -> None:
    funnel.register("stage", "thin")(lambda parts: None)
    funnel.register("stage", "popular")(lambda parts: None)
    assert said in refused(**sections)


def test_a_stage_in_front_of_the_ranker_is_there_when_it_learns(built: TinyBuild, tmp_path: Path) -> None:
    times = []

    @funnel.register("stage", "thin")
    class Thin:
        name = "thin"

        def __init__(self, parts: Any, *, keep: int = 2) -> None:
            self.keep = keep

        def __call__(self, requests: Any, candidates: Any) -> Any:
            times.append(int(requests.times.max()))
            return candidates.keep(candidates.items % self.keep == 0)

    retrieve = built.config.retrieve.model_dump() | {"stages": ("thin",), "options": {"thin": {"keep": 3}}}
    config = built.config.model_copy(update={"retrieve": type(built.config.retrieve)(**retrieve)})
    (towers,) = built.embeddings.glob("movies-*")
    made = funnel.build(replace(built.prepared, config=config), towers, funnel.Store(tmp_path / "indexes"))
    test = int(built.prepared.split.test.requests.times.min())
    assert min(times) < test <= max(times)
    stages = [row.name for row in made.report.rows if row.kind == "stage"]
    assert stages[:3] == ["retrieve", "filter", "thin"]
    live = funnel.Live(tmp_path / "indexes", made.version)
    answer = live.recommend(7, k=10)
    live.close()
    rows = built.prepared.dataset.item_vocabulary.rows([item.item_id for item in answer.items])
    assert len(rows) == 10
    assert (rows % 3 == 0).all()
    assert "thin" in answer.milliseconds

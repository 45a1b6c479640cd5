"""The package in examples/plugin, installed: built, judged, served, explained; refused where it is absent."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.processes import python

CONFIG = """
name = "plugged"
[data]
reader = "ratings_csv"
path = "{data}"
options = {{ least = 1 }}
[split]
protocol = "event"
ranker = 0.6
test = 0.8
[towers]
d = 16
layers = 1
heads = 1
epochs = 3
history = 20
loss = "bpr"
options.bpr.margin = 0.1
[encoder]
name = "ridge"
options = {{ last = 4, share = 0.3 }}
[retrieve]
k = 100
sources = ["towers", "popular", "freshest"]
options.freshest.days = 20
[features]
also = ["nearest"]
options.nearest.last = 3
[ranker]
trees = 20
lists = 400
objective = "rank_xendcg"
[rerank]
stages = ["variety", "diversify"]
options.variety.column = "genres"
[evaluate]
ks = [10, 50]
latency_requests = 5
also = ["first_right"]
[gates]
also = ["different"]
options.different.least = {least}
holdout = 200
latency_ms = 10_000.0
visible_fall = 0.9
baseline_fall = 1.0
"""


@dataclass(frozen=True)
class Workplace:
    """A folder with a config, stores, and the place that the package is installed in."""

    folder: Path
    site: Path

    def run(self, code: str, *, installed: bool = True) -> Any:
        """What a program says last, as JSON. installed: whether the package is on its path."""
        done = self.process(code, installed=installed)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])

    def process(self, code: str, *, installed: bool = True) -> subprocess.CompletedProcess[str]:
        path = f"import sys, json; sys.path.insert(0, {str(self.site)!r})\n" if installed else "import json\n"
        return python("-c", path + code, cwd=self.folder)

    def command(self, *arguments: str, installed: bool = True) -> subprocess.CompletedProcess[str]:
        code = f"import sys; sys.argv = {['funnel', *arguments]!r}\nfrom funnel.cli import main\nmain()"
        return self.process(code, installed=installed)


@pytest.fixture(scope="module")
def workplace(movies: Path, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """The package installed by pip into a folder of its own, and a bundle that was built with it."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(ROOT / "examples" / "plugin", folder / "source")
    site = folder / "site"
    install = ["install", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *install, str(folder / "source")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder / "plugged.toml").write_text(CONFIG.format(data=movies, least=20))
    (folder / "strict.toml").write_text(CONFIG.format(data=movies, least=100_000))
    place = Workplace(folder, site)
    built = place.command("build", "plugged.toml")
    assert built.returncode == 0, built.stderr
    return place


def test_it_is_loaded_when_a_config_names_it_and_not_before(workplace: Workplace) -> None:
    code = """
import funnel
seen = []
funnel.configure("plain"); funnel.Live; funnel.publish
seen.append("funnel_example" in sys.modules)
funnel.load_config("plugged.toml")
seen.append("funnel_example" in sys.modules)
print(json.dumps(seen))
"""
    assert workplace.run(code) == [False, True]


def test_the_bundle_says_what_it_needs(workplace: Workplace) -> None:
    (manifest,) = workplace.folder.glob("indexes/plugged-*/manifest.json")
    needs = json.loads(manifest.read_text())["plugins"]
    assert {(one["kind"], one["name"]) for one in needs} == {
        *(("reader", "ratings_csv"), ("loss", "bpr"), ("source", "freshest"), ("feature", "nearest")),
        *(("encoder", "ridge"), ("stage", "variety"), ("metric", "first_right"), ("gate", "different")),
    }
    assert {(one["distribution"], one["version"]) for one in needs} == {("funnel-example", "0.1.0")}


def test_each_kind_did_its_part(workplace: Workplace) -> None:
    (bundle,) = workplace.folder.glob("indexes/plugged-*")
    report = json.loads((bundle / "report.json").read_text())
    rows = {row["name"]: row for row in report["rows"]}
    assert [name for name, row in rows.items() if row["kind"] == "stage"][-2:] == ["variety", "rerank"]
    first = rows["rerank"]["metrics"]["first_right@10"]
    assert 0 < first["lo"] <= first["mean"] <= rows["rerank"]["metrics"]["hit_rate@10"]["mean"]
    assert first["mean"] <= rows["rerank"]["metrics"]["mrr@10"]["mean"]
    assert "first_right" in (bundle / "report.html").read_text()
    assert 0 < report["chance"]["first_right@10"] < first["lo"]
    assert report["config"]["towers"]["loss"] == "bpr"
    assert rows["variety"]["candidates_out"] < rows["variety"]["candidates_in"]


def test_it_is_judged_published_served_and_explained(workplace: Workplace) -> None:
    strict = workplace.command("publish", "--config", "strict.toml")
    assert strict.returncode == 1
    assert "different items are shown, at least 100,000" in " ".join(strict.stderr.split())
    published = workplace.command("publish", "--json")
    assert published.returncode == 0, published.stderr
    code = """
import funnel
live = funnel.Live("indexes")
answer = live.recommend(7, k=10)
genres = [str(item.attributes["genres"]) for item in answer.items]
found = {name for item in live.recommend(7, k=100).items for name in item.sources}
why = live.explain(7, answer.items[0].item_id) if "retrieval_order_kept" not in answer.reasons else {}
most = max(map(genres.count, genres))
print(json.dumps([most, len(genres), sorted(found), sorted(why), list(answer.milliseconds)]))
live.close()
"""
    most, n, sources, why, stages = workplace.run(code)
    assert 0 < most <= 3
    assert n == 10
    assert "freshest" in sources
    assert "nearest.product" in why
    assert "source.freshest.score" in why
    assert "variety" in stages


def test_its_encoder_kept_what_it_learned(workplace: Workplace) -> None:
    """In a file of the manifest; and the queries are what that file makes of the query tower's."""
    (bundle,) = workplace.folder.glob("indexes/plugged-*")
    assert "encoder/weights.npy" in json.loads((bundle / "manifest.json").read_text())["files"]
    code = f"""
import numpy as np, pandas as pd, funnel
from pathlib import Path
from funnel.bundle.contents import load_contents
from funnel.bundle.holdout import HOLDOUT, Holdout
folder = Path("indexes") / {bundle.name!r}
contents = load_contents(folder)
requests = Holdout.load(folder / HOLDOUT, contents).examples.requests
weights, vectors = np.load(folder / "encoder/weights.npy"), contents.vectors
wanted = contents.encoder.encode(requests)
moved = 0
for i in range(len(requests)):
    last = requests.history[i][-4:]
    if len(last):
        wanted[i] += 0.3 * (vectors[last].mean(axis=0) @ weights - wanted[i])
        moved += 1
apart = float(np.abs(contents.queries.encode(requests) - wanted).max())
live = funnel.Live("indexes", {bundle.name!r})
live.items.upsert(pd.DataFrame({{"item_id": [900_002], "title": ["New"], "genres": [["Drama"]]}}))
found = live.recommend(history=[1, 2, 3, 900_002], k=20).items
live.items.delete([900_002])
live.close()
print(json.dumps([apart, moved, weights.shape, len(found)]))
"""
    apart, moved, shape, n = workplace.run(code)
    assert apart < 1e-5
    assert moved > 100
    assert shape == [16, 16]
    assert n == 20  # a history with an item that came since


def test_its_parts_go_by_items_that_change_while_it_serves(workplace: Workplace) -> None:
    code = f"""
import pandas as pd, funnel
live = funnel.Live("indexes", {_version(workplace)!r})
before = [item.sources for item in live.recommend(7, k=200).items if item.item_id == 900_001]
live.items.upsert(pd.DataFrame({{"item_id": [900_001], "title": ["New"], "genres": [["Western"]]}}))
live.observe((1, 900_001), (2, 900_001))
after = [item.sources for item in live.recommend(7, k=200).items if item.item_id == 900_001]
live.items.delete([900_001])
gone = [item.sources for item in live.recommend(7, k=200).items if item.item_id == 900_001]
live.close()
print(json.dumps([before, after, gone]))
"""
    before, after, gone = workplace.run(code)
    assert before == gone == []
    assert after[0]["freshest"] <= 2


def test_without_it_everything_says_so_by_name(workplace: Workplace) -> None:
    version = _version(workplace)
    for refused in (
        workplace.process(f"import funnel; funnel.Live('indexes', {version!r})", installed=False),
        workplace.command("recommend", "7", "--bundle", version, installed=False),
    ):
        said = " ".join(refused.stderr.split())
        assert refused.returncode == 1
        assert "source 'freshest' of funnel-example 0.1.0: pip install funnel-example==0.1.0" in said
        assert "stage 'variety' of funnel-example" in said
        assert "feature 'nearest' of funnel-example" in said
        assert "encoder 'ridge' of funnel-example" in said
    config = workplace.command("train", "plugged.toml", installed=False)
    assert config.returncode == 1
    for name in (
        "reader 'ratings_csv'",
        "loss 'bpr'",
        "source 'freshest'",
        "gate 'different'",
        "encoder 'ridge'",
    ):
        assert f"no {name}" in " ".join(config.stderr.split())
    assert "Traceback" not in config.stderr


def test_another_version_of_it_is_taken_and_said(workplace: Workplace, tmp_path: Path) -> None:
    newer = _relabelled(workplace, tmp_path, "Version: 0.1.0", "Version: 0.2.0")
    live = f"funnel.Live('indexes', {_version(workplace)!r})"
    said = newer.process(f"import funnel; print(json.dumps({live}.health()['plugins']))")
    assert said.returncode == 0, said.stderr
    sentences = json.loads(said.stdout.splitlines()[-1])
    sentence = "source 'freshest' was of funnel-example 0.1.0, and is of funnel-example 0.2.0"
    assert sentence in sentences
    assert len(sentences) == 4  # an encoder, a source, a stage, a feature
    assert sentence in said.stderr


def test_what_another_distribution_calls_by_its_names_is_refused(
    workplace: Workplace, tmp_path: Path
) -> None:
    other = _relabelled(workplace, tmp_path, "Name: funnel-example", "Name: other")
    refused = other.process(f"import funnel; funnel.Live('indexes', {_version(workplace)!r})")
    assert refused.returncode == 1
    assert (
        "source 'freshest' of funnel-example 0.1.0: pip install funnel-example==0.1.0 (what is here is of "
        "other 0.1.0)"
    ) in refused.stderr


def _relabelled(workplace: Workplace, folder: Path, before: str, after: str) -> Workplace:
    """With another line in the metadata of the package."""
    site = Path(shutil.copytree(workplace.site, folder / "site"))
    (metadata,) = site.glob("funnel_example-*/METADATA")
    metadata.write_text(metadata.read_text().replace(before, after))
    return Workplace(workplace.folder, site)


def test_serving_does_without_torch(workplace: Workplace) -> None:
    code = f"""
import funnel
live = funnel.Live("indexes", {_version(workplace)!r})
live.recommend(7)
print(json.dumps([name for name in ("torch", "matplotlib") if name in sys.modules]))
"""
    program = f"import sys, json; sys.path.insert(0, {str(workplace.site)!r})\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=workplace.folder, timeout=120
    )
    assert done.stdout.strip() == "[]", done.stderr


def _version(workplace: Workplace) -> str:
    (bundle,) = workplace.folder.glob("indexes/plugged-*")
    return bundle.name

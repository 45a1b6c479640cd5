"""What the documents say is run, every command and every snippet; what they measured is on file."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality.published import TABLES
from tests.conftest import ROOT
from tests.init.shops import shop
from tests.processes import python
from tests.tiny import TinyBuild

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (path.name, code)
        for path in DOCUMENTS
        for found, code in BLOCK.findall(path.read_text())
        if found == language
    ]


def commands() -> list[str]:
    found = [line for _, code in blocks("bash") for line in lines(code)]
    return list(dict.fromkeys(found))  # in the order of a reader


def lines(code: str) -> list[str]:
    """The commands of a block, without their comments."""
    found = (line.partition("  #")[0].strip() for line in code.splitlines())
    return [line for line in found if line]


def own_data() -> list[str]:
    """The commands of the page on one's own data, which need no more than an export."""
    return [line for name, code in blocks("bash") if name == "your-data.md" for line in lines(code)]


@pytest.fixture(scope="module")
def workplace(built: TinyBuild, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as after `make demo`, on small data: indexes/, embeddings/, configs/, data/."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(built.indexes, folder / "indexes")
    shutil.copytree(built.embeddings, folder / "embeddings")
    (folder / "data").symlink_to(str(built.config.data.path))
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "configs").mkdir()
    for path in (ROOT / "configs").glob("*.toml"):
        (folder / "configs" / path.name).write_text(as_toml({"name": "docs", **SMALL}))
    return folder


def as_toml(config: Mapping[str, Any]) -> str:
    """Values are written as in JSON, of which TOML's are a part, and tables of a section inline."""
    text = [f"{key} = {json.dumps(value)}" for key, value in config.items() if not isinstance(value, dict)]
    for name, options in config.items():
        if isinstance(options, dict):
            text += [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in options.items())]
    return "\n".join(text)


def _value(value: Any) -> str:
    if not isinstance(value, dict):
        return json.dumps(value)
    return f"{{{', '.join(f'{json.dumps(key)} = {json.dumps(part)}' for key, part in value.items())}}}"


#: What every config of the documents becomes, so that they run in seconds.
SMALL: dict[str, dict[str, object]] = {
    "data": {"reader": "movielens"},
    "split": {"kind": "time", "protocol": "event", "ranker": 0.6, "test": 0.8, "max_requests": 1500},
    "towers": {"d": 16, "layers": 1, "heads": 1, "epochs": 2, "history": 20},
    "ranker": {"trees": 40, "leaves": 15, "objective": "rank_xendcg"},
    "retrieve": {"k": 100},
    "evaluate": {"ks": [10, 50], "latency_requests": 2},
    "gates": {
        "latency_ms": 10_000.0,
        "stage_fall": 1.0,
        "slice_fall": 1.0,
        "similarity": 1.0,
        "popularity_rise": 1.0,
    },
}


def make_small(path: Path) -> None:
    """The config that `init` wrote, without what takes long and what gates cannot be asked on little data."""
    wanted = tomllib.loads(path.read_text())
    for name in ("towers", "ranker", "evaluate", "gates"):
        wanted[name] = {**SMALL[name], **wanted.get(name, {})}
    path.write_text(as_toml(wanted))


@pytest.mark.parametrize("line", [line for line in commands() if line not in own_data()])
def test_commands(line: str, workplace: Path) -> None:
    program, *arguments = shlex.split(line)
    if program == "make":
        done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return
    if program in {"git", "cd", "pip", ".venv/bin/pre-commit"}:
        return  # they change the machine, not the product
    module = {"funnel": ["-m", "funnel"], "python": []}[program.removeprefix(".venv/bin/")]
    done = python(*module, *arguments, cwd=workplace)
    assert done.returncode == 0, done.stderr


def test_commands_on_your_own_data(tmp_path: Path) -> None:
    """In their order, in a folder as a newcomer has it: a shop's export, and nothing of ours."""
    shop().write(tmp_path / "export")
    for line in own_data():
        if line == "funnel run shop.toml":
            make_small(tmp_path / "shop.toml")
        done = python("-m", *shlex.split(line), cwd=tmp_path)
        assert done.returncode == 0, done.stderr


#: Stands for ranx, which compiles for fifteen seconds: as it takes runs and calls what it keeps.
RANX = """
import sys, types
class Kept:
    def __init__(self, given, name=None):
        self.qrels = self.run = given
        self.name = name
    from_dict = classmethod(lambda kind, given, name=None: kind(given, name))
sys.modules["ranx"] = types.SimpleNamespace(Qrels=Kept, Run=Kept)
"""


#: What a snippet that trains becomes, so that it runs in seconds.
FEWER = {
    '"d": 16, "epochs": 4,': '"d": 16, "layers": 1, "epochs": 1,',
    '"trees": 50, "lists": 500},': '"trees": 10, "lists": 300}, evaluate={"latency_requests": 5},',
}


@pytest.mark.parametrize(("name", "code"), blocks("python"))
def test_snippets(name: str, code: str, workplace: Path) -> None:
    before = RANX if ".ranx(" in code else ""
    for much, little in FEWER.items():
        code = code.replace(much, little)
    done = python("-c", before + code, cwd=workplace)
    assert done.returncode == 0, f"{name}: {done.stderr}"


def test_the_snippet_with_ranx_runs_with_ranx(workplace: Path) -> None:
    """The shorter one is `test_snippets`, with what stands for it."""
    (code,) = (code for _, code in blocks("python") if ".ranx(" in code)
    done = python("-c", code, cwd=workplace)
    assert done.returncode == 0, done.stderr


def test_the_backend_example(workplace: Path) -> None:
    done = python("examples/backend.py", "indexes", "7", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Movie ") == 10


def test_the_schema_in_the_documents_is_one() -> None:
    from funnel.data.files import Description

    (text,) = (code for name, code in blocks("json") if name == "your-data.md")
    assert Description.model_validate_json(text).files is not None


def test_there_is_something_to_run() -> None:
    assert len(commands()) >= 5
    assert all(any(much in code for _, code in blocks("python")) for much in FEWER)


def test_configs_are_valid() -> None:
    from funnel import config

    names = {config.load(path, data=Path("data")).name for path in (ROOT / "configs").glob("*.toml")}
    assert {"movielens-100k", "amazon-beauty", "gowalla", "synthetic-ads"} <= names


RESULTS = ROOT / "benchmarks" / "results"

#: A figure of quality as the documents write it: .0702, .829.
FIGURE = re.compile(r"(?<![\w.])\.\d{3,4}(?!\d)")

#: What a paragraph says whose figures no file holds.
UNREPEATED = re.compile(r"scratch|earlier build|prototype|no file is kept|a run each", re.IGNORECASE)

#: Figures that are no measurement: goals.
GOALS = {".829", ".163"}


@cache
def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def numbers(value: object) -> Iterator[float]:
    """All numbers of a JSON document, those in its sentences too."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    elif isinstance(value, str):
        yield from (float(part) for part in re.findall(r"\d*\.\d+", value))
    elif isinstance(value, int | float):
        yield float(value)


def quality(dataset: str, stage: str, metric: str, seeds: int = 1) -> str:
    """The mean over seeds, as the documents write it."""
    rows = [result(f"{dataset}-{seed}")["rows"] for seed in range(seeds)]
    return short(sum(row[stage][metric]["mean"] for row in rows) / seeds)


def short(value: float, digits: int = 4) -> str:
    return f"{abs(value):.{digits}f}".removeprefix("0")


@cache
def on_file() -> frozenset[str]:
    """Every number of every result, Beauty's means over its seeds, and what is published, in writing."""
    found = [number for path in RESULTS.glob("*.json") for number in numbers(result(path.stem))]
    found += [figure for lines in TABLES.values() for line in lines for figure in line.figures.values()]
    rows = result("amazon-beauty-0")["rows"]
    means = {quality("amazon-beauty", stage, metric, 3) for stage in rows for metric in rows[stage]}
    return frozenset(short(number, digits) for number in found for digits in (3, 4)) | means


def paragraphs(text: str) -> list[str]:
    """A table goes with the paragraph before it."""
    whole: list[str] = []
    for part in re.split(r"\n\s*\n", text):
        if part.startswith("|") and whole:
            whole[-1] += "\n" + part
        else:
            whole.append(part)
    return whole


def without_a_file(text: str) -> list[str]:
    """Figures that no file holds, of paragraphs that do not say so."""
    told = [part for part in paragraphs(text) if not UNREPEATED.search(part)]
    return [figure for part in told for figure in FIGURE.findall(part) if figure not in on_file() | GOALS]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_figure_of_quality_is_on_file_or_declared_to_be_on_none(path: Path) -> None:
    assert without_a_file(path.read_text()) == []


def test_a_figure_that_nobody_measured_is_found() -> None:
    """The control."""
    assert without_a_file("It reaches .9994.") == [".9994"]
    assert without_a_file("| a | .9994 |") == [".9994"]
    assert without_a_file("Scratch: it reaches .9994.") == []


def claims() -> list[tuple[str, str]]:
    """What the documents say where it matters most, made from the files: (document, text)."""
    beauty = {key: quality("amazon-beauty", *key.split(), 3) for key in (
        "rerank ndcg@10", "rerank hit_rate@10", "exact ndcg@10", "exact hit_rate@10"
    )}  # fmt: skip
    speed = result("training-amazon-beauty")["positions_a_second"]
    full, sampled = speed["funnel"], speed["funnel, 512 negatives"]
    rectools, rechub = speed["RecTools SASRec"], speed["torch-rechub SASRec"]
    latency = result("latency-1000000x1000000")["milliseconds"]
    whole, glue, quick = (latency[name] for name in ("Live.recommend", "glue", "glue, lleaves, NumPy"))
    users = result("latency-1000000x5000000")["times_the_p50_of"]["median"]
    return [
        ("README.md", f"HR@10 {beauty['rerank hit_rate@10']} and NDCG@10 {beauty['rerank ndcg@10']}"),
        ("README.md", f"alone pass ({beauty['exact hit_rate@10']} and {beauty['exact ndcg@10']})"),
        ("README.md", f"from a million ads, in {whole['p50']:.1f} ms on one core** (p99 {whole['p99']:.1f},"),
        ("README.md", f"takes {glue['p50']:.1f}, and {quick['p50']:.1f} with compiled trees]"),
        (
            "serving.md",
            f"| **`Live.recommend`** | {whole['p50']:.2f} | {whole['p95']:.2f} | {whole['p99']:.2f} |",
        ),
        ("serving.md", f"That is {glue['p50'] / whole['p50']:.1f} times as fast as the glue"),
        ("serving.md", f"and {quick['p50'] / whole['p50']:.1f} times as fast as the quicker one"),
        ("serving.md", f"in turns with one million: {users:.3f} times the p50"),
        # Like with like: every item a negative on both sides, or negatives drawn on both.
        ("quality.md", f"every item a negative | {rectools:,.0f} | {full / rectools:.1f}, every item"),
        ("quality.md", f"one negative a position | {rechub:,.0f} | {sampled / rechub:.1f}, with 512"),
        ("quality.md", f"| funnel, every item a negative | {full:,.0f} |"),
        ("quality.md", f"| funnel, 512 shared negatives | {sampled:,.0f} |"),
    ]


@pytest.mark.parametrize(("name", "text"), claims())
def test_claims_are_what_the_files_say(name: str, text: str) -> None:
    path = next(path for path in DOCUMENTS if path.name == name)
    assert text in " ".join(path.read_text().split())

"""What the documents say is run: every command and every Python snippet."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
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
    lines = [line.partition("  #")[0].strip() for _, code in blocks("bash") for line in code.splitlines()]
    return list(dict.fromkeys(line for line in lines if line))  # in the order of a reader


@pytest.fixture(scope="module")
def workplace(built: TinyBuild, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as after `make demo`, on small data: indexes/, embeddings/, configs/, data/."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(built.indexes, folder / "indexes")
    shutil.copytree(built.embeddings, folder / "embeddings")
    (folder / "data").symlink_to(str(built.config.data.path))
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "configs").mkdir()
    small = "\n".join(
        f"[{name}]\n" + "\n".join(f"{key} = {value!r}".replace("'", '"') for key, value in options.items())
        for name, options in SMALL.items()
    )
    for path in (ROOT / "configs").glob("*.toml"):
        (folder / "configs" / path.name).write_text(f'name = "docs"\n{small}\n')
    return folder


#: What every config of the documents becomes, so that they run in seconds.
SMALL: dict[str, dict[str, object]] = {
    "data": {"reader": "movielens"},
    "split": {"kind": "time", "reading": "event", "ranker": 0.6, "test": 0.8, "max_requests": 1500},
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


@pytest.mark.parametrize("line", commands())
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


@pytest.mark.parametrize(("name", "code"), blocks("python"))
def test_snippets(name: str, code: str, workplace: Path) -> None:
    done = python("-c", code, cwd=workplace)
    assert done.returncode == 0, f"{name}: {done.stderr}"


def test_the_backend_example(workplace: Path) -> None:
    done = python("examples/backend.py", "indexes", "7", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Movie ") == 10


def test_there_is_something_to_run() -> None:
    assert len(commands()) >= 5
    assert blocks("python")


def test_configs_are_valid() -> None:
    from funnel import config

    names = {config.load(path, data=Path("data")).name for path in (ROOT / "configs").glob("*.toml")}
    assert {"movielens-100k", "amazon-beauty", "gowalla", "synthetic-ads"} <= names

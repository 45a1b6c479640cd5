"""Serving works where torch is not installed."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT
from tests.tiny import TinyBuild

#: Makes `import torch` fail as it does where torch is not installed; everything after must do without.
WITHOUT_TORCH = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "onnx"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_hook_hides_torch() -> None:
    assert "ModuleNotFoundError" in run("import torch").stderr


def test_import_recommend_and_explain(built: TinyBuild) -> None:
    code = """
import funnel
live = funnel.Live(sys.argv[1])
answer = live.recommend(7, k=5)
live.explain(7, answer.items[0].item_id)
live.recommend("nobody", where={"genres": "Comedy"})
print(len(answer.items), "torch" in sys.modules)
"""
    done = run(code, str(built.indexes))
    assert done.stdout.split() == ["5", "False"], done.stderr


def test_the_command_line_serves(built: TinyBuild) -> None:
    code = "sys.argv[0] = 'funnel'; from funnel.cli import main; main()"
    done = run(code, "recommend", "7", "--store", str(built.indexes), "--json")
    assert done.returncode == 0, done.stderr
    assert '"item_id"' in done.stdout


def test_training_says_which_extra_is_missing(built: TinyBuild, tmp_path: object) -> None:
    code = "sys.argv[0] = 'funnel'; from funnel.cli import main; main()"
    where = ("--data", str(built.config.data.path), "--embeddings", str(tmp_path))
    done = run(code, "train", str(ROOT / "configs" / "ml-latest-small.toml"), *where)
    assert done.returncode == 1
    assert "funnel-rank[train]" in done.stderr
    assert "Traceback" not in done.stderr

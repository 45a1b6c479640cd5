"""What is loaded when: help and a bare import need none of the libraries behind them."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numba", "torch", "faiss", "lightgbm", "onnxruntime", "pandas", "pyarrow", "scipy")

LOADED = f"""
import json, sys
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""


@pytest.mark.parametrize(
    "code",
    [
        "import funnel",
        "import sys; sys.argv = ['funnel', '--help']\nfrom funnel.cli import main\ntry: main()\n"
        "except SystemExit as end: assert end.code == 0",
        "import sys; sys.argv = ['funnel', 'recommend', '--help']\nfrom funnel.cli import main\ntry: main()\n"
        "except SystemExit as end: assert end.code == 0",
    ],
    ids=["import", "--help", "recommend --help"],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code + LOADED], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize("code", ["from funnel import Live", "import funnel.service.generation"])
def test_what_serves_loads_nothing_that_only_training_or_judging_need(code: str) -> None:
    unwanted = (
        "torch",
        "lightgbm",
        "onnxruntime",
        "matplotlib",
        "sklearn",
        "ray",
        "scipy.stats",
        "scipy.optimize",
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print([n for n in {unwanted!r} if n in sys.modules])"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"

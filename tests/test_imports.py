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

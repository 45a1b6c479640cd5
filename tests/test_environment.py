"""The command line where the environment is poor: no traceback, and an exit code that says what happened."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import TinyBuild


def funnel(*arguments: object, env: dict[str, str] | None = None, **more: Any) -> tuple[int, bytes, str]:
    """A process of its own: exit code, what it printed, and its messages."""
    unset = ("HOME", "TMPDIR", "PYTHONUNBUFFERED")  # where it is set, a full disk is seen at each write
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    command = [sys.executable, "-m", "funnel", *map(os.fsencode, map(str, arguments))]
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    done = subprocess.run(command, env=kept | (env or {}), timeout=120, **more)
    stderr = (done.stderr or b"").decode("utf-8", "replace")
    assert "Traceback" not in stderr, stderr[-2000:]
    return done.returncode, done.stdout, stderr


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"COLUMNS": "1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"HOME": "/proc/nowhere", "TMPDIR": "/proc/nowhere"},
    ],
    ids=str,
)
def test_a_table_is_printed(env: dict[str, str], built: TinyBuild) -> None:
    code, out, _ = funnel("recommend", "k\u00e4fer\u4e2d", "-k", 2, "--store", built.indexes, env=env)
    assert code == 0
    assert out


SERVES = """
import sys
from funnel import Live
live = Live(sys.argv[1])
assert len(live.recommend(7, 3).items) == 3
live.items.upsert(live.contents.catalogue.frame.iloc[:1])
live.close()
"""


LOADED_BEFORE = """
import onnxruntime, sys
found = []
onnxruntime.disable_telemetry_events = lambda: found.append(1)
from funnel import Live
Live(sys.argv[1]).recommend(7, 3)
assert found
"""


@pytest.mark.parametrize("home", [None, "empty", "", "/proc/nowhere"])
def test_it_serves_without_a_word_and_leaves_nothing_at_home(
    home: str | None, built: TinyBuild, tmp_path: Path
) -> None:
    """No library behind it warns where there is no home, or writes there who the machine is."""
    store = shutil.copytree(built.indexes, tmp_path / "indexes")
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    (tmp_path / "empty").mkdir()
    env = {} if home is None else {"HOME": str(tmp_path / home) if home == "empty" else home}
    command = [sys.executable, "-c", SERVES, str(store)]
    done = subprocess.run(command, env=kept | env, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list((tmp_path / "empty").rglob("*")) == []


def test_a_program_that_loaded_the_runtime_before_sends_nothing_either(built: TinyBuild) -> None:
    subprocess.run([sys.executable, "-c", LOADED_BEFORE, str(built.indexes)], check=True, timeout=120)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_output_that_is_full_is_an_error(form: list[str], built: TinyBuild) -> None:
    with open("/dev/full", "wb") as full:
        code, _, said = funnel("bundles", "--store", built.indexes, *form, stdout=full)
    assert code == 1
    assert "No space left" in said


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_output_that_is_closed_is_none(form: list[str], built: TinyBuild) -> None:
    close = "import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    done = subprocess.run(
        [sys.executable, "-c", close, "-m", "funnel", "bundles", "--store", str(built.indexes), *form],
        stderr=subprocess.PIPE, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_arguments_that_are_no_text(built: TinyBuild) -> None:
    """Bytes that are no UTF-8: an unknown user, an unknown column, a store that is not there."""
    torn, store = "\udcff", ("--store", built.indexes)
    code, out, _ = funnel("recommend", torn, "-k", 2, *store, "--json")
    assert code == 0
    assert "unknown_user" in json.loads(out.decode())["reasons"]
    code, _, said = funnel("recommend", 7, "--where", f"{torn}=1", *store)
    assert (code, "no such item column" in said) == (1, True)
    code, _, said = funnel("bundles", "--store", f"/nonexistent/{torn}", "--json")
    assert code in (0, 1)

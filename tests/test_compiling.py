"""Where compiled code is kept, when it is made anew, and what happens where nothing can be written."""

from __future__ import annotations

import ast
import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funnel
from funnel import Live
from funnel.compiling import frozen, plain
from funnel.serving.warm import warm
from tests.processes import python
from tests.tiny import TinyBuild

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="file modes are made to count as Linux does it"
)

#: Calls `outer` of the module b, and says what came of it and what was kept.
CALLS = """
import json, sys
import b
kept = b.outer._cache
print(json.dumps({"got": b.outer(2), "hits": len(kept.hits), "saved": len(kept.saved), "lost": kept.unsaved}))
"""
INNER = "from funnel.compiling import compiled\nSHIFT = 1\n@compiled\ndef inner(x):\n    return x + SHIFT\n"
OUTER = """
from a import inner
from funnel.compiling import compiled
@compiled
def outer(x):
    return 10 * inner(x)
"""

#: A child is forked while a thread compiles, and compiles.
FORKS = """
import json, os, signal, threading, time
import b
from funnel.compiling import kept
began, folders = threading.Event(), kept.cache_folders
def slow(function):
    began.set(); time.sleep(0.2)
    return folders(function)
kept.cache_folders = slow
thread = threading.Thread(target=b.outer, args=(2,))
thread.start(); began.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    os._exit(int(b.outer(2.5)))
left = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
thread.join()
print(json.dumps({"got": left}))
"""

SERVES = """
import json, sys
from funnel import Live
from funnel.compiling import kernels
live = Live(sys.argv[1])
items = [live.recommend(7, 10).items, live.recommend(None, 3, where={"genres": "Comedy"}).items]
items += [answer.items for answer in live.recommend_many([1, 2], 4)]
items.append(live.recommend(7, 5, time=live.contents.statistics.end - 40 * 86400).items)
print(json.dumps({
    "lengths": [len(one) for one in items],
    "hits": sum(len(one.hits) for one in kernels()),
    "made": sum(len(one.saved) + one.unsaved for one in kernels()),
    "loaded": [name for name in sys.argv[2].split() if name in sys.modules],
}))
"""

#: What only compiling needs, and what only reading data needs.
UNUSED = "funnel.compiling.inner numba.np.arraymath numba.np.linalg numba.cpython.charseq scipy.linalg "
UNUSED += "funnel.data.readers pooch"

#: Kept code that raises, and the same function with a type that it is compiled for behind that.
RAISES = """
import json
from c import checked
told = []
for value in (-3, -0.5):
    try:
        checked(value)
    except ValueError as error:
        told.append(list(error.args))
print(json.dumps({"told": told, "sums": [checked(2), checked(0.25)], "hits": len(checked._cache.hits)}))
"""
CHECKED = """
import numpy as np
from funnel.compiling import compiled
@compiled
def checked(x):
    if x < 0:
        raise ValueError("it is below zero", x)
    return np.full(4, x).sum()
"""


#: Inner functions that need not count references, and that must; how many each counts, and what stays behind.
COUNTS = """
import json
import numpy as np
from numba.core.runtime import _nrt_python, rtsys
import d
_nrt_python.memsys_enable_stats()
array, sums = np.arange(8), []
for _ in range(3):
    sums.append(d.outer(array))
    left = rtsys.get_allocation_stats()
counts = []
for function in (d.reads, d.picks, d.uses, d.part):
    made, = function.overloads.values()
    counts += [function.__name__] if "call void @NRT_" in str(made.library._final_module) else []
print(json.dumps({"sums": sums, "left": left.alloc - left.free, "counts": counts}))
"""
COUNTING = """
import numpy as np
from typing import NamedTuple
from funnel.compiling import compiled
class Pair(NamedTuple):
    one: np.ndarray
    other: np.ndarray
@compiled(inner=True)
def reads(pair, i):
    for value in pair.other[i:]:
        pair.one[i] += value
    return pair.one[i]
@compiled(inner=True)
def picks(pair, some):
    return pair.one[some].sum()
@compiled(inner=True)
def makes(n):
    return Pair(np.zeros(n, np.int64), np.arange(n))
@compiled(inner=True)
def uses(n):
    return reads(makes(n), 2)
@compiled(inner=True)
def part(pair):
    return pair.one[1:]
@compiled
def outer(array):
    pair = Pair(array.copy(), array)
    return reads(pair, 1) + picks(pair, array[:3]) + uses(5) + part(pair).sum()
"""


def obeys_modes() -> None:
    """From here on even the administrator may not write where the file modes say so; nor what is started."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3; this process
        words = (ctypes.c_uint32 * 6)()
        libc.capget(header, words)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
            words[0] &= ~(1 << capability)  # of those that it has now
        libc.capset(header, words)


def poor(path: Path, env: dict[str, str]) -> None:
    """In a process that is forked: nothing is in its environment but what is given, and modes are obeyed."""
    os.environ.clear()
    os.environ.update({"PATH": "/usr/bin:/bin"} | env)
    sys.path.insert(0, str(path))
    sys.dont_write_bytecode = True  # of two sources of one second and length it would be the first's
    obeys_modes()


def called(code: str, *, path: Path, **env: str) -> tuple[dict[str, Any], str]:
    """`said`, of a script with compiled functions of its own: the libraries are loaded already."""
    done = python("-c", code, cwd=path, before=partial(poor, path, env))
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def said(code: str, *arguments: object, path: Path, **env: str) -> tuple[dict[str, Any], str]:
    """What a script prints last, as JSON, and its stderr. Nothing is in its environment but what is given."""
    source = str(Path(funnel.__file__).parents[1])
    usual = {
        "PYTHONPATH": f"{path}{os.pathsep}{source}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=300,
        env={"PYTHONDONTWRITEBYTECODE": "1"} | usual | env, cwd=path, preexec_fn=obeys_modes,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def decorated(tree: ast.Module) -> dict[str, bool]:
    """The compiled functions of a module, and whether they are inner."""
    found = {}
    for node in tree.body:
        for how in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
            name, given = (how.func, how.keywords) if isinstance(how, ast.Call) else (how, [])
            if isinstance(node, ast.FunctionDef) and isinstance(name, ast.Name) and name.id == "compiled":
                found[node.name] = any(one.arg == "inner" for one in given)
    return found


def used(statement: ast.stmt, module: str, imported: dict[str, str]) -> set[str]:
    """The full names that a statement may use."""
    found = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(imported.get(node.id, f"{module}.{node.id}"))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{imported.get(node.value.id, node.value.id)}.{node.attr}")
    return found


@pytest.fixture
def modules(tmp_path: Path) -> Iterator[Path]:
    """a and b, each with one compiled function."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "a.py").write_text(INNER)
    (folder / "b.py").write_text(OUTER)
    yield folder
    for one in (folder, *folder.rglob("*")):
        one.chmod(0o755)


def test_it_is_kept_and_made_anew_when_a_callee_changes(modules: Path) -> None:
    assert called(CALLS, path=modules)[0] == {"got": 30, "hits": 0, "saved": 1, "lost": 0}
    assert called(CALLS, path=modules)[0] == {"got": 30, "hits": 1, "saved": 0, "lost": 0}
    for change in (INNER.replace("SHIFT = 1", "SHIFT = 5"), INNER.replace("x + SHIFT", "x - SHIFT")):
        (modules / "a.py").write_text(change)
        expected = 70 if "5" in change else 10
        assert called(CALLS, path=modules)[0] == {"got": expected, "hits": 0, "saved": 1, "lost": 0}
    assert len(list(modules.rglob("*.code"))) == 2  # what earlier sources gave is gone


def test_kept_code_raises_as_new_code_does_and_more_can_be_compiled_behind_it(modules: Path) -> None:
    (modules / "c.py").write_text(CHECKED)
    expected = {"told": [["it is below zero", -3], ["it is below zero", -0.5]], "sums": [8, 1.0]}
    assert called(RAISES, path=modules)[0] == expected | {"hits": 0}
    assert called(RAISES, path=modules)[0] == expected | {"hits": 2}
    one = next(iter(modules.rglob("c.checked-*.code")))
    one.unlink()  # one is read and the other compiled
    assert called(RAISES, path=modules)[0] == expected | {"hits": 1}


def test_a_child_that_is_forked_while_another_thread_compiles_can_compile(modules: Path) -> None:
    assert called(FORKS, path=modules)[0] == {"got": 35}


def test_constants_have_the_code_of_any_number(modules: Path) -> None:
    """Numba gives each constant a type of its own, and code."""
    calls = "inner(x) + inner(1) + inner(-1) + inner(x=-2)"
    (modules / "b.py").write_text(OUTER.replace("10 * inner(x)", calls))
    assert called(CALLS, path=modules)[0] == {"got": 3 + 2 + 0 - 1, "hits": 0, "saved": 1, "lost": 0}
    assert len(list(modules.rglob("a.inner-*.code"))) == 1


def test_what_compiled_functions_alone_call_has_no_entry_for_python() -> None:
    source = Path(funnel.__file__).parents[1]
    inner, by_compiled, by_python = dict[str, bool](), set[str](), set[str]()
    for path in sorted((source / "funnel").rglob("*.py")):
        tree = ast.parse(path.read_text())
        module = ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
        imported = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        own = decorated(tree)
        inner |= {f"{module}.{name}": is_inner for name, is_inner in own.items()}
        for statement in tree.body:
            if isinstance(statement, ast.FunctionDef) and statement.name in own:
                by_compiled |= used(statement, module, imported)
            elif not isinstance(statement, ast.ImportFrom):
                by_python |= used(statement, module, imported)
    alone = {name for name in inner if name in by_compiled - by_python}
    assert len(alone) > 100
    assert {name for name, is_inner in inner.items() if is_inner} == alone


def test_an_inner_function_says_so_where_python_calls_it(modules: Path) -> None:
    (modules / "a.py").write_text(INNER.replace("@compiled", "@compiled(inner=True)"))
    code = (
        CALLS
        + "\ntry:\n    b.inner(2)\nexcept TypeError as error:\n    print(json.dumps({'told': str(error)}))"
    )
    for _ in range(2):  # compiled, and read
        assert called(code, path=modules)[0] == {
            "told": "inner is called by compiled functions alone: it has `inner`"
        }


def test_an_inner_function_is_made_a_part_of_what_calls_it(modules: Path) -> None:
    """Whatever width its numbers have; no code of its own is made, nor kept."""
    (modules / "a.py").write_text(INNER.replace("@compiled", "@compiled(inner=True)"))
    widths = "import numpy as np" + OUTER.replace("inner(x)", "(inner(x) + inner(np.int32(x)) + inner(True))")
    (modules / "b.py").write_text(widths)
    told = CALLS + "\nimport a\nprint(json.dumps({'made': sorted(map(str, a.inner.overloads))}))"
    assert called(told, path=modules)[0] == {"made": ["(bool,)", "(int64,)"]}
    assert called(CALLS, path=modules)[0] == {"got": 80, "hits": 1, "saved": 0, "lost": 0}
    assert [path.name.split("-")[0] for path in modules.rglob("*.code")] == ["b.outer"]


def test_an_inner_function_raises_what_it_was_given(modules: Path) -> None:
    inner = CHECKED.replace("@compiled", "@compiled(inner=True)").replace("np.full(4, x).sum()", "4 * x")
    (modules / "a.py").write_text(inner)
    outer = "from a import checked as inner\nfrom funnel.compiling import compiled\n"
    (modules / "c.py").write_text(f"{outer}@compiled\ndef checked(x):\n    return inner(x)\n")
    expected = {"told": [["it is below zero", -3], ["it is below zero", -0.5]], "sums": [8, 1.0]}
    assert called(RAISES, path=modules)[0] == expected | {"hits": 0}
    assert called(RAISES, path=modules)[0] == expected | {"hits": 2}


def test_an_inner_function_counts_references_where_it_makes_or_hands_out_what_has_them(modules: Path) -> None:
    """And in the end nothing that was made is left."""
    (modules / "d.py").write_text(COUNTING)
    found = called(COUNTS, path=modules)[0]
    reads, picks, uses, part = 1 + 28, 0 + 29 + 2, 9, 29 + 27
    assert found["sums"] == [reads + picks + uses + part] * 3
    assert (found["left"], found["counts"]) == (0, ["picks", "uses", "part"])


def test_what_is_damaged_is_made_anew(modules: Path) -> None:
    called(CALLS, path=modules)
    for path in modules.rglob("*.code"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert called(CALLS, path=modules)[0] == {"got": 30, "hits": 0, "saved": 1, "lost": 0}
    for path in modules.rglob("*.code"):
        path.write_bytes(path.read_bytes()[:40])
    assert called(CALLS, path=modules)[0]["got"] == 30


def test_a_folder_that_can_only_be_read_is_read(modules: Path) -> None:
    called(CALLS, path=modules)
    for one in (modules, modules / "__pycache__"):
        one.chmod(0o555)
    assert called(CALLS, path=modules)[0] == {"got": 30, "hits": 1, "saved": 0, "lost": 0}


@pytest.mark.parametrize("home", [None, "/proc/nowhere", "closed"])
def test_where_nothing_can_be_written_it_is_made_in_memory(modules: Path, home: str | None) -> None:
    """And said once, not once a function."""
    modules.chmod(0o555)
    env = {} if home is None else {"HOME": str(modules) if home == "closed" else home}
    if home is None:  # the user's entry names a home; this one is a file, as where there is none
        env = {"XDG_CACHE_HOME": "/dev/null"}
    found, stderr = called(CALLS, path=modules, **env)
    assert found == {"got": 30, "hits": 0, "saved": 0, "lost": 1}
    assert stderr.count("compiled code cannot be kept") == 1
    assert "Traceback" not in stderr


def test_the_users_own_cache_and_a_given_one(modules: Path, tmp_path: Path) -> None:
    modules.chmod(0o555)
    for name, folder in (("HOME", "home"), ("XDG_CACHE_HOME", "xdg"), ("NUMBA_CACHE_DIR", "given")):
        (tmp_path / folder).mkdir()
        run = said if name == "NUMBA_CACHE_DIR" else called  # Numba reads its own as it is loaded
        assert run(CALLS, path=modules, **{name: str(tmp_path / folder)})[0]["saved"] == 1
        assert run(CALLS, path=modules, **{name: str(tmp_path / folder)})[0]["hits"] == 1
        assert len(list((tmp_path / folder).rglob("*.code"))) == 2


def test_an_installation_that_was_warmed_serves_read_only_without_compiling(
    built: TinyBuild, tmp_path: Path
) -> None:
    warm(built.indexes)
    site = tmp_path / "site"
    source = Path(funnel.__file__).parent
    shutil.copytree(source, site / "funnel", ignore=shutil.ignore_patterns("*.pyc", "*.nbi", "*.nbc"))
    store = Path(shutil.copytree(built.indexes, tmp_path / "indexes"))
    folders = [site, store, *(one for top in (site, store) for one in top.rglob("*") if one.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        found, stderr = said(SERVES, store, UNUSED, path=site, HOME="/proc/nowhere")
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert found["lengths"] == [10, 3, 4, 4, 5]
    assert found["hits"] > 10
    assert (found["made"], stderr) == (0, "")
    assert found["loaded"] == []


def warmed(*arguments: object) -> dict[str, Any]:
    """What `funnel warm` says in a process that has loaded nothing before."""
    command = [sys.executable, "-m", "funnel", "warm", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_warming_leaves_the_store_as_it_was(built: TinyBuild, tmp_path: Path) -> None:
    store = Path(shutil.copytree(built.indexes, tmp_path / "indexes"))
    before = sorted(str(path.relative_to(store)) for path in store.rglob("*"))
    told = warmed("--store", store)
    assert told["version"] == built.built.version
    assert told["compiled"] + told["kept"] > 10
    assert all(Path(folder).is_dir() for folder in told["in"])
    assert sorted(str(path.relative_to(store)) for path in store.rglob("*")) == before
    live = Live(store)
    assert live.history(7) == Live(built.indexes).history(7)
    live.close()


def test_an_example_is_compiled_for_without_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training and building call more of it than serving alone does; nothing of the example is left."""
    monkeypatch.chdir(tmp_path)
    told = warmed("--example")
    assert told["version"].startswith("example-")
    assert told["compiled"] + told["kept"] > 40
    assert {"ranker", "features", "stages", "rules", "policies"} <= {
        Path(folder).parent.name for folder in told["in"]
    }
    assert list(tmp_path.iterdir()) == []


def test_arrays_are_frozen_as_they_are_where_that_is_what_they_are() -> None:
    fresh = np.arange(6, dtype=np.int32).reshape(2, 3)
    view = frozen(fresh)
    assert np.shares_memory(view, fresh)
    assert not view.flags.writeable
    assert fresh.flags.writeable
    assert frozen(view) is view
    assert frozen(fresh.T).flags.c_contiguous
    assert frozen(fresh, np.int64).dtype == np.int64
    assert not np.shares_memory(frozen(fresh, np.int64), fresh)


def test_fresh_arrays_are_plain_and_others_are_copied() -> None:
    fresh, other = np.arange(6).reshape(2, 3), np.ones(2)
    assert all(one is same for one, same in zip(plain(fresh, other), (fresh, other), strict=True))
    for odd in (frozen(fresh), fresh[:, :2], fresh.T):
        copied, beside = plain(odd, other)
        assert copied.flags.carray
        assert beside.flags.carray
        np.testing.assert_array_equal(copied, odd)
        assert not np.shares_memory(copied, fresh)

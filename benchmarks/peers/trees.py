"""One way to evaluate LightGBM's trees, timed when asked: `python trees.py NAME-THREADS FOLDER`.

FOLDER has models (MODEL.txt) and cases (CASE.npy, float32 [requests, rows, features]). A line of JSON on the
input names a case, its model, a request and a number of calls; a line with the fastest call's seconds is the
answer. `check` instead of a number asks for the scores of all requests, in NAME-THREADS-CASE.npy.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

Score = Callable[[np.ndarray], np.ndarray]


def booster(model: Path, threads: int) -> Score:
    import lightgbm

    trees = lightgbm.Booster(model_file=str(model))
    return lambda rows: trees.predict(rows, raw_score=True, num_threads=threads)


def funnel(model: Path, threads: int) -> Score:
    from funnel.ranker.trees import Forest

    forest = Forest(model.read_text())
    length = {}

    def score(rows: np.ndarray) -> np.ndarray:
        n = length.setdefault(len(rows), np.array([len(rows)]))
        return forest.lists(rows[None], n, threads=threads)[0]

    return score


def onnxruntime(model: Path, threads: int) -> Score:
    import lightgbm
    import onnxruntime as ort
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    trees = lightgbm.Booster(model_file=str(model))
    graph = convert_lightgbm(trees, initial_types=[("rows", FloatTensorType([None, trees.num_feature()]))])
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    session = ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {"rows": rows})[0][:, 0]


def lleaves(model: Path, threads: int) -> Score:
    import lleaves

    trees = lleaves.Model(model_file=str(model))
    trees.compile(cache=str(model.with_suffix(".lleaves")))
    return lambda rows: trees.predict(rows, n_jobs=threads)


def tl2cgen(model: Path, threads: int) -> Score:
    import tl2cgen
    import treelite

    library = model.with_suffix(".so")
    if not library.exists():
        trees = treelite.frontend.load_lightgbm_model(model)
        tl2cgen.export_lib(trees, toolchain="gcc", libpath=library, params={"parallel_comp": 16})
    predictor = tl2cgen.Predictor(library, nthread=threads)
    return lambda rows: predictor.predict(tl2cgen.DMatrix(rows)).reshape(-1)


MAKERS = {
    "funnel": funnel,
    "booster": booster,
    "onnxruntime": onnxruntime,
    "lleaves": lleaves,
    "tl2cgen": tl2cgen,
}


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    kind, threads = name.rsplit("-", 1)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-int(threads) :])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # some libraries print: that goes to the error output
    scorers: dict[str, Score] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["model"] not in scorers:
            scorers[asked["model"]] = MAKERS[kind](folder / f"{asked['model']}.txt", int(threads))
        score, requests = scorers[asked["model"]], np.load(folder / f"{asked['case']}.npy", mmap_mode="r")
        if asked["calls"] == "check":
            scores = np.stack([score(np.array(rows)) for rows in requests])
            np.save(folder / f"{name}-{asked['case']}.npy", scores.astype(np.float64))
            fastest = 0.0
        else:
            rows = np.array(requests[asked["request"]])
            fastest = min(timed(score, rows, int(threads)) for _ in range(asked["calls"]))
        print(json.dumps(fastest), file=answers, flush=True)


def timed(score: Score, rows: np.ndarray, threads: int) -> float:
    """Seconds of a call: with one thread of the processor, so that other work does not count."""
    clock = process_time if threads == 1 else perf_counter
    start = clock()
    score(rows)
    return clock() - start


main()

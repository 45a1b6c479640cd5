"""Another library's index, asked over lines of JSON: build once, then a round of searches at each setting.

    python ann.py LIBRARY VECTORS.npy QUERIES.npy K THREADS

Each line read is a setting; each line written has the seconds of every query and the rows that were found (a
`.npy` file beside the queries). The first line written is the build: seconds and bytes.
"""

import json
import os
import sys
import time
from pathlib import Path

THREADS = int(sys.argv[5])
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[name] = str(THREADS)

import numpy as np  # noqa: E402


def hnswlib(vectors, k):
    import hnswlib as lib

    index = lib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(len(vectors), ef_construction=100, M=16)
    index.add_items(vectors, num_threads=THREADS)
    index.set_num_threads(1)

    def search(query, setting):
        index.set_ef(max(k, setting))
        return index.knn_query(query, k=k)[0][0]

    return search


def usearch(vectors, k):
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f32", connectivity=16, expansion_add=100)
    index.add(np.arange(len(vectors)), vectors, threads=THREADS)

    def search(query, setting):
        index.expansion_search = max(k, setting)
        return index.search(query[0], k, threads=1).keys

    return search


def voyager(vectors, k):
    import voyager as lib

    index = lib.Index(lib.Space.InnerProduct, vectors.shape[1], M=16, ef_construction=100)
    index.add_items(vectors, num_threads=THREADS)
    return lambda query, setting: index.query(query[0], k, num_threads=1, query_ef=max(k, setting))[0]


def scann(vectors, k):
    import scann as lib

    leaves = int(2 * len(vectors) ** 0.5)
    builder = lib.scann_ops_pybind.builder(vectors, k, "dot_product")
    builder = builder.tree(
        leaves, 100, training_sample_size=min(len(vectors), 250_000), training_iterations=10
    )
    builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(4 * k)
    index = builder.set_n_training_threads(THREADS).build()
    return lambda query, setting: index.search(
        query[0], final_num_neighbors=k, leaves_to_search=setting, pre_reorder_num_neighbors=int(4 * k)
    )[0]


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main():
    library, vectors, queries, k = sys.argv[1], np.load(sys.argv[2]), np.load(sys.argv[3]), int(sys.argv[4])
    before, start = resident(), time.perf_counter()
    search = globals()[library](vectors, k)
    print(json.dumps({"seconds": time.perf_counter() - start, "bytes": resident() - before}), flush=True)
    found = np.full((len(queries), k), -1, dtype=np.int64)
    out = Path(sys.argv[3]).with_name(f"found-{library}.npy")
    for line in sys.stdin:
        seconds = []
        for i in range(len(queries)):
            start = time.perf_counter()
            rows = search(queries[i : i + 1], json.loads(line))
            seconds.append(time.perf_counter() - start)
            found[i, : len(rows)] = rows
        np.save(out, found)
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()

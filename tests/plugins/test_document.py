"""What docs/plugins.md defines makes a whole bundle, and is missed by a program that has not defined it."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import ROOT
from tests.processes import python
from tests.test_docs import BLOCK

WHOLE = """
import pathlib, sys
config = funnel.configure(
    "defined",
    data={"reader": "movielens", "path": sys.argv[1]},
    split={"protocol": "event", "ranker": 0.6, "test": 0.8},
    towers={"d": 16, "layers": 1, "heads": 1, "epochs": 2, "history": 20, "loss": "bpr"},
    retrieve={"k": 50, "sources": ["towers", "freshest"], "options": {"freshest": {"days": 400}}},
    ranker={"trees": 10, "lists": 200, "objective": "rank_xendcg"},
    rerank={"stages": ["newest_first"]},
    evaluate={"ks": [10], "latency_requests": 2, "also": ["first_right"]},
)
prepared, store = funnel.prepare(config), funnel.Store("indexes")
built = funnel.build(prepared, funnel.train(prepared, funnel.Store("embeddings")), store)
final = built.report.rows[-1]
assert final.name == "top" and 0 < final.metrics["first_right@10"].mean < 1, final
live = funnel.Live("indexes", built.version)
items = live.recommend(7, k=5).items
live.close()
assert len(items) == 5
ends = [live.contents.statistics.last_seen(np.array([live.contents.catalogue.ids.row(item.item_id)]),
        np.array([live.contents.statistics.end]))[0] for item in items]
assert ends == sorted(ends, reverse=True), ends
print(built.version)
"""


def test_every_plugin_of_the_document_does_its_part(movies: Path, tmp_path: Path) -> None:
    found = BLOCK.findall((ROOT / "docs" / "plugins.md").read_text())
    code = "\n".join(code for language, code in found if language == "python")
    done = python("-c", code + WHOLE, str(movies), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    version = done.stdout.split()[-1]
    other = python("-c", f"import funnel; funnel.Live('indexes', {version!r})", cwd=tmp_path)
    said = " ".join(other.stderr.split())
    assert f"BundleError: bundle {version} needs what is not there: source 'freshest'" in said
    assert "of the module '__main__', which no distribution has: import it first" in said

"""A service that trusts keys serves and publishes what one of them signed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from funnel import Store
from funnel.artifacts import signing
from funnel.artifacts.manifest import SIGNATURES
from tests.processes import refused
from tests.service.server import server, soon
from tests.serving.test_reload import variant

pytest.importorskip("cryptography")


def unsigned(store: Store, name: str) -> str:
    """Another version, without the signature of the one that it is made from."""

    def change(folder: Path) -> None:
        (folder / SIGNATURES).unlink(missing_ok=True)
        (folder / "more.txt").write_text(name)

    return variant(store, change, name=name)


def test_what_nobody_known_signed_is_neither_served_nor_published(indexes: Path, tmp_path: Path) -> None:
    key = tmp_path / "signing.key"
    public, store = signing.generate(key), Store(indexes)
    started = ["serve", "--store", indexes, "--port", 0, "--trust", public]
    assert "is not signed" in refused(*started)
    store.sign("current", key)
    first = store.current()
    with server(indexes, "--trust", public) as running:
        second = unsigned(store, "second")
        status, problem = running.post(f"/v1/bundles/{second}/publish", {})
        assert (status, problem["error"]) == (409, "BundleError")
        assert "is not signed" in problem["detail"]
        assert str(indexes) not in problem["detail"]
        store.publish(second)  # by somebody who trusts everybody, with access to the files
        assert soon(lambda: running.get("/health")[1]["refused"] is not None)
        status, answer = running.post("/v1/recommend", {"user_id": 7, "k": 1})
        assert (status, answer["version"]) == (200, first)
        store.sign(second, key)
        assert soon(lambda: running.post("/v1/recommend", {"user_id": 7})[1]["version"] == second)

"""Bundles over HTTP: listed, published through the gates, rolled back."""

from __future__ import annotations

from pathlib import Path

from funnel import Live
from funnel.artifacts import Store
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.running import start
from funnel.service.app import Service
from tests.service.conftest import get, post
from tests.serving.test_reload import without_ranker


def test_a_bundle_is_published_and_rolled_back(live: Live) -> None:
    service, store = Service(live), Store(live.folder)
    before = live.version
    after = without_ranker(store)
    listed = get(service, "/v1/bundles").json()
    assert {one["version"]: one["is"] for one in listed["bundles"]} == {before: "current", after: ""}
    answer = post(service, f"/v1/bundles/{after}/publish", b"")
    if answer.status_code == 409:  # the gates hold it, and say by what
        assert answer.json()["error"] == "GateError"
        assert answer.json()["verdict"]["findings"]
        assert store.current() == live.version == before
        store.publish(after)
        live.refresh()
    assert live.version == after
    assert post(service, "/v1/bundles/rollback", b"").json() == {"published": before}
    assert live.version == store.current() == before
    assert [one["action"] for one in get(service, "/v1/bundles").json()["publications"]][-1] == "rollback"


def test_the_same_bundle_passes_its_gates(live: Live) -> None:
    answer = post(Service(live), f"/v1/bundles/{live.version}/publish", b"")
    assert answer.status_code == 200, answer.text
    assert answer.json()["published"] == live.version
    assert answer.json()["findings"]


def test_a_rollback_to_a_version_that_was_served(live: Live) -> None:
    service, store, first = Service(live), Store(live.folder), live.version
    store.publish(without_ranker(store))
    assert post(service, "/v1/bundles/rollback", {"version": first}).json() == {"published": first}
    assert live.version == first


def test_an_experiment_on_bundles_holds_a_rollback_unless_it_is_forced(live: Live) -> None:
    service, store, first = Service(live), Store(live.folder), live.version
    other = without_ranker(store)
    store.publish(other)
    arms = {"control": {"share": 0.5}, "treated": {"share": 0.5, "bundle": first}}
    start(store, "towers", ExperimentConfig.model_validate({"arms": arms}))
    held = post(service, "/v1/bundles/rollback", b"")
    assert held.status_code == 409
    assert held.json()["error"] == "GateError"
    assert "'towers'" in held.json()["detail"]
    assert [finding["gate"] for finding in held.json()["verdict"]["findings"]] == ["experiments"]
    assert store.current() == other
    assert post(service, "/v1/bundles/rollback", {"force": True}).json() == {"published": first}


def test_what_is_not_there(live: Live, indexes: Path) -> None:
    service, store = Service(live), Store(live.folder)
    never = without_ranker(store)
    for path, body, status, told in (
        ("/v1/bundles/no-such-1/publish", b"", 404, "there is no version 'no-such-1'; there are: "),
        ("/v1/bundles/..%2F..%2Fetc/publish", b"", 404, ""),
        ("/v1/bundles/rollback", {"version": "no-such-1"}, 404, "there is no version"),
        ("/v1/bundles/rollback", {"version": never}, 409, "was never published"),
        ("/v1/bundles/rollback", b"", 409, "nothing that is still there was published before"),
        ("/v1/bundles/rollback", {"versoin": "x"}, 422, "did you mean 'version'?"),
        ("/v1/bundles/rollback", b"{", 400, "not JSON"),
    ):
        answer = post(service, path, body)
        assert answer.status_code == status, answer.text
        assert told in answer.json()["detail"]
        assert str(indexes) not in answer.text
    (next(iter(store.path(never).glob("*.json")))).write_text("damaged")
    answer = post(service, f"/v1/bundles/{never}/publish", b"")
    assert answer.status_code in (404, 409)
    assert str(indexes) not in answer.text
    assert store.current() == live.version

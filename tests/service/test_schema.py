"""The service keeps to its own description: no body is refused that it calls valid, and nothing is 5xx."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from funnel import Live
from funnel.service.app import Service
from funnel.service.config import ServeConfig
from funnel.service.openapi import OPERATIONS
from tests.service.conftest import asked, get
from tests.service.test_bad_input import RIGHT
from tests.tiny import TinyBuild

schemathesis = pytest.importorskip("schemathesis")

#: Asks that every valid request be answered with 2xx. What is valid by its form may name a column that there
#: is not: that is 422, too, but without a mistake of the body's form, which is what is checked in its place.
MEANT = [pytest.importorskip("schemathesis.specs.openapi.checks").positive_data_acceptance]

FEW = settings(
    max_examples=8,
    stateful_step_count=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def schema(built: TinyBuild, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The description of a service whose store is this file's alone."""
    folder = tmp_path_factory.mktemp("schema") / "indexes"
    live = Live(Path(shutil.copytree(built.indexes, folder)))
    service = Service(live, ServeConfig(body=100_000_000))
    return schemathesis.openapi.from_asgi("/openapi.json", service)


def check(case: Any, answer: Any) -> None:
    """All checks of schemathesis, and that a valid body is not refused for its form."""
    case.validate_response(answer, excluded_checks=MEANT)
    if answer.status_code == 422 and case.meta is not None and case.meta.generation.mode.name == "POSITIVE":
        assert "errors" not in answer.json(), answer.text


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
def test_every_operation(schema: Any, method: str, path: str, mode: Any) -> None:
    """With bodies and parameters that keep to the description, and with some that do not."""
    operation = schema[path][method.upper()]
    if mode.name == "NEGATIVE" and not (operation.body or operation.query or operation.headers):
        return  # nothing that could be wrong

    @FEW
    @given(operation.as_strategy(generation_mode=mode))
    def every(case: Any) -> None:
        check(case, case.call())

    every()


def test_operations_after_one_another(schema: Any) -> None:
    # To publish takes seconds each time: its gates ask two bundles.
    base = schema.exclude(path_regex="publish").as_state_machine()

    class Machine(base):  # type: ignore[misc, valid-type]
        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            check(case, response)

    case = Machine.TestCase
    case.settings = FEW
    case().runTest()


def test_the_description_is_openapi_3_1(live: Live) -> None:
    document = get(Service(live, ServeConfig(k=77)), "/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["components"]["schemas"]["RecommendBody"]["properties"]["k"]["maximum"] == 77
    assert {path for path in RIGHT if path not in document["paths"]} == set()


def test_every_route_is_described(live: Live) -> None:
    service = Service(live)
    described = get(service, "/openapi.json").json()["paths"]
    there = {path.replace(":path}", "}") for path in service.paths}
    assert there == set(described)


def test_fuzzed_bodies_are_never_an_error_of_ours(live: Live) -> None:
    """Bytes of right bodies, cut, doubled, moved and replaced, with a seed."""
    rng, service = random.Random(0), Service(live)
    right = [(path, json.dumps(body).encode()) for path, body in RIGHT.items()]

    async def all_of_them(own: Any) -> set[int]:
        statuses = set()
        for number in range(600):
            path, body = right[number % len(right)]
            answer = await own.post(
                path, content=fuzzed(body, rng), headers={"content-type": "application/json"}
            )
            statuses.add(answer.status_code)
        return statuses

    assert asked(service, all_of_them) <= {200, 400, 422}


#: What is put into a body.
PIECES = [
    b"null",
    b"NaN",
    b"-1",
    b"1e400",
    b"9" * 400,
    b'""',
    b"{}",
    b"[",
    b"]",
    b'"\\u0000"',
    b"\xff",
    b"true",
]


def fuzzed(body: bytes, rng: random.Random) -> bytes:
    """The body with one to three changes."""
    for _ in range(rng.randint(1, 3)):
        at, to = sorted(rng.choices(range(len(body) + 1), k=2))
        piece = rng.choice([*PIECES, body[at:to], bytes([rng.randrange(256)])])
        body = body[:at] + piece + body[rng.choice([at, to]) :]
    return body

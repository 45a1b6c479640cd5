"""What the client sends, when it sends it again, and what becomes of what comes back."""

from __future__ import annotations

import asyncio
import gc
import inspect
import math
import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

import funnel
from funnel import AsyncClient, Client
from funnel.client.attempts import retry_after
from tests.client.scripted import ANSWER, Said, serving

BUSY = Said(429, {"title": "Too Many Requests", "detail": "64 requests are in flight"}, {"Retry-After": "0"})
DOWN = Said(503, {"title": "Service Unavailable", "detail": "draining"}, {"Retry-After": "0"})
BROKEN = Said(0)
WELL = Said(
    200,
    {**ANSWER, "contributions": {}, "accepted": 1, "missing": [], "answers": [], "version": "v",
     "attributes": {}},
)  # fmt: skip


def problem(status: int, error: str, detail: str, **more: Any) -> Said:
    body = {"type": "about:blank", "title": "t", "status": status, "detail": detail, "error": error, **more}
    return Said(status, body, {"Content-Type": "application/problem+json"})


READS: list[Callable[[Client], Any]] = [
    lambda client: client.recommend(7),
    lambda client: client.recommend_many([]),
    lambda client: client.rank(7, [1]),
    lambda client: client.explain(7, 1),
    lambda client: client.similar(1),
    lambda client: client.health(),
    lambda client: client.observe((7, 1)),
]
WRITES: list[Callable[[Client], Any]] = [
    lambda client: client.items.upsert(pd.DataFrame({"item_id": [1]})),
    lambda client: client.items.patch([1], {"price": 2}),
    lambda client: client.items.delete([1]),
    lambda client: client.bundles.publish("v"),
    lambda client: client.bundles.rollback(),
]


@pytest.mark.parametrize("outcome", [BUSY, DOWN, BROKEN], ids=["429", "503", "broken"])
@pytest.mark.parametrize("call", READS)
def test_what_is_safe_is_sent_again(call: Callable[[Client], Any], outcome: Said) -> None:
    with serving(outcome, outcome, WELL) as server, Client(server.url) as client:
        call(client)
    assert len(server.asked) == 3
    first, _, third = server.asked
    assert (first.path, first.body) == (third.path, third.body)
    assert first.headers.get("idempotency-key") == third.headers.get("idempotency-key")


@pytest.mark.parametrize(("outcome", "times"), [(BUSY, 3), (DOWN, 1), (BROKEN, 1)])
@pytest.mark.parametrize("call", WRITES)
def test_what_may_have_been_done_is_not(call: Callable[[Client], Any], outcome: Said, times: int) -> None:
    """429 says that nothing was done."""
    with serving(outcome) as server, Client(server.url) as client, pytest.raises(funnel.ServiceError):
        call(client)
    assert len(server.asked) == times


def test_each_observation_has_a_key_of_its_own() -> None:
    with serving(WELL) as server, Client(server.url) as client:
        client.observe((7, 1))
        client.observe((7, 1))
    keys = {asked.headers["idempotency-key"] for asked in server.asked}
    assert len(keys) == 2


def test_it_ends_in_its_time() -> None:
    """A service that says to come back after that is not waited for; one that sends byte by byte neither."""
    late = Said(429, {"title": "busy", "detail": "busy"}, {"Retry-After": "3600"})
    with serving(late) as server, Client(server.url) as client:
        with pytest.raises(funnel.ServiceError, match="busy") as caught:
            client.recommend(7)
        assert caught.value.status == 429
    assert len(server.asked) == 1
    slow = pytest.raises(funnel.ServiceError, match=r"no answer within 0\.2 seconds")
    with serving(Said(slow=0.05)) as server, Client(server.url, timeout=0.2) as client, slow:
        client.recommend(7)
    assert len(server.asked) == 1


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with Client(url, retries=1) as client, pytest.raises(funnel.ServiceError, match="is the service running"):
        client.items.delete([1])


def test_an_item_is_none_where_the_service_says_so_and_not_where_another_does() -> None:
    gone = problem(404, "FunnelError", "no item '7'")
    with serving(gone, Said(404, b"<html>nginx</html>")) as server, Client(server.url) as client:
        assert client.items.get(7) is None
        with pytest.raises(funnel.ServiceError, match="nginx"):
            client.items.get(7)


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        (problem(422, "ConfigError", "no column 'genre'"), funnel.ConfigError, "no column 'genre'"),
        (problem(422, "DataError", "/k: no"), funnel.DataError, "/k: no"),
        (problem(422, "FunnelError", "k is 0"), funnel.FunnelError, "k is 0"),
        (problem(503, "BundleError", "the state is damaged"), funnel.BundleError, "the state is damaged"),
        (problem(409, "GateError", "towers", verdict={"passed": False}), funnel.GateError, "towers"),
        (problem(401, "FunnelError", "no key"), funnel.ServiceError, "no key"),
        (problem(500, "Odd", "what"), funnel.ServiceError, "what"),
        (Said(502, b"<html>proxy</html>"), funnel.ServiceError, "502, which no funnel does: <html>proxy"),
        (Said(301, b"", {"Location": "http://elsewhere"}), funnel.ServiceError, "answered 301"),
        (Said(200, b"<html>"), funnel.ServiceError, "what is no JSON"),
        (Said(200, {"items": 3}), funnel.ServiceError, "does not understand"),
        (Said(200, []), funnel.ServiceError, "does not understand"),
    ],
)
def test_refusals_are_the_errors_of_live(said: Said, kind: type[Exception], text: str) -> None:
    with serving(said) as server, Client(server.url, retries=0) as client:
        with pytest.raises(kind) as caught:
            client.recommend(7)
        assert type(caught.value) is kind
        assert text in str(caught.value)
        if isinstance(caught.value, funnel.GateError):
            assert caught.value.verdict == {"passed": False}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"k": 0}, "k is 0; it must be a whole number"),
        ({"history": "abc"}, "history is 'abc'; a list of item ids"),
        ({"exclude": pd.DataFrame({"a": [1]})}, "exclude is .*; a list of item ids"),
        ({"deadline": math.nan}, "deadline is nan; it must be a number"),
        ({"time": 1_700_000_000_000}, "milliseconds"),
        ({"where": {"price": {"lt": math.nan}}}, "nothing is equal to NaN"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_it_is_sent(arguments: dict[str, Any], text: str) -> None:
    refused = pytest.raises(funnel.FunnelError, match=text)
    with serving(WELL) as server, Client(server.url) as client, refused:
        client.recommend(7, **arguments)
    assert server.asked == []


def test_any_list_is_sent_as_json_has_it() -> None:
    with serving(WELL) as server, Client(server.url, key="secret") as client:
        answer = client.recommend(
            np.int64(7),
            np.int64(5),
            history=(item for item in (1, np.int64(2))),
            exclude=pd.Series([3]),
            user={"age": math.nan},
            deadline=math.inf,
        )
        client.items.upsert(pd.DataFrame({"item_id": [1, 2], "price": [1.5, None], "tags": [["a"], None]}))
        client.items.patch(pd.Series([1, 2]), {"price": np.array([1.0, 2.0]), "sale": True})
        client.observe((7, 1, 5), funnel.Event(7, 2, None, "buy", 3.0), kind="view", value=1)
        client.items.get("a/b ü..")
    recommend, upsert, patch, events, get = server.asked
    assert type(answer.user_id) is np.int64
    assert recommend.body == {
        "user_id": 7, "k": 5, "history": [1, 2], "exclude": [3], "user": {"age": None}, "deadline": None,
    }  # fmt: skip
    assert recommend.headers["authorization"] == "Bearer secret"
    assert upsert.body["items"][1] == {"item_id": 2, "price": None, "tags": None}
    assert patch.body["patches"] == {"1": {"price": 1.0, "sale": True}, "2": {"price": 2.0, "sale": True}}
    assert (events.body["kind"], events.body["value"]) == ("view", 1)
    assert [(event.get("kind"), event.get("value")) for event in events.body["events"]] == [
        (None, None), ("buy", 3.0),
    ]  # fmt: skip
    assert get.path == "/v1/items/a%2Fb%20%C3%BC.."


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x", "http://", "http://u:p@x", "http://x?a", 7])
def test_what_is_no_address(url: Any) -> None:
    with pytest.raises(funnel.FunnelError, match="an address is expected"):
        Client(url)


def test_a_key_is_never_shown() -> None:
    client = Client("http://127.0.0.1:1", key="secret", retries=0)
    assert "secret" not in repr(vars(client))
    with pytest.raises(funnel.ServiceError) as caught:
        client.recommend(7)
    assert "secret" not in str(caught.value)
    with pytest.raises(funnel.FunnelError, match="key is no API key") as refused:
        Client("http://127.0.0.1:1", key="sec\nret")
    assert "sec" not in str(refused.value)


def test_the_asynchronous_client_does_the_same_many_at_a_time() -> None:
    async def all_of_it(url: str) -> list[Any]:
        async with AsyncClient(url, key="secret") as client:
            answers = await asyncio.gather(*(client.recommend(user) for user in range(20)))
            await client.observe((7, 1))
            return [*answers, await client.items.delete([1]), await client.version()]

    with serving(BUSY, BROKEN, WELL) as server:
        *answers, unknown, version = asyncio.run(all_of_it(server.url))
    assert [answer.user_id for answer in answers] == list(range(20))
    assert (unknown, version) == ([], "v")
    assert len(server.asked) == 25

    async def late(url: str) -> None:
        async with AsyncClient(url, timeout=0.2) as client:
            await client.recommend(7)

    with serving(Said(slow=0.05)) as server, pytest.raises(funnel.ServiceError, match="no answer within"):
        asyncio.run(late(server.url))


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")  # as of every loop that is left so
def test_each_event_loop_has_connections_of_its_own() -> None:
    loops: list[weakref.ref[Any]] = []

    async def ask(client: AsyncClient) -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        for _ in range(10):
            await asyncio.gather(*(client.recommend(7) for _ in range(2)))

    with serving(WELL) as server:
        client = AsyncClient(server.url)
        for _ in range(2):
            asyncio.run(ask(client))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: asyncio.run(ask(client)), range(2)))
        asyncio.run(ask(client))
        assert len(server.asked) == 5 * 20  # five loops
        gc.collect()
        assert sum(loop() is not None for loop in loops) <= 1
        asyncio.run(client.close())


def test_a_fork_has_connections_of_its_own() -> None:
    with serving(WELL) as server, Client(server.url) as client:
        client.recommend(7)
        child = os.fork()
        if child == 0:
            for _ in range(5):
                client.recommend(7)
            os._exit(0)
        for _ in range(5):
            client.recommend(7)
        assert os.waitpid(child, 0)[1] == 0
    assert len(server.asked) == 11


def test_a_client_of_ones_own_is_left_open() -> None:
    with serving(WELL) as server, httpx.Client() as own:
        with Client(server.url, http=own) as client:
            client.recommend(7)
        assert not own.is_closed


def parameters(method: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(method).parameters.values()
    return [(one.name, one.kind, one.default) for one in found]


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize(
    "name", ["recommend", "recommend_many", "rank", "similar", "explain", "history", "observe", "health"]
)
def test_arguments_are_those_of_live(client: type, name: str) -> None:
    assert parameters(getattr(client, name)) == parameters(getattr(funnel.Live, name))


def test_retry_after_has_a_number_or_a_date() -> None:
    assert retry_after({"retry-after": "3"}) == 3
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    for odd in ("", "soon", "-1", "³"):
        assert retry_after({"retry-after": odd}) is None


def test_httpx_is_asked_for_by_name() -> None:
    code = (
        "import sys; sys.modules['httpx'] = None\nimport funnel\n"
        "try: funnel.Client('http://127.0.0.1')\nexcept funnel.FunnelError as error: print(error)\n"
        "print([name for name in ('numba', 'faiss', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert 'pip install "funnel-rank[client]"' in done.stdout, done.stderr
    assert done.stdout.endswith("[]\n")


ENDLESS: list[tuple[type[Exception], Callable[[Client], Any]]] = [
    (funnel.ConfigError, lambda client: client.recommend(7, where={"year": {"le": math.inf}})),
    (funnel.ConfigError, lambda client: client.recommend(7, where={"not": {"year": [1990, -math.inf]}})),
    (funnel.ConfigError, lambda client: client.similar(7, where={"year": np.array([1990, np.inf])})),
    (funnel.DataError, lambda client: client.recommend(7, user={"age": math.inf})),
    (funnel.DataError, lambda client: client.recommend(7, context={"budget": Decimal("Infinity")})),
    (funnel.DataError, lambda client: client.recommend_many([7], context=[{"budget": np.float32("inf")}])),
    (funnel.DataError, lambda client: client.items.patch([7], {"year": math.inf})),
    (funnel.DataError, lambda client: client.items.patch([7, 8], {"year": np.array([1.0, -np.inf])})),
    (
        funnel.DataError,
        lambda client: client.items.upsert(pd.DataFrame({"item_id": [1], "year": [math.inf]})),
    ),
    (funnel.DataError, lambda client: client.observe((7, 1, math.inf))),
    (funnel.DataError, lambda client: client.observe((7, 1), value=math.inf)),
    (funnel.FunnelError, lambda client: client.recommend(7, seed=math.inf)),
    (funnel.FunnelError, lambda client: client.recommend(7, seed=math.nan)),
    (funnel.DataError, lambda client: client.items.get("x" * 70_000)),
    (funnel.DataError, lambda client: client.history("x" * 70_000)),
]


@pytest.mark.parametrize(("kind", "call"), ENDLESS)
def test_what_no_request_can_carry_is_refused_and_not_sent(
    kind: type[Exception], call: Callable[[Client], Any]
) -> None:
    with serving(WELL) as server, Client(server.url) as client:
        with pytest.raises(kind) as caught:
            call(client)
        assert type(caught.value) is kind
    assert server.asked == []


def test_what_has_no_value_is_missing_as_in_live() -> None:
    with serving(WELL, WELL) as server, Client(server.url) as client:
        client.items.patch([7], {"year": math.nan})
        client.recommend(7, context={"budget": math.nan})
    assert [asked.body.get("patches") or asked.body["context"] for asked in server.asked] == [
        {"7": {"year": None}},
        {"budget": None},
    ]


def test_an_answer_nested_as_deep_as_anybody_likes_is_none_of_a_service() -> None:
    deep = b"[" * 100_000
    for status in (200, 502):
        with (
            serving(Said(status, deep)) as server,
            Client(server.url) as client,
            pytest.raises(funnel.ServiceError),
        ):
            client.health()

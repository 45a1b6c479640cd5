"""Two machines and a Redis between them: network namespaces, each with a cable of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from funnel.artifacts import Store
from tests.servers import redis_server
from tests.serving.state.test_servers import soon

CLICKS = 100

SERVICE = """
import json, sys
from funnel import BundleError, Live
from funnel.serving.state import reach
reach.PAUSE = 0.2
live = Live(sys.argv[1], state=sys.argv[2])
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    what, *given = json.loads(line)
    try:
        if what == "observe":
            said = live.observe(tuple(given))
        elif what == "delete":
            said = live.items.delete(given)
        else:
            answer = live.recommend(given[0], 500)
            said = [live.history(given[0]), [one.item_id for one in answer.items], list(answer.reasons)]
    except BundleError as error:
        said = str(error)
    print(json.dumps(said), flush=True)
"""


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip())


class Machine:
    """A namespace with a service in it. cable: of this side."""

    def __init__(self, number: int) -> None:
        some = uuid.uuid4().hex[:6]
        self.name, self.cable, self._number = f"funnel-{some}", f"fn{some}h", number
        self.server = f"10.231.{number}.1"
        self.process: subprocess.Popen[str] | None = None

    def connect(self) -> None:
        ip("netns", "add", self.name)
        peer = self.cable[:-1] + "p"
        ip("link", "add", self.cable, "type", "veth", "peer", "name", peer, "netns", self.name)
        ip("addr", "add", f"{self.server}/24", "dev", self.cable)
        ip("-n", self.name, "addr", "add", f"10.231.{self._number}.2/24", "dev", peer)
        ip("link", "set", self.cable, "up")
        ip("-n", self.name, "link", "set", peer, "up")

    def start(self, store: Store, port: int) -> None:
        url = f"redis://:pa55%2Fw%3Ard@{self.server}:{port}/0"
        command = ["ip", "netns", "exec", self.name, sys.executable, "-c", SERVICE, str(store.folder), url]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.process.stdout is not None
        assert json.loads(self.process.stdout.readline()) == "ready"

    def ask(self, *what: Any) -> Any:
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        subprocess.run(["ip", "link", "delete", self.cable], capture_output=True)
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)


@pytest.fixture
def machines(store: Store) -> Iterator[list[Machine]]:
    with ExitStack() as stack:
        server = stack.enter_context(redis_server(host="0.0.0.0"))
        both = [Machine(number) for number in (1, 2)]
        for machine in both:
            stack.callback(machine.end)
            try:
                machine.connect()
            except OSError as error:
                pytest.skip(f"no network namespace can be made here: {error}")
        for machine in both:
            machine.start(store, server.port)
        yield both


def test_what_one_machine_acknowledged_is_in_the_next_answer_of_the_other(machines: list[Machine]) -> None:
    one, other = machines
    for click in range(CLICKS):
        user, item = f"user {click % 7}", 1 + click % 90
        assert one.ask("observe", user, item) is None
        history, shown, reasons = other.ask("recommend", user)
        assert history[-1] == item
        assert item not in shown
        assert "state_unreadable" not in reasons
        one, other = other, one


def test_a_cut_cable_and_a_healed_one(machines: list[Machine]) -> None:
    cut, whole = machines
    assert cut.ask("observe", "u", 5) is None
    before = cut.ask("recommend", "u")
    ip("link", "set", cut.cable, "down")
    assert whole.ask("observe", "u", 6) is None
    assert whole.ask("delete", 40) == []
    for _ in range(3):
        history, shown, reasons = cut.ask("recommend", "u")
        assert "state_unreadable" in reasons
        assert (history, shown) == tuple(before[:2])
    assert "cannot be reached" in cut.ask("observe", "u", 7)
    ip("link", "set", cut.cable, "up")
    assert soon(lambda: "state_unreadable" not in cut.ask("recommend", "u")[2])
    assert cut.ask("observe", "u", 8) is None
    for user in ("u", "somebody"):
        assert cut.ask("recommend", user) == whole.ask("recommend", user)
    assert whole.ask("recommend", "u")[0] == [5, 6, 8]
    assert 40 not in cut.ask("recommend", "somebody")[1]

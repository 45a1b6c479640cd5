"""The kinds of alarms: each has an entry in docs/monitoring.md."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """what: for people. look: what to look at first. of_data: whether what it is about is learned from by the
    next bundle, which the gate `monitor` then holds back."""

    what: str
    look: str
    of_data: bool


KINDS = {
    "golden": Kind(
        "answers to the holdout are not those that the bundle gave when it was built",
        "this process: its memory, its libraries, the last bulk change of items; start it anew",
        False,
    ),
    "replay": Kind(
        "answers that were given do not come out again offline",
        "the process that gave them, by the log's file; whether plugins or libraries differ from the build",
        False,
    ),
    "stale": Kind(
        "answers do not go by events that had been acknowledged before",
        "the state log and its server, `state` in /health of every worker",
        True,
    ),
    "empty": Kind("answers without an item", "filters of callers, deleted items, the sources", False),
    "short": Kind("answers with fewer items than asked for", "filters of callers, rules, deletions", False),
    "unknown": Kind(
        "users that the bundle does not know", "ids that callers send: a prefix, another table", True
    ),
    "skipped": Kind("stages that deadlines left out", "load of the machine, `deadline` of callers", False),
    "state": Kind("answers without the state log", "the state log's disk or server", True),
    "flat": Kind("answers whose scores are all equal", "the ranker and its features", False),
    "missing": Kind("values that are not there", "the callers or the feed that give the column", True),
    "source": Kind("a source that finds nothing", "the source: its index, its plugin, its data", False),
    "join": Kind("answers of which no feedback comes", "the path of events: pages, queue, /v1/events", True),
    "clock": Kind("events from before the answer that showed the item", "the clocks: NTP of all hosts", True),
    "traffic": Kind("far fewer answers than at this hour", "callers, balancer, errors in /metrics", False),
    "context": Kind("another distribution of what callers say", "callers' last release: units, order", True),
    "feature": Kind("another distribution of a feature", "the column that it is made of, its feed", True),
    "history": Kind("other histories of those who ask", "the path of events, ids of users and items", True),
    "scores": Kind("another distribution of scores", "the features' alarms, the last bundle", False),
    "positions": Kind("lists re-ranked more, or less", "rules, diversity, values and budgets", False),
    "coverage": Kind("items shown that are more, or less, popular", "catalogue changes, sources", False),
    "delay": Kind("feedback that comes sooner or later", "the queue of events, clocks", True),
    "drift": Kind(
        "a slow change beside the first days",
        "what the world or a feed has become; if it is right: accept",
        True,
    ),
    "clicks": Kind(
        "another click rate of a position", "the page that shows the lists, the events' path", True
    ),
    "calibration": Kind(
        "more, or fewer, clicks than is said to be probable", "labels, the ranker, the page", True
    ),
}

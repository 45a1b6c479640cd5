"""The kinds of alarms: each has an entry in docs/monitoring.md."""

from __future__ import annotations

from typing import NamedTuple


class AlarmKind(NamedTuple):
    """what: for people. look: what to look at first. of_data: whether what it is about is learned from by the
    next bundle, which the gate `monitor` then holds back."""

    what: str
    look: str
    of_data: bool


KINDS = {
    "golden": AlarmKind(
        "answers to the holdout are not those that the bundle gave when it was built",
        "this process: its memory, its libraries, the last bulk change of items; start it anew",
        False,
    ),
    "replay": AlarmKind(
        "answers that were given do not come out again offline",
        "the process that gave them, by the log's file; whether plugins or libraries differ from the build",
        False,
    ),
    "stale": AlarmKind(
        "answers do not go by events that had been acknowledged before",
        "the state log and its server, `state` in /health of every worker",
        True,
    ),
    "empty": AlarmKind("answers without an item", "filters of callers, deleted items, the sources", False),
    "short": AlarmKind(
        "answers with fewer items than asked for", "filters of callers, rules, deletions", False
    ),
    "unknown": AlarmKind(
        "users that the bundle does not know", "ids that callers send: a prefix, another table", True
    ),
    "skipped": AlarmKind(
        "stages that deadlines left out", "load of the machine, `deadline` of callers", False
    ),
    "state": AlarmKind("answers without the state log", "the state log's disk or server", True),
    "flat": AlarmKind("answers whose scores are all equal", "the ranker and its features", False),
    "missing": AlarmKind("values that are not there", "the callers or the feed that give the column", True),
    "source": AlarmKind("a source that finds nothing", "the source: its index, its plugin, its data", False),
    "join": AlarmKind(
        "answers of which no feedback comes", "the path of events: pages, queue, /v1/events", True
    ),
    "clock": AlarmKind(
        "events from before the answer that showed the item", "the clocks: NTP of all hosts", True
    ),
    "traffic": AlarmKind(
        "far fewer answers than at this hour", "callers, balancer, errors in /metrics", False
    ),
    "context": AlarmKind(
        "another distribution of what callers say", "callers' last release: units, order", True
    ),
    "feature": AlarmKind(
        "another distribution of a feature", "the column that it is made of, its feed", True
    ),
    "history": AlarmKind(
        "other histories of those who ask", "the path of events, ids of users and items", True
    ),
    "scores": AlarmKind("another distribution of scores", "the features' alarms, the last bundle", False),
    "positions": AlarmKind("lists re-ranked more, or less", "rules, diversity, values and budgets", False),
    "coverage": AlarmKind("items shown that are more, or less, popular", "catalogue changes, sources", False),
    "delay": AlarmKind("feedback that comes sooner or later", "the queue of events, clocks", True),
    "drift": AlarmKind(
        "a slow change beside the first days",
        "what the world or a feed has become; if it is right: accept",
        True,
    ),
    "clicks": AlarmKind(
        "another click rate of a position", "the page that shows the lists, the events' path", True
    ),
    "calibration": AlarmKind(
        "more, or fewer, clicks than is said to be probable", "labels, the ranker, the page", True
    ),
}

"""Writes a guess: `schema.json` beside the data, and a commented config."""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

from funnel import config as configs
from funnel.data.database import VARIABLE
from funnel.data.files import DESCRIPTION
from funnel.errors import DataError
from funnel.gates import GatesConfig
from funnel.init.database import DatabaseSource
from funnel.init.event_kinds import KindsInFile
from funnel.init.guess import Guess

#: The gates can tell a fall from chance if it is at least about this over the root of the number of requests.
_CHANCE = 8.0
_MOST_REQUESTS = 20_000


_LINKS = "where the data may not be written to, give a folder of links to the files"


def write(
    guess: Guess, config: Path | None, *, data: str, force: bool = False, source: DatabaseSource | None = None
) -> list[Path]:
    """Write `schema.json` into the folder, and a config that names the folder as `data`. Returns the paths.

    source: of a database, whose folder is made where it is not there.

    Raises: DataError where one of them is there already, unless `force`, or cannot be written.
    """
    schema = guess.folder / DESCRIPTION
    wanted = {schema: schema_json(guess)}
    if config is not None:
        wanted[config] = config_toml(guess, config.stem, data, source)
    if not force and (there := [path for path in wanted if path.exists()]):
        names = " and ".join(map(str, there))
        raise DataError(
            f"{names} {'is' if len(there) == 1 else 'are'} already there: nothing is written; --force "
            "replaces what is there"
        )
    if source is not None:
        guess.folder.mkdir(parents=True, exist_ok=True)
    for folder in {path.parent for path in wanted if path.parent.is_dir()}:
        if not folder.stat().st_mode & 0o222:  # root may write anywhere, and was not meant to here
            raise DataError(f"{folder} is marked as read-only, and nothing is changed: {_LINKS}")
    _replace(wanted)
    return list(wanted)


def schema_json(guess: Guess) -> str:
    """The text of `schema.json`, without defaults."""
    description = guess.description.model_dump(mode="json", exclude_defaults=True)
    order = ("name", "clock", "files", "events", "items", "users", "impressions")
    return (
        json.dumps(
            {"clock": "time", **{k: description[k] for k in order if k in description}},
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )


def config_toml(guess: Guess, name: str, data: str, source: DatabaseSource | None = None) -> str:
    """A config for these data, with a comment on each choice. Raises: ConfigError; it is checked."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip("._-")[:100] or "shop"
    text = "\n".join([*_head(name, data, source), *_events(guess.kinds), *_split(guess), *_gates(guess), ""])
    configs.parse(tomllib.loads(text), where="the config that init made")
    return text


def _head(name: str, data: str, source: DatabaseSource | None) -> list[str]:
    return [
        "# Written by `funnel init`; what is not here has its default.",
        f"name = {json.dumps(name)}",
        "",
        "[data]",
        f'reader = "{"folder" if source is None else "sql"}"',
        f"path = {json.dumps(data, ensure_ascii=False)}   # where schema.json is",
        "",
        *(() if source is None else _database(source)),
    ]


def _database(source: DatabaseSource) -> list[str]:
    queries = [f"{name} = {_text(query)}" for name, query in source.queries.items()]
    secret = "   # its password is taken from the environment" if VARIABLE in source.url else ""
    lines = ["[data.options]", f"url = {_text(source.url)}{secret}", ""]
    return [*lines, "[data.options.queries]", *queries, ""]


def _events(kinds: KindsInFile | None) -> list[str]:
    if kinds is None:
        return []
    weights = ", ".join(f"{_text(kind)} = {weight:g}" for kind, weight in kinds.history.items())
    lines = ["[events]", f"history = {{{weights}}}   # kinds that make a history, and how much each counts"]
    comments = {
        "targets": "kinds that are to be found; the others are read only",
        "negatives": "kinds that say no",
        "ignore": "kinds that are left out",
    }
    for key, comment in comments.items():
        if named := getattr(kinds, key):
            lines.append(f"{key} = [{', '.join(map(_text, named))}]   # {comment}")
    return [*lines, ""]


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _excluded(kinds: KindsInFile | None) -> str:
    """What is not shown again."""
    if kinds is None or not kinds.bought:
        again = "what a user had is not shown again; false where people buy the same again"
        return f"exclude_seen = true     # {again}"
    named = ", ".join(map(_text, kinds.bought))
    return f"exclude_seen = [{named}]   # not shown again; true: nor is what was viewed, false: all is"


def _split(guess: Guess) -> list[str]:
    if any(finding.what == "split" for finding in guess.findings):
        return ["[split]", 'kind = "given"   # the column `split` says train and test', ""]
    if guess.description.clock != "time":
        return [
            "[split]",
            'kind = "leave_one_out"   # there are no times: the last event of each user is predicted',
            "",
        ]
    lines = [
        "[split]",
        'kind = "time"',
        "ranker = 0.8            # towers learn from the first 80% of the events, the ranker from the next",
        'test = 0.9              # the report is about the last 10%; a date such as "2026-02-01" would do',
        'protocol = "event"      # each event is predicted from what the user did before it',
        f"max_requests = {_MOST_REQUESTS}    # of a window, by chance: more take longer",
        _excluded(guess.kinds),
    ]
    if "impressions" in (guess.description.files or {}):
        lines += [
            "# There are impressions: to rank the lists that were shown, and not the whole catalogue, write",
            '# protocol = "shown" and exclude_seen = false.',
        ]
    return [*lines, ""]


def _gates(guess: Guess) -> list[str]:
    """A threshold that so few requests can support; a stricter one would refuse bundles by chance."""
    requests = max(min(0.1 * guess.rows.get("events", 0), _MOST_REQUESTS), 1)
    fall = min(math.ceil(10 * _CHANCE / math.sqrt(requests)) / 10, 1.0)
    if fall <= GatesConfig().visible_fall:
        return []
    return [
        "[gates]",
        f"visible_fall = {fall}      # so few requests do not tell smaller falls from chance",
        "",
    ]


def _replace(wanted: Mapping[Path, str]) -> None:
    """Write all files under hidden names before the first is renamed: a full disk changes nothing."""
    hidden: dict[Path, Path] = {}
    path = Path()
    try:
        for path, text in wanted.items():
            handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
            hidden[path] = Path(name)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(name, 0o644)
        for path, written in hidden.items():
            os.replace(written, path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror}), and nothing is changed: {_LINKS}"
        ) from error
    finally:
        for written in hidden.values():
            written.unlink(missing_ok=True)

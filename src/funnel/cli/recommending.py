"""Recommend from a bundle, time it, and choose its index."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from funnel.cli.common import INDEXES, Indexes, Json, Version, app, as_written, console, print_json
from funnel.errors import ConfigError
from funnel.terminal import say

if TYPE_CHECKING:
    from funnel.serving.arguments import Seen
    from funnel.serving.live import Live
    from funnel.serving.response import Answer

Context = Annotated[
    str | None, typer.Option("--context", help='what is known at the moment, as JSON: {"device": "phone"}')
]


@app.command()
def bench(
    store: Indexes = INDEXES,
    bundle: Version = "current",
    requests: Annotated[int, typer.Option(min=1, help="requests, one after another")] = 1000,
    as_json: Json = False,
) -> None:
    """Time a bundle on its own users: milliseconds a stage one request at a time, and requests a second."""
    from funnel import show
    from funnel.bench import measure
    from funnel.serving.live import Live

    measured = measure(Live(store, bundle, impressions=False), requests)
    print_json(measured.model_dump(mode="json")) if as_json else show.bench(measured, Console())


@app.command()
def recommend(
    user: Annotated[str | None, typer.Argument(help="a user id", callback=as_written)] = None,
    k: Annotated[int, typer.Option("-k", help="how many items")] = 10,
    where: Annotated[
        list[str] | None, typer.Option(help="column=value, again for more; or a whole filter as JSON")
    ] = None,
    history: Annotated[str | None, typer.Option(help="item ids, oldest first, with commas")] = None,
    store: Indexes = INDEXES,
    bundle: Version = "current",
    everyone: Annotated[bool, typer.Option("--all", help="every user's list, into a file")] = False,
    output: Annotated[Path | None, typer.Option(help="that file, .parquet or .csv")] = None,
    seen: Annotated[
        str | None,
        typer.Option(help="items of the history: exclude, allow, or kinds of events; default the bundle's"),
    ] = None,
    context: Context = None,
    explain: Annotated[bool, typer.Option(help="why the first item is first: SHAP contributions")] = False,
    as_json: Json = False,
) -> None:
    """The best items for a user, with reasons; or with --all for every user, as data."""
    from funnel.serving.live import Live

    if everyone != (user is None) or everyone != (output is not None):
        raise typer.BadParameter("give a user id, or --all and --output FILE")
    if everyone and (history is not None or explain):
        option = "--history" if history is not None else "--explain"
        raise typer.BadParameter(f"{option} is about one user: it cannot be combined with --all")
    filters, moment = _filters(where or []), _context(context)
    live = Live(store, bundle, impressions=False)
    if output is not None:
        _everyone(live, output, k, filters, _seen(seen), moment, as_json)
        return
    items = None if history is None else _ids(history)
    answer = live.recommend(user, k, history=items, where=filters, seen=_seen(seen), context=moment)
    explained = None
    if explain and answer.items:
        first = answer.items[0].item_id
        explained = live.explain(user, first, history=items, seen=_seen(seen), context=moment)
    _print(live, answer, explained, as_json, history=items)


@app.command()
def rank(
    user: Annotated[str, typer.Argument(help="a user id", callback=as_written)],
    items: Annotated[str, typer.Option(help="item ids, with commas")],
    history: Annotated[str | None, typer.Option(help="item ids, oldest first, with commas")] = None,
    rerank: Annotated[bool, typer.Option(help="also the stages behind the ranker")] = False,
    store: Indexes = INDEXES,
    bundle: Version = "current",
    context: Context = None,
    explain: Annotated[bool, typer.Option(help="why the first item is first: SHAP contributions")] = False,
    as_json: Json = False,
) -> None:
    """All of a given list, best first for a user."""
    from funnel.serving.live import Live

    moment, items_before = _context(context), None if history is None else _ids(history)
    live = Live(store, bundle, impressions=False)
    answer = live.rank(user, _ids(items), history=items_before, rerank=rerank, context=moment)
    first = answer.items[0].item_id if explain and answer.items else None
    explained = None if first is None else live.explain(user, first, history=items_before, context=moment)
    _print(live, answer, explained, as_json, history=items_before)


@app.command()
def similar(
    item: Annotated[str, typer.Argument(help="an item id")],
    k: Annotated[int, typer.Option("-k", help="how many items")] = 10,
    where: Annotated[
        list[str] | None, typer.Option(help="column=value, again for more; or a whole filter as JSON")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="somebody whose history counts as well", callback=as_written)
    ] = None,
    seen: Annotated[
        str | None, typer.Option(help="items of that history: exclude, allow, or kinds of events")
    ] = None,
    store: Indexes = INDEXES,
    bundle: Version = "current",
    context: Context = None,
    as_json: Json = False,
) -> None:
    """The items nearest to an item."""
    from funnel.serving.live import Live

    filters, moment = _filters(where or []), _context(context)
    live = Live(store, bundle, impressions=False)
    answer = live.similar(item, k, user_id=user, where=filters, seen=_seen(seen), context=moment)
    _print(live, answer, None, as_json, near=item)


def _print(
    live: Live, answer: Answer, explained: dict[str, float] | None, as_json: bool, **shown: Any
) -> None:
    """shown: see `show.answer`."""
    from funnel import show

    if as_json:
        print_json(answer.to_dict() | ({"explained": explained} if explained else {}))
        return
    show.answer(answer, live, Console(), **shown)
    if explained:
        show.explanation(explained, Console())
        show.values(answer, Console())


def _ids(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _seen(text: str | None) -> Seen:
    """ "exclude", "allow", or kinds of events."""
    if text is None or text in ("exclude", "allow"):
        return text
    return _ids(text)


def _everyone(
    live: Live,
    output: Path,
    k: int,
    where: dict[str, Any],
    seen: Seen,
    context: dict[str, Any] | None,
    as_json: bool,
) -> None:
    """All lists into a file; says how far it is."""
    from funnel.serving.batch import recommend_all

    done, steps = 0, recommend_all(live, output, k, where=where, seen=seen, context=context)
    with Progress(console=console) as bar:
        task = bar.add_task("Recommending", total=None)
        for done, of in steps:
            bar.update(task, completed=done, total=of)
    summary = {"output": str(output), "users": done, "version": live.version}
    print_json(summary) if as_json else say(f"{done:,} users' lists are in {output}")


@app.command()
def tune(
    store: Indexes = INDEXES,
    bundle: Version = "current",
    spec: Annotated[list[str] | None, typer.Option(help="a FAISS factory string; again for more")] = None,
    recall: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="the goal; default the bundle's")
    ] = None,
    k: Annotated[
        int | None, typer.Option("-k", min=1, help="where recall is measured; default the bundle's")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="requests of the bundle's users")] = 200,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1)] = 0,
    threads: Annotated[int, typer.Option(min=1, help="for building; searches have one")] = 1,
    plot: Annotated[Path | None, typer.Option(help="also draw the frontier here, as PNG or SVG")] = None,
    as_json: Json = False,
) -> None:
    """Measure kinds of index on a bundle's vectors and users: recall, time, memory, and which one to take."""
    from funnel import show
    from funnel import tune as tuning
    from funnel.serving.live import Live

    if plot is not None:
        tuning.check_picture(plot)
    frontier = tuning.tune(
        Live(store, bundle).contents, specs=spec or (), recall=recall, k=k, queries=queries, seed=seed,
        threads=threads,
    )  # fmt: skip
    if plot is not None:
        tuning.draw(frontier, plot)
    print_json(tuning.as_json(frontier)) if as_json else show.frontier(frontier, Console())


def _filters(parts: list[str]) -> dict[str, Any]:
    """`column=value` pairs as a filter; a column that is given again may have any of its values. What begins
    with a brace is a filter in JSON. All must hold."""
    pairs: dict[str, list[str]] = {}
    wholes: list[Any] = []
    for part in parts:
        name, sign, value = part.partition("=")
        if part.lstrip().startswith("{"):
            wholes.append(_whole(part))
        elif sign and name:
            pairs.setdefault(name, []).append(value)
        else:
            raise ConfigError(f"--where {part!r}: write column=value, for example genres=Comedy, or JSON")
    columns = {name: [*values, *_meant(values)] for name, values in pairs.items()}
    return {"and": [*wholes, columns]} if wholes and columns else {"and": wholes} if wholes else columns


def _whole(text: str, option: str = "--where") -> Any:
    """Raises: ConfigError where it is not JSON, saying where it goes wrong."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{option} {text!r} is no JSON: {error}") from error


def _context(text: str | None) -> Any:
    """What is known at the moment, from JSON."""
    return None if text is None else _whole(text, "--context")


def _meant(values: list[str]) -> list[float | bool]:
    """The numbers and truth values that are written as text."""
    meant: list[float | bool] = [value == "true" for value in values if value in ("true", "false")]
    for value in values:
        with suppress(ValueError):
            number = float(value)
            meant += [number] if math.isfinite(number) else []
    return meant

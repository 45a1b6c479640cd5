"""The command line: a few lines each over the public API.

Exit codes: 0 done, 1 funnel found something wrong (one message, no traceback), 2 the command was mistyped.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from funnel import config as configs
from funnel import show
from funnel.bundle import Store
from funnel.bundle.live import Live
from funnel.errors import ConfigError, FunnelError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(no_args_is_help=True, help="Look at a data set.")
app.add_typer(data_app, name="data")
console = Console(stderr=True)  # progress and messages; what a caller may pipe goes to stdout

ConfigFile = Annotated[Path, typer.Argument(help="a TOML config, see configs/")]
DataPath = Annotated[Path | None, typer.Option("--data", help="where the data is; replaces data.path")]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of tables")]
Indexes = Annotated[Path, typer.Option("--store", help="where bundles are kept and published")]
Embeddings = Annotated[Path, typer.Option("--embeddings", help="where trained towers are kept")]
Version = Annotated[str, typer.Option("--bundle", help="a version, or `current` for the published one")]

INDEXES, EMBEDDINGS = Path("indexes"), Path("embeddings")


def main() -> None:
    """Run the command line; what funnel raises on purpose becomes a message and exit code 1."""
    logging.basicConfig(level="WARNING", format="%(message)s", handlers=[RichHandler(console=console)])
    try:
        app()
    except FunnelError as error:
        console.print("[bold red]error[/]", end=" ")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


@app.command()
def demo(
    store: Indexes = INDEXES,
    embeddings: Embeddings = EMBEDDINGS,
    data: DataPath = None,
    as_json: Json = False,
) -> None:
    """The whole path on MovieLens 100K: train, build, evaluate, publish, recommend to three users."""
    from funnel.pipeline import build, prepare, train_towers

    config = configs.load(configs.packaged("movielens-100k.toml"), data=data)
    prepared = prepare(config)
    towers = train_towers(prepared, Store(embeddings), progress=True)
    built = build(prepared, towers, Store(store), progress=True)
    Store(store).publish(built.version)
    live = Live(store)
    answers = [live.recommend(user) for user in built.users]
    if as_json:
        _print({"report": built.report.model_dump(mode="json"), "answers": [a.to_dict() for a in answers]})
        return
    out = Console()
    show.report(built.report, out)
    for answer in answers:
        show.answer(answer, live, out)
    show.published(built, out)


@data_app.command("profile")
def profile(
    config_file: ConfigFile,
    data: DataPath = None,
    page: Annotated[Path | None, typer.Option(help="also write an HTML page with plots here")] = None,
    as_json: Json = False,
) -> None:
    """Rows, gaps, unexpected values, balance, cardinalities, long tail, time span, cold share."""
    from funnel.data import read
    from funnel.data.profile import profile as make_profile

    config = configs.load(config_file, data=data)
    found = make_profile(read(config.data), config.split, config.seed)
    if page is not None:
        from funnel.data.profile_page import write_page

        write_page(found, page)
    _print(found.to_dict()) if as_json else show.profile(found, Console())


@app.command()
def train(
    config_file: ConfigFile,
    data: DataPath = None,
    embeddings: Embeddings = EMBEDDINGS,
    as_json: Json = False,
) -> None:
    """Train the towers and keep them; nothing is trained when equal inputs were trained before."""
    from funnel.pipeline import prepare, train_towers

    prepared = prepare(configs.load(config_file, data=data))
    folder = train_towers(prepared, Store(embeddings), progress=True)
    _print({"version": folder.name, "folder": str(folder)}) if as_json else Console().print(folder)


@app.command()
def build(
    config_file: ConfigFile,
    data: DataPath = None,
    store: Indexes = INDEXES,
    embeddings: Embeddings = EMBEDDINGS,
    as_json: Json = False,
) -> None:
    """Train what is missing, index, rank, evaluate, and write a bundle; publishing is separate."""
    from funnel.pipeline import build as build_bundle
    from funnel.pipeline import prepare, train_towers

    prepared = prepare(configs.load(config_file, data=data))
    towers = train_towers(prepared, Store(embeddings), progress=True)
    built = build_bundle(prepared, towers, Store(store), progress=True)
    if as_json:
        _print({"version": built.version, "report": built.report.model_dump(mode="json")})
        return
    show.report(built.report, Console())
    Console().print(built.folder)


@app.command()
def evaluate(
    config_file: ConfigFile,
    data: DataPath = None,
    store: Indexes = INDEXES,
    bundle: Version = "current",
    output: Annotated[Path | None, typer.Option(help="folder for report.json and report.html")] = None,
    as_json: Json = False,
) -> None:
    """Measure a bundle again on the test window of a data set, stage by stage."""
    from funnel.pipeline import evaluate_bundle, prepare, write_report

    prepared = prepare(configs.load(config_file, data=data))
    contents, report = evaluate_bundle(Store(store), bundle, prepared, progress=True)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write_report(report, contents, prepared, output)
    _print(report.model_dump(mode="json")) if as_json else show.report(report, Console())


@app.command()
def bench(
    store: Indexes = INDEXES,
    bundle: Version = "current",
    requests: Annotated[int, typer.Option(min=1, help="requests, one after another")] = 1000,
    as_json: Json = False,
) -> None:
    """Time a bundle on its own users: milliseconds a stage one request at a time, and requests a second."""
    from funnel.bench import measure

    measured = measure(Live(store, bundle), requests)
    _print(measured.model_dump(mode="json")) if as_json else show.bench(measured, Console())


@app.command()
def tune(
    store: Indexes = INDEXES,
    bundle: Version = "current",
    spec: Annotated[list[str] | None, typer.Option(help="a FAISS factory string; again for more")] = None,
    recall: Annotated[float | None, typer.Option(help="the goal; default the bundle's")] = None,
    k: Annotated[
        int | None, typer.Option("-k", help="where recall is measured; default the bundle's")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="requests of the bundle's users")] = 200,
    seed: int = 0,
    threads: Annotated[int, typer.Option(min=1, help="for building; searches have one")] = 1,
    plot: Annotated[Path | None, typer.Option(help="also draw the frontier here, as PNG or SVG")] = None,
    as_json: Json = False,
) -> None:
    """Measure kinds of index on a bundle's vectors and users: recall, time, memory, and which one to take."""
    from funnel import tune as tuning

    if plot is not None:
        tuning.check_picture(plot)
    found = tuning.tune(
        Live(store, bundle).contents, specs=spec or (), recall=recall, k=k, queries=queries, seed=seed,
        threads=threads,
    )  # fmt: skip
    if plot is not None:
        tuning.draw(found, plot)
    _print(tuning.as_json(found)) if as_json else show.frontier(found, Console())


@app.command()
def publish(
    version: Annotated[str, typer.Argument(help="the version to serve; default the newest")] = "newest",
    store: Indexes = INDEXES,
    as_json: Json = False,
) -> None:
    """Verify a bundle and make it the one that is served."""
    bundles = Store(store)
    found = bundles.versions()
    if version == "newest" and not found:
        raise FunnelError(f"{store} holds no bundle to publish; `funnel build CONFIG` makes one")
    version = found[0].version if version == "newest" else version
    bundles.publish(version)
    _print({"published": version}) if as_json else Console().print(f"published {version}")


@app.command()
def recommend(
    user: Annotated[str, typer.Argument(help="a user id")],
    k: Annotated[int, typer.Option("-k", help="how many items")] = 10,
    where: Annotated[list[str] | None, typer.Option(help="column=value; again for more")] = None,
    history: Annotated[str | None, typer.Option(help="item ids, oldest first, with commas")] = None,
    store: Indexes = INDEXES,
    bundle: Version = "current",
    explain: Annotated[bool, typer.Option(help="why the first item is first: SHAP contributions")] = False,
    as_json: Json = False,
) -> None:
    """The best items for a user, with reasons."""
    live = Live(store, bundle)
    items = None if history is None else [part for part in history.split(",") if part]
    filters = _filters(where or [])
    answer = live.recommend(user, k, history=items, where=filters)
    explained = None
    if explain and answer.items:
        explained = live.explain(user, answer.items[0].item_id, history=items)
    if as_json:
        _print(answer.to_dict() | ({"explained": explained} if explained else {}))
        return
    show.answer(answer, live, Console())
    if explained:
        show.explanation(explained, Console())


@app.command()
def inspect(store: Indexes = INDEXES, bundle: Version = "current", as_json: Json = False) -> None:
    """What a bundle is: its parts, data, figures and what the ranker looks at. The files are verified."""
    live = Live(store, bundle)
    _print(live.manifest.model_dump(mode="json")) if as_json else show.manifest(live, Console())


def _filters(parts: list[str]) -> dict[str, Any]:
    """`column=value` pairs as a filter; a column that is given again may have any of its values."""
    out: dict[str, Any] = {}
    for part in parts:
        name, sign, value = part.partition("=")
        if not sign or not name:
            raise ConfigError(f"--where {part!r}: write column=value, for example genres=Comedy")
        out.setdefault(name, []).append(value)
    return {name: [*values, *_numbers(values)] for name, values in out.items()}


def _numbers(values: list[str]) -> list[float]:
    numbers = []
    for value in values:
        try:
            numbers.append(float(value))
        except ValueError:
            continue
    return numbers


def _print(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")

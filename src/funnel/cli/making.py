"""From data to a bundle, and what it is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from funnel.cli.common import (
    EMBEDDINGS,
    INDEXES,
    ConfigFile,
    DataPath,
    Embeddings,
    Indexes,
    Json,
    Version,
    app,
    check_folder,
    check_output,
    group,
    print_json,
)
from funnel.terminal import say

data_app = group(help="Look at a data set.")
app.add_typer(data_app, name="data")


@app.command()
def demo(
    store: Indexes = INDEXES,
    embeddings: Embeddings = EMBEDDINGS,
    data: DataPath = None,
    as_json: Json = False,
) -> None:
    """The whole path on MovieLens 100K: train, build, evaluate, publish, recommend to three users."""
    from funnel import config as configs
    from funnel import gates, show
    from funnel.artifacts import Store
    from funnel.pipeline import build, check, prepare, train_towers
    from funnel.serving.live import Live

    config = configs.load(configs.packaged("movielens-100k.toml"), data=data)
    prepared = prepare(config)
    check(prepared, Store(store))
    towers = train_towers(prepared, Store(embeddings), progress=True)
    built = build(prepared, towers, Store(store), progress=True)
    gates.publish(Store(store), built.version)
    live = Live(store, impressions=False)
    answers = [live.recommend(user) for user in built.users]
    if as_json:
        print_json(
            {"report": built.report.model_dump(mode="json"), "answers": [a.to_dict() for a in answers]}
        )
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
    from funnel import config as configs
    from funnel import show
    from funnel.data import read
    from funnel.profile.figures import profile as make_profile

    check_output(page)
    config = configs.load(config_file, data=data)
    figures = make_profile(read(config.data), config.split, config.seed, config.events)
    if page is not None:
        from funnel.pages.profile import write_page

        write_page(figures, page)
    print_json(figures.to_dict()) if as_json else show.profile(figures, Console())


@app.command()
def train(
    config_file: ConfigFile,
    data: DataPath = None,
    embeddings: Embeddings = EMBEDDINGS,
    as_json: Json = False,
) -> None:
    """Train the towers and keep them; nothing is trained when equal inputs were trained before."""
    from funnel import config as configs
    from funnel.artifacts import Store
    from funnel.pipeline import prepare, train_towers

    prepared = prepare(configs.load(config_file, data=data))
    folder = train_towers(prepared, Store(embeddings), progress=True)
    print_json({"version": folder.name, "folder": str(folder)}) if as_json else say(folder)


@app.command()
def build(
    config_file: ConfigFile,
    data: DataPath = None,
    store: Indexes = INDEXES,
    embeddings: Embeddings = EMBEDDINGS,
    as_json: Json = False,
) -> None:
    """Train what is missing, index, rank, evaluate, and write a bundle; publishing is separate."""
    from funnel import config as configs
    from funnel import show
    from funnel.artifacts import Store
    from funnel.pipeline import build as build_bundle
    from funnel.pipeline import check, prepare, train_towers

    prepared = prepare(configs.load(config_file, data=data))
    check(prepared, Store(store))
    towers = train_towers(prepared, Store(embeddings), progress=True)
    built = build_bundle(prepared, towers, Store(store), progress=True)
    if as_json:
        print_json({"version": built.version, "report": built.report.model_dump(mode="json")})
        return
    show.report(built.report, Console())
    say(built.folder)


@app.command()
def evaluate(
    config_file: ConfigFile,
    data: DataPath = None,
    store: Indexes = INDEXES,
    bundle: Version = "current",
    output: Annotated[Path | None, typer.Option(help="folder for report.json and report.html")] = None,
    run_file: Annotated[
        Path | None,
        typer.Option("--run", help="also write the lists as a TREC run"),
    ] = None,
    qrels: Annotated[Path | None, typer.Option(help="also write what was right as TREC qrels")] = None,
    row: Annotated[
        str | None,
        typer.Option(help="whose lists --run writes: a row of the report; default the last stage"),
    ] = None,
    per_request: Annotated[
        Path | None, typer.Option(help="also write every request's own figures, as .parquet or .csv")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a bundle again on the test window of a data set, stage by stage."""
    from funnel import config as configs
    from funnel import show
    from funnel.artifacts import Store
    from funnel.evaluation.pieces import check_table
    from funnel.pipeline import evaluate_bundle, prepare, write_report

    if row is not None and run_file is None:
        raise typer.BadParameter("--row says whose lists --run writes: give --run, too")
    check_folder(output)
    files = [path for path in (run_file, qrels, per_request) if path is not None]
    for path in files:
        check_output(path)
    if len({path.resolve() for path in files}) < len(files):
        raise typer.BadParameter("--run, --qrels and --per-request write a file each: name different ones")
    if per_request is not None:
        check_table(per_request)
    prepared = prepare(configs.load(config_file, data=data))
    lists = [] if row is None else [row]
    contents, evaluation = evaluate_bundle(Store(store), bundle, prepared, lists=lists, progress=True)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write_report(evaluation.report, contents, prepared, output)
    if run_file is not None:
        evaluation.write_run(run_file, row)
    if qrels is not None:
        evaluation.write_qrels(qrels)
    if per_request is not None:
        evaluation.save_per_request(per_request)
    print_json(evaluation.report.model_dump(mode="json")) if as_json else show.report(
        evaluation.report, Console()
    )

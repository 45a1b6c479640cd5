"""What is in the store, and what is served from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from funnel.cli.common import INDEXES, Indexes, Json, Trusted, Version, app, print_json
from funnel.errors import FunnelError, GateError
from funnel.terminal import say

Forced = Annotated[
    bool, typer.Option("--force", help="also while an experiment runs on bundles; the history keeps that")
]
Url = Annotated[str, typer.Argument(help="a folder, or what fsspec reaches, such as s3://bucket/ads")]


@app.command()
def bundles(store: Indexes = INDEXES, as_json: Json = False) -> None:
    """The bundles of a store, newest first, with their figures; which is published, and which was before."""
    from funnel import show
    from funnel.artifacts import Store
    from funnel.gates.comparable import marked

    kept = Store(store)
    published = [done.model_dump(mode="json", exclude={"gates"}) for done in kept.publications()]
    manifests = kept.versions()
    measured = marked(kept, manifests)
    marks = {kept.anchor(): "anchor", kept.previous(): "previous", kept.published(): "current"}
    if as_json:
        listed = [
            {**manifest.model_dump(mode="json", include={"version", "created", "metrics"}),
             "is": marks.get(manifest.version, ""), "measured_on": on.model_dump()}
            for manifest, on in zip(manifests, measured, strict=True)
        ]  # fmt: skip
        print_json({"bundles": listed, "publications": published})
        return
    show.bundles(manifests, marks, measured, Console())


@app.command()
def publish(
    version: Annotated[str, typer.Argument(help="the version to serve; default the newest")] = "newest",
    store: Indexes = INDEXES,
    config: Annotated[
        Path | None,
        typer.Option(help="a TOML config whose [gates] count instead of the bundle's own; [store] trust too"),
    ] = None,
    force: Annotated[bool, typer.Option(help="also when a gate failed; the history keeps that")] = False,
    trust: Trusted = None,
    as_json: Json = False,
) -> None:
    """Judge a bundle beside the published one and, if every gate passes, serve it from now on."""
    from funnel import config as configs
    from funnel import gates, show
    from funnel.artifacts import Store

    # Only its [gates] and [store] trust count; the data need not be here.
    settings = None if config is None else configs.load(config, data=config.parent)
    kept = Store(store, [*(trust or ()), *(settings.store.trust if settings else ())])
    manifests = kept.versions()
    if version == "newest" and not manifests:
        raise FunnelError(f"{store} holds no bundle to publish; `funnel build CONFIG` makes one")
    version = manifests[0].version if version == "newest" else version
    thresholds = None if settings is None else settings.gates
    try:
        verdict = gates.publish(kept, version, config=thresholds, force=force)
    except GateError as error:
        print_json(error.verdict.model_dump(mode="json")) if as_json else show.verdict(
            error.verdict, Console()
        )
        raise
    if as_json:
        print_json({"published": verdict.version, **verdict.model_dump(mode="json")})
        return
    show.verdict(verdict, Console())
    say(f"published {verdict.version}")


@app.command()
def rollback(
    store: Indexes = INDEXES, force: Forced = False, trust: Trusted = None, as_json: Json = False
) -> None:
    """Serve again what was published before; once more goes further back."""
    from funnel import gates
    from funnel.artifacts import Store

    version = gates.rollback(Store(store, trust or ()), force=force)
    print_json({"published": version}) if as_json else say(f"published {version}")


@app.command()
def anchor(
    version: Annotated[str, typer.Argument(help="a version; default the published one")] = "current",
    store: Indexes = INDEXES,
    as_json: Json = False,
) -> None:
    """Judge every bundle beside this one, too, whatever is published since; default the first published."""
    from funnel.artifacts import Store

    version = Store(store).set_anchor(version)
    print_json({"anchor": version}) if as_json else say(f"the anchor is {version}")


@app.command()
def verify(
    version: Annotated[str, typer.Argument(help="a version; default the published one")] = "current",
    store: Indexes = INDEXES,
    holdout: Annotated[bool, typer.Option("--holdout", help="also judge it again, here")] = False,
    trust: Trusted = None,
    as_json: Json = False,
) -> None:
    """Check every file of a bundle against its manifest; with --holdout also its answers, by every gate."""
    from funnel import gates, show
    from funnel.artifacts import Store

    manifest = Store(store, trust or ()).verify(version)
    verdict = gates.judge(Store(store), manifest.version) if holdout else None
    if as_json:
        print_json({"verified": manifest.version, **(verdict.model_dump(mode="json") if verdict else {})})
    elif verdict:
        show.verdict(verdict, Console())
    if verdict and not verdict.passed:
        raise GateError(
            f"{manifest.version} is whole, but gates failed: {', '.join(verdict.failed_gates)}", verdict
        )
    if not as_json:
        say(f"{manifest.version}: {len(manifest.files)} files, all as they were written")


@app.command()
def sign(
    key: Annotated[Path, typer.Option(help="the file of a private key")],
    version: Annotated[str, typer.Argument(help="a version; default the published one")] = "current",
    store: Indexes = INDEXES,
    new: Annotated[bool, typer.Option("--new", help="make the key first, and print its public one")] = False,
    as_json: Json = False,
) -> None:
    """Sign a bundle, so that stores that trust the key take it; --new only makes a key."""
    from funnel.artifacts import Store, signing

    if new:
        public = signing.generate(key)
        print_json({"public": public}) if as_json else typer.echo(public)
        return
    public = Store(store).sign(version, key)
    print_json({"public": public}) if as_json else say(f"signed with {public}")


@app.command()
def diff(
    a: Annotated[str, typer.Argument(help="a version, `current` or `previous`")],
    b: Annotated[str, typer.Argument(help="the other one, on whose holdout both answer")],
    store: Indexes = INDEXES,
    as_json: Json = False,
) -> None:
    """How two bundles differ: figures, config, features, vocabulary, answers to the same requests."""
    from funnel import show
    from funnel.artifacts import Store
    from funnel.gates.diff import diff as difference

    differences = difference(Store(store), a, b)
    print_json(differences.model_dump(mode="json")) if as_json else show.difference(differences, Console())


@app.command()
def push(url: Url, store: Indexes = INDEXES, bundle: Version = "current", as_json: Json = False) -> None:
    """Copy a bundle to another store, where it is then the current one."""
    from funnel.artifacts import Store, remote

    version = remote.push(Store(store), url, bundle)
    print_json({"pushed": version, "to": url}) if as_json else say(f"pushed {version} to {url}")


@app.command()
def pull(
    url: Url,
    store: Indexes = INDEXES,
    bundle: Version = "current",
    force: Forced = False,
    trust: Trusted = None,
    config: Annotated[
        Path | None, typer.Option(help="a TOML config whose [store] trust and keep count")
    ] = None,
    as_json: Json = False,
) -> None:
    """Copy a bundle from another store, verify it, and serve it here; old ones go, as with a build."""
    from funnel import config as configs
    from funnel import gates
    from funnel.artifacts import Store, remote
    from funnel.artifacts.retention import retain
    from funnel.experiments.running import arm_bundles

    settings = configs.StoreConfig() if config is None else configs.load(config, data=config.parent).store
    kept = Store(store, [*(trust or ()), *settings.trust])
    version = remote.pull(url, kept, bundle)
    gates.publish_unjudged(kept, version, force=force)
    removed = retain(kept, settings.keep, also=arm_bundles(kept.folder))
    if as_json:
        print_json({"published": version, "from": url, "removed": removed})
        return
    gone = f"; removed {', '.join(removed)}" if removed else ""
    say(f"published {version}{gone}")


@app.command()
def inspect(store: Indexes = INDEXES, bundle: Version = "current", as_json: Json = False) -> None:
    """What a bundle is: its parts, data, figures and what the ranker looks at. The files are verified."""
    from funnel import show
    from funnel.serving.live import Live

    live = Live(store, bundle, impressions=False)
    print_json(live.manifest.model_dump(mode="json")) if as_json else show.manifest(live, Console())

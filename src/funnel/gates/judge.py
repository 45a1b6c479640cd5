"""All gates, in the order in which a fault comes in: tables, towers, index, quality, catalogue, serving."""

from __future__ import annotations

from pathlib import Path

from funnel import plugins
from funnel.artifacts import Store
from funnel.bundle.holdout import shared_targets, translate
from funnel.errors import FunnelError
from funnel.gates import catalogue, quality, serving, tables, vectors
from funnel.gates.anchor import anchored
from funnel.gates.baselines import beside_sources
from funnel.gates.case import Case
from funnel.gates.config import GatesConfig
from funnel.gates.explored import explored
from funnel.gates.figures import Figures, measure, popular
from funnel.gates.findings import Finding, Verdict, could_not_look
from funnel.gates.judged import Judged
from funnel.gates.monitor import watched
from funnel.gates.parts import parts
from funnel.gates.probabilities import calibration
from funnel.gates.reference import reference
from funnel.gates.tables import Arrived
from funnel.plugins import register


def judge(store: Store | str | Path, version: str, config: GatesConfig | None = None) -> Verdict:
    """Hold a bundle against every gate, beside the published bundle where there is another one. Where that
    cannot be read, the gate `reference` fails.

    store: or its folder. config: the thresholds; default those that the bundle was built with.
    Raises: BundleError when the bundle is damaged or has no holdout.
    """
    store = Store.of(store)
    new = Judged.load(store, version)
    config = config or new.thresholds
    beside = reference(store, new.manifest.version)
    figures = measure(new.contents, new.holdout.examples, new.contents.rerank.k)
    case = Case(store, new, beside.judged, figures, config)
    findings = [] if beside.finding is None else [beside.finding]
    for name in plugins.names("gate", own=True):
        findings += plugins.make("gate", name, case)
    for name in config.also:
        findings += _plugin(name, case)
    return Verdict(
        version=new.manifest.version,
        served=beside.served,
        beside=None if beside.judged is None else beside.judged.manifest.version,
        figures=figures.means(),
        findings=tuple(findings),
    )


def _plugin(name: str, case: Case) -> list[Finding]:
    """The findings of a plugin's gate. It fails where it raises, or gives no finding."""
    try:
        result = plugins.make("gate", name, case, options=case.config.options.get(name))
        findings = [result] if isinstance(result, Finding) else list(result)
        if findings and all(isinstance(finding, Finding) for finding in findings):
            return findings
        return [could_not_look(name, "a Finding is expected, and at least one")]
    except Exception as error:  # somebody else's code, which must not pass a gate by failing
        return [could_not_look(name, str(error) if isinstance(error, FunnelError) else repr(error))]


@register("gate", "published")
def _published(case: Case) -> list[Finding]:
    """Tables, stages, slices, popularity and reach, beside the published bundle."""
    return _compared(case.new, case.figures, case.published, case.config)


@register("gate", "anchor")
def _anchor(case: Case) -> list[Finding]:
    return anchored(case.store, case.new, case.figures, case.published, case.config)


@register("gate", "baselines")
def _baselines(case: Case) -> list[Finding]:
    return beside_sources(case.figures, case.contents, case.examples, case.config, case.seed)


@register("gate", "vectors")
def _vectors(case: Case) -> list[Finding]:
    return vectors.health(case.contents, case.config, case.seed)


@register("gate", "search")
def _search(case: Case) -> list[Finding]:
    return [vectors.search(case.contents, case.examples.requests, case.config, case.seed)]


@register("gate", "calibration")
def _calibration(case: Case) -> list[Finding]:
    shown = case.new.holdout.shown
    return calibration(case.contents, case.new.schema, case.examples, case.config, case.seed, shown)


@register("gate", "monitor")
def _monitor(case: Case) -> list[Finding]:
    return [watched(case.store, case.config)]


@register("gate", "concentration")
def _concentration(case: Case) -> list[Finding]:
    return [catalogue.concentration(case.figures, case.config)]


@register("gate", "parity")
def _parity(case: Case) -> list[Finding]:
    return serving.parity(case.contents, case.figures.lists, case.new.holdout, case.config, case.seed)


@register("gate", "explore")
def _explore(case: Case) -> list[Finding]:
    return explored(case.contents, case.examples, case.seed)


@register("gate", "latency")
def _latency(case: Case) -> list[Finding]:
    return [serving.latency(case.contents, case.examples.requests, case.config, case.seed)]


def _compared(new: Judged, figures: Figures, published: Judged | None, config: GatesConfig) -> list[Finding]:
    """Beside the published bundle, or beside popularity where there is none.

    Whatever goes wrong with the other bundle is a gate that fails, so that publishing can be forced.
    """
    if published is None:
        return _alone(new, figures, config)
    try:
        return _beside(new, figures, published, config)
    except Exception as error:  # it was made by another funnel: any library may stumble over it
        reason = f"{published.manifest.version} could not be compared with: {error!r}"
        return [could_not_look("reference", reason)]


def _alone(new: Judged, figures: Figures, config: GatesConfig) -> list[Finding]:
    examples = new.holdout.examples
    shown = popular(new.contents, examples, figures.k)
    return [
        quality.beside_popular(figures.final, shown, examples.requests.users, config, new.seed),
        *catalogue.reach(figures, None, len(examples), config),
    ]


def _beside(new: Judged, figures: Figures, published: Judged, config: GatesConfig) -> list[Finding]:
    """Tables, quality and reach."""
    examples, users, k = new.holdout.examples, new.holdout.examples.requests.users, figures.k
    old = measure(published.contents, translate(examples, new.contents, published.contents), k)
    divided = parts(new.contents, new.schema, examples)
    return [
        *tables.arrived(
            Arrived.of(new.contents, new.schema), Arrived.of(published.contents, published.schema), config
        ),
        *quality.stages(figures, old, users, config, new.seed, "its holdout"),
        *_on_published(new, published, k, config),
        *quality.slices(figures.final, old.final, divided, users, config, new.seed),
        catalogue.popularity(figures, old, new.contents, published.contents, config),
        *catalogue.reach(figures, old, len(examples), config),
    ]


def _on_published(new: Judged, published: Judged, k: int, config: GatesConfig) -> list[Finding]:
    """The stages on the published bundle's holdout: data that are wrong throughout look right on their own.

    Only targets that the new bundle still has count: that items went is for other gates.
    """
    examples = shared_targets(published.holdout.examples, published.contents, new.contents)
    if len(examples) == 0:
        reason = "no request of the published holdout has a target that is in the new bundle's catalogue"
        return [could_not_look("stages", reason)]
    after = measure(new.contents, translate(examples, published.contents, new.contents), k)
    before = measure(published.contents, examples, k)
    users = examples.requests.users
    return quality.stages(after, before, users, config, new.seed, "the published holdout")

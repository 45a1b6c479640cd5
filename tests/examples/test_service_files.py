"""What a service is run with: each file names only metrics, labels, paths and options that there are."""

from __future__ import annotations

import getpass
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from funnel.cli import app
from funnel.service.config import ServeConfig
from funnel.service.counters import Counters
from funnel.service.guarding import OPEN
from funnel.service.instruments import INSTRUMENTS
from funnel.service.metrics import Exposition
from funnel.service.openapi import OPERATIONS
from tests.conftest import ROOT
from tests.service.server import children, soon

yaml = pytest.importorskip("yaml")

FOLDER = ROOT / "examples" / "service"

#: What Prometheus and Kubernetes add to every sample.
ADDED = {"job", "instance"}


def exposed() -> dict[str, set[str]]:
    """Names of samples as /metrics writes them, each with the names of its labels."""
    counters = Counters(INSTRUMENTS, workers=1)
    row = counters.row(0)
    for instrument in INSTRUMENTS:
        label = " ".join(["x"] * len(instrument.labels))
        (row.observe if instrument.kind == "histogram" else row.put)(instrument.name, 1, label)
    row.put("funnel_worker_process_id", os.getpid())
    from prometheus_client.parser import text_string_to_metric_families as read

    text = Exposition(counters).text()[0].decode()
    found: dict[str, set[str]] = {}
    for metric in read(text):
        for sample in metric.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def alerts() -> list[dict[str, Any]]:
    document = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    return json.loads((FOLDER / "grafana.json").read_text())


def expressions() -> Iterator[tuple[str, str]]:
    """Where, and a query of PromQL."""
    yield from ((rule["alert"], rule["expr"]) for rule in alerts())
    for panel in dashboard()["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])


def wrong(expression: str) -> list[str]:
    """Metrics and labels of a query that no service has, and brackets that do not match."""
    known, labels = exposed(), ADDED.copy()
    texts = re.sub(r'"[^"]*"', '""', expression)
    metrics = re.findall(r"\b(?:funnel_\w+|up)\b", texts)
    for metric in metrics:
        labels |= known.get(metric, set())
    named = [
        name for group in re.findall(r"\b(?:by|without) \(([^)]*)\)", texts) for name in group.split(",")
    ]
    named += [
        name for group in re.findall(r"\{([^}]*)\}", texts) for name in re.findall(r"(\w+)\s*[=!]", group)
    ]
    found = [metric for metric in metrics if metric not in known and metric != "up"]
    found += [name.strip() for name in named if name.strip() not in labels]
    found += [pair for pair in ("()", "{}", "[]") if texts.count(pair[0]) != texts.count(pair[1])]
    return found if metrics else [*found, "no metric"]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_queries_ask_for_what_there_is(where: str, expression: str) -> None:
    assert wrong(expression) == []


def test_what_there_is_not_is_found() -> None:
    """The control."""
    assert wrong("rate(funnel_answer_total[5m])") == ["funnel_answer_total"]
    assert wrong('sum by (stages) (funnel_stage_skips_total{rote="x"})') == ["stages", "rote"]
    assert wrong("sum(funnel_answers_total") == ["()"]
    assert wrong("1 > 0") == ["no metric"]
    assert wrong("funnel_stage_seconds > 1") == ["funnel_stage_seconds"]


def test_every_metric_is_on_the_dashboard_or_the_documented_rest() -> None:
    text = json.dumps(dashboard())
    missing = {one.name for one in INSTRUMENTS if one.name not in text}
    assert missing == {"funnel_worker_process_id"}
    page = (ROOT / "docs" / "operating.md").read_text()
    for name in {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed()}:
        assert f"`{name}`" in page, name


def test_alerts_say_what_is_wrong_by_labels_that_they_have() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names)) > 5
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
        kept = ADDED if rule["expr"].startswith("up") else set()
        for group in re.findall(r"\bby \(([^)]*)\)", rule["expr"]):
            kept = kept | {name.strip() for name in group.split(",")}
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= kept


def test_panels_are_beside_one_another() -> None:
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard()["panels"]}
    assert len(places) == len(dashboard()["panels"]) == len({panel["id"] for panel in dashboard()["panels"]})
    variables = {variable["name"] for variable in dashboard()["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard()))) - {"__rate_interval"} <= variables


def command(words: list[str]) -> dict[str, Any]:
    """What the command line makes of a command of ours; it raises what it does not know."""
    group: Any = typer.main.get_command(app)
    return group.commands[words[0]].make_context(words[0], words[1:]).params


def containers() -> list[dict[str, Any]]:
    documents = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()))
    spec = next(one for one in documents if one["kind"] == "StatefulSet")["spec"]["template"]["spec"]
    return [*spec["initContainers"], *spec["containers"]]


def unit() -> dict[str, str]:
    lines = (FOLDER / "funnel-serve.service").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def docker() -> list[str]:
    return (FOLDER / "Dockerfile").read_text().replace("\\\n", " ").splitlines()


def commands() -> Iterator[list[str]]:
    """Every command of ours in every file."""
    yield shlex.split(unit()["ExecStart"])[1:]
    run = next(line for line in docker() if line.startswith("CMD"))
    yield json.loads(run.removeprefix("CMD "))
    for container in containers():
        if "command" not in container:
            yield list(container["args"])
    texts = [path.read_text() for path in sorted(FOLDER.iterdir())]
    for text in texts:
        for line in re.findall(r"funnel ((?:pull|keys|warm|sign|push|serve) [^|;\n`]*)", text):
            words = shlex.split(line)
            yield words if words[0] != "keys" else []


def test_commands_are_understood() -> None:
    seen = [command(words) for words in commands() if words]
    assert len(seen) >= 6
    for given in seen:
        if given.get("host") == "0.0.0.0":
            assert given["keys"] is not None, "without keys it would not start"


def test_probes_and_ports_are_those_of_the_service() -> None:
    paths = {path for _, path in OPERATIONS}
    for path in sorted(FOLDER.iterdir()):
        for found in re.findall(r"/health/\w+|/metrics", path.read_text()):
            assert found in paths
    (service,) = (container for container in containers() if container["name"] == "service")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert service[probe]["httpGet"]["path"] in OPEN, "a probe has no key"
    assert command(service["args"])["port"] == service["ports"][0]["containerPort"] == ServeConfig().port
    assert service["livenessProbe"]["httpGet"]["path"] == "/health/live", "a lost state is no reason to kill"


def test_ends_have_time_to_drain() -> None:
    drain = ServeConfig().drain
    assert float(unit()["TimeoutStopSec"]) > drain + 2
    documents = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
    spec = next(one for one in documents if one["kind"] == "StatefulSet")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > drain + 2


def test_a_shell_of_a_pod_ends_when_it_is_told_to() -> None:
    """As the first process of a container, which no signal ends that it has no handler of."""
    first = ["unshare", "--pid", "--fork", "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*first, "true"], capture_output=True).returncode:
        pytest.skip("no namespace of processes can be made here")
    for container in containers():
        if "command" in container:
            end_as_told([*first, *container["command"], *container["args"]])


def end_as_told(command: list[str]) -> None:
    """What the first of a command starts ends with SIGTERM, which it gets when it has started something."""
    process = subprocess.Popen(command)
    try:
        assert soon(lambda: any(children(one) for one in children(process.pid)))
        os.kill(children(process.pid)[0], signal.SIGTERM)
        process.wait(10)
    finally:
        process.kill()


def test_volumes_of_containers_are_there() -> None:
    documents = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()))
    spec = next(one for one in documents if one["kind"] == "StatefulSet")["spec"]
    claims = {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
    there = claims | {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
    for container in containers():
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert set(mounts) <= there
        assert container["securityContext"]["readOnlyRootFilesystem"]
        store = [word for word in container["args"] if "/srv/indexes" in word]
        assert store
        assert mounts["store"] == "/srv/indexes"


def test_the_image_has_the_extras_that_there_are() -> None:
    (extras,) = re.findall(r"funnel-rank\[([\w,]+)\]", "\n".join(docker()))
    text = (ROOT / "pyproject.toml").read_text()
    for extra in extras.split(","):
        assert re.search(rf"^{extra} = \[", text, re.MULTILINE), extra
    assert any(line.startswith("USER ") and line != "USER root" for line in docker())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """With a program and a user that this machine has."""
    text = (FOLDER / "funnel-serve.service").read_text()
    text = text.replace("/srv/recommendations/.venv/bin/funnel", shutil.which("true") or "/bin/true")
    path = tmp_path / "funnel-serve.service"
    path.write_text(text.replace("User=funnel", f"User={getpass.getuser()}"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, timeout=60
    )
    assert "funnel-serve.service" not in done.stderr, done.stderr

"""`python -m benchmarks.evidence NAME [--quick]`: runs one of the benchmarks in this folder."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.serving import RESULTS

NAMES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if not path.stem.startswith("_") and "def main(" in path.read_text()
)


def run(
    name: Annotated[str, typer.Argument(help=" | ".join(NAMES))],
    quick: Annotated[bool, typer.Option(help="small, in seconds, and written nowhere")] = False,
    results: Annotated[Path, typer.Option(help="where evidence-NAME.json is written")] = RESULTS,
) -> None:
    """Run one benchmark."""
    if name not in NAMES:
        raise typer.BadParameter(f"{name} is none of {', '.join(NAMES)}")
    importlib.import_module(f"benchmarks.evidence.{name}").main(quick, results)


typer.run(run)

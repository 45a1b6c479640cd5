"""FastAPI over the glue of `benchmarks.glue`, as people write it: a model of the body, a function, uvicorn.

python -m benchmarks.service_glue --store STORE --version VERSION --model model.txt --peers SITE --port 8001
"""

from __future__ import annotations

import os
import sys

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.latency import glued, recall
from benchmarks.serving import asked
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents


def main(
    store: Annotated[Path, typer.Option()],
    version: Annotated[str, typer.Option()],
    model: Annotated[Path, typer.Option(help="the trees, as LightGBM has them")],
    peers: Annotated[Path, typer.Option(help="the site-packages that FastAPI is in")],
    port: int = 8001,
) -> None:
    """Serve until it is killed."""
    sys.path.append(str(peers))  # behind ours: nothing but FastAPI is taken from there
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    contents = load_contents(Store(store).path(version))
    k, tried = contents.retrieve.k, asked(contents, 100, seed=1)
    glue = glued(contents, model, tried, k, recall(contents, tried, k))
    app = FastAPI()

    class Wanted(BaseModel):
        user_id: int
        k: int = 10

    async def recommend(wanted: Any) -> dict[str, Any]:
        return {"items": [plain(item) for item in glue(wanted.user_id)][: wanted.k]}

    recommend.__annotations__["wanted"] = Wanted  # a class of this function: FastAPI looks it up by its name
    app.post("/v1/recommend")(recommend)
    glue(contents.users.ids.values[0].item())
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")


def plain(item: Any) -> Any:
    """A value that JSON has."""
    return item.item() if hasattr(item, "item") else item


if __name__ == "__main__":
    typer.run(main)

"""A recommendation service: FastAPI over one `Live` a process.

Beside funnel it needs `pip install fastapi gunicorn uvicorn uvicorn-worker`. To run it:

    FUNNEL_STORE=indexes gunicorn -c examples/gunicorn_conf.py --chdir examples fastapi_app:app

FUNNEL_STORE: the folder that bundles are published in. FUNNEL_STATE: a file for what is observed and changed,
where the store itself cannot be written. FUNNEL_DEADLINE_MS: what ends later is left out of an answer.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from funnel import BundleError, FunnelError, Live, SqliteLog

STATE = os.environ.get("FUNNEL_STATE")
DEADLINE = float(os.environ.get("FUNNEL_DEADLINE_MS", "50"))

# Opened when the module is loaded: before the fork, where gunicorn preloads, and then shared by all workers.
live = Live(
    os.environ.get("FUNNEL_STORE", "indexes"), watch=5, state=SqliteLog(Path(STATE)) if STATE else None
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """A worker answers few requests at once: each wants a core."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = 4
    await anyio.to_thread.run_sync(begin)
    yield


def begin() -> None:
    """A worker that is forked later, too, starts with the newest bundle; the first request has it watch."""
    with suppress(BundleError):  # `live.refused` says why; what was loaded goes on being served
        live.refresh()
    live.recommend(None, 1)


app = FastAPI(title="recommendations", lifespan=lifespan)


class Event(BaseModel):
    """A user did something with an item; without a time, now."""

    user_id: int | str
    item_id: int | str
    time: int | None = None


class Wanted(BaseModel):
    """A request that does not fit into an address."""

    user_id: int | str | None = None
    k: int = 10
    history: list[int | str] | None = None
    where: dict[str, Any] | None = None
    exclude: list[int | str] = []


@app.exception_handler(FunnelError)
async def refused(request: Request, error: FunnelError) -> JSONResponse:
    """What the caller got wrong is 422; a store or a state that cannot be used is 503."""
    status = 503 if isinstance(error, BundleError) else 422
    return JSONResponse({"detail": str(error)}, status_code=status)


@app.get("/recommend/{user_id}")
def recommend(user_id: str, k: int = Query(10, ge=1, le=100)) -> dict[str, Any]:
    """The best k items. A user never seen is no error: the answer's `reasons` say so."""
    return live.recommend(user_id, k, deadline=DEADLINE).to_dict()


@app.post("/recommend")
def recommend_with(wanted: Wanted) -> dict[str, Any]:
    """The same with a history, a filter, items to leave out."""
    asked = wanted.model_dump(exclude={"user_id", "k"})
    return live.recommend(wanted.user_id, min(wanted.k, 100), deadline=DEADLINE, **asked).to_dict()


@app.post("/events", status_code=204)
def observe(events: list[Event]) -> None:
    """Clicks; on return they are kept, and in the next answer of every worker."""
    live.observe(*[(one.user_id, one.item_id, one.time) for one in events])


@app.get("/health")
def health() -> dict[str, Any]:
    """200 while this worker answers; what to raise an alarm about is inside."""
    return live.health()

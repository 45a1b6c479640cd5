"""How gunicorn serves `fastapi_app`: one process a core, which share one bundle's memory."""

import gc
import os

bind = os.environ.get("BIND", "0.0.0.0:8000")
workers = int(os.environ.get("WEB_CONCURRENCY", os.cpu_count() or 1))
worker_class = "uvicorn_worker.UvicornWorker"
worker_tmp_dir = "/dev/shm"  # the workers' heartbeat: a disk that hangs must not get them killed
preload_app = True  # the bundle is loaded once, before the fork
timeout = 30  # seconds without a heartbeat until a worker is killed and replaced
graceful_timeout = 10  # seconds that requests have to end when it stops
keepalive = 5
control_socket_disable = True  # it would be in a home that a container does not have


def when_ready(server: object) -> None:
    """Just before the fork: the collector leaves what is there alone, so that its pages stay shared."""
    gc.collect()
    gc.freeze()

"""funnel's nightly run as a DAG of Airflow 3: from raw events to what is served, through the gates.

Put it into the DAGs folder. RECOMMENDATIONS is the folder with the config and with funnel's own environment:
Airflow's and funnel's libraries need not agree. One task is enough, since `funnel run` itself begins only the
steps whose inputs have changed and goes on where a run was killed; what was served goes on being served
whatever becomes of the task.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

RECOMMENDATIONS = Path(os.environ.get("RECOMMENDATIONS", "/srv/recommendations"))
COMMAND = (str(RECOMMENDATIONS / ".venv/bin/funnel"), "run", "shop.toml")

log = logging.getLogger(__name__)


def run(command: Sequence[str] = COMMAND, folder: Path = RECOMMENDATIONS) -> str:
    """The last line of a run, which says what was published; each line goes to the task's log.

    Raises: AirflowFailException, which is not tried again, where a gate failed or data were refused: they are
    the same the next time; AirflowException, which is, where the run was killed.
    """
    last = ""
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            for line in process.stdout or ():
                log.info("%s", line.rstrip())
                last = line.strip() or last
        except BaseException:  # the task was stopped, or has taken too long
            process.terminate()
            raise
    if process.returncode in (1, 2):
        raise AirflowFailException(last)
    if process.returncode:
        raise AirflowException(f"killed ({process.returncode}), behind: {last}")
    return last


@dag(
    schedule="0 3 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["recommendations"],
)
def recommendations() -> None:
    """Every night at three."""

    @task(retries=3, retry_delay=timedelta(minutes=10), execution_timeout=timedelta(hours=6))
    def nightly() -> str:
        return run()

    nightly()


recommendations()

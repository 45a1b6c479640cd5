"""A PostgreSQL server: its connections, how long it is waited for, and what its errors mean."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import Connection, IsolationLevel

from funnel.errors import BundleError, FunnelError
from funnel.processes import PerProcess
from funnel.serving.state.on_postgres.tables import FORMAT, NOW, TABLES
from funnel.serving.state.once import Write
from funnel.serving.state.reach import PATIENT, QUICK, Reach
from funnel.values.urls import check_written, scrubbed, without_password

T = TypeVar("T")

#: Connections that are kept for later; a thread has one at a time.
_KEPT = 8

#: Seconds that the first connection of all is waited for, when there is nobody to answer meanwhile: a name
#: may have several machines, of which libpq gives each two.
_FIRST = 3 * PATIENT

#: What each session goes by. A writer whose machine is gone must not hold up others, and what takes too long
#: is ended by the server, who says so before it is taken for lost; what is acknowledged is on disk, whatever
#: the server's own setting.
_SESSION = """
SELECT set_config('lock_timeout', '1500', false),
       set_config('statement_timeout', '1900', false),
       set_config('idle_in_transaction_session_timeout', '2000', false),
       set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                  ELSE current_setting('synchronous_commit') END, false)
"""

#: What reads much goes by: it holds up nobody, whatever its process does between two parts.
_READ_ONLY = """
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL idle_in_transaction_session_timeout = '60s'
"""

#: Rows that are read together.
_PART = 10_000


class _Connection(Connection[Any]):
    """One that does not wait longer than `patience` seconds for anything."""

    patience = PATIENT

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        return super().wait(gen, interval, self.patience if timeout is None else timeout)


class PostgresServer:
    """Connections to a database, safe to use from several threads and after a fork.

    run: names the server's present run: one that took the place of another may not have all that was
    acknowledged. Tables are made by the first who comes.
    Raises: FunnelError for a URL that is none.
    """

    def __init__(self, url: str) -> None:
        self.url, self.name = url, without_password(url)
        check_written(url, "/@")
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.Error as error:
            raise FunnelError(f"{self.name} is no address of PostgreSQL: {self._reason(error)}") from None
        self.reach, self.run = Reach(), ""
        self._idle = PerProcess(list[_Connection])

    def request(self, sql: str, *values: Any, patient: bool = False, large: bool = False) -> list[Any]:
        """The rows of a query. patient: wait `PATIENT` for it, not `QUICK`. large: so is the answer, and one
        that is late does not say that the server is lost. Raises: BundleError."""

        def read(connection: _Connection) -> list[Any]:
            return connection.execute(sql, values).fetchall()

        return self._try(read, patient=patient, large=large)

    def read_together(self, *queries: str) -> list[list[Any]]:
        """The rows of each query, all of one state; read in parts, of which each is waited for. Raises:
        BundleError."""

        def read(connection: _Connection) -> list[list[Any]]:
            with connection.transaction():
                connection.execute(_READ_ONLY)
                return [_rows(connection, sql) for sql in queries]

        return self._try(read, patient=True)

    def now(self, *, patient: bool) -> float:
        """The server's clock. Raises: BundleError."""
        return float(self.request(f"SELECT {NOW}", patient=patient)[0][0])

    def write(self, write: Write, work: Callable[[Any], T]) -> T | None:
        """What `work` returns of a connection in a transaction, which is done once; None where it was done
        before. Raises: BundleError; DataError, where the same name was given to another."""

        def once(connection: _Connection) -> T | None:
            with connection.transaction():
                if not self._is_new(connection, write):
                    return None
                connection.execute("UPDATE funnel.position SET last = %s", (write.name,))  # one at a time
                return work(connection)

        return self._try(once, patient=True)

    def _is_new(self, connection: _Connection, write: Write) -> bool:
        connection.execute(
            f"DELETE FROM funnel.done WHERE name IN (SELECT name FROM funnel.done WHERE until < {NOW} "
            "LIMIT 10 FOR UPDATE SKIP LOCKED)"
        )
        # Names are removed a few at a time: one whose time is over may still be there, and is known no more.
        sql = (
            f"INSERT INTO funnel.done VALUES (%s, %s, {NOW} + %s) ON CONFLICT (name) DO UPDATE "
            f"SET sum = EXCLUDED.sum, until = EXCLUDED.until WHERE done.until < {NOW}"
        )
        if connection.execute(sql, (write.name, write.sum, write.seconds)).rowcount:
            return True
        row = connection.execute("SELECT sum FROM funnel.done WHERE name = %s", (write.name,)).fetchone()
        if row is not None and row[0] != write.sum:
            raise write.refused()
        return False

    def _try(self, work: Callable[[_Connection], T], *, patient: bool, large: bool = False) -> T:
        """Again, once, where the connection was lost; where the server was slow, if that is waited for."""
        with self.reach.trying():
            began = time.monotonic()
            try:
                try:
                    return self._used(work, patient=patient)
                except psycopg.errors.QueryCanceled:
                    raise  # it took its time and would again
                except psycopg.OperationalError:
                    if not patient and time.monotonic() - began >= QUICK:
                        raise
                    self.close()  # those that are idle were lost as well
                    return self._used(work, patient=patient)
            except psycopg.OperationalError as error:
                if error.sqlstate is not None and not error.sqlstate.startswith(("08", "57P", "53300")):
                    raise self._refused(error) from None
                if large and time.monotonic() - began >= QUICK:
                    raise BundleError(f"{self.name} takes too long: {self._reason(error)}") from None
                raise self.reach.lost(f"{self.name} cannot be reached: {self._reason(error)}") from None
            except psycopg.Error as error:
                raise self._refused(error) from None

    def _refused(self, error: Exception) -> BundleError:
        return BundleError(f"{self.name} refuses: {self._reason(error)}; nothing was changed")

    def _used(self, work: Callable[[_Connection], T], *, patient: bool) -> T:
        with self._connection() as connection:
            connection.patience = PATIENT if patient else QUICK
            return work(connection)

    @contextmanager
    def _connection(self) -> Iterator[_Connection]:
        """One that is idle, or a new one; what failed is not used again."""
        idle = self._idle.get()
        try:
            connection = idle.pop()
        except IndexError:
            connection = self._opened()
        try:
            yield connection
        except (psycopg.DataError, psycopg.IntegrityError):
            raise
        except BaseException:
            connection.close()
            raise
        finally:
            if not connection.closed:
                _keep(idle, connection)

    def _opened(self) -> _Connection:
        """A new connection. libpq waits two seconds at least for a machine that does not answer, before it
        asks the next one of the URL, and longer for its name; so a thread waits, and who asked only for a
        while. One that comes later is for who asks next."""
        done, given_up, lock = threading.Event(), threading.Event(), threading.Lock()
        idle = self._idle.get()
        result: list[_Connection | BaseException] = []

        def connect() -> None:
            try:
                connection: _Connection | BaseException = self._greeted()
            except BaseException as error:
                connection = error
            with lock:
                result.append(connection)
                if given_up.is_set() and isinstance(connection, _Connection):
                    _keep(idle, connection)
            done.set()

        threading.Thread(target=connect, name="funnel-connect", daemon=True).start()
        done.wait(2 * QUICK if self.run else _FIRST)
        with lock:
            given_up.set()
            if not result:
                raise psycopg.errors.ConnectionTimeout("it did not answer in time")
        if isinstance(result[0], BaseException):
            raise result[0]
        return result[0]

    def _greeted(self) -> _Connection:
        connection = _Connection.connect(
            self.url, autocommit=True, connect_timeout=2, tcp_user_timeout=int(1000 * PATIENT),
            application_name="funnel",
        )  # fmt: skip
        try:
            connection.isolation_level = IsolationLevel.READ_COMMITTED
            connection.execute(_SESSION)
            sql = "SELECT pg_postmaster_start_time()::text, to_regclass('funnel.position') IS NULL"
            self.run, empty = connection.execute(sql).fetchone()  # type: ignore[misc]
            if empty:
                _create(connection)
            format_ = connection.execute("SELECT format FROM funnel.position").fetchone()
            if format_ != (FORMAT,):
                raise BundleError(
                    f"the state in {self.name} is of format {shown_row(format_)}, this funnel reads "
                    f"{FORMAT}; upgrade funnel"
                )
        except BaseException:
            connection.close()
            raise
        return connection

    def _reason(self, error: Exception) -> str:
        return scrubbed(" ".join(str(error).split()) or type(error).__name__, self.url)

    def close(self) -> None:
        """Give back the connections; they are opened again when they are needed."""
        idle = self._idle.get()
        while idle:
            idle.pop().close()


def _keep(idle: list[_Connection], connection: _Connection) -> None:
    """For later, unless there are enough."""
    if len(idle) < _KEPT:
        idle.append(connection)
    else:
        connection.close()


def _rows(connection: Connection[Any], sql: str) -> list[Any]:
    """All rows of a query, within a transaction."""
    with connection.cursor("funnel") as cursor:
        cursor.itersize = _PART
        return list(cursor.execute(sql))


def _create(connection: Connection[Any]) -> None:
    """The tables, by one of those who come at the same time."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(714276341)")
        connection.execute(TABLES)


def shown_row(row: Sequence[Any] | None) -> str:
    """The only value of a row."""
    return "none" if row is None else str(row[0])

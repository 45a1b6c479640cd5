"""Tables of a database, read in chunks into files of Parquet: whatever SQLAlchemy has a driver for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from funnel.errors import DataError, FunnelError
from funnel.values.shown import shown
from funnel.values.urls import is_url, scrubbed, with_variables, without_password

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Rows that are in memory at a time.
CHUNK = 50_000

#: The variable that `funnel init` has a config name in place of a password.
VARIABLE = "FUNNEL_SQL_PASSWORD"

#: What SQLAlchemy would read with another driver.
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class Database:
    """A database that is read and never written. Use it within `with`: all that is read is of one moment,
    where the database can do that.

    url: `postgresql://user:${VARIABLE}@host/name`, `sqlite:///file.db`, `duckdb:///file.duckdb`; what stands
    in `${}` is taken from the environment, so that no file holds a password.

    Raises: FunnelError naming the extra where a driver is not installed; DataError for a variable that is not
    set, or where the database cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self.name = without_password(url)
        self._url = _with_variables(url)

    @contextmanager
    def __call__(self) -> Iterator[OpenDatabase]:
        """A connection, for as long as it lasts."""
        engine = self._engine()
        try:
            with self._errors("cannot be reached"):
                connection = engine.connect().execution_options(postgresql_readonly=True)
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("PRAGMA query_only = ON")
            with connection:
                yield OpenDatabase(self, connection)
        finally:
            engine.dispose()

    def _engine(self) -> Any:
        try:
            import sqlalchemy
        except ModuleNotFoundError as missing:
            raise FunnelError('databases need SQLAlchemy: pip install "funnel-rank[sql]"') from missing
        with self._errors("is no address of a database"):
            url = sqlalchemy.make_url(self._url)
            url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
            options: dict[str, Any] = {}
            if url.get_backend_name() == "postgresql":
                options = {"isolation_level": "REPEATABLE READ", "connect_args": {"connect_timeout": 10}}
            elif url.get_backend_name() in ("sqlite", "duckdb"):
                _check_file(url.database, self.name)
                if url.get_backend_name() == "duckdb":
                    options = {"connect_args": {"read_only": True}}
            try:
                return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **options)
            except (sqlalchemy.exc.NoSuchModuleError, ModuleNotFoundError) as error:
                what = getattr(error, "name", None) or url.drivername
                raise FunnelError(
                    f"{self.name} needs a driver of SQLAlchemy that is not installed ({what})"
                ) from None

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Errors of SQLAlchemy as ours, without the password."""
        import sqlalchemy

        try:
            yield
        except (sqlalchemy.exc.SQLAlchemyError, OSError, ValueError) as error:
            reason = str(getattr(error, "orig", None) or error)
            first = scrubbed(" ".join(reason.split()), self._url)[:500]
            raise DataError(f"{self.name} {what}: {first}") from None


class OpenDatabase:
    """An open connection to a database."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database, self._connection = database, connection

    def tables(self) -> list[str]:
        """The names of tables and views, sorted."""
        import sqlalchemy

        with self._database._errors("cannot be read"):
            inspector = sqlalchemy.inspect(self._connection)
            return sorted({*inspector.get_table_names(), *inspector.get_view_names()})

    def quoted(self, table: str) -> str:
        """A name as a query may have it."""
        return str(self._connection.dialect.identifier_preparer.quote(table))

    def count(self, table: str) -> int:
        """The rows of a table."""
        chunks = self.chunks(f"SELECT count(*) AS n FROM {self.quoted(table)}", table)
        return int(next(chunks).column("n")[0].as_py())

    def chunks(self, query: str, what: str) -> Iterator[pa.Table]:
        """The rows that a query returns, at most `CHUNK` at a time; one table without rows where there are
        none. Raises: DataError for a query that fails, or is none that returns rows."""
        options = {"stream_results": True, "yield_per": CHUNK, "no_parameters": True}
        with self._database._errors(f"does not answer the query of {what}"):
            opened = self._connection.execution_options(**options)
            result = opened.exec_driver_sql(query.strip().rstrip(";"))
            if not result.returns_rows:
                raise DataError(f"the query of {what} returns no rows: a SELECT is expected")
            names = [str(name) for name in result.keys()]  # noqa: SIM118
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise DataError(f"the query of {what} has columns of the same name: {', '.join(twice)}")
            empty = True
            for rows in result.partitions(CHUNK):
                empty = False
                yield _table(names, rows)
            if empty:
                yield _table(names, [])

    def save(self, query: str, what: str, folder: Path) -> int:
        """Write what a query returns into a folder, a file of Parquet a chunk; how many rows there are."""
        folder.mkdir(parents=True)
        rows = 0
        for number, table in enumerate(self.chunks(query, what)):
            pq.write_table(table, folder / f"{number:06d}.parquet")
            rows += len(table)
        return rows


def _with_variables(url: str) -> str:
    if not isinstance(url, str) or not is_url(url):
        example = "postgresql://user@host/name, sqlite:///file.db or duckdb:///file.duckdb is expected"
        raise DataError(f"{shown(url)} is no URL of a database: {example}")
    return with_variables(url)


def _check_file(path: str | None, name: str) -> None:
    """A file that is not there would be made."""
    if path and path != ":memory:" and not path.startswith("file:") and not Path(path).is_file():
        raise DataError(f"{name}: there is no file {path}")


def _table(names: Sequence[str], rows: Sequence[Any]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return pa.table(dict(zip(names, map(_column, columns), strict=True)))


def _column(values: Sequence[Any]) -> pa.Array:
    """Values of one type, as most databases have them; of several, in writing."""
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())

"""The state of a store in a PostgreSQL database, shared by any number of machines."""

from funnel.serving.state.on_postgres.log import PostgresLog

__all__ = ["PostgresLog"]

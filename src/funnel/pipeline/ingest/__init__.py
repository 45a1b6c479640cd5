"""From live traffic to the data that the next bundle is built from."""

from funnel.pipeline.ingest.ingest import Ingested, copied_events, ingest

__all__ = ["Ingested", "copied_events", "ingest"]

"""What a service counts: the metrics of `/metrics`, by the conventions of Prometheus."""

from __future__ import annotations

from funnel.service.counters import Instrument

REQUESTS = Instrument(
    "funnel_http_requests", "counter", "Requests that were answered.", ("route", "status"), room=128
)
REQUEST_SECONDS = Instrument(
    "funnel_http_request_seconds", "histogram", "From a request's headers to its answer.", ("route",), room=32
)
IN_FLIGHT = Instrument("funnel_http_requests_in_flight", "gauge", "Requests that are being answered.")
QUEUE_SECONDS = Instrument(
    "funnel_queue_seconds", "histogram", "How long requests waited for the engine, behind others."
)
BATCHES = Instrument("funnel_batches", "counter", "Calls of the engine that answered what waited.")
ANSWERS = Instrument("funnel_answers", "counter", "Lists that were answered.")
STAGE_SECONDS = Instrument(
    "funnel_stage_seconds",
    "histogram",
    "How long a stage took, for all that it answered at once.",
    ("stage",),
    room=32,
)
REASONS = Instrument(
    "funnel_answer_reasons",
    "counter",
    "Answers with a reason code; docs/service.md has them.",
    ("reason",),
    room=64,
)
SKIPS = Instrument("funnel_stage_skips", "counter", "Stages that a deadline left out.", ("stage",), room=32)
EVENTS = Instrument("funnel_events", "counter", "Events that were taken in.")
RELOADS = Instrument("funnel_reloads", "counter", "Bundles that were taken up while serving.")
REFUSALS = Instrument("funnel_reload_refusals", "counter", "Attempts at a published bundle that failed.")
REFUSED = Instrument(
    "funnel_bundle_refused", "gauge", "1 while what is published cannot be used and another is served."
)
VERSION = Instrument("funnel_bundle_info", "gauge", "The bundle in use.", ("version",))
CREATED = Instrument("funnel_bundle_created_timestamp_seconds", "gauge", "When the bundle in use was built.")
DATA = Instrument(
    "funnel_bundle_data_timestamp_seconds", "gauge", "When the reading of its data began; 0 where not known."
)
STATE_SEEN = Instrument(
    "funnel_state_seen_timestamp_seconds", "gauge", "When the log of changes was last read to its end."
)
STATE_UNREADABLE = Instrument(
    "funnel_state_unreadable", "gauge", "1 while the log of changes cannot be read."
)
STATE_SKIPPED = Instrument(
    "funnel_state_skipped_changes", "gauge", "Changes that the bundle in use cannot have."
)
FILTER_BYTES = Instrument("funnel_filter_cache_bytes", "gauge", "Kept bitmaps of filters.")
IMPRESSIONS = Instrument("funnel_impressions", "counter", "Answers that were written to the log of answers.")
IMPRESSIONS_DROPPED = Instrument(
    "funnel_impressions_dropped", "counter", "Answers that were not logged: too many waited to be written."
)
IMPRESSIONS_BYTES = Instrument("funnel_impressions_bytes", "counter", "Bytes of the log of answers.")
IMPRESSIONS_ERRORS = Instrument(
    "funnel_impressions_errors", "counter", "Attempts at writing the log of answers that failed."
)
IMPRESSIONS_WAITING = Instrument(
    "funnel_impressions_waiting", "gauge", "Answers that wait to be written to the log."
)
IMPRESSIONS_LAG = Instrument(
    "funnel_impressions_lag_seconds", "gauge", "How long the oldest of them has waited, in whole seconds."
)
FEEDBACK = Instrument("funnel_feedback", "counter", "Events that named the answer which showed their item.")
ALARMS = Instrument("funnel_alarms", "gauge", "Alarms that are going on, by kind.", ("kind",), room=64)
LOOKS = Instrument("funnel_monitor_looks", "counter", "Looks of the monitor that came to an end.")
BLIND = Instrument("funnel_monitor_blind", "gauge", "1 while the monitor cannot look.")
STARTS = Instrument(
    "funnel_worker_starts", "counter", "Processes that began in this place, also those of a new bundle."
)
PROCESS = Instrument("funnel_worker_process_id", "gauge", "The process of a worker.")

#: All of them, in the order in which they are shown.
INSTRUMENTS = (
    REQUESTS, REQUEST_SECONDS, IN_FLIGHT, QUEUE_SECONDS, BATCHES, ANSWERS, STAGE_SECONDS, REASONS, SKIPS,
    EVENTS, RELOADS, REFUSALS, REFUSED, VERSION, CREATED, DATA, STATE_SEEN, STATE_UNREADABLE, STATE_SKIPPED,
    FILTER_BYTES, IMPRESSIONS, IMPRESSIONS_DROPPED, IMPRESSIONS_BYTES, IMPRESSIONS_ERRORS,
    IMPRESSIONS_WAITING, IMPRESSIONS_LAG, FEEDBACK, ALARMS, LOOKS, BLIND, STARTS, PROCESS,
)  # fmt: skip

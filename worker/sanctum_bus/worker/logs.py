"""Logging of a worker: fixed event names with fields, as JSON lines or, on a terminal, as readable lines."""

import logging
import sys
from typing import NamedTuple

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


class LogEvent(NamedTuple):
    """One kind of log line.

    Args:
        words: the fixed text of the event.
        level: of the line.
        fields: the fields besides the context.
        meaning: what happened, and what to do.
    """

    words: str
    level: str
    fields: tuple[str, ...]
    meaning: str


EVENTS = (
    LogEvent(
        "worker started",
        "info",
        ("server", "failures"),
        "The worker is connected to a server that has the required features. `failures`: failed attempts before.",
    ),
    LogEvent(
        "unsafe maxmemory-policy",
        "warning",
        ("policy",),
        "A full server would evict streams and snapshots: set `maxmemory-policy noeviction`.",
    ),
    LogEvent(
        "worker stopped",
        "info",
        ("runs",),
        "The worker has stopped. `runs`: number of runs that it released.",
    ),
    LogEvent(
        "redis unavailable",
        "warning",
        ("url", "error"),
        "The server does not answer, or answers with an error. The worker retries.",
    ),
    LogEvent(
        "redis not found",
        "warning",
        ("url", "embedded"),
        "No server is configured, and none runs at the default locations: start one (`sanctum server`), or set a URL.",
    ),
    LogEvent(
        "task failed",
        "warning",
        ("task", "error"),
        "A step of a background task failed: `discovery` (heartbeat, active runs), `scan` (unregistered streams, expired "
        "runs) or `lag_poll` (lag, status for `sanctum workers`). The task retries. The line repeats only if the error "
        "changes. If a key has the wrong type (`WRONGTYPE`), `error` has the key and the remedy.",
    ),
    LogEvent(
        "task recovered",
        "info",
        ("task", "failures"),
        "A background task succeeded again. `failures`: failures in a row before.",
    ),
    LogEvent(
        "run limit reached",
        "warning",
        ("waiting", "max_runs"),
        "The worker folds `max_runs` runs, and more runs of its share wait: start another worker. `waiting` 0: no run "
        "waits any longer.",
    ),
    LogEvent(
        "run expired",
        "info",
        ("run",),
        "The worker removed a run without events for `retention_s` and without unread entries.",
    ),
    LogEvent(
        "run acquired",
        "info",
        (
            "generation",
            "version",
            "attempts",
            "new_history",
            "trimmed_until",
            "trimmed_entries",
            "has_stream",
        ),
        "The worker owns the run and folds it. `new_history`: the run had no complete checkpoint, so a new history begins. "
        "`trimmed_entries`: at least this many entries were trimmed before a worker read them.",
    ),
    LogEvent(
        "run reloaded",
        "warning",
        ("cause", "kind", "failures", "error"),
        "The worker discarded the state in memory, and acquires the run again from its checkpoint. Nothing is lost. `cause` "
        "is `unavailable`, `refused` or `fold_failed`. The line repeats only if the failure changes. A reload that confirms a "
        "gap or parks an entry is expected, and has no line.",
    ),
    LogEvent(
        "run recovered",
        "info",
        ("failures",),
        "The worker folds the run again. `failures`: failures in a row before.",
    ),
    LogEvent(
        "run idle",
        "info",
        (),
        "The run had no event for `idle_timeout_s`, and the worker released it. The next event reactivates it.",
    ),
    LogEvent(
        "drain failed",
        "error",
        (),
        "`sanctum worker --drain` could not fold this run; it drains the others. The line has the exception.",
    ),
)

#: The first keys of a line, in this order; the fields of the event follow.
_FIRST_KEYS = ("timestamp", "level", "event", "worker", "run", "generation")


def configure(level: str = "info") -> None:
    """Configure the logging of a process: to standard error, readable on a terminal, otherwise as JSON lines.

    Args:
        level: the lowest level to log.
    """
    last: tuple[Processor, ...] = (
        (structlog.dev.ConsoleRenderer(sort_keys=False),)
        if sys.stderr.isatty()
        else (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _ordered,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


def _ordered(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    first = {key: line[key] for key in _FIRST_KEYS if key in line}
    return {**first, **line}

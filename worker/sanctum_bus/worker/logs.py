"""Logs: fixed words with fields, JSON lines unless a person is looking."""

import logging
import sys
from typing import NamedTuple

import structlog
from structlog.typing import Processor


class LogEvent(NamedTuple):
    """One kind of line.

    Args:
        words: what the line says, always the same.
        level: of the line.
        fields: what it has besides the words and the context.
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
        "The server answers, and will do. `failures`: attempts before that.",
    ),
    LogEvent(
        "unsafe maxmemory-policy",
        "warning",
        ("policy",),
        "A full server would throw streams and snapshots away: set `maxmemory-policy noeviction`.",
    ),
    LogEvent("worker stopped", "info", ("runs",), "It was told to; it had so many runs, and gave them up."),
    LogEvent(
        "redis unavailable",
        "warning",
        ("url", "error"),
        "The server cannot be asked, or says no for now. The worker tries again until it can.",
    ),
    LogEvent(
        "redis not found",
        "warning",
        ("url", "embedded"),
        "Nobody named a server, and none runs at the usual places: start one (`sanctum server`), or name one.",
    ),
    LogEvent(
        "task failed",
        "warning",
        ("work", "error"),
        "`discovery` (membership, which runs there are), `scan` (streams nobody registered, runs to remove) or `watch` "
        "(lag, what `sanctum workers` shows) cannot be done. It is tried again; said once, and again when the error changes. "
        "Where a key has the wrong type (`WRONGTYPE`), `error` names it, and says what to do.",
    ),
    LogEvent("task recovered", "info", ("work", "failures"), "It can be done again, after so many failures."),
    LogEvent(
        "run limit reached",
        "warning",
        ("waiting", "max_runs"),
        "So many runs of this worker's share wait, for it folds `max_runs` already: start another worker. 0: none waits any more.",
    ),
    LogEvent(
        "run expired",
        "info",
        ("run",),
        "A run without events for `retention_s`, and with nothing unread, was removed.",
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
        "The worker folds the run from here on. `new_history`: there was no whole checkpoint, a new history begins; "
        "`trimmed_entries`: so many, at least, had gone from the stream unread.",
    ),
    LogEvent(
        "run reloaded",
        "warning",
        ("cause", "kind", "failures", "error"),
        "The run is taken over again from its checkpoint: a commit was refused, or the server could not be asked. Nothing is "
        "lost. `cause` is `unavailable`, `refused` or `fold_failed`. Logged once, and again if the failure changes.",
    ),
    LogEvent(
        "run recovered", "info", ("failures",), "The run is folded again, after so many failures in a row."
    ),
    LogEvent("run idle", "info", (), "The run had no event for `idle_timeout_s`; the next one wakes it."),
    LogEvent(
        "drain failed",
        "error",
        (),
        "`sanctum worker --drain` gave this run up; the others are drained. The exception says why.",
    ),
)


def configure(level: str = "info") -> None:
    """Set logging up for a process: to standard error, readable on a terminal, else JSON lines."""
    last: tuple[Processor, ...] = (
        (structlog.dev.ConsoleRenderer(),)
        if sys.stderr.isatty()
        else (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )

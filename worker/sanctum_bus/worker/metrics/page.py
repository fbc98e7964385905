"""The page of the documentation about metrics and probes."""

from sanctum_bus.worker.metrics.table import as_markdown

_HEAD = """# Metrics and health

<!-- generated: python -m sanctum_bus.worker.metrics.page > docs/metrics.md -->

A worker serves metrics and probes by HTTP where `metrics_port` says so; it is off unless set, and listens on this machine
alone unless `metrics_host` says more. Whoever reaches the port may read it. `sanctum worker --drain` serves nothing.

```console
$ SANCTUM_METRICS_PORT=9464 sanctum worker
$ curl localhost:9464/metrics
```

| path | says |
|---|---|
| `/metrics` | the metrics below, for Prometheus |
| `/healthz` | 200 as long as discovery and the loop of every run have begun another turn within `health_timeout_s`, else 503 with the names of those that have not: restart the worker. An idle worker is healthy, and so is one whose server is away |
| `/readyz` | 200 as long as the server answers and counts the worker as alive, else 503 with the reason: look at the server |

The same state is in Redis for `sanctum workers`: who is there, since when, what each folds, its lag, its last error.
`nissa:workers:state` holds it by worker as JSON: `since_ms` and `at_ms` (when it was said; the server's clock), `owned` and
`waiting` runs, `lag_events` and `lag_s` (null where nobody knows), `last_error` or null, and by name `runs`, 200 at most.
What a worker said that is not alive any more is removed by the next one that says something.

## Metrics

Counts begin at 0 with the worker, and take in what it committed itself: a commit whose reply is lost is not among them,
though its entries are in the snapshot. A recording that is replayed bears the times of long ago, and so does its end-to-end
latency. Labels have a bounded number of values (what is over is `other`); series for each run
are there only with `metrics_per_run`.

Lag is asked for every few seconds. What is not known is not 0: a run just taken over, one in trouble, or one from whose
stream entries were deleted by hand, has no lag in events, is counted in `sanctum_lag_unknown_runs`, and is left out of the
sum; where it is known of no run at all, the value is NaN. A worker without runs has a lag of 0.

"""

_TAIL = """
Besides these there are those of the process, by the names that Prometheus' client gives them (`process_*`: memory, CPU time,
open files, start).
"""


def page() -> str:
    """Return the page."""
    return _HEAD + as_markdown() + "\n" + _TAIL


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201  # this is what running the module is for

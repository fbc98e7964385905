"""The metrics of a real worker: correct after a known recording and known faults, and with a bounded number of series."""

import json
import socket
import subprocess
import sys
from typing import cast

import pytest

from sanctum_bus.errors import ConfigurationError
from sanctum_bus.events.recordings import read
from sanctum_bus.fold.offline import fold_entries
from sanctum_bus.publisher import Publisher
from sanctum_bus.worker.metrics.table import TABLE
from scripts import generate_docs
from tests.support.commands import SMALL
from tests.support.fold_run import entry
from tests.support.scraping import ask, scrape, wait_for_sample
from tests.support.servers import Server, free_port
from tests.support.waiting import wait_until
from tests.support.worker_processes import worker_process
from tests.support.worker_rig import Side, drain, plain, side_of
from tests.support.worker_task import at_work, wait_for_fold

#: Settings that keep the lease of a worker on a busy machine.
PATIENT = {"lease_s": 20.0}


def publish(side: Side, server: Server) -> None:
    """Publish a known recording, then an entry that cannot be folded, a duplicate, and an entry after a sequence gap."""
    with Publisher(side.keys.run_id, url=server.url) as publisher:
        for record in read(SMALL[0].path):
            if record.event is not None:
                publisher.emit(record.event)
    events = [entry("X", {"n": number}, producer="q", seq=number) for number in (1, 2, 2, 5)]
    side.add([*events, {b"type": b"X", b"json": b"not json"}])


def test_the_numbers_are_right(server: Server) -> None:
    """The metrics are equal to the counters of the fold and to the counts of the producers; no run waits."""
    side, port = side_of(server), free_port()
    with worker_process(server, metrics_port=port, **PATIENT):
        publish(side, server)
        expected = fold_entries(side.stream()).counters
        wait_for_sample(port, "sanctum_entries_total", expected.entries)
        found = wait_for_sample(port, "sanctum_producer_events_sent", 1)
    reports = [json.loads(one) for one in cast("list[bytes]", side.redis.hvals(side.keys.producers))]

    assert (expected.parked, expected.duplicates, expected.lost) == (1, 1, {"gap": 2})
    assert {
        name: found[f"sanctum_{name}_total"] for name in ("entries", "events", "dead_letters", "duplicates")
    } == {
        "entries": expected.entries,
        "events": expected.events,
        "dead_letters": expected.parked,
        "duplicates": expected.duplicates,
    }
    assert found["sanctum_events_lost_total{gap}"] == 2
    assert found["sanctum_acquisitions_total{gap}"] == 1
    assert found["sanctum_acquisitions_total{assigned}"] == 1
    assert found["sanctum_producer_events_sent"] == sum(one["sent"] for one in reports) > 100
    assert (found["sanctum_owned_runs"], found["sanctum_waiting_runs"]) == (1, 0)
    assert found["sanctum_commit_entries_sum"] == expected.entries
    for name in ("commit_entries", "fold_seconds", "commit_seconds", "stream_latency_seconds"):
        assert found[f"sanctum_{name}_count"] == found["sanctum_commits_total"] > 0


def test_a_take_over_is_counted_by_its_reason(valkey: Server) -> None:
    """A refused commit and the acquisition after it are counted with their reasons."""
    side, port = side_of(valkey), free_port()
    side.add(plain(3))
    with worker_process(valkey, metrics_port=port, **PATIENT):
        wait_for_sample(port, "sanctum_ownership_checks_total", 1)
        side.redis.hincrby(side.keys.checkpoint, "generation", 1)
        found = wait_for_sample(port, "sanctum_acquisitions_total{refused}", 1)

    assert found["sanctum_commits_refused_total{generation}"] == 1
    assert found["sanctum_errors_total{generation,run}"] == 1


def test_a_new_worker_counts_what_it_folds_itself(valkey: Server) -> None:
    """A worker does not count the entries that an earlier owner has folded."""
    side, port = side_of(valkey), free_port()
    side.add(plain(5))
    drain(valkey)
    with worker_process(valkey, metrics_port=port, **PATIENT):
        side.add(plain(2, first=5))
        found = wait_for_sample(port, "sanctum_events_total", 1)

    assert found["sanctum_events_total"] == 2


def test_a_lag_that_nobody_knows_is_not_0(valkey: Server) -> None:
    """While the lag cannot be read it is NaN, and the run is counted as unknown; afterwards the lag is 0."""
    side, port = side_of(valkey), free_port()
    side.add(plain(3))
    with at_work(valkey, metrics_port=port) as _:
        wait_for_fold(side)
        wait_until(lambda: scrape(port)["sanctum_lag_events"] == 0, "the lag is known")
        side.redis.rename(side.keys.events, "elsewhere")
        side.redis.set(side.keys.events, "x")
        found = wait_for_sample(port, "sanctum_lag_unknown_runs", 1)
        assert str(found["sanctum_lag_events"]) == str(found["sanctum_lag_seconds"]) == "nan"
        side.redis.rename("elsewhere", side.keys.events)
        wait_until(lambda: scrape(port)["sanctum_lag_unknown_runs"] == 0, "the lag is known again")
        assert scrape(port)["sanctum_lag_events"] == 0


@pytest.mark.parametrize("wanted", ["false", "true"])
def test_series_for_each_run_are_there_only_where_somebody_asks(valkey: Server, wanted: str) -> None:
    """The number of series does not depend on the number of runs, unless `metrics_per_run` is set."""
    port, sides = free_port(), [side_of(valkey, f"run-{number}") for number in range(20)]
    sides[0].add(plain(1))
    with worker_process(valkey, metrics_port=port, metrics_per_run=wanted, **PATIENT):
        few = wait_for_sample(port, "sanctum_ownership_checks_total", 1)
        for side in sides[1:]:
            side.add(plain(1))
        wait_for_sample(port, "sanctum_events_total", 20)
        many = wait_until(
            lambda: found if not (found := scrape(port))["sanctum_lag_unknown_runs"] else {},
            "all lags are known",
        )

    named = {name for name in many if "run-" in name}
    assert len(named) == (3 * 20 if wanted == "true" else 0)
    assert (many.keys() - named) - {name for name in few if "run-" not in name} == set()


def test_runs_that_wait_are_counted(valkey: Server) -> None:
    """A run above `max_runs` counts as waiting, and in no other metric."""
    port = free_port()
    for number in range(3):
        side_of(valkey, f"run-{number}").add(plain(1))
    with worker_process(valkey, metrics_port=port, max_runs=1, **PATIENT):
        found = wait_for_sample(port, "sanctum_waiting_runs", 2)

    assert found["sanctum_owned_runs"] <= 1
    assert found["sanctum_events_total"] <= 1


def test_a_worker_without_metrics_loads_nothing_for_them() -> None:
    """A worker without `metrics_port` does not import the Prometheus client."""
    code = "import sys, sanctum_bus.worker.supervisor; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_every_metric_is_there_and_documented(valkey: Server) -> None:
    """The port serves a metric for each row of the table; scripts/generate-docs writes the table on the page."""
    port = free_port()
    with worker_process(valkey, metrics_port=port, metrics_per_run="true", **PATIENT):
        wait_for_sample(port, "sanctum_ready", 1)
        text = ask(port, "/metrics").text

    assert [row.name for row in TABLE if f"# TYPE {row.shown} {row.kind.value}\n" not in text] == []
    assert generate_docs.is_current("docs/reference/metrics.md")


def test_a_port_that_is_taken_is_told(valkey: Server) -> None:
    """If the port is in use, the worker does not start, and the error names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port}.*metrics_port"),
            at_work(valkey, metrics_port=port),
        ):
            pass


def test_a_path_that_is_not_there(valkey: Server) -> None:
    """The answer to an unknown path lists the available paths."""
    port = free_port()
    with at_work(valkey, metrics_port=port):
        (answer,) = wait_until(lambda: [one] if (one := ask(port, "/")).status else [], "the port answers")

    assert answer.status == 404
    assert "/healthz" in answer.text

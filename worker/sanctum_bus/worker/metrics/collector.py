"""The metrics for Prometheus: read from the tally when they are asked for, and kept nowhere else."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sanctum_bus.worker.metrics import table
from sanctum_bus.worker.metrics.histogram import Histogram
from sanctum_bus.worker.metrics.recorder import WorkerMetrics

_FAMILIES = {table.Kind.COUNTER: CounterMetricFamily, table.Kind.GAUGE: GaugeMetricFamily}


class TallyCollector(Collector):
    """A worker's metrics.

    Args:
        tally: what they are read from.
        per_run: with those that have one series for each run.
    """

    def __init__(self, tally: WorkerMetrics, *, per_run: bool) -> None:
        self._tally = tally
        self._rows = [row for row in table.TABLE if per_run or not row.per_run]

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now."""
        for row in self._rows:
            yield _family(row, row.read(self._tally))


def _family(row: table.Metric, found: table.Found) -> Metric:
    if isinstance(found, Histogram):
        histogram = HistogramMetricFamily(row.name, row.what)
        histogram.add_metric((), found.buckets(), found.total)
        return histogram
    family: CounterMetricFamily | GaugeMetricFamily = _FAMILIES[row.kind](
        row.name, row.what, labels=row.labels
    )
    for labels, value in [((), found)] if isinstance(found, int | float) else found:
        family.add_metric(labels, value)
    return family


def registry_of(tally: WorkerMetrics, *, per_run: bool) -> CollectorRegistry:
    """Return a registry with the metrics of one worker and of its process."""
    registry = CollectorRegistry()
    registry.register(TallyCollector(tally, per_run=per_run))
    ProcessCollector(registry=registry)
    return registry

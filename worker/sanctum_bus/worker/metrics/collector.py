"""The metrics for the Prometheus client: read from the recorder at each scrape, and stored nowhere else."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sanctum_bus.worker.metrics import table
from sanctum_bus.worker.metrics.histogram import Histogram
from sanctum_bus.worker.metrics.recorder import WorkerMetrics

_FAMILIES = {table.Kind.COUNTER: CounterMetricFamily, table.Kind.GAUGE: GaugeMetricFamily}


class WorkerCollector(Collector):
    """The metrics of one worker.

    Args:
        metrics: the source.
        per_run: whether to include the metrics with one series for each run.
    """

    def __init__(self, metrics: WorkerMetrics, *, per_run: bool) -> None:
        self._metrics = metrics
        self._rows = [row for row in table.TABLE if per_run or not row.per_run]

    def collect(self) -> Iterator[Metric]:
        """Yield every metric with its current value."""
        for row in self._rows:
            yield _family(row, row.read(self._metrics))


def _family(row: table.Metric, value: table.Value) -> Metric:
    if isinstance(value, Histogram):
        histogram = HistogramMetricFamily(row.name, row.what)
        histogram.add_metric((), value.buckets(), value.total)
        return histogram
    family: CounterMetricFamily | GaugeMetricFamily = _FAMILIES[row.kind](
        row.name, row.what, labels=row.labels
    )
    for labels, number in [((), value)] if isinstance(value, int | float) else value:
        family.add_metric(labels, number)
    return family


def collector_registry(metrics: WorkerMetrics, *, per_run: bool) -> CollectorRegistry:
    """Return a registry with the metrics of one worker and of its process."""
    registry = CollectorRegistry()
    registry.register(WorkerCollector(metrics, per_run=per_run))
    ProcessCollector(registry=registry)
    return registry

"""Alerts, dashboard and autoscaling ask for metrics that workers have, with labels that these have."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from promql_parser import parse

from sanctum_bus.worker.metrics.table import TABLE, Kind
from tests.support.deploy_files import DEPLOY

ALERTS = DEPLOY / "prometheus" / "alerts.yml"
ALERTS_TEST = DEPLOY / "prometheus" / "alerts_test.yml"
SCALED_OBJECT = DEPLOY / "k8s" / "components" / "keda" / "scaledobject.yaml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "sanctum.json"

#: Columns of a dashboard.
COLUMNS = 24

#: Labels that Prometheus or its service discovery adds to every series.
ADDED_LABELS = {"job", "instance", "namespace", "pod", "le"}

#: Series that Prometheus itself has.
ITS_OWN = {"up", "ALERTS"}


def exported() -> dict[str, set[str]]:
    """The series of a worker, and the labels of each."""
    found: dict[str, set[str]] = {}
    for metric in TABLE:
        endings = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        found |= {f"{metric.shown}{ending}": set(metric.labels) for ending in endings}
    return found


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def scaling() -> dict[str, str]:
    """Return the queries of the autoscaler."""
    (trigger,) = yaml.safe_load(SCALED_OBJECT.read_text())["spec"]["triggers"]
    found: dict[str, str] = trigger["metadata"]
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Every query with its place, with Grafana's variables filled in."""
    for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]:
        yield f"alert {rule['alert']}", rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            plain = re.sub(r"\$__(rate_interval|range)", "5m", target["expr"])
            yield f"panel {panel['title']}", re.sub(r"\$\{?\w+\}?", "x", plain)
    yield "autoscaling", scaling()["query"]


def names_and_labels(query: str) -> tuple[set[str], set[str]]:
    """Return the series that a query names, and the labels that it selects or groups by.

    Raises:
        ValueError: it is not PromQL.
    """
    # The library's own printing has each series with its matchers in one form.
    printed = parse(query).prettify()
    bare = re.sub(r'"[^"]*"', '""', printed)
    names = set(re.findall(r"\b(?:sanctum_\w+|up|ALERTS)\b", bare))
    labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"\"", bare))
    for group in re.findall(r"\bby\s*\(([^)]*)\)", bare):
        labels |= {label.strip() for label in group.split(",") if label.strip()}
    return names, labels


@pytest.mark.parametrize(("place", "query"), [pytest.param(*one, id=one[0]) for one in queries()])
def test_queries_name_what_workers_export(place: str, query: str) -> None:
    """Each query is PromQL, and its series and labels are in the table of metrics: none waits for what never comes."""
    names, labels = names_and_labels(query)
    series = exported()

    assert names, place
    assert names - ITS_OWN - series.keys() == set()
    assert labels - ADDED_LABELS - set().union(*(series.get(name, set()) for name in names)) == set()


def test_every_metric_that_is_for_all_is_on_the_dashboard() -> None:
    """Every metric of a worker can be queried without its exact name."""
    shown = set().union(*(names_and_labels(query)[0] for place, query in queries() if "panel" in place))
    wanted = {metric.shown for metric in TABLE if not metric.per_run} - {
        "sanctum_worker_info",  # the variable `instance` is made of it
        "sanctum_entries_total",  # events, parked and duplicates are there, which it is the sum of
    }

    assert {
        name for name in wanted if not any(one.removesuffix("_bucket").startswith(name) for one in shown)
    } == set()


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    """Ids are unique, and no panel stands on another or beyond the edge."""
    panels = dashboard()["panels"]
    cells: list[tuple[int, int]] = []
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= COLUMNS, panel["title"]
        cells += [
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert len(set(cells)) == len(cells)


def test_the_dashboard_fits_any_prometheus() -> None:
    """The dashboard selects the data source by a variable: a fixed ID would be empty in any other Grafana."""
    board = dashboard()
    sources = [one["datasource"] for panel in board["panels"] for one in (panel, *panel["targets"])]

    assert {source["uid"] for source in sources} == {"${datasource}"}
    assert {one["name"] for one in board["templating"]["list"]} == {"datasource", "instance"}
    assert board["uid"]


def test_every_alert_has_a_test_and_says_what_to_do() -> None:
    """Each alert has a test in which it fires, and texts."""
    tests = ALERTS_TEST.read_text()
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]

    assert [rule["alert"] for rule in rules if rule["alert"] not in tests] == []
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}


def test_autoscaling_is_tested_as_it_is() -> None:
    """The query that was tried on series is the query that is used, and counts in the workers that its threshold means."""
    told = scaling()
    tried = [
        one["expr"]
        for test in yaml.safe_load(ALERTS_TEST.read_text())["tests"]
        for one in test.get("promql_expr_test", [])
    ]

    assert told["query"] in tried
    assert f"{told['threshold']} *" in told["query"]

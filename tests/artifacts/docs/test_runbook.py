"""The runbook has a row for each message to an operator: alerts, states, kinds of errors."""

import inspect
import re

import pytest

from sanctum_bus.cli import runs
from sanctum_bus.protocol.scripts import script
from sanctum_bus.worker import store
from sanctum_bus.worker.metrics import health
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "how-to" / "runbook.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The rows of the table between a heading and the next one, as cells."""
    part = re.split(r"\n##+ ", PAGE.partition(f"\n## {heading}\n")[2])[0]
    table = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def names(cell: str) -> set[str]:
    """Return the text between backticks."""
    return set(re.findall(r"`([^`]+)`", cell))


def test_every_alert_has_a_row() -> None:
    """Each alert has a row with its meaning, where to look and what to do."""
    rules = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
    alerts = re.findall(r"- alert: (\w+)", rules)

    assert sorted(name for row in rows("Alerts") for name in names(row[0])) == sorted(alerts)


def test_every_state_of_a_run_has_a_row() -> None:
    """So does who reads `sanctum runs`."""
    states = set(re.findall(r'"([a-z ]+)"', inspect.getsource(runs._state)))

    assert {name for row in rows("State of a run") for name in names(row[0])} == states


def test_every_kind_of_trouble_has_a_row() -> None:
    """So does who reads a worker's log: each guard of a commit, and each doubt of the store."""
    text, _ = script("commit")
    kinds = set(re.findall(r"refused\('(\w+)'", text))
    kinds |= set(re.findall(r'RestartRun\(\s*"(\w+)"', inspect.getsource(store)))

    assert kinds - {name for row in rows("A run that reloads") for name in names(row[0])} == set()


@pytest.mark.parametrize("words", ["Redis unreachable", "does not count this worker as alive"])
def test_every_reason_of_a_probe_has_a_row(words: str) -> None:
    """Each reason of a probe has a row, in the words of the probe."""
    assert words in inspect.getsource(health)
    assert any(words in row[1] for row in rows("Health"))


def test_no_row_is_empty() -> None:
    """Every row names a remedy."""
    every = [
        row
        for heading in ("Alerts", "Health", "State of a run", "A run that reloads")
        for row in rows(heading)
    ]

    assert [row for row in every if not all(row)] == []

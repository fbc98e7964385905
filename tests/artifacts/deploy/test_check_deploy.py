"""`scripts/check-deploy` finds mistakes: each of its tools reports one."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.paths import ROOT

#: By the subject of the report: a file, a text in it, and the text with a mistake.
MISTAKES = {
    "YAML": (
        "deploy/grafana/provisioning/dashboards/sanctum.yaml",
        "apiVersion",
        "apiVersion: 1\napiVersion",
    ),
    "shell scripts": ("deploy/server/start-server", '"$users" "$@"', '"$users" $@'),
    "deploy/Dockerfile": ("deploy/Dockerfile", "python:3.13-slim-bookworm\n", "python:latest\n"),
    "deploy/compose.yaml": ("deploy/compose.yaml", "service_healthy", "service_helthy"),
    "deploy/k8s/overlays/dev": ("deploy/k8s/components/server/service.yaml", "targetPort:", "targetPrt:"),
    "deploy/k8s/overlays/prod": (
        "deploy/k8s/overlays/prod/kustomization.yaml",
        "/spec/egress/1",
        "/spec/out/1",
    ),
    "KEDA": ("deploy/k8s/components/keda/scaledobject.yaml", "minReplicaCount", "minReplicas"),
    "deploy/prometheus/prometheus.yml": ("deploy/prometheus/prometheus.yml", "scrape_interval", "interval"),
    "deploy/prometheus/prometheus-kubernetes.yml": (
        "deploy/prometheus/prometheus-kubernetes.yml",
        "action: keep",
        "action: kep",
    ),
    "deploy/prometheus/alerts_test.yml": (
        "deploy/prometheus/alerts_test.yml",
        "No worker processes 3",
        "No worker processes 4",
    ),
    "deploy/systemd": ("deploy/systemd/sanctum-worker@.service", "ProtectHome", "ProtectHme"),
}

#: The same for the alerts. This mistake hides others, because the test of the alerts reads the file too.
ALERT = {"deploy/prometheus/alerts.yml": ("deploy/prometheus/alerts.yml", "max(sanctum", "max((sanctum")}


@pytest.fixture(name="check")
def _check(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Return a function that runs the script on a copy of its files."""
    for name in ("deploy", "config", "scripts", ".ci"):
        shutil.copytree(ROOT / name, tmp_path / name)
    # The copy uses the existing environment and must not install itself into it.
    (tmp_path / "scripts" / "setup").write_text("#!/bin/sh\n")

    def check(**environ: str) -> tuple[int, str]:
        done = subprocess.run(
            [tmp_path / "scripts" / "check-deploy"],
            env=os.environ | environ,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return check


@pytest.mark.parametrize("mistakes", [MISTAKES, ALERT], ids=["all", "alerts"])
def test_each_tool_sees_its_mistake(
    tmp_path: Path, check: Callable[..., tuple[int, str]], mistakes: dict[str, tuple[str, str, str]]
) -> None:
    """Every file with a mistake is reported, and the exit status is not 0."""
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    for file, right, wrong in mistakes.values():
        path = tmp_path / file
        text = path.read_text()
        assert right in text, file
        path.write_text(text.replace(right, wrong, 1))

    status, said = check(CI="")
    found = set(re.findall(r"^check-deploy: (.*):$", said, flags=re.MULTILINE))
    missing = re.findall(r"not checked: \S*?([\w-]+) is missing", said)

    seen = {name for name in mistakes if _reader(name) not in missing}
    if not seen:
        pytest.skip(f"missing: {', '.join(missing)}")
    assert status == 1
    assert seen - found == set(), said


def _reader(name: str) -> str:
    """Return the tool that checks a file."""
    special = {
        "YAML": "yamllint",
        "shell scripts": "shellcheck",
        "deploy/Dockerfile": "hadolint",
        "KEDA": "keda",
    }
    by_folder = {"prometheus": "promtool", "k8s": "kubectl", "systemd": "systemd-analyze"}
    folder = name.split("/")[1] if "/" in name else ""
    return special.get(name) or by_folder.get(folder, "docker-compose")


def test_a_tool_that_is_missing_is_named(check: Callable[..., tuple[int, str]]) -> None:
    """A missing tool is reported. The script passes on a developer machine and fails in CI."""
    path = "/usr/bin:/bin"
    status, said = check(CI="", PATH=path)
    strict, strictly_said = check(CI="true", PATH=path)

    assert "not checked: hadolint is missing" in said
    assert "not checked: hadolint is missing" in strictly_said
    assert (status, strict) == (0, 1)

"""The deployment files, and the tools that read them."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"

#: Ways to install on Kubernetes.
OVERLAYS = ("dev", "prod")

#: One object of Kubernetes.
Manifest = dict[str, Any]


def tool(name: str) -> str:
    """The path of a program; where it is missing the test is skipped by name, or fails under CI=true."""
    # If the wheel is tested, the tools of the development environment serve.
    places = (Path(sys.executable).parent, ROOT / ".venv" / "bin")
    beside = next((place / name for place in places if (place / name).exists()), None)
    found = shutil.which(name) if beside is None else str(beside)
    if found is None:
        reason = f"{name} is missing; install it as in scripts/check-deploy"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


@cache
def rendered(overlay: str) -> str:
    """Return the objects that `kubectl apply -k` would send."""
    path = DEPLOY / "k8s" / "overlays" / overlay
    done = subprocess.run([tool("kubectl"), "kustomize", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def manifests(overlay: str, kind: str | None = None) -> list[Manifest]:
    """The objects of an overlay, of all kinds or one."""
    found = [one for one in yaml.safe_load_all(rendered(overlay)) if kind in (None, one["kind"])]
    assert found, f"{overlay} has nothing of kind {kind}"
    return found


def manifest(overlay: str, kind: str, name: str) -> Manifest:
    """The one object of a kind and name."""
    (found,) = [one for one in manifests(overlay, kind) if one["metadata"]["name"] == name]
    return found


def pods(overlay: str) -> list[Manifest]:
    """The pod templates of an overlay."""
    return [
        one["spec"]["template"] for one in manifests(overlay) if one["kind"] in {"Deployment", "StatefulSet"}
    ]


def compose() -> dict[str, Any]:
    """The compose file as it stands, with its references unresolved."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def unit(name: str) -> dict[str, list[str]]:
    """The values of a systemd unit by key; a key may stand more than once."""
    values: dict[str, list[str]] = {}
    for line in (DEPLOY / "systemd" / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            values.setdefault(key, []).append(value)
    return values

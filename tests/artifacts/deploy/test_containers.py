"""The image and the compose file: what is copied is there, who runs is not root, and stopping has its time."""

import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from sanctum_bus._version import __version__
from sanctum_bus.worker.settings import Settings, load
from tests.support.commands import environment, start
from tests.support.deploy_files import DEPLOY, OVERLAYS, compose, pods
from tests.support.paths import ROOT
from tests.support.servers import Server, free_port
from tests.support.waiting import wait_until

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def instructions(name: str) -> list[str]:
    """Return the arguments of one instruction of the container file, one per line."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{name} +(.*)$", joined, flags=re.MULTILINE)


def variables() -> dict[str, str]:
    """The environment of the image."""
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(instructions("ENV"))))


def sources() -> list[str]:
    """Return the files that the container file copies from the repository."""
    return [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]


def ignored(source: str) -> bool:
    """Whether `.dockerignore` keeps something at the root out: the last line that fits decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#") and fnmatch(source, line.removeprefix("!")):
            out = not line.startswith("!")
    return out


def test_what_the_image_is_built_from_is_there() -> None:
    """Every source of a copy exists, and is not kept from the build."""
    assert sources()
    assert [one for one in sources() if not (ROOT / one).exists() or ignored(one)] == []


def test_what_the_build_does_not_need_stays_outside() -> None:
    """Nothing else of the repository is sent to the build: no history, no environment, no tests."""
    assert [one.name for one in ROOT.iterdir() if not ignored(one.name) and one.name not in sources()] == []


def test_the_image_is_not_roots() -> None:
    """The user is a number, so that Kubernetes can check it, the same number as there, and not 0."""
    (user,) = instructions("USER")
    workers = [pods(overlay)[0]["spec"]["securityContext"] for overlay in OVERLAYS]

    assert user.split(":")[0] != "0"
    assert {f"{one['runAsUser']}:{one['runAsGroup']}" for one in workers} == {user}


def test_what_the_image_sets_are_settings() -> None:
    """Every variable is a setting; a worker refuses unknown ones at its start."""
    told = {name.removeprefix("SANCTUM_").lower() for name in variables() if name.startswith("SANCTUM_")}

    assert told
    assert told <= Settings.model_fields.keys()


def test_the_images_health_check_tells_a_worker_from_none(valkey: Server) -> None:
    """The health check of the image exits with 0 if a worker's loops run, and with another status if no worker replies."""
    (line,) = instructions("HEALTHCHECK")
    _, *arguments = json.loads(line.partition("CMD ")[2])
    port = str(free_port())

    def status() -> int:
        check = [sys.executable, *arguments]
        return subprocess.run(
            check, env={"SANCTUM_METRICS_PORT": port}, stderr=subprocess.DEVNULL, check=False
        ).returncode

    assert status() == 1
    worker = start("worker", env=environment(valkey.url, SANCTUM_METRICS_PORT=port))
    try:
        wait_until(lambda: status() == 0, "the worker is healthy")
    finally:
        worker.kill()
        worker.communicate()


def test_compose_mounts_files_that_are_there() -> None:
    """A path that is missing would become an empty directory, and the service start without its configuration."""
    mounts = [
        one.split(":")[0]
        for service in compose()["services"].values()
        for one in service.get("volumes", ())
        if one.startswith(".")
    ]

    assert mounts
    assert [one for one in mounts if not (DEPLOY / one).exists()] == []


def test_compose_confines_every_service() -> None:
    """No service writes outside of its volumes, has rights, takes all memory, or listens beyond this machine."""
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "mem_limit" in service, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert not service.get("user", "1").startswith("0"), name


def test_compose_holds_no_password() -> None:
    """Every password is a reference that must be set."""
    told = [
        (name, value)
        for service in compose()["services"].values()
        for name, value in service.get("environment", {}).items()
        if re.search("PASSWORD|REDIS_URL", name)
    ]

    assert told
    assert [name for name, value in told if not re.search(r"\$\{SANCTUM_\w+_PASSWORD:\?", value)] == []


def test_compose_gives_a_worker_time_to_stop() -> None:
    """A container is not killed before the worker's own time for stopping is over."""
    worker = compose()["services"]["worker"]

    assert int(worker["stop_grace_period"].removesuffix("s")) > load().shutdown_timeout_s
    assert worker["deploy"]["replicas"] > 1
    assert "container_name" not in worker


@pytest.mark.parametrize("name", ["compose.yaml", "k8s/base/kustomization.yaml"])
def test_the_image_bears_the_version(name: str) -> None:
    """Every deployed file exists in the repository."""
    assert __version__ in (DEPLOY / name).read_text()


def test_prometheus_asks_where_the_workers_answer() -> None:
    """Compose's Prometheus scrapes the workers by the name and port that they have there."""
    config = yaml.safe_load(Path(DEPLOY / "prometheus" / "prometheus.yml").read_text())
    ((found,),) = [job["dns_sd_configs"] for job in config["scrape_configs"]]

    assert found["names"] == ["worker"]
    assert str(found["port"]) == variables()["SANCTUM_METRICS_PORT"]
    assert config["scrape_configs"][0]["job_name"] == "sanctum-worker"


def test_prometheus_in_a_cluster_finds_the_port_by_name() -> None:
    """In a cluster it picks the workers' pods by their label, and the port by its name."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus-kubernetes.yml").read_text())
    (job,) = config["scrape_configs"]
    (found,) = job["kubernetes_sd_configs"]
    pod = pods("prod")[0]
    key, _, value = found["selectors"][0]["label"].partition("=")

    assert job["job_name"] == "sanctum-worker"
    assert found["role"] == found["selectors"][0]["role"] == "pod"
    assert pod["metadata"]["labels"][key] == value
    assert {one["regex"] for one in job["relabel_configs"] if one.get("action") == "keep"} == {
        port["name"] for port in pod["spec"]["containers"][0]["ports"]
    }

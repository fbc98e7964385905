"""The manifests as `kubectl apply -k` would send them: what refers to what, who may do what, and how long a stop takes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from sanctum_bus.worker.settings import Settings, load
from tests.support.deploy_files import OVERLAYS, Manifest, compose, manifest, manifests, pods


def container(pod: Manifest) -> dict[str, Any]:
    """The one container of a pod."""
    (one,) = pod["spec"]["containers"]
    found: dict[str, Any] = one
    return found


def matches(labels: dict[str, str], pod: Manifest) -> bool:
    """Whether a selector takes a pod."""
    found: dict[str, str] = pod["metadata"]["labels"]
    return labels.items() <= found.items()


def worker_pod(overlay: str) -> Manifest:
    """The pod of the workers."""
    found: Manifest = manifest(overlay, "Deployment", "sanctum-worker")["spec"]["template"]
    return found


def config_maps(value: Any) -> Iterator[str]:
    """The names of ConfigMaps that something refers to, wherever in it."""
    if isinstance(value, dict):
        yield from (value[key]["name"] for key in ("configMap", "configMapRef") if key in value)
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from config_maps(one)


def told_settings(overlay: str) -> dict[str, str]:
    """Return the settings of a worker by their variable; secrets get a placeholder."""
    one = container(worker_pod(overlay))
    told = {
        entry["name"]: entry.get("value", "redis://worker:x@server:6379/0") for entry in one.get("env", ())
    }
    for source in one["envFrom"]:
        told |= manifest(overlay, "ConfigMap", source["configMapRef"]["name"])["data"]
    return told


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_a_worker_is_told_are_settings(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable is a setting with a value that it takes, and the port is that of the probes."""
    told = told_settings(overlay)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    settings = load()
    (port,) = container(worker_pod(overlay))["ports"]

    assert {name.removeprefix("SANCTUM_").lower() for name in told} <= Settings.model_fields.keys()
    assert settings.metrics_port == port["containerPort"]
    assert settings.metrics_host == "0.0.0.0"  # noqa: S104  # a pod's own address, behind its policy


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_worker_has_time_to_stop(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod is not killed before the worker's own time for stopping is over."""
    for name, value in told_settings(overlay).items():
        monkeypatch.setenv(name, value)

    assert worker_pod(overlay)["spec"]["terminationGracePeriodSeconds"] > load().shutdown_timeout_s


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_what_the_worker_answers(overlay: str) -> None:
    """The liveness probe uses /healthz and the readiness probe /readyz, at a port that the container names."""
    one = container(worker_pod(overlay))
    asked = {name: one[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}

    assert {name: get["path"] for name, get in asked.items()} == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert {get["port"] for get in asked.values()} == {port["name"] for port in one["ports"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_confined(overlay: str) -> None:
    """No root, no rights, no writable root file system, no token, and a limit for memory."""
    for pod in pods(overlay):
        spec, one = pod["spec"], container(pod)
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert one["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in one["resources"]["limits"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_find_their_pods(overlay: str) -> None:
    """Each selector matches exactly the pods of its name: a budget or policy without pods protects nothing."""
    selectors = []
    for one in manifests(overlay):
        spec = one.get("spec", {})
        match one["kind"]:
            case "Deployment" | "StatefulSet" | "PodDisruptionBudget":
                selectors.append((one, spec["selector"]["matchLabels"]))
            case "Service":
                selectors.append((one, spec["selector"]))
            case "NetworkPolicy":
                selectors.append((one, spec["podSelector"]["matchLabels"]))

    assert len(selectors) >= 3
    for one, labels in selectors:
        (pod,) = [pod for pod in pods(overlay) if matches(labels, pod)]
        assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == one["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ports_by_name_are_there(overlay: str) -> None:
    """A service or policy that names a port names one that its pods have."""
    for one in manifests(overlay):
        spec = one.get("spec", {})
        if one["kind"] == "Service":
            labels, named = spec["selector"], [port["targetPort"] for port in spec["ports"]]
        elif one["kind"] == "NetworkPolicy":
            labels = spec["podSelector"]["matchLabels"]
            named = [port["port"] for rule in spec["ingress"] for port in rule["ports"]]
        else:
            continue
        (pod,) = [pod for pod in pods(overlay) if matches(labels, pod)]
        assert set(named) <= {port["name"] for port in container(pod)["ports"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_worker_reaches_names_and_its_server_alone(overlay: str) -> None:
    """Egress is to the names' port and the server's, and never to anywhere at all."""
    rules = manifest(overlay, "NetworkPolicy", "sanctum-worker")["spec"]["egress"]

    assert all(rule["to"] for rule in rules)
    assert {port["port"] for rule in rules for port in rule["ports"]} <= {53, 6379, 26379}
    assert "0.0.0.0/0" not in str(rules)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_config_that_is_mounted_is_there(overlay: str) -> None:
    """Every ConfigMap that a pod uses is created by the same overlay under the same name."""
    made = {one["metadata"]["name"] for one in manifests(overlay, "ConfigMap")}
    wanted = set(config_maps(pods(overlay)))

    assert wanted
    assert wanted <= made


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_passwords_are_references(overlay: str) -> None:
    """No object holds a secret: each is taken from one that is made by hand."""
    secrets = [
        entry
        for pod in pods(overlay)
        for entry in container(pod).get("env", ())
        if re.search("PASSWORD|REDIS_URL", entry["name"])
    ]

    assert secrets
    assert all(entry.keys() == {"name", "valueFrom"} for entry in secrets)
    assert [one for one in manifests(overlay) if one["kind"] == "Secret"] == []


def test_the_server_has_memory_besides_what_it_holds() -> None:
    """A rewrite of the append-only file needs memory: the limits are well above maxmemory."""
    pod = manifest("dev", "StatefulSet", "sanctum-server")["spec"]["template"]
    conf = manifest(
        "dev", "ConfigMap", pod["spec"]["volumes"][1]["projected"]["sources"][0]["configMap"]["name"]
    )
    (held,) = re.findall(r"^maxmemory (\d+)gb$", conf["data"]["redis.conf"], flags=re.MULTILINE)

    assert container(pod)["resources"]["limits"]["memory"] == "4Gi"
    assert compose()["services"]["server"]["mem_limit"] == "4g"
    assert int(held) * 1.5 <= 4


def test_the_servers_users_get_their_passwords() -> None:
    """Each user of the file that is switched on has a variable for its password."""
    conf = next(one for one in manifests("dev", "ConfigMap") if "users.acl" in one["data"])
    users = re.findall(r"^user (\w+) on", conf["data"]["users.acl"], flags=re.MULTILINE)
    pod = manifest("dev", "StatefulSet", "sanctum-server")["spec"]["template"]
    told = {entry["name"] for entry in container(pod)["env"]}

    assert users
    assert told == {f"SANCTUM_{user.upper()}_PASSWORD" for user in users}
    assert told <= compose()["services"]["server"]["environment"].keys()


def test_the_autoscaler_alone_says_how_many() -> None:
    """It scales the workers that there are, never to none, and their number stands nowhere else."""
    spec = manifest("prod", "ScaledObject", "sanctum-worker")["spec"]
    workers = manifest("prod", "Deployment", spec["scaleTargetRef"]["name"])
    (trigger,) = spec["triggers"]

    assert "replicas" not in workers["spec"]
    assert 1 < spec["minReplicaCount"] < spec["maxReplicaCount"]
    assert spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
    assert trigger["type"] == "prometheus"
    assert trigger["metricType"] == "AverageValue"
    assert trigger["metadata"].keys() == {"serverAddress", "query", "threshold", "ignoreNullValues"}
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert workers["metadata"]["namespace"] in trigger["metadata"]["query"]

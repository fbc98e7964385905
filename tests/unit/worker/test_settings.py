"""Settings: one class, one prefix, checked against each other at the start."""

import re
from pathlib import Path

import pytest

from sanctum_bus.errors import ConfigurationError
from sanctum_bus.worker.settings import load, load_traced
from sanctum_bus.worker.settings_origin import OTHER_VARIABLES
from scripts import generate_docs
from tests.support.paths import ROOT

CONFIG = ROOT / "config" / "sanctum.toml"


def test_the_shipped_file_lists_every_setting_with_its_default() -> None:
    """The file is generated from the class; scripts/generate-docs writes it."""
    assert generate_docs.is_current("config/sanctum.toml")


def test_the_shipped_file_is_a_valid_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped file as configuration gives the defaults."""
    defaults = load()
    monkeypatch.setenv("SANCTUM_CONFIG", str(CONFIG))

    assert load() == defaults


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Options take precedence over the environment, the environment over the file, and the file over the defaults."""
    (tmp_path / "own.toml").write_text("poll_timeout_ms = 300\nlog_max_lines = 7\nscan_interval_s = 3.0\n")
    monkeypatch.setenv("SANCTUM_CONFIG", str(tmp_path / "own.toml"))
    monkeypatch.setenv("SANCTUM_POLL_TIMEOUT_MS", "400")
    monkeypatch.setenv("SANCTUM_SCAN_INTERVAL_S", "4")

    settings = load(scan_interval_s=5.0)

    assert (settings.log_max_lines, settings.poll_timeout_ms, settings.scan_interval_s) == (7, 400, 5.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"poll_timeout_ms": 6000}, "socket_timeout_s"),
        ({"health_timeout_s": 5.0, "metrics_port": 1}, "health_timeout_s"),
        ({"shutdown_timeout_s": 1.0}, "shutdown_timeout_s"),
        ({"read_batch_size": 0}, "read_batch_size"),
        ({"no_such_setting": 1}, "no_such_setting"),
    ],
)
def test_wrong_settings_are_refused_by_name(given: dict[str, object], words: str) -> None:
    """An invalid value, an unknown name, and values that conflict are rejected; the message has the names."""
    with pytest.raises(ConfigurationError, match=words):
        load(**given)


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("SANCTUM_POL_TIMEOUT_MS", "did you mean SANCTUM_POLL_TIMEOUT_MS?"),
        ("sanctum_log_line", "did you mean SANCTUM_LOG_MAX_LINES?"),
        ("SANCTUM_QQQQ", "`sanctum config` lists all settings"),
    ],
)
def test_an_unknown_variable_is_refused(variable: str, nearest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelled variable is rejected; the message has the closest valid name."""
    monkeypatch.setenv(variable, "1")

    with pytest.raises(ConfigurationError, match=re.escape(f"{variable.upper()}: {nearest}")):
        load()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *((name, "/somewhere") for name in OTHER_VARIABLES if name != "SANCTUM_CONFIG"),
        ("SANCTUM_WORKER_PASSWORD", "x"),
        ("SANCTUM_SERVICE_HOST", "10.0.0.1"),
        ("SANCTUM_REDIS_SERVICE_PORT", "6379"),
        ("SANCTUM_PORT", "tcp://10.0.0.1:80"),
        ("SANCTUM_REDIS_PORT_6379_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_variables_of_others_are_left_alone(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables of other parts, and those that Kubernetes sets for a service named sanctum, are ignored."""
    defaults = load()
    monkeypatch.setenv(variable, value)

    assert load() == defaults


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pol_timeout_ms = 3", "own.toml: pol_timeout_ms: did you mean poll_timeout_ms?"),
        ("[worker]\npoll_timeout_ms = 3", "own.toml: worker"),
        ("poll_timeout_ms = ", "own.toml cannot be read"),
    ],
)
def test_a_file_with_a_mistake_is_refused(
    text: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A misspelled name and a file that is not TOML are rejected; the message has the path of the file."""
    (tmp_path / "own.toml").write_text(text)
    monkeypatch.setenv("SANCTUM_CONFIG", str(tmp_path / "own.toml"))

    with pytest.raises(ConfigurationError, match=re.escape(words)):
        load()


def test_a_wrong_value_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message about an invalid value has its variable or file, also if two values conflict."""
    (tmp_path / "own.toml").write_text("socket_timeout_s = 0.5\nlog_max_lines = 0\n")
    monkeypatch.setenv("SANCTUM_CONFIG", str(tmp_path / "own.toml"))

    with pytest.raises(ConfigurationError, match=rf"log_max_lines \(file {tmp_path}/own\.toml\).*got 0"):
        load()

    monkeypatch.setenv("SANCTUM_LOG_MAX_LINES", "7")
    with pytest.raises(
        ConfigurationError, match=rf"socket_timeout_s: file {tmp_path}/own\.toml; poll_timeout_ms: default"
    ):
        load()


def test_every_value_is_traced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every value has an origin: an option, a variable, the file, or the default."""
    (tmp_path / "own.toml").write_text("poll_timeout_ms = 300\nlog_max_lines = 7\nscan_interval_s = 3.0\n")
    monkeypatch.setenv("SANCTUM_CONFIG", str(tmp_path / "own.toml"))
    monkeypatch.setenv("SANCTUM_POLL_TIMEOUT_MS", "400")
    monkeypatch.setenv("sanctum_idle_timeout_s", "5")

    loaded = load_traced(scan_interval_s=5.0)

    traced = {name: str(origin) for name, origin in loaded.origins.items() if origin.kind != "default"}
    assert traced == {
        "scan_interval_s": "option",
        "poll_timeout_ms": "environment SANCTUM_POLL_TIMEOUT_MS",
        "idle_timeout_s": "environment sanctum_idle_timeout_s",
        "log_max_lines": f"file {tmp_path}/own.toml",
    }
    assert loaded.origins.keys() == type(loaded.settings).model_fields.keys()
    assert loaded.settings.idle_timeout_s == 5


def test_a_missing_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file is an error."""
    monkeypatch.setenv("SANCTUM_CONFIG", "/nowhere/sanctum.toml")

    with pytest.raises(ConfigurationError, match=r"/nowhere/sanctum\.toml"):
        load()


def test_secrets_are_masked() -> None:
    """No printed form of the settings has the password in the URL."""
    settings = load(redis_url="redis://:hunter2@localhost:6379/0")

    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()

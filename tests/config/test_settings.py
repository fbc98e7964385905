"""Settings: one class, one prefix, checked against each other at the start."""

from pathlib import Path

import pytest

from sanctum_bus.errors import ConfigurationError
from sanctum_bus.settings import as_toml, load

CONFIG = Path(__file__).parent.parent.parent / "config" / "sanctum.toml"


def test_the_shipped_file_lists_every_setting_with_its_default() -> None:
    """The file is what the class says; write it anew with: python -m sanctum_bus.settings > config/sanctum.toml."""
    assert CONFIG.read_text() == as_toml()


def test_the_shipped_file_is_a_valid_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Naming the shipped file changes nothing."""
    defaults = load()
    monkeypatch.setenv("SANCTUM_CONFIG", str(CONFIG))

    assert load() == defaults


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is given goes before the environment, the environment before the file, the file before the default."""
    (tmp_path / "own.toml").write_text("block_ms = 300\nlog_lines = 7\nscan_s = 3.0\n")
    monkeypatch.setenv("SANCTUM_CONFIG", str(tmp_path / "own.toml"))
    monkeypatch.setenv("SANCTUM_BLOCK_MS", "400")
    monkeypatch.setenv("SANCTUM_SCAN_S", "4")

    settings = load(scan_s=5.0)

    assert (settings.log_lines, settings.block_ms, settings.scan_s) == (7, 400, 5.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"block_ms": 6000}, "socket_timeout_s"),
        ({"grace_s": 1.0}, "grace_s"),
        ({"batch_entries": 0}, "batch_entries"),
        ({"no_such_setting": 1}, "no_such_setting"),
    ],
)
def test_wrong_settings_are_refused_by_name(given: dict[str, object], words: str) -> None:
    """A wrong value, an unknown name, and values that do not fit together are refused, and the message names them."""
    with pytest.raises(ConfigurationError, match=words):
        load(**given)


def test_a_missing_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that is not there is an error, not silence."""
    monkeypatch.setenv("SANCTUM_CONFIG", "/nowhere/sanctum.toml")

    with pytest.raises(ConfigurationError, match=r"/nowhere/sanctum\.toml"):
        load()


def test_secrets_are_masked() -> None:
    """A password in the URL is in no printed form of the settings."""
    settings = load(redis_url="redis://:hunter2@localhost:6379/0")

    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()

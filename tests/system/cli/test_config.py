"""`sanctum config`: what is in force, and where it comes from."""

from pathlib import Path

import pytest

from sanctum_bus.worker.settings import Settings
from tests.support.commands import sanctum


def test_it_prints_every_setting_with_its_source(tmp_path: Path) -> None:
    """Every setting has its value and its source; an option is not taken for the variable of the same name."""
    (tmp_path / "own.toml").write_text("log_max_lines = 7\n")
    env = {
        "SANCTUM_CONFIG": str(tmp_path / "own.toml"),
        "SANCTUM_POLL_TIMEOUT_MS": "400",
        "SANCTUM_KEY_PREFIX": "other",
    }

    found = sanctum("--redis", "redis://h/0", "config", "--json", env=env).json

    assert found.keys() == Settings.model_fields.keys()
    assert found["redis_url"] == {"value": "redis://h/0", "source": "option", "where": ""}
    assert found["key_prefix"] == {"value": "other", "source": "environment", "where": "SANCTUM_KEY_PREFIX"}
    assert found["poll_timeout_ms"] == {
        "value": 400,
        "source": "environment",
        "where": "SANCTUM_POLL_TIMEOUT_MS",
    }
    assert found["log_max_lines"] == {"value": 7, "source": "file", "where": str(tmp_path / "own.toml")}
    assert found["scan_interval_s"] == {"value": 10.0, "source": "default", "where": ""}


def test_people_see_the_same_as_tools() -> None:
    """The table has a line for each setting: its name, its value, its source."""
    ran = sanctum("config", env={"SANCTUM_POLL_TIMEOUT_MS": "400"})

    lines = {line.split()[0]: line.split()[1:] for line in ran.out.splitlines()[2:]}
    assert lines.keys() == Settings.model_fields.keys()
    assert lines["poll_timeout_ms"] == ["400", "environment", "SANCTUM_POLL_TIMEOUT_MS"]


def test_passwords_are_masked() -> None:
    """Wherever a password comes from, it is not printed."""
    url = "redis://user:hunter2@localhost:6379/0"
    shown = [
        sanctum("--redis", url, "config"),
        sanctum("config", url=url),
        sanctum("config", "--json", url=url),
    ]

    assert ["hunter2" in ran.out + ran.err for ran in shown] == [False] * 3
    assert ["redis://user:***@localhost:6379/0" in ran.out for ran in shown] == [True] * 3


def test_an_empty_variable_says_nothing() -> None:
    """It is as if it were not there, for this command as for all others."""
    found = sanctum(
        "config",
        "--json",
        env={"SANCTUM_KEY_PREFIX": "", "SANCTUM_REDIS_URL": "", "SANCTUM_POLL_TIMEOUT_MS": ""},
    ).json

    assert found["key_prefix"] == {"value": "nissa", "source": "default", "where": ""}
    assert found["redis_url"]["source"] in {"default", "running"}
    assert found["poll_timeout_ms"]["value"] == 1000


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"SANCTUM_REDIS_URL": "localhost"}, "invalid Redis URL"),
        ({"SANCTUM_KEY_PREFIX": "a b"}, "invalid key prefix"),
    ],
)
def test_what_no_command_takes_is_not_in_force(env: dict[str, str], words: str) -> None:
    """A server or a prefix that every other command refuses is refused here, too."""
    ran = sanctum("config", env=env)

    assert (ran.status, ran.out) == (1, "")
    assert words in ran.err


def test_wrong_settings_are_said_in_a_line() -> None:
    """An invalid setting ends the command with status 1 and one sentence."""
    ran = sanctum("config", env={"SANCTUM_POL_TIMEOUT_MS": "1"})

    assert (ran.status, ran.out) == (1, "")
    assert (
        ran.err
        == "sanctum: unknown environment variable SANCTUM_POL_TIMEOUT_MS: did you mean SANCTUM_POLL_TIMEOUT_MS?\n"
    )

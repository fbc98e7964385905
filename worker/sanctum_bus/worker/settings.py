"""The settings of a worker, from environment variables with the prefix SANCTUM_, a TOML file, and defaults."""

import os
import re
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from sanctum_bus.connection import DEFAULT_URL, redacted
from sanctum_bus.errors import ConfigurationError
from sanctum_bus.fold.state import MAX_ENVS
from sanctum_bus.protocol.keys import DEFAULT_PREFIX
from sanctum_bus.worker.settings_origin import CONFIG_VARIABLE, PREFIX, Origin, trace


class Settings(BaseSettings):
    """The settings of a worker. The names end with the unit."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    redis_url: SecretStr = Field(
        SecretStr(DEFAULT_URL), description="URL of the server. Output masks its password."
    )
    key_prefix: str = Field(
        DEFAULT_PREFIX,
        description="First part of the name of every key. Change it to separate several installations on one server.",
    )
    socket_timeout_s: float = Field(
        5.0,
        gt=0,
        description="Seconds to wait for a reply before the connection is closed. Increase it for a slow network or server.",
    )
    poll_timeout_ms: int = Field(
        1000,
        ge=10,
        description="Milliseconds to block for new entries of an idle run before its owner checks the run again. "
        "Increase it to save requests; new entries are never delayed.",
    )
    read_batch_size: int = Field(
        2500,
        ge=1,
        le=100_000,
        description="Maximum number of entries per read. Decrease it to save memory in the worker.",
    )
    commit_max_entries: int = Field(
        5000,
        ge=1,
        le=100_000,
        description="Maximum number of entries per commit during a backlog. Decrease it if commits block the server too long.",
    )
    commit_interval_ms: int = Field(
        200,
        ge=0,
        description="Maximum milliseconds between two commits during a backlog. Increase it for throughput, "
        "decrease it for fresher snapshots.",
    )
    log_max_lines: int = Field(
        10_000,
        ge=1,
        description="Maximum number of lines in the seed event log of a run; the oldest are deleted.",
    )
    batches_max_lines: int = Field(
        5_000,
        ge=1,
        description="Maximum number of lines in the batches stream of a run; the oldest are deleted.",
    )
    dead_letter_max_entries: int = Field(
        1_000,
        ge=1,
        description="Maximum number of dead letters per run; the oldest are deleted. Their counter has no limit.",
    )
    dead_letter_max_bytes: int = Field(
        64 << 20,
        ge=1,
        description="Maximum memory of the dead letters of a run on the server, in bytes; the oldest are deleted.",
    )
    stream_retain_entries: int = Field(
        10_000,
        ge=0,
        description="Number of folded entries to retain in the stream of a run for a replay; older ones are trimmed.",
    )
    max_envs: int = Field(
        MAX_ENVS,
        ge=1,
        description="Maximum number of environments per run. Events of further environments are parked as dead letters.",
    )
    heartbeat_interval_s: float = Field(
        0.2,
        gt=0,
        description="Seconds between two heartbeats of a worker, each with a read of the index of runs. "
        "Increase it to save requests; new runs then wait longer for a worker.",
    )
    scan_interval_s: float = Field(
        10.0,
        ge=0,
        description="Seconds between two scans for streams that are missing from the index; 0 turns the scan off. "
        "Increase it for a server with very many keys.",
    )
    lease_s: float = Field(
        4.0,
        gt=0,
        description="Seconds that a worker counts as alive after a heartbeat. "
        "Increase it if busy workers lose their runs; runs of a crashed worker then wait longer.",
    )
    max_runs: int = Field(
        1000,
        ge=1,
        description="Maximum number of runs per worker. Further runs wait, and the worker logs a warning.",
    )
    idle_timeout_s: float = Field(
        600.0,
        gt=0,
        description="Seconds without an event after which a worker releases a run. The next event reactivates it.",
    )
    retention_s: float = Field(
        604_800.0,
        ge=0,
        description="Seconds without an event after which an idle run is deleted with all its keys; 0 keeps runs forever.",
    )
    shutdown_timeout_s: float = Field(
        10.0,
        gt=0,
        description="Seconds to wait for the final commits on shutdown. Increase it if commits are slow.",
    )
    metrics_port: int = Field(
        0,
        ge=0,
        le=65_535,
        description="Port of /metrics, /healthz and /readyz; 0 turns it off. "
        "It has no authentication, and requires the extra `metrics`.",
    )
    metrics_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address of the metrics port. Set 0.0.0.0 to accept connections from other machines.",
    )
    metrics_per_run: bool = Field(
        False,
        description="Whether to serve three more time series for each run. Leave it off with many runs.",
    )
    health_timeout_s: float = Field(
        30.0,
        gt=0,
        description="Seconds without progress after which a loop is stuck and /healthz returns 503. "
        "Increase it if slow but healthy workers are restarted.",
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="Lowest level of the lines to log."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.poll_timeout_ms / 1000 >= self.socket_timeout_s:
            raise ValueError(
                f"poll_timeout_ms ({self.poll_timeout_ms}) must be below socket_timeout_s ({self.socket_timeout_s}), "
                "otherwise every wait for entries times out"
            )
        if self.lease_s < 2 * self.heartbeat_interval_s:
            raise ValueError(
                f"lease_s ({self.lease_s}) must be at least twice heartbeat_interval_s ({self.heartbeat_interval_s}), "
                "otherwise the lease can expire between two heartbeats"
            )
        if (
            self.metrics_port
            and self.health_timeout_s < 2 * self.socket_timeout_s + self.heartbeat_interval_s
        ):
            raise ValueError(
                f"health_timeout_s ({self.health_timeout_s}) must be at least twice socket_timeout_s "
                f"({self.socket_timeout_s}) plus heartbeat_interval_s ({self.heartbeat_interval_s}), "
                "otherwise a worker with a slow server counts as stuck"
            )
        if self.socket_timeout_s >= self.shutdown_timeout_s:
            raise ValueError(
                f"socket_timeout_s ({self.socket_timeout_s}) must be below shutdown_timeout_s ({self.shutdown_timeout_s}), "
                "otherwise a shutdown cannot wait for the final commit"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the signature is the library's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the signature is the library's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources of settings, the one with the highest precedence first."""
        path = os.environ.get(CONFIG_VARIABLE)
        toml = (TomlConfigSettingsSource(settings_cls, Path(path)),) if path else ()
        return (init_settings, env_settings, *toml)


class TracedSettings(NamedTuple):
    """The settings, and the origin of each."""

    settings: Settings
    origins: dict[str, Origin]

    def shown(self, name: str) -> Any:
        """Return a value for display, with its secrets masked."""
        value = getattr(self.settings, name)
        if not isinstance(value, SecretStr):
            return value
        secret = value.get_secret_value()
        return redacted(secret) if "://" in secret else "***"


def load(**given: object) -> Settings:
    """Return the settings.

    Args:
        given: options; they take precedence over the environment and the file. None: not given.

    Raises:
        ConfigurationError: a setting is invalid or unknown. The message has its name and its origin.
    """
    return load_traced(**given).settings


def load_traced(**given: object) -> TracedSettings:
    """Return the settings with the origin of each.

    Args:
        given: options; they take precedence over the environment and the file. None: not given.

    Raises:
        ConfigurationError: a setting is invalid or unknown. The message has its name and its origin.
    """
    options = {name: value for name, value in given.items() if value is not None}
    found = trace(Settings.model_fields, options, os.environ, os.environ.get(CONFIG_VARIABLE))
    try:
        return TracedSettings(Settings(**options), found)  # type: ignore[arg-type]  # this call checks them
    except ValidationError as error:
        faults = "; ".join(
            _message(fault["loc"], fault["msg"], fault["input"], found) for fault in error.errors()
        )
        raise ConfigurationError(f"invalid settings: {faults}") from None
    except ValueError as error:
        raise ConfigurationError(f"invalid settings: {error}") from None


def _message(place: tuple[int | str, ...], message: str, value: object, found: dict[str, Origin]) -> str:
    """Return the message of one fault, with the origins of the values."""
    if not place:
        named = [f"{name}: {origin}" for name, origin in found.items() if re.search(rf"\b{name}\b", message)]
        return f"{message.removeprefix('Value error, ')} ({'; '.join(named)})"
    name = str(place[0])
    got = "" if Settings.model_fields[name].annotation is SecretStr else f", got {value!r}"
    return f"{name} ({found[name]}): {message}{got}"

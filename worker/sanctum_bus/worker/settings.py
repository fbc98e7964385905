"""Every setting of a worker: environment variables with the prefix SANCTUM_, then a TOML file, then defaults."""

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
    """What a worker can be told. Units are in the names."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    redis_url: SecretStr = Field(SecretStr(DEFAULT_URL), description="Where the server is.")
    key_prefix: str = Field(DEFAULT_PREFIX, description="What every key begins with.")
    socket_timeout_s: float = Field(
        5.0, gt=0, description="How long a reply may take before the connection is given up."
    )
    poll_timeout_ms: int = Field(
        1000, ge=10, description="How long an idle worker waits for entries before it looks around."
    )
    read_batch_size: int = Field(2500, ge=1, le=100_000, description="Entries that one read asks for.")
    commit_max_entries: int = Field(
        5000, ge=1, le=100_000, description="Entries after which a commit is due under backlog."
    )
    commit_interval_ms: int = Field(200, ge=0, description="Time after which a commit is due under backlog.")
    log_max_lines: int = Field(10_000, ge=1, description="Lines that the seed event log keeps.")
    batches_max_lines: int = Field(5_000, ge=1, description="Lines that the batches stream keeps.")
    dead_letter_max_entries: int = Field(
        1_000, ge=1, description="Parked entries that are kept; their count is never capped."
    )
    dead_letter_max_bytes: int = Field(
        64 << 20, ge=1, description="Memory that parked entries may take in the server."
    )
    stream_retain_entries: int = Field(
        10_000, ge=0, description="Folded entries that the source stream keeps for replay."
    )
    max_envs: int = Field(
        MAX_ENVS, ge=1, description="Environments that a run may have; an event of one more parks."
    )
    heartbeat_interval_s: float = Field(
        0.2, gt=0, description="How often a worker looks at the index of runs, and beats."
    )
    scan_interval_s: float = Field(
        10.0, ge=0, description="How often workers scan for runs that nobody registered; 0: never."
    )
    lease_s: float = Field(4.0, gt=0, description="How long a worker counts as alive after its last beat.")
    max_runs: int = Field(
        1000, ge=1, description="Runs that a worker folds at most; what is over waits, and is logged."
    )
    idle_timeout_s: float = Field(
        600.0, gt=0, description="Time without an event after which a run goes to sleep."
    )
    retention_s: float = Field(
        604_800.0, ge=0, description="Age at which a sleeping run is removed; 0: never."
    )
    shutdown_timeout_s: float = Field(10.0, gt=0, description="How long a stop may take.")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65_535,
        description="Port of /metrics, /healthz and /readyz, which anyone who reaches it may read; 0: none.",
    )
    metrics_host: str = Field("127.0.0.1", min_length=1, description="Address of this port.")
    metrics_per_run: bool = Field(
        False, description="Metrics also by run: three series for each, of which there may be many."
    )
    health_timeout_s: float = Field(
        30.0, gt=0, description="Time without a turn after which a loop is stuck, and /healthz says so."
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="Least level that is logged."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.poll_timeout_ms / 1000 >= self.socket_timeout_s:
            raise ValueError(
                f"poll_timeout_ms ({self.poll_timeout_ms}) must be below socket_timeout_s ({self.socket_timeout_s}), "
                "or every idle wait would look like a dead server"
            )
        if self.lease_s < 2 * self.heartbeat_interval_s:
            raise ValueError(
                f"lease_s ({self.lease_s}) must be at least twice heartbeat_interval_s ({self.heartbeat_interval_s}), "
                "or a worker would count as dead between two beats"
            )
        if (
            self.metrics_port
            and self.health_timeout_s < 2 * self.socket_timeout_s + self.heartbeat_interval_s
        ):
            raise ValueError(
                f"health_timeout_s ({self.health_timeout_s}) must be at least twice socket_timeout_s "
                f"({self.socket_timeout_s}) and heartbeat_interval_s ({self.heartbeat_interval_s}), "
                "or a worker whose server is slow would look stuck"
            )
        if self.socket_timeout_s >= self.shutdown_timeout_s:
            raise ValueError(
                f"socket_timeout_s ({self.socket_timeout_s}) must be below shutdown_timeout_s ({self.shutdown_timeout_s}), "
                "or a stop could not wait for its last commit"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the signature is the library's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings come from, the first to speak wins."""
        path = os.environ.get(CONFIG_VARIABLE)
        toml = (TomlConfigSettingsSource(settings_cls, Path(path)),) if path else ()
        return (init_settings, env_settings, *toml)


class TracedSettings(NamedTuple):
    """The settings, and where each comes from."""

    settings: Settings
    origins: dict[str, Origin]

    def shown(self, name: str) -> Any:
        """Return a value as it may be seen: what is secret in it is masked."""
        value = getattr(self.settings, name)
        if not isinstance(value, SecretStr):
            return value
        secret = value.get_secret_value()
        return redacted(secret) if "://" in secret else "***"


def load(**given: object) -> Settings:
    """Return the settings; what is given goes before environment and file, None is not given.

    Raises:
        ConfigurationError: a setting is wrong, or none; the message names it, and where it comes from.
    """
    return load_traced(**given).settings


def load_traced(**given: object) -> TracedSettings:
    """Return what `load` returns, and where each value comes from.

    Raises:
        ConfigurationError: likewise.
    """
    options = {name: value for name, value in given.items() if value is not None}
    found = trace(Settings.model_fields, options, os.environ, os.environ.get(CONFIG_VARIABLE))
    try:
        return TracedSettings(Settings(**options), found)  # type: ignore[arg-type]  # they are checked right here
    except ValidationError as error:
        faults = "; ".join(
            _words(fault["loc"], fault["msg"], fault["input"], found) for fault in error.errors()
        )
        raise ConfigurationError(f"settings are wrong: {faults}") from None
    except ValueError as error:
        raise ConfigurationError(f"settings are wrong: {error}") from None


def _words(place: tuple[int | str, ...], message: str, value: object, found: dict[str, Origin]) -> str:
    """Return a fault as a part of a sentence."""
    if not place:
        named = [f"{name}: {origin}" for name, origin in found.items() if re.search(rf"\b{name}\b", message)]
        return f"{message.removeprefix('Value error, ')} ({'; '.join(named)})"
    name = str(place[0])
    seen = "" if Settings.model_fields[name].annotation is SecretStr else f", not {value!r}"
    return f"{name} ({found[name]}): {message}{seen}"

"""Profiles: the parts of a simulation, and the frequency of its faults."""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from sanctum_bus.worker.settings import Settings, load
from tests.system.simulation.network import Weather

#: Fault -> weight; see `chaos.py`.
FAULTS: dict[str, float] = {
    "kill": 3,
    "stop": 3,
    "join": 2,
    "leave": 1,
    "restart": 1.5,
    "restart_back": 1.5,
    "failover": 2,
    "flush": 0.3,
    "hand_ack": 1,
    "hand_delconsumer": 1,
    "hand_setid_end": 1,
    "hand_setid_back": 1,
    "hand_destroy": 1,
    "thief": 3,
    "trim": 0.5,
    "die": 3,
    "full": 1.5,
    "readonly": 0.7,
    "damage": 0.5,
    "delete_stream": 0.2,
    "storm": 2,
}


@dataclass(frozen=True)
class Profile:
    """A kind of simulation.

    Args:
        faults: fault -> weight.
        every_s: mean time between two faults.
        weather: the network while there are faults.
        events: of each publisher.
        hands: number of clients that add entries without sequence numbers.
        fence: whether a commit of a replaced worker is a violation.
        patience_s: time after the last fault within which everything must be folded.
        quiet: faults after everything else, when no more entries arrive.
    """

    faults: dict[str, float] = field(default_factory=lambda: dict(FAULTS))
    every_s: float = 0.15
    weather: Weather = field(default_factory=lambda: Weather(0.004, 0.004, 0.004, 0.01))
    runs: int = 1
    workers: int = 2
    publishers: int = 2
    hands: int = 1
    events: int = 25
    pace_s: float = 0.04
    buffer_events: int = 50
    poison: float = 0.04
    fence: bool = True
    patience_s: float = 60.0
    quiet: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)


#: Settings of the workers, with short intervals, so that much happens in little time.
QUICK: dict[str, Any] = {
    "socket_timeout_s": 0.5,
    "poll_timeout_ms": 150,
    "heartbeat_interval_s": 0.3,
    "lease_s": 0.8,
    "scan_interval_s": 0.5,
    "shutdown_timeout_s": 1.0,
    "read_batch_size": 3,
    "commit_max_entries": 8,
    "commit_interval_ms": 10,
    "stream_retain_entries": 10,
    "log_max_lines": 20,
}


def settings_of(profile: Profile) -> Settings:
    """Return the workers' settings."""
    return load(**(QUICK | profile.settings))


def drawn(chance: Random) -> Profile:
    """Return a random profile: some seeds have all faults, and some have a few, which can add up."""
    names = sorted(FAULTS)
    some = names if chance.random() < 0.3 else chance.sample(names, chance.randint(2, 6))
    bad = chance.choice((0.0, 0.002, 0.01, 0.03))
    return replace(
        Profile(),
        faults={name: FAULTS[name] for name in some},
        every_s=chance.choice((0.08, 0.15, 0.4)),
        weather=Weather(bad, bad, bad, chance.choice((0.002, 0.01, 0.05))),
        runs=chance.choice((1, 1, 2)),
        workers=chance.choice((1, 2, 3)),
        publishers=chance.choice((1, 2, 3)),
        hands=chance.choice((0, 1)),
        buffer_events=chance.choice((6, 50)),
        poison=chance.choice((0.0, 0.05)),
        quiet=tuple(chance.choice((("rob",), ("thief",), ("stop",), ("kill",), ()))),
        settings={
            "read_batch_size": chance.choice((1, 3, 10)),
            "stream_retain_entries": chance.choice((0, 10, 1000)),
            "idle_timeout_s": chance.choice((1.0, 600.0)),
        },
    )

"""The faults. Each of them occurs in production."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from sanctum_bus.protocol.keys import CONSUMER, GROUP, RunKeys
from tests.system.simulation.clock import Life
from tests.system.simulation.network import Weather
from tests.system.simulation.streams import Stream

if TYPE_CHECKING:
    from tests.system.simulation.world import World

#: The network during a storm.
_STORM = Weather(0.1, 0.1, 0.15, 0.1)


class Chaos:
    """Injects random faults.

    Args:
        world: where.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._chance = world.chance

    def one(self) -> None:
        """Inject one random fault."""
        faults = self._world.profile.faults
        name = self._chance.choices(list(faults), list(faults.values()))[0]
        self.do(name)

    def do(self, name: str) -> None:
        """Inject a fault by name."""
        what: Callable[[], object] = getattr(self, f"_do_{name}")
        self._world.note(f"--- {name} {what() or ''}")

    def _events(self) -> bytes:
        return RunKeys(self._chance.choice(self._world.runs)).events.encode()

    def _ask(self, *arguments: bytes) -> str:
        return (
            f"{b' '.join(arguments[:3]).decode()} -> {str(self._world.model.perform(list(arguments)))[:80]}"
        )

    def _later(self, seconds: float, what: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_later(seconds, what)

    def _do_kill(self) -> str:
        alive = self._world.alive()
        if not alive:
            return ""
        process = self._chance.choice(alive)
        process.life = Life.DEAD
        self._later(self._chance.uniform(0.0, 1.0), self._world.start_worker)
        return process.name

    def _do_stop(self) -> str:
        alive = self._world.alive()
        if not alive:
            return ""
        process = self._chance.choice(alive)
        process.life = Life.STOPPED
        self._later(self._chance.expovariate(1.0), lambda: self._world.resume(process))
        return process.name

    def _do_join(self) -> None:
        if len(self._world.alive()) < 4:
            self._world.start_worker()

    def _do_leave(self) -> str:
        if len(self._world.alive()) < 2:
            return ""
        return self._world.tell_to_leave()

    def _do_restart(self) -> None:
        self._restart()

    def _do_restart_back(self) -> str:
        return self._restart() + self._world.roll_back()

    def _restart(self) -> str:
        network = self._world.network
        network.stop()
        self._world.model.scripts.clear()
        self._later(self._chance.uniform(0.0, 0.6), lambda: setattr(network, "up", True))
        return ""

    def _do_failover(self) -> str:
        return self._world.roll_back()

    def _do_flush(self) -> None:
        self._world.gone()
        self._world.model.keys.clear()

    def _do_hand_ack(self) -> str:
        events = self._events()
        stream = self._world.model.keys.get(events)
        group = stream.groups.get(GROUP.encode()) if isinstance(stream, Stream) else None
        if group is None or not group.pending:
            return ""
        one = self._chance.choice(sorted(group.pending))
        return self._ask(b"XACK", events, GROUP.encode(), b"%d-%d" % one)

    def _do_hand_delconsumer(self) -> str:
        return self._ask(b"XGROUP", b"DELCONSUMER", self._events(), GROUP.encode(), CONSUMER.encode())

    def _do_hand_setid_end(self) -> str:
        events = self._events()
        self._world.skip(events)
        return self._ask(b"XGROUP", b"SETID", events, GROUP.encode(), b"$")

    def _do_hand_setid_back(self) -> str:
        return self._ask(b"XGROUP", b"SETID", self._events(), GROUP.encode(), b"0")

    def _do_hand_destroy(self) -> str:
        return self._ask(b"XGROUP", b"DESTROY", self._events(), GROUP.encode())

    def _do_thief(self) -> str:
        """Read in the owner's group as another consumer, with or without acknowledging, as soon as there is an entry."""
        events, acks = self._events(), self._chance.random() < 0.3

        def steal(left: int) -> None:
            count = b"%d" % self._chance.choice((1, 1, 2, 9))
            found = self._world.model.perform(
                [b"XREADGROUP", b"GROUP", GROUP.encode(), b"debug", b"COUNT", count, b"STREAMS", events, b">"]
            )
            if not isinstance(found, list):
                if left:
                    self._later(0.003, lambda: steal(left - 1))
                return
            ids = [row[0] for row in found[0][1]]
            self._world.note(f"    the thief has {ids}")
            if acks:
                self._world.skip(events, ids)
                self._ask(b"XACK", events, GROUP.encode(), *ids)

        steal(40)
        return "acknowledges" if acks else ""

    def _do_rob(self, run_id: str) -> None:
        """Add entries and let another consumer read them before the owner; no entry follows."""
        events, group = RunKeys(run_id).events.encode(), GROUP.encode()
        self._world.add_by_hand(run_id)
        found = self._world.model.perform(
            [b"XREADGROUP", b"GROUP", group, b"debug", b"STREAMS", events, b">"]
        )
        if isinstance(found, list) and self._chance.random() < 0.5:
            self._ask(b"XACK", events, group, *(row[0] for row in found[0][1]))
        self._world.note(f"--- rob {run_id}")

    def _do_trim(self) -> str:
        return self._ask(b"XTRIM", self._events(), b"MAXLEN", b"%d" % self._chance.randint(0, 20))

    def _do_die(self) -> str:
        """Let a script fail after some writes."""
        self._world.model.die_after = after = self._chance.choice((1, 2, 3, 4, 6, 8, 10, 14, 20))
        return f"after {after} writes"

    def _do_full(self) -> None:
        self._refuse("OOM", self._chance.expovariate(2.0))

    def _do_readonly(self) -> None:
        self._refuse(self._chance.choice(("READONLY", "MISCONF", "LOADING")), self._chance.expovariate(3.0))

    def _refuse(self, why: str, seconds: float) -> None:
        model = self._world.model
        model.refusing = why
        self._later(seconds, lambda: setattr(model, "refusing", ""))

    def _do_damage(self) -> str:
        """Remove a key that the owner writes, or change its type."""
        run_id = self._chance.choice(self._world.runs)
        run, keys = RunKeys(run_id), self._world.model.keys
        names = [run.checkpoint, run.sections, run.coverage]
        # Keys that no index names, such as orphans of a lost index, are overwritten before they are read.
        index = keys.get(run.sections.encode())
        listed = index if isinstance(index, dict) else {}
        names += [
            run.section(name) for name in ("run", "policy") if listed.get(name.encode(), b"-")[:1] != b"-"
        ]
        key = self._chance.choice(names)
        if key.encode() not in keys:
            return ""
        self._world.scar(run_id, checkpoint=key == run.checkpoint)
        if self._chance.random() < 0.5:
            del keys[key.encode()]
            return f"{key} is deleted"
        keys[key.encode()] = b"x"
        return f"{key} is a string"

    def _do_delete_stream(self) -> str:
        events = self._events()
        stream = self._world.model.keys.get(events)
        if isinstance(stream, Stream):
            self._world.vanish(stream.full)
        return self._ask(b"DEL", events)

    def _do_storm(self) -> None:
        network, before = self._world.network, self._world.profile.weather
        network.weather = _STORM
        self._later(self._chance.expovariate(3.0), lambda: setattr(network, "weather", before))

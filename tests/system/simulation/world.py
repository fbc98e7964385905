"""One simulated world: server, workers, publishers, faults and oracle, all from one seed."""

import asyncio
from collections import deque
from random import Random
from typing import Any

from sanctum_bus.protocol.keys import GROUP, RunKeys
from sanctum_bus.worker.supervisor import Worker
from tests.system.simulation.accounts import judge_publisher, number_of
from tests.system.simulation.chaos import Chaos
from tests.system.simulation.clock import PROCESS, Life, Process, SimLoop
from tests.system.simulation.history import History
from tests.system.simulation.network import Link, Network, Weather, client_of
from tests.system.simulation.oracle import Oracle, Violation
from tests.system.simulation.profiles import QUICK, Profile, settings_of
from tests.system.simulation.publishers import Hand, SimPublisher
from tests.system.simulation.replies import short, short_reply
from tests.system.simulation.server import Model, StreamCommands
from tests.system.simulation.streams import Flat, Id, Stream, parse_id

#: The server's clock at the beginning, in microseconds.
_EPOCH_US = 1_700_000_000_000_000

#: Steps that are kept for the output.
_STEPS = 60


class World:
    """Everything that follows from one seed.

    Args:
        seed: the source of every choice.
        profile: parts and faults.
        publisher: class of the publishers.

    Attributes:
        steps: the last steps.
        names: digest or text of a script -> its name.
        calm: there are no more faults.
    """

    def __init__(self, seed: int, profile: Profile, publisher: type[SimPublisher] = SimPublisher) -> None:
        self.chance = Random(seed)  # noqa: S311  # a seed must lead to the same world again
        self.profile = profile
        self.loop = SimLoop()  # type: ignore[abstract]  # nothing calls what it lacks
        self.skew_us = 0
        self.model = Model(lambda: _EPOCH_US + self.skew_us + int(self.loop.time() * 1e6))
        self.network = Network(self.loop, self.chance, self.model, self._after)
        self.network.note = self.note
        self.oracle = Oracle(self.model, QUICK["log_max_lines"], fence=profile.fence)
        self.runs = [f"r{number}" for number in range(profile.runs)]
        self.steps: deque[tuple[float, str]] = deque(maxlen=_STEPS)
        self.fingerprint = 0
        self.names: dict[bytes, str] = {}
        self.calm = False
        self._settings = settings_of(profile)
        self._publisher = publisher
        self._workers: dict[Process, Worker] = {}
        self._leaving: set[Process] = set()
        self.publishers: list[SimPublisher] = []
        self._hands: list[Hand] = []
        self._kept: deque[tuple[StreamCommands, dict[str, History]]] = deque(maxlen=5)
        self._vanished: set[tuple[bytes, int]] = set()
        self.chaos = Chaos(self)

    def note(self, text: str) -> None:
        """Keep a step for the output."""
        process = PROCESS.get()
        text = text if process is None else f"{process.name}: {text.strip()}"
        self.steps.append((self.loop.time(), text))
        self.fingerprint = hash((self.fingerprint, self.loop.time(), len(text)))

    def token_hex(self, size: int) -> str:
        """Replace `secrets.token_hex`."""
        return self.chance.randbytes(size).hex()

    def story(self) -> str:
        """Return the last steps as text."""
        return "\n".join(f"  {when:9.4f}  {text}" for when, text in self.steps)

    # Workers.

    def start_worker(self) -> None:
        """Start a worker."""
        name = f"w{len(self._workers)}"
        self.note(f"--- {name} starts")
        self.loop.start(name, self._work(name))
        self._workers[self.loop.processes[-1]] = Worker(self._settings, label=name)

    async def _work(self, name: str) -> None:
        process = PROCESS.get()
        assert process is not None
        try:
            await self._workers[process].run()
        except Exception as error:
            self.loop.failure = self.loop.failure or Violation(f"{name} has ended: {error!r}")
            raise
        finally:
            if process.life is not Life.BURIED:
                process.life = Life.DEAD

    def kill_all(self) -> None:
        """Kill every worker."""
        for process in self.alive():
            process.life = Life.DEAD

    def alive(self) -> list[Process]:
        """Return the running workers."""
        return [process for process in self._workers if process.life is Life.RUNNING]

    def resume(self, process: Process) -> None:
        """Resume a stopped worker."""
        if process.life is Life.STOPPED:
            self.note(f"--- {process.name} is resumed")
            self.loop.resume(process)

    def tell_to_leave(self) -> str:
        """Stop a worker in an orderly way; return its name."""
        process = self.chance.choice(self.alive())
        self._workers[process].stop()
        self._leaving.add(process)
        return process.name

    # Effects of faults on the data.

    def roll_back(self) -> str:
        """Restore an earlier state of the server, as after a failover or a truncated file."""
        if not self._kept:
            return ""
        place = self.chance.randrange(len(self._kept))
        while len(self._kept) > place + 1:
            self._kept.pop()
        database, histories = self._kept[-1]
        before = {name: stream.full for name, stream in self._streams().items()}
        self.model.replace(database)
        now = self._streams()
        for name, full in before.items():
            # ID and content: after the clock was set back, an ID may be given a second time.
            left = set(now[name].full) if name in now else set()
            self.vanish([row for row in full if row not in left])
        self.oracle.histories = {run_id: history.copy() for run_id, history in histories.items()}
        self.skew_us += self.chance.choice((0, 0, -300_000, 300_000))
        versions = {run_id: history.version for run_id, history in histories.items()}
        return f"back to {versions}"

    def keep(self) -> None:
        """Keep the state of the server, so that it can be restored."""
        histories = {run_id: history.copy() for run_id, history in self.oracle.histories.items()}
        self._kept.append((self.model.copy(), histories))

    def _streams(self) -> dict[bytes, Stream]:
        wanted = [RunKeys(run_id).events.encode() for run_id in self.runs]
        found = {name: self.model.keys.get(name) for name in wanted}
        return {name: stream for name, stream in found.items() if isinstance(stream, Stream)}

    def vanish(self, rows: list[tuple[Id, Flat]]) -> None:
        """Record entries that the server lost."""
        self._vanished |= {number for _, flat in rows if (number := number_of(flat)) is not None}

    def skip(self, events: bytes, ids: list[bytes] | None = None) -> None:
        """Record that the group's cursor is moved over entries, by default all that it has not delivered."""
        stream = self.model.keys.get(events)
        group = stream.groups.get(GROUP.encode()) if isinstance(stream, Stream) else None
        if group is not None and isinstance(stream, Stream):
            stream.skipped |= (
                {one for one in stream.ids if one > group.delivered}
                if ids is None
                else set(map(parse_id, ids))
            )

    def gone(self) -> None:
        """Record that the server was emptied."""
        for stream in self._streams().values():
            self.vanish(stream.full)
        for run_id, history in self.oracle.histories.items():
            self.scar(run_id, checkpoint=True)
            history.unchecked = history.scarred = False

    def scar(self, run_id: str, *, checkpoint: bool) -> None:
        """Record that a snapshot was changed by hand."""
        history = self.oracle.histories.get(run_id)
        if history is not None:
            history.may_be_fresh = history.unchecked = history.scarred = True
            if checkpoint:
                history.generation = 0

    # The course of events.

    def _after(self, link: Link, arguments: list[bytes], reply: Any) -> None:
        who = "somebody" if link.process is None else link.process.name
        late = ", late" if link.closed else ""
        name = self.names.get(arguments[1]) if arguments[0].startswith(b"EVAL") else None
        self.note(f"{who}{late}: {name or short(arguments)} -> {short_reply(reply)}")
        if name in {"commit", "acquire", "release", "remove_run"}:
            count = int(arguments[2])
            run_id = arguments[3].split(b"{")[1].split(b"}")[0].decode()
            argv = arguments[3 + count :]
            self.oracle.judge(name, run_id, argv, reply)
        if self.model.died:
            self.model.died, self.model.die_after = False, None
        if not self.calm and self.chance.random() < 0.03:
            self.keep()

    async def run(self) -> None:
        """Run the simulation.

        Raises:
            Violation: a promise was broken.
        """
        for _ in range(self.profile.workers):
            self.start_worker()
        for run_id in self.runs:
            self._start_publishers(run_id)
        while not self._all_done():
            await asyncio.sleep(self.chance.expovariate(1 / self.profile.every_s))
            if self.loop.time() < 30.0:
                self.chaos.one()
            else:
                self.end_faults()
            if self.loop.time() > 100.0:
                raise Violation("the publishers do not finish")
        self.end_faults()
        await self._settled()
        for name in self.profile.quiet:
            await self._disturb(name)
        await self._settled()
        self._judge()

    def _judge(self) -> None:
        for run_id in self.oracle.histories:
            if RunKeys(run_id).checkpoint.encode() in self.model.keys:
                self.oracle.compare(run_id)
        for one in self.publishers:
            stream = self._streams().get(RunKeys(one.run_id).events.encode())
            judge_publisher(one, stream or Stream(), self._vanished)

    def _start_publishers(self, run_id: str) -> None:
        profile = self.profile
        for number in range(profile.publishers):
            producer = f"p{number}-{self.token_hex(2)}"
            one = self._publisher(run_id, producer, self.chance, self._new_client, profile.buffer_events)
            self.publishers.append(one)
            self.loop.start(f"{run_id}.p{number}", one.work(profile.events, profile.pace_s, profile.poison))
        for number in range(profile.hands):
            hand = Hand(run_id, self.chance, self._new_client)
            self._hands.append(hand)
            self.loop.start(f"{run_id}.h{number}", hand.work(profile.events, profile.pace_s))

    def _new_client(self) -> Any:
        return client_of(self.network)

    def _all_done(self) -> bool:
        return all(one.done for one in self.publishers) and all(one.done for one in self._hands)

    def end_faults(self) -> None:
        """End all faults."""
        self.calm = True
        self.model.refusing, self.model.die_after = "", None
        self.network.weather, self.network.up = Weather(), True
        for process in list(self._workers):
            self.resume(process)
        # Stopping workers may still run.
        if self._leaving.issuperset(self.alive()):
            self.start_worker()

    async def _disturb(self, name: str) -> None:
        """Inject one fault while no new entries arrive, except for the last ones."""
        run_id = self.chance.choice(self.runs)
        if name == "rob":
            self.chaos._do_rob(run_id)
        else:
            self.add_by_hand(run_id)
            await asyncio.sleep(self.chance.random() * 0.02)
            self.chaos.do(name)
        await asyncio.sleep(2.0)
        self.end_faults()

    def add_by_hand(self, run_id: str) -> None:
        """Append two entries."""
        for number in (1, 2):
            text = b'{"v":1,"data":{"last":%d}}' % number
            row = (b"*", b"type", b"LAST", b"json", text)
            self.model.perform([b"XADD", RunKeys(run_id).events.encode(), *row])

    async def _settled(self) -> None:
        deadline = self.loop.time() + self.profile.patience_s
        while unread := [text for run_id in self.runs if (text := self.oracle.unread(run_id))]:
            if self.loop.time() > deadline:
                raise Violation(f"entries are not folded in the end: {unread}")
            await asyncio.sleep(0.1)
        if any(history.unchecked for history in self.oracle.histories.values()):
            await self._heal()

    async def _heal(self) -> None:
        # No worker has read the damaged keys since; a new owner does.
        self.kill_all()
        self.start_worker()
        for run_id in self.runs:
            self.add_by_hand(run_id)
        await asyncio.sleep(3.0)
        if any(history.unchecked for history in self.oracle.histories.values()):
            raise Violation("a damage was not detected")
        await self._settled()

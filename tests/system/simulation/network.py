"""Connections between the real client library and the model server. Bytes may be late, lost or cut.

A connection is the library's, down to its parser; only the socket is simulated. Bytes that a client has sent
before its
connection was closed may still arrive, as with a real socket.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import hiredis
import redis.asyncio
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sanctum_bus.connection.low_latency import LowLatencyRedis
from tests.system.simulation.clock import PROCESS, Life, Process, SimLoop
from tests.system.simulation.replies import OK, ReplyError, Status, as_bytes
from tests.system.simulation.server import Model


@dataclass
class Weather:
    """The faults of the network: probabilities for each message.

    Args:
        cut: the connection is lost before the message arrives.
        deaf: the message arrives, and the connection is lost before the reply does.
        late: the message arrives after every time-out.
        slow_s: longest ordinary delay.
    """

    cut: float = 0.0
    deaf: float = 0.0
    late: float = 0.0
    slow_s: float = 0.002


@dataclass(eq=False)
class Link:
    """One connection, with both ends.

    Attributes:
        closed: the client has closed it, or it was cut.
    """

    process: Process | None
    reader: asyncio.StreamReader
    closed: bool = False
    deaf: bool = False
    parser: Any = field(default_factory=hiredis.Reader)
    queued: list[list[bytes]] | None = None
    arrival: float = 0.0
    answer: float = 0.0
    blocked: tuple[list[bytes], float] | None = None


class Network:
    """All connections, and the server behind them.

    Args:
        after: called with each executed command and its reply.
    """

    def __init__(
        self, loop: SimLoop, chance: Random, model: Model, after: Callable[[Link, list[bytes], Any], None]
    ) -> None:
        self._loop = loop
        self._chance = chance
        self._after = after
        self.model = model
        self.weather = Weather()
        self.up = True
        self.links: list[Link] = []
        self.note: Callable[[str], None] = lambda _: None

    def connect(self) -> "Link":
        """Open a connection for the running process."""
        process = PROCESS.get()
        if not self.up or (process is not None and process.life is Life.BURIED):
            raise ConnectionRefusedError(111, "the model server is down")
        link = Link(process, asyncio.StreamReader(loop=self._loop))
        self.links.append(link)
        return link

    def send(self, link: Link, data: bytes) -> None:
        """Send bytes of a client."""
        if link.closed:
            raise ConnectionResetError(104, "the connection was cut")
        now, luck, weather = self._loop.time(), self._chance.random(), self.weather
        delay = self._chance.random() ** 3 * weather.slow_s + 0.0001
        if luck < weather.cut:
            self.note(f"{_name(link)}: message lost")
            self._loop.call_later(delay, self.cut, link)
            return
        if luck < weather.cut + weather.deaf:
            link.deaf = True
        elif luck < weather.cut + weather.deaf + weather.late:
            delay = self._chance.uniform(0.1, 3.0)
            self.note(f"{_name(link)}: message delayed by {delay:.3f} s")
        link.arrival = max(link.arrival, now + delay)
        self._world(link.arrival, self._arrive, link, data)

    def cut(self, link: Link) -> None:
        """Break a connection."""
        if not link.closed:
            link.closed = True
            link.blocked = None
            if not link.reader.at_eof():
                link.reader.feed_eof()
        if link in self.links:
            self.links.remove(link)

    def close(self, link: Link) -> None:
        """Close a connection on the client's side; sent bytes may still arrive."""
        link.closed, link.blocked = True, None
        if link in self.links:
            self.links.remove(link)

    def stop(self) -> None:
        """Stop the server: all connections break, and bytes on their way are lost."""
        self.up = False
        for link in list(self.links):
            self.cut(link)

    def _world(self, when: float, callback: Callable[..., object], *args: Any) -> None:
        # Events on the wire belong to no process.
        token = PROCESS.set(None)
        try:
            self._loop.call_at(when, callback, *args)
        finally:
            PROCESS.reset(token)

    def _arrive(self, link: Link, data: bytes) -> None:
        if not self.up or (link.closed and self._chance.random() < 0.3):
            return
        link.parser.feed(data)
        self._work_off(link)

    def _work_off(self, link: Link) -> None:
        """Execute the commands of a client in order; commands behind a blocking one wait until it is over."""
        while link.blocked is None and (arguments := link.parser.gets()) is not False:
            self._take(link, arguments)
        self._serve_blocked()

    def _take(self, link: Link, arguments: list[bytes]) -> None:
        command = arguments[0].upper()
        if command == b"MULTI":
            link.queued = []
            self._answer(link, OK)
        elif command == b"EXEC":
            queued, link.queued = link.queued or [], None
            self._perform(link, queued)
        elif link.queued is not None:
            link.queued.append(arguments)
            self._answer(link, self._queue_reply(command))
        elif command == b"XREAD" and b"BLOCK" in arguments:
            reply = self.model.perform(arguments)
            if reply is not None:
                self._answer(link, reply)
                return
            wait_s = int(arguments[arguments.index(b"BLOCK") + 1]) / 1000
            link.blocked = (arguments, self._loop.time() + wait_s)
            self._world(link.blocked[1], self._serve_blocked)
        else:
            reply = self.model.perform(arguments)
            self._after(link, arguments, reply)
            self._answer(link, reply)

    def _queue_reply(self, command: bytes) -> Any:
        try:
            self.model.refuse(command)
        except ReplyError as error:
            return error
        return Status(b"QUEUED")

    def _perform(self, link: Link, queued: list[list[bytes]]) -> None:
        reply = self.model.transact(queued)
        if isinstance(reply, list):
            for arguments, one in zip(queued, reply, strict=True):
                self._after(link, arguments, one)
        self._answer(link, reply)

    def _serve_blocked(self) -> None:
        for link in self.links:
            if link.blocked is None:
                continue
            arguments, deadline = link.blocked
            reply = self.model.perform(arguments)
            if reply is not None or self._loop.time() >= deadline:
                link.blocked = None
                self._answer(link, reply)
                # Other clients may be served in between.
                self._world(self._loop.time(), self._work_off, link)

    def _answer(self, link: Link, reply: Any) -> None:
        if link.closed:
            return
        delay = self._chance.random() ** 3 * self.weather.slow_s + 0.0001
        link.answer = max(link.answer, self._loop.time() + delay)
        if link.deaf:
            self.note(f"{_name(link)}: reply lost")
            self._world(link.answer, self.cut, link)
        else:
            self._world(link.answer, self._deliver, link, as_bytes(reply))

    def _deliver(self, link: Link, data: bytes) -> None:
        if not link.closed:
            link.reader.feed_data(data)


def _name(link: Link) -> str:
    return "somebody" if link.process is None else link.process.name


class SimWriter:
    """The client's end of a connection, as far as the client library uses it."""

    def __init__(self, network: Network, link: Link) -> None:
        self._network = network
        self._link = link

    def writelines(self, chunks: Iterable[bytes]) -> None:
        """Send bytes."""
        self._network.send(self._link, b"".join(chunks))

    @property
    def transport(self) -> "SimWriter":
        """Return the buffer of unsent bytes, which is always empty."""
        return self

    def get_write_buffer_size(self) -> int:
        """Return 0."""
        return 0

    def close(self) -> None:
        """Close the connection."""
        self._network.close(self._link)

    async def wait_closed(self) -> None:
        """Return at once."""


class SimConnection(Connection):
    """The client library's connection, with a simulated socket."""

    network: Network

    async def _connect(self) -> None:
        await asyncio.sleep(0.0002)
        link = self.network.connect()
        self._reader = link.reader
        self._writer = SimWriter(self.network, link)  # type: ignore[assignment]  # it has everything that the library uses

    async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002  # the signature of the library
        """Skip the handshake: the model speaks one version of the protocol."""
        self._parser.on_connect(self)

    def __del__(self, _warnings: Any = None) -> None:
        """Do nothing: a killed process leaves connections behind."""


def client_of(network: Network, *, timeout_s: float = 0.5, **_given: object) -> "redis.asyncio.Redis":
    """Return a client without retries, as `connect_async` does."""
    kind = type("SimConnection", (SimConnection,), {"network": network})
    pool = redis.asyncio.ConnectionPool(
        connection_class=kind,
        protocol=2,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        max_connections=200,
        # The library's introduction would cost more than all other commands.
        driver_info=None,
    )
    return LowLatencyRedis(connection_pool=pool)

"""A TCP proxy in front of a server, with all that a network can do: cut, delay, stall, swallow replies."""

import asyncio
import socket
import threading
from collections.abc import Callable
from random import Random

#: Bytes that one step passes on at most: so many that a delay is one, and no limit of what goes through.
_PIECE = 1 << 22

#: A connection that is cut in the middle of a request has this many bytes left at most.
_LAST_BYTES = 4096


class _Link:
    """One connection: a client on the one side, the server on the other."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        #: Bytes of requests that still pass before the link is cut; None: as many as there are.
        self.left: int | None = None
        #: A reply was swallowed: what follows would be taken for it.
        self.spoiled = False

    def cut(self) -> None:
        """Reset both sides."""
        for side in (self.client, self.server):
            if side is not None:
                side.transport.abort()


class Proxy:
    """Listens on a port of 127.0.0.1 and forwards to another port, in a thread.

    Args:
        target_port: port of the server on 127.0.0.1; the server need not run.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._links: set[_Link] = set()
        self._delay_s = 0.0
        self._swallowing = False
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)
        self._thread.start()

    def cut(self, chance: Random, share: float) -> None:
        """Cut a share of the connections, half of them in the middle of their next request."""
        self._call(lambda: self._cut(chance, share))

    def delay(self, seconds: float) -> None:
        """From now on every piece takes so much longer, in each direction."""
        self._call(lambda: setattr(self, "_delay_s", seconds))

    def stall(self, *, stalled: bool) -> None:
        """Pass nothing on, or go on with what has piled up; no connection ends."""
        self._call(self._flowing.clear if stalled else self._flowing.set)

    def swallow(self, *, swallowing: bool) -> None:
        """Forward requests and no replies; connections that missed a reply are cut at the end."""
        self._call(lambda: self._swallow(swallowing=swallowing))

    def close(self) -> None:
        """Stop; every connection ends."""
        self._call(self._loop.stop)
        self._thread.join()
        self._socket.close()

    def _call(self, what: Callable[[], object]) -> None:
        """Do something in the proxy's thread, and return when it is done."""
        done = threading.Event()

        def work() -> None:
            what()
            done.set()

        self._loop.call_soon_threadsafe(work)
        done.wait()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._accept, sock=self._socket, limit=_PIECE))
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    def _cut(self, chance: Random, share: float) -> None:
        for link in list(self._links):
            if chance.random() < share:
                if chance.random() < 0.5:
                    link.cut()
                else:
                    link.left = chance.randrange(_LAST_BYTES)

    def _swallow(self, *, swallowing: bool) -> None:
        self._swallowing = swallowing
        for link in list(self._links):
            if not swallowing and link.spoiled:
                link.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        self._links.add(link)
        try:
            replies, link.server = await asyncio.open_connection("127.0.0.1", self._target_port, limit=_PIECE)
            requests = self._pass_on(reader, link.server, link, are_replies=False)
            await asyncio.gather(requests, self._pass_on(replies, writer, link, are_replies=True))
        except (OSError, asyncio.CancelledError):
            return  # the server is not there, one side has gone, or the proxy ends
        finally:
            link.cut()
            self._links.discard(link)

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, link: _Link, *, are_replies: bool
    ) -> None:
        while piece := await source.read(_PIECE):
            await self._flowing.wait()
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            if are_replies and self._swallowing:
                link.spoiled = True
                continue
            if link.left is not None and not are_replies:
                piece = piece[: link.left]
                link.left -= len(piece)
            sink.write(piece)
            await sink.drain()
            if link.left == 0:
                break
        # Whichever side ends, the other ends too.
        raise ConnectionResetError

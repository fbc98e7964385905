"""Both readers with one interface, so that one suite tests both."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import redis
import redis.asyncio

from sanctum_bus.protocol.coverage import TypeCoverage
from sanctum_bus.reader import AsyncReader, BatchLine, DeadLetter, LogLine, Reader, RunInfo, Snapshot
from sanctum_bus.reader.queries import Since

T = TypeVar("T")


class Shell(Protocol):
    """The methods of `Reader`."""

    def runs(self, *, scan: bool = True) -> list[RunInfo]: ...  # noqa: D102  # as in `Reader`

    def snapshot(self, run: str, *, since: Since | None = None) -> Snapshot: ...  # noqa: D102

    def counters(self, run: str) -> Snapshot: ...  # noqa: D102

    def follow(self, run: str, **policy: Any) -> Generator[Snapshot, None, None]: ...  # noqa: D102

    def log(self, run: str, **page: Any) -> list[LogLine]: ...  # noqa: D102

    def follow_log(self, run: str, **policy: Any) -> Generator[LogLine, None, None]: ...  # noqa: D102

    def batches(self, run: str, **page: Any) -> list[BatchLine]: ...  # noqa: D102

    def coverage(self, run: str) -> list[TypeCoverage]: ...  # noqa: D102

    def dead_letters(self, run: str, **page: Any) -> list[DeadLetter]: ...  # noqa: D102

    def close(self) -> None: ...  # noqa: D102


class AsyncShell:
    """The reader for asyncio with a separate event loop, behind the interface of the other one."""

    def __init__(self, make: Callable[[], AsyncReader]) -> None:
        self._runner = asyncio.Runner()
        self._reader = make()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._reader, name)

        def call(*args: Any, **options: Any) -> Any:
            result = method(*args, **options)
            return self._each(result) if isinstance(result, AsyncGenerator) else self._runner.run(result)

        return call

    def close(self) -> None:
        """Close the reader and its loop."""
        self._runner.run(self._reader.close())
        self._runner.close()

    def _each(self, found: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        async def following() -> T:
            return await anext(found)

        try:
            with suppress(StopAsyncIteration):
                while True:
                    yield self._runner.run(following())
        finally:
            self._runner.run(_closed(found))


async def _closed(found: AsyncGenerator[Any, None]) -> None:
    await found.aclose()


class Shells:
    """Opens readers of one kind.

    Args:
        kind: `sync` or `async`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._closing: list[Callable[[], object]] = []

    def open(self, url: str, **options: Any) -> Shell:
        """Return a reader that is closed with the test."""
        return self._opened(lambda reader: reader(url, **options))

    def over(self, url: str, **options: Any) -> Shell:
        """Return a reader of a client that the test makes with these options."""
        if self.kind == "sync":
            client = redis.Redis.from_url(url, **options)
            shell = self._opened(lambda reader: reader(client=client))
            self._closing.append(client.close)
            return shell
        other = redis.asyncio.Redis.from_url(url, **options)
        shell = self._opened(lambda reader: reader(client=other))
        # The client is closed before the reader, which closes the loop.
        self._closing.insert(-1, lambda: _run_in(shell, other.aclose()))
        return shell

    def close(self) -> None:
        """Close all readers and clients."""
        for close in self._closing:
            close()

    def _opened(self, make: Callable[[Any], Any]) -> Shell:
        shell: Any = make(Reader) if self.kind == "sync" else AsyncShell(lambda: make(AsyncReader))
        self._closing.append(shell.close)
        opened: Shell = shell
        return opened


def _run_in(shell: Any, work: Coroutine[Any, Any, object]) -> None:
    shell._runner.run(work)

"""The connection of a producer to Redis: it sends a batch again until the server accepts it.

The client never retries; retries happen only here. After a timeout it is unknown whether the batch arrived. The whole
batch is sent again on a new connection, and a worker skips the numbers that it already has.
"""

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random

from redis import Redis

from sanctum_bus.connection.retry import backoff_s
from sanctum_bus.protocol import keys
from sanctum_bus.publisher.batch import BatchResult, Command, parse_replies
from sanctum_bus.publisher.config import PublisherConfig
from sanctum_bus.publisher.log import Failures, TaskLog
from sanctum_bus.publisher.wakeup import WakeUp

#: Minimum number of seconds between two updates of the index of runs.
INDEX_INTERVAL_S = 1.0


class PublisherConnection:
    """The connection of one producer to Redis. Only one thread may use it; `abort` is for other threads.

    Args:
        config: configuration of the publisher.
        who: run and producer, for the log.
        client_factory: creates a client; called for the first connection, and again after each failure.
        wake_up: ends a wait between two attempts.

    Attributes:
        failures: counter of the publisher's failures.
        aborted: whether sending was aborted.
    """

    def __init__(
        self, config: PublisherConfig, who: str, client_factory: Callable[[], Redis], wake_up: WakeUp
    ) -> None:
        self._client_factory = client_factory
        self._client: Redis | None = None
        self._index = keys.runs(config.key_prefix)
        self._run_id = config.run_id
        self._wake_up = wake_up
        self.failures = failures = Failures()
        self._sending = TaskLog(f"send events ({who})", failures)
        self._reporting = TaskLog(f"report the counts of sent and dropped events ({who})", failures)
        self._indexing = TaskLog(f"update the index of runs ({who})", failures)
        self._is_index_due = False
        self._indexed_at = -INDEX_INTERVAL_S
        # A separate generator: training may have seeded the global one, and its sequence must not change.
        self._random = Random(os.urandom(16))  # noqa: S311  # jitter needs no cryptographic random numbers
        self.aborted = False

    def abort(self) -> None:
        """Make no further attempts, and close the connection, so that a request without a reply ends.

        Another thread calls this, and triggers `wake_up` afterwards.
        """
        self.aborted = True
        pool = getattr(self._client, "connection_pool", None)
        if pool is not None:
            with suppress(Exception):
                pool.disconnect(inuse_connections=True)

    def send_until_accepted(self, batch: list[Command], attempts: float = math.inf) -> BatchResult | None:
        """Send a batch again and again until the server accepts at least a part of it.

        Args:
            batch: the commands.
            attempts: maximum number of attempts.

        Returns:
            The outcome, or None if no attempt succeeded or sending was aborted.
        """
        while not self.aborted and attempts > 0:
            attempts -= 1
            try:
                result = parse_replies(self._execute(batch))
            except Exception as error:  # noqa: BLE001  # whatever the error is, the batch may not have arrived
                self.back_off(error)
                continue
            if not result.sent:
                self.back_off(result.error or RuntimeError("empty reply"))
                continue
            self._sending.succeeded()
            self._is_index_due = True
            if result.error is None:
                self._reporting.succeeded()
            else:
                self._reporting.failed(result.error)
            return result
        return None

    def back_off(self, error: BaseException) -> None:
        """Record that sending failed, close the connection, and wait: longer after each failure, until woken."""
        failures = self._sending.failed(error)
        self.close()
        if not self.aborted:
            self._wake_up.wait(backoff_s(failures, self._random.random()))

    def mark_active(self, *, at_once: bool = False) -> None:
        """Set the run's last activity in the index of runs to the server's time, if events were sent since the last call.

        It follows the events, never precedes them: a worker that finds the run in the index must find its events.

        Args:
            at_once: update the index even if the last update is less than `INDEX_INTERVAL_S` ago.
        """
        now = time.monotonic()
        if not self._is_index_due or (not at_once and now - self._indexed_at < INDEX_INTERVAL_S):
            return
        self._indexed_at = now
        try:
            client = self._open()
            seconds, microseconds = client.time()
            active = seconds * 1000 + microseconds // 1000
            client.execute_command("ZADD", self._index, "GT", active, self._run_id)
        except Exception as error:  # noqa: BLE001  # the update stays due, and the next call tries again
            self._indexing.failed(error)
            self.close()
        else:
            self._indexing.succeeded()
            self._is_index_due = False

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        client, self._client = self._client, None
        try:
            if client is not None:
                client.close()
        except Exception:  # noqa: BLE001  # the connection was already broken
            return

    def _execute(self, batch: list[Command]) -> list[object]:
        with self._open().pipeline(transaction=True) as pipe:
            for command in batch:
                pipe.execute_command(*command)
            return pipe.execute(raise_on_error=False)

    def _open(self) -> Redis:
        if self._client is None:
            self._client = self._client_factory()
        return self._client

"""The way to Redis: a batch is sent again until it is accepted, each time on a new connection.

The client makes no retries of its own. After a time-out nobody knows whether the batch arrived; here it is sent again
as a whole, and the worker leaves out the numbers that it has.
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
from sanctum_bus.publisher.wakeup import Wake

#: The index of runs is touched at most this often, in seconds.
TOUCH_EVERY_S = 1.0


class PublisherConnection:
    """One producer's way to Redis; for one thread.

    Args:
        plan: where to.
        who: run and producer, for the log.
        client_factory: makes a client; called at first, and again after each failure.
        wake: ends a wait between two attempts.

    Attributes:
        failures: what went wrong so far.
        given_up: nothing more is to be tried.
    """

    def __init__(
        self, plan: PublisherConfig, who: str, client_factory: Callable[[], Redis], wake: Wake
    ) -> None:
        self._client_factory = client_factory
        self._client: Redis | None = None
        self._index = keys.runs(plan.key_prefix)
        self._run_id = plan.run_id
        self._wake = wake
        self.failures = failures = Failures()
        self._sending = TaskLog(f"send events ({who})", failures)
        self._reporting = TaskLog(f"report what was sent ({who})", failures)
        self._touching = TaskLog(f"touch the index of runs ({who})", failures)
        self._touch_due = False
        self._touched = -TOUCH_EVERY_S
        # Its own: training may have seeded the module's, and must find it as it left it.
        self._random = Random(os.urandom(16))  # noqa: S311  # jitter is no secret
        self.given_up = False

    def give_up(self) -> None:
        """Try nothing more, and cut the connection, so that a server that does not answer holds nobody up.

        From another thread, which calls `wake` then.
        """
        self.given_up = True
        pool = getattr(self._client, "connection_pool", None)
        if pool is not None:
            with suppress(Exception):
                pool.disconnect(inuse_connections=True)

    def insist(self, batch: list[Command], attempts: float = math.inf) -> BatchResult | None:
        """Send the same batch until at least a part of it is taken; None if the link, or it, was given up before.

        Args:
            batch: the commands.
            attempts: after which the batch is given up.
        """
        while not self.given_up and attempts > 0:
            attempts -= 1
            try:
                result = parse_replies(self._execute(batch))
            except Exception as error:  # noqa: BLE001  # whatever it was, the batch may not have arrived
                self.pause(error)
                continue
            if not result.sent:
                self.pause(result.problem or RuntimeError("an empty reply"))
                continue
            self._sending.succeeded()
            self._touch_due = True
            if result.problem is None:
                self._reporting.succeeded()
            else:
                self._reporting.failed(result.problem)
            return result
        return None

    def pause(self, error: BaseException) -> None:
        """Note that sending failed, drop the connection, and wait: longer each time, until called."""
        failures = self._sending.failed(error)
        self.close()
        if not self.given_up:
            self._wake.wait(backoff_s(failures, self._random.random()))

    def touch(self, *, at_once: bool = False) -> None:
        """Say in the index of runs that this run is active, if anything was sent since the last time.

        After the events, never before: who sees the run in the index must find them. The time is the server's.
        """
        now = time.monotonic()
        if not self._touch_due or (not at_once and now - self._touched < TOUCH_EVERY_S):
            return
        self._touched = now
        try:
            client = self._open()
            seconds, microseconds = client.time()
            active = seconds * 1000 + microseconds // 1000
            client.execute_command("ZADD", self._index, "GT", active, self._run_id)
        except Exception as error:  # noqa: BLE001  # it stays due, and is tried again
            self._touching.failed(error)
            self.close()
        else:
            self._touching.succeeded()
            self._touch_due = False

    def close(self) -> None:
        """Drop the connection."""
        client, self._client = self._client, None
        try:
            if client is not None:
                client.close()
        except Exception:  # noqa: BLE001  # it was broken anyway
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

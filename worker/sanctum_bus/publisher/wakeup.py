"""Waking the sending thread."""

import threading


class Wake:
    """Ends the wait of one thread. Unlike an Event it has no lock that a signal handler could find taken."""

    def __init__(self) -> None:
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def call(self) -> None:
        """End the wait that is going on, or else the next one."""
        try:
            self._asleep.release()
        except RuntimeError:
            # It has been called already.
            return

    def wait(self, timeout_s: float) -> None:
        """Wait for a call."""
        self._asleep.acquire(timeout=min(timeout_s, threading.TIMEOUT_MAX))

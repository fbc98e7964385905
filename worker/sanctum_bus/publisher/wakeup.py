"""The wake-up call of a background thread."""

import threading


class WakeUp:
    """Ends the wait of one thread. Unlike `threading.Event`, it has no lock that a signal handler could find held."""

    def __init__(self) -> None:
        self._waiting = threading.Lock()
        self._waiting.acquire()

    def trigger(self) -> None:
        """End the current wait, or the next one if the thread is not waiting. Never blocks."""
        try:
            self._waiting.release()
        except RuntimeError:
            # Triggered before, and no wait has started since.
            return

    def wait(self, timeout_s: float) -> None:
        """Wait until triggered, or until `timeout_s` seconds have passed."""
        self._waiting.acquire(timeout=min(timeout_s, threading.TIMEOUT_MAX))

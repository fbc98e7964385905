"""Commands on a terminal."""

import errno
import os
import pty
import signal
import subprocess
import termios

from tests.support.commands import DEADLINE_S, command
from tests.support.waiting import wait_until


class Terminal:
    """A command on a terminal of 120 by 40."""

    def __init__(self, *args: str, env: dict[str, str]) -> None:
        self._near, far = pty.openpty()
        termios.tcsetwinsize(far, (40, 120))
        self._before = termios.tcgetattr(far)
        self._far = far
        self.process = subprocess.Popen(
            command(*args), stdin=far, stdout=far, stderr=far, env=env | {"TERM": "xterm-256color"}
        )
        os.set_blocking(self._near, False)
        self.screen = ""

    def shows(self, text: str) -> bool:
        """Whether it has printed a text by now."""
        while True:
            try:
                self.screen += os.read(self._near, 65536).decode("utf-8", "replace")
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                break
        return text in self.screen

    def type(self, keys: bytes) -> None:
        """Type some keys."""
        os.write(self._near, keys)

    def press_q(self) -> None:
        """Type a q."""
        self.type(b"q")

    def interrupt(self) -> None:
        """Do what Ctrl-C does on a terminal that is the process's own."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Wait for its end, and check that the terminal is as it was."""
        wait_until(
            lambda: self.shows("\0") or self.process.poll() is not None, "the command ends", DEADLINE_S
        )
        self.shows("")
        # Screens that were opened were closed, and keys show again when they are typed.
        assert self.screen.count("\x1b[?1049h") == self.screen.count("\x1b[?1049l")
        assert termios.tcgetattr(self._far)[3] == self._before[3]
        return self.process.returncode

    def close(self) -> None:
        """End what is still there."""
        self.process.kill()
        self.process.wait()
        os.close(self._near)
        os.close(self._far)

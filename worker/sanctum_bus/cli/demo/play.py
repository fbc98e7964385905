"""Publishing the demo's recording in a thread."""

import threading
from dataclasses import dataclass, field

from sanctum_bus.cli.coverage import RawCount
from sanctum_bus.cli.demo.data import demo_recording
from sanctum_bus.cli.replay import publisher_for, replay, settle
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.errors import SanctumError
from sanctum_bus.events import recordings
from sanctum_bus.publisher import PublisherStats

#: Name of the demo's run.
RUN = "demo"

#: Seconds for the thread to end after it is stopped.
_STOP_S = 5.0


@dataclass
class DemoPublisher:
    """Publishes the recording in a thread.

    Args:
        server: the server.
        speed: multiple of the recorded pace; None: as fast as possible.

    Attributes:
        raw: counts of the recording's raw lines.
    """

    place: ServerTarget
    speed: float | None
    raw: RawCount = field(default_factory=RawCount)
    stats: PublisherStats | None = None
    error: SanctumError | None = None
    _told: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Start publishing."""
        self._thread = threading.Thread(target=self._run, name="demo-publisher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop publishing."""
        self._told.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def check(self) -> PublisherStats | None:
        """Return the publisher's counts after everything is published; None before.

        Raises:
            SanctumError: publishing failed.
        """
        if self.error is not None:
            raise self.error
        return self.stats

    def _run(self) -> None:
        try:
            publisher = publisher_for(self.place, RUN, labels={"source": "sanctum demo"})
            records = self.raw.watch(recordings.read(demo_recording()))
            with publisher:
                for _ in replay(records, publisher, self.speed, self._told.wait):
                    if self._told.is_set():
                        return
                settle(publisher)
        except SanctumError as error:
            self.error = error
        else:
            self.stats = publisher.stats

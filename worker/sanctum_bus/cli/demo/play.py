"""Publishing the demo's recording beside everything else."""

import threading
from dataclasses import dataclass, field

from sanctum_bus.cli.coverage import RawCount
from sanctum_bus.cli.demo.data import demo_recording
from sanctum_bus.cli.replay import publisher_for, replay, settle
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.errors import SanctumError
from sanctum_bus.events import recordings
from sanctum_bus.publisher import PublisherStats

#: The demo's run.
RUN = "demo"

#: Seconds that the thread has to end once it is told.
_STOP_S = 5.0


@dataclass
class DemoPublisher:
    """Publishes the recording in a thread of its own.

    Args:
        place: where to.
        speed: times the recorded pace; None: as fast as it goes.

    Attributes:
        raw: what the recording's lines hold, counted as they stand there.
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
        """Publish nothing more."""
        self._told.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def check(self) -> PublisherStats | None:
        """Return what came of it once all is published, None before.

        Raises:
            SanctumError: it failed.
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

"""Simulates seeds, and returns their outcomes."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.system.simulation.clock import Stuck
from tests.system.simulation.oracle import Violation
from tests.system.simulation.patches import Edit, patched, untouched
from tests.system.simulation.profiles import Profile, drawn
from tests.system.simulation.publishers import SimPublisher
from tests.system.simulation.world import World


@dataclass(frozen=True)
class Outcome:
    """The outcome of one seed.

    Args:
        seed: the seed.
        broken: the promise that was broken, or "".
        story: the last steps.
        fingerprint: equal for equal worlds.
        checks: number of compared snapshots.
        commits: number of commits.
        seconds: simulated seconds.
    """

    seed: int
    broken: str
    story: str
    fingerprint: int
    checks: int
    commits: int
    seconds: float

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.broken or 'no promise broken'}\n{self.story}"


def simulate(
    seed: int,
    profile: Profile | None = None,
    *,
    edit: Edit = untouched,
    publisher: type[SimPublisher] = SimPublisher,
    prepare: Callable[[World], None] = lambda _: None,
) -> Outcome:
    """Simulate one seed.

    Args:
        seed: the seed.
        profile: parts and faults; by default drawn from the seed.
        edit: changes scripts.
        publisher: class of the publishers.
        prepare: called with the world before it begins.
    """
    world = World(seed, profile or drawn(Random(~seed)), publisher)  # noqa: S311  # a seed must lead to the same world again
    broken = ""
    with patched(world, edit):
        prepare(world)
        try:
            world.loop.run(world.run())
        except (Violation, Stuck) as error:
            broken = f"{type(error).__name__}: {error}"
        finally:
            story, seconds = world.story(), world.loop.time()
            world.loop.bury()
    oracle = world.oracle
    return Outcome(seed, broken, story, world.fingerprint, oracle.checks, oracle.commits, seconds)

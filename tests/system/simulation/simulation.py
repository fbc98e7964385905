"""Runs seeds, and says what came of them."""

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
    """What came of one seed.

    Args:
        broken: the promise that was broken, or "".
        story: the last steps.
        fingerprint: the same for the same seed.
    """

    seed: int
    broken: str
    story: str
    fingerprint: int
    checks: int
    commits: int
    seconds: float

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.broken or 'all is well'}\n{self.story}"


def simulate(
    seed: int,
    profile: Profile | None = None,
    *,
    edit: Edit = untouched,
    publisher: type[SimPublisher] = SimPublisher,
    prepare: Callable[[World], None] = lambda _: None,
) -> Outcome:
    """Run one seed.

    Args:
        seed: which.
        profile: what there is; by default it is drawn from the seed too.
        edit: changes scripts.
        publisher: what publishers are made of.
        prepare: looks at the world before it begins.
    """
    world = World(seed, profile or drawn(Random(~seed)), publisher)  # noqa: S311  # a seed must lead to the same again
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

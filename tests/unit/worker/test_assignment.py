"""Assignment: every worker computes the same result, the shares are even, and few runs move."""

from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.worker.assignment import owner_of, share_of

names = st.sets(st.text(min_size=1), max_size=12)


@given(names, names)
def test_every_run_has_exactly_one_owner(runs: set[str], workers: set[str]) -> None:
    """Each run belongs to exactly one worker; without workers no run has an owner."""
    shares = [share_of(worker, runs, workers) for worker in workers]

    assert sum(map(len, shares)) == (len(runs) if workers else 0)
    assert set().union(*shares) == (runs if workers else set())


@given(names, names, st.text(min_size=1))
def test_a_worker_that_joins_takes_and_moves_nothing_else(
    runs: set[str], workers: set[str], joins: str
) -> None:
    """If a worker joins, each run stays with its worker or moves to the new one."""
    for run in runs:
        assert owner_of(run, workers | {joins}) in {owner_of(run, workers), joins}


@given(names, names)
def test_a_worker_that_leaves_gives_away_only_its_own(runs: set[str], workers: set[str]) -> None:
    """If a worker leaves, the runs of the other workers do not move."""
    for leaves in workers:
        for run in runs - share_of(leaves, runs, workers):
            assert owner_of(run, workers - {leaves}) == owner_of(run, workers)


def test_shares_are_even() -> None:
    """With many runs, no worker has more than twice the mean share."""
    workers = [f"worker-{number}" for number in range(8)]
    runs = [f"run-{number}" for number in range(4000)]

    assert max(len(share_of(worker, runs, workers)) for worker in workers) < 2 * len(runs) / len(workers)


def test_the_order_of_the_members_does_not_matter() -> None:
    """The order of the live workers does not change the result."""
    assert owner_of("demo", ["a", "b", "c"]) == owner_of("demo", ["c", "a", "b"])

"""What is done to a run from outside: removing it."""

from typing import cast

import redis

from sanctum_bus import keys
from sanctum_bus.errors import UnknownRun
from sanctum_bus.keys import RunKeys
from sanctum_bus.scripts import script


def remove_run(client: redis.Redis, run: RunKeys) -> int:
    """Remove every key of a run at once, then its name from the index; return how many keys there were.

    A producer that still publishes brings the run back, with what it publishes from then on.

    Raises:
        UnknownRun: there is nothing to remove.
        RedisError: the server could not be asked.
    """
    # The index of sections comes first: by it the script finds the keys that have no fixed name.
    fixed = (
        run.sections,
        run.none,
        run.events,
        run.checkpoint,
        run.coverage,
        run.log,
        run.batches,
        run.dead,
        run.producers,
    )
    removed = cast("int", client.execute_command("EVAL", script("remove").text, len(fixed), *fixed, run.base))
    listed = cast("int", client.execute_command("ZREM", keys.runs(run.prefix), run.run_id))
    if not removed and not listed:
        raise UnknownRun(f"there is no run {run.run_id!r} on this server; `sanctum runs` lists what there is")
    return removed

"""The one place that calls the Lua scripts: the order of their KEYS and ARGV, and the fall-back for an unknown digest.

A call sends the digest of its script (EVALSHA). A server that lacks the script answers NOSCRIPT and executes nothing,
so the call is then sent with the whole text (EVAL), which the server keeps. Scripts with the flag `no-writes` are called
by EVALSHA_RO and EVAL_RO, which users without write permission may call.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from redis.exceptions import NoScriptError

from sanctum_bus.protocol import schema
from sanctum_bus.protocol.keys import GROUP, RunKeys
from sanctum_bus.protocol.scripts import script

Effect = TypeVar("Effect")

#: A command as redis-py takes it: its name and its arguments.
Command = tuple[Any, ...]


class ScriptCall(NamedTuple):
    """A call of one script.

    Args:
        name: the script's file name without its extension.
        keys: KEYS. All of them are on one cluster slot.
        arguments: ARGV.
    """

    name: str
    keys: Sequence[str]
    arguments: Sequence[Any] = ()

    @property
    def by_digest(self) -> Command:
        """The command that names the script by its digest."""
        text, digest = script(self.name)
        return (f"EVALSHA{_suffix(text)}", digest, len(self.keys), *self.keys, *self.arguments)

    @property
    def by_text(self) -> Command:
        """The command that sends the whole script."""
        text, _ = script(self.name)
        return (f"EVAL{_suffix(text)}", text, len(self.keys), *self.keys, *self.arguments)


def _suffix(text: str) -> str:
    return "_RO" if "no-writes" in text.partition("\n")[0] else ""


class _Client(Protocol):
    def execute_command(self, *args: Any) -> Any:
        """Send a command and return its reply, or an awaitable of its reply."""


def run(client: _Client, call: ScriptCall) -> Any:
    """Run a script on a synchronous client, and return its reply."""
    try:
        return client.execute_command(*call.by_digest)
    except NoScriptError:
        return client.execute_command(*call.by_text)


async def run_async(client: _Client, call: ScriptCall) -> Any:
    """Run a script on an asyncio client, and return its reply."""
    try:
        return await client.execute_command(*call.by_digest)
    except NoScriptError:
        return await client.execute_command(*call.by_text)


def run_program(
    call: ScriptCall, send: Callable[..., Generator[Effect, Any, Any]]
) -> Generator[Effect, Any, Any]:
    """Run a script in a program that does no I/O itself, and return its reply.

    Args:
        call: the call.
        send: takes the parts of a command, yields effects, and returns the reply.
    """
    try:
        return (yield from send(*call.by_digest))
    except NoScriptError:
        return (yield from send(*call.by_text))


async def run_pipelined(client: Any, call: ScriptCall, *behind: Command) -> list[Any]:
    """Run a script and the commands behind it in one round trip of an asyncio client.

    If the server lacks the script, the script runs after the other commands.

    Args:
        client: the client.
        call: the script.
        behind: commands to execute after the script.

    Returns:
        The replies in order. The error of a command stands in its place.
    """
    pipeline = client.pipeline(transaction=False)
    for command in (call.by_digest, *behind):
        pipeline.execute_command(*command)
    first, *others = await pipeline.execute(raise_on_error=False)
    if isinstance(first, NoScriptError):
        first = await client.execute_command(*call.by_text)
    return [first, *others]


# The calls. Each script's header documents its reply.


def acquire(run: RunKeys, owner: str, *, blameless: bool) -> ScriptCall:
    """Make a worker the owner of a run, and start its group after the checkpoint.

    Args:
        run: the run.
        owner: ID of the worker.
        blameless: the last attempt failed for a reason outside the entries; this one does not count as an attempt.
    """
    arguments = (run.base, GROUP, owner, int(blameless), schema.SCHEMA_VERSION, schema.oldest())
    return ScriptCall("acquire", run.written, arguments)


def release(run: RunKeys, generation: str, *, idle: bool) -> ScriptCall:
    """Clear the owner of a run.

    Args:
        run: the run.
        generation: of the caller's lease.
        idle: do so only if nothing is unread, and forget the names of removed sections.
    """
    keys = (run.events, run.checkpoint, run.sections, run.none)
    return ScriptCall("release", keys, (generation, int(idle), GROUP))


def commit(run: RunKeys, sections: Iterable[str], arguments: Sequence[Any]) -> ScriptCall:
    """Write what changed, the version and the acknowledgment.

    Args:
        run: the run.
        sections: names of the sections to write, in the order of the arguments.
        arguments: from `commit_arguments`.
    """
    return ScriptCall("commit", (*run.written, *map(run.section, sections)), arguments)


def replace_snapshot(run: RunKeys, sections: Iterable[str], arguments: Sequence[Any]) -> ScriptCall:
    """Replace the whole snapshot by another one of the same version.

    Args:
        run: the run.
        sections: names of the sections to write, in the order of the arguments.
        arguments: from `commit_arguments`.
    """
    return ScriptCall("replace_snapshot", (*run.written, *map(run.section, sections)), arguments)


def read_snapshot(
    run: RunKeys, since: str = "", generation: str | int = "", *, want: str, coverage: bool = False
) -> ScriptCall:
    """Read one consistent view of a run.

    Args:
        run: the run.
        since: version from which changed sections are wanted; "": all sections.
        generation: of the snapshot that had that version.
        want: `sections`, `names` (the names of all sections, too) or `head` (neither).
        coverage: read the coverage, too.
    """
    keys = (run.events, run.checkpoint, run.sections, run.coverage, run.recent, run.none)
    return ScriptCall("read_snapshot", keys, (run.base, since, generation, "1" if coverage else "", want))


def lag(run: RunKeys, version: str) -> ScriptCall:
    """Read how far the owner of a run is behind, and what the producers report.

    Args:
        run: the run.
        version: committed by the owner.
    """
    return ScriptCall("lag", (run.events, run.producers, run.none), (GROUP, version))


def key_types(run: RunKeys) -> ScriptCall:
    """Read the types of a run's keys; of sections, those that the index names."""
    return ScriptCall("key_types", run.fixed, (run.base,))


def lock_run(run: RunKeys, lock_ms: int) -> ScriptCall:
    """Fence the owner of a run, and prevent acquisitions for some time.

    Args:
        run: the run.
        lock_ms: milliseconds.
    """
    return ScriptCall("lock_run", (run.checkpoint, run.none), (lock_ms,))


def requeue(run: RunKeys, dead_letters: Sequence[Any]) -> ScriptCall:
    """Move dead letters back into the stream.

    Args:
        run: the run.
        dead_letters: for each its ID, the number of field names and values to add, and these.
    """
    return ScriptCall("requeue", (run.events, run.checkpoint, run.dead, run.none), dead_letters)


def remove_run(run: RunKeys, *unchanged: str) -> ScriptCall:
    """Remove every key of a run.

    Args:
        run: the run.
        unchanged: generation and version that the run must still have, "" for none; nothing: remove it in any state.
    """
    return ScriptCall("remove_run", run.fixed, (run.base, *unchanged))


def heartbeat(workers_key: str, worker: str, lease_ms: int) -> ScriptCall:
    """Extend a worker's lease, and read which workers are alive.

    Args:
        workers_key: the sorted set of workers.
        worker: ID of the worker.
        lease_ms: milliseconds from now; 0: the worker leaves.
    """
    return ScriptCall("heartbeat", (workers_key,), (worker, lease_ms))


def set_worker_state(state_key: str, worker: str, state: str, alive: Iterable[str]) -> ScriptCall:
    """Store a worker's state, and delete the states of workers that are not alive.

    Args:
        state_key: the hash of worker states.
        worker: ID of the worker.
        state: JSON; "": the worker leaves.
        alive: IDs of the workers that are alive.
    """
    return ScriptCall("set_worker_state", (state_key,), (worker, state, *sorted(alive)))


def mark_active(runs_key: str, run_id: str) -> ScriptCall:
    """Record in the index of runs that a run had an event now.

    Args:
        runs_key: the sorted set of runs.
        run_id: ID of the run.
    """
    return ScriptCall("mark_active", (runs_key,), (run_id,))

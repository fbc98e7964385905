"""Checks servers and the runs on them against what Sanctum needs, and says what to do.

findings      what a check comes to
servers       what is wrong with a server, runs: with a run, from what they say; no I/O
asking        what a server is asked, asking_runs: what is asked of runs
checks        the table of all checks
"""

import re

import redis
from redis.exceptions import NoPermissionError, ResponseError

from sanctum_bus.connection import primaries
from sanctum_bus.errors import Unavailable, UnknownSchema
from sanctum_bus.ops.doctor.checks import RUN_CHECKS, SERVER_CHECKS, RunCheck, ServerCheck
from sanctum_bus.ops.doctor.findings import Finding, Level, Verdict, fault, note
from sanctum_bus.ops.doctor.probe_runs import Asker
from sanctum_bus.protocol.key_types import WrongType, is_wrong_type

__all__ = ["Finding", "Level", "examine"]


def examine(client: redis.Redis, prefix: str) -> list[Finding]:
    """Check every server that holds keys, and every run; what may not be looked at is a note.

    Args:
        client: of the servers, for threads.
        prefix: what every key begins with.

    Raises:
        RedisError: a server could not be asked.
    """
    found = [
        finding
        for server in primaries(client)
        for check in SERVER_CHECKS
        for finding in _of_server(check, server, prefix)
    ]
    if any(one.check == "version" and one.level is Level.FAULT for one in found):
        # It could not even be read.
        return found
    return found + _of_runs(Asker(client, prefix))


def _of_server(check: ServerCheck, server: redis.Redis, prefix: str) -> list[Finding]:
    try:
        verdicts = check.judge(check.ask(server, prefix))
    except ResponseError as error:
        verdicts = [_not_looked(error)]
    return [_finding(check, _name_of(server), verdict) for verdict in verdicts]


def _of_runs(asker: Asker) -> list[Finding]:
    found: list[Finding] = []
    typed, owner, commit, group, *_ = RUN_CHECKS
    try:
        found += [_finding(typed, "every run", _mistyped(one)) for one in asker.wrong_shared()]
        for run_id, run in asker.runs():
            if isinstance(run, UnknownSchema):
                found.append(_finding(commit, run_id, fault(str(run), "pip install --upgrade sanctum-bus")))
            elif isinstance(run, ResponseError):
                found.append(
                    _finding(commit, run_id, fault(f"cannot be read: {run}", "ask whoever runs the server"))
                )
            elif isinstance(run, list):
                found += [_finding(typed, run_id, _mistyped(one)) for one in run]
            else:
                found += [_finding(check, run_id, one) for check in RUN_CHECKS for one in check.judge(run)]
    except (ResponseError, Unavailable) as error:
        # That an index has the wrong type was found before.
        if isinstance(error, ResponseError) and not is_wrong_type(error):
            found.append(_finding(owner, "every run", _not_looked(error)))
    if asker.refused is not None:
        found.append(_finding(group, "every run", _not_looked(asker.refused)))
    return found


def _mistyped(one: WrongType) -> Verdict:
    return fault(one.seen, one.remedy)


def _finding(check: ServerCheck | RunCheck, where: str, verdict: Verdict) -> Finding:
    why = check.why if verdict.level > Level.NOTE else ""
    return Finding(check.name, where, verdict.level, verdict.seen, why, verdict.remedy)


def _not_looked(error: ResponseError) -> Verdict:
    """Return that a check could not be made, and what would be needed for it."""
    if not isinstance(error, NoPermissionError):
        return note(f"could not look: {error}", "ask whoever runs the server")
    command = re.search(r"the '([^']+)' command", str(error))
    words = str(error).rpartition("caused error: ")[2]
    return note(
        f"could not look: {words}", f"grant +{command[1]}" if command else "grant it, or use another user"
    )


def _name_of(server: redis.Redis) -> str:
    at = server.connection_pool.connection_kwargs
    return str(at["path"]) if "path" in at else f"{at.get('host')}:{at.get('port')}"

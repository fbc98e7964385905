"""Checks of servers and their runs against the needs of Sanctum, with a remedy for each finding.

findings        the result of a check
probe_servers   reads the state of a server; probe_runs: of the runs
judge_servers   judges the state of a server, judge_runs: of a run; no I/O
checks          the table of all checks
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
    """Check every server that holds keys, and every run. A check without permission becomes a note.

    Args:
        client: a client for the servers, for use in threads.
        prefix: the key prefix.

    Raises:
        RedisError: a server could not execute the requests.
    """
    found = [
        finding
        for server in primaries(client)
        for check in SERVER_CHECKS
        for finding in _of_server(check, server, prefix)
    ]
    if any(one.check == "version" and one.level is Level.FAULT for one in found):
        # The run could not be read at all.
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
                    _finding(
                        commit,
                        run_id,
                        fault(f"cannot be read: {run}", "contact the administrator of the server"),
                    )
                )
            elif isinstance(run, list):
                found += [_finding(typed, run_id, _mistyped(one)) for one in run]
            else:
                found += [_finding(check, run_id, one) for check in RUN_CHECKS for one in check.judge(run)]
    except (ResponseError, Unavailable) as error:
        # The index with the wrong type was reported above.
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
    """Return the finding that a check was not made, and what it needs."""
    if not isinstance(error, NoPermissionError):
        return note(f"not checked: {error}", "contact the administrator of the server")
    command = re.search(r"the '([^']+)' command", str(error))
    words = str(error).rpartition("caused error: ")[2]
    return note(
        f"not checked: permission denied ({words})",
        f"grant +{command[1]}" if command else "grant the permission, or use another user",
    )


def _name_of(server: redis.Redis) -> str:
    at = server.connection_pool.connection_kwargs
    return str(at["path"]) if "path" in at else f"{at.get('host')}:{at.get('port')}"

"""`dead`: what could not be folded is shown with its bytes and the reason."""

from base64 import b64encode

import msgpack

from tests.support.commands import Run
from tests.support.servers import Server


def test_dead_letters(run: Run, valkey: Server) -> None:
    """Each parked entry is shown with its id, the reason, and what it holds."""
    body = msgpack.packb({"v": 1, "data": {"total_reward": 1.5}})
    with valkey.client() as client:
        source = client.xadd(
            f"nissa:{{{run.id}}}:events", {"type": "REWARD_COMPUTED", "event": body}
        ).decode()
        client.xadd(f"nissa:{{{run.id}}}:events", {"type": "X", "event": b"\xc1\xff", "note": "\x1b[1m"})
    run.drain()

    first, second = run.good("dead-letters", run.id, "--json").json_lines
    shown = run.good("dead-letters", run.id).out

    assert first["source_id"] == source
    assert "env_id" in first["reason"]
    assert first["fields"]["type"] == "REWARD_COMPUTED"
    assert second["fields"] == {
        "type": "X",
        "event": {"$bytes": b64encode(b"\xc1\xff").decode()},
        "note": "\x1b[1m",
    }
    assert "'total_reward': 1.5" in shown
    assert "\x1b" not in shown


def test_none(run: Run) -> None:
    """A run without parked entries has none: nothing on standard output, a word on the other."""
    run.publish({"event_type": "OTHER", "data": {}})

    ran = run.good("dead-letters", run.id)

    assert (ran.out, ran.err) == ("", f"sanctum: run {run.id} has no dead letters\n")

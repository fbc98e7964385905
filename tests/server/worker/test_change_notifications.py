"""Change notifications: the message that a commit publishes."""

import json
from typing import Any

from tests.support.servers import Server
from tests.support.worker_rig import plain, rigged, side_of


def test_a_hint_says_what_changed_and_how_many_hear_it(server: Server) -> None:
    """A notification has the generation, the version, the changed sections, and the number of followers."""
    side = side_of(server)
    told = side.add(plain(3))
    hints: list[dict[str, Any]] = []
    with side.redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.ssubscribe(side.keys.changed)
        pubsub.get_message(timeout=1.0)
        rigged(server, lambda rig: rig.drain(), read_batch_size=1, commit_max_entries=1)
        while len(hints) < len(told):
            message: Any = pubsub.get_message(timeout=5.0)
            assert message is not None, f"only {len(hints)} notifications arrived"
            hints.append(json.loads(message["data"]))

    assert [hint["version"] for hint in hints] == told
    assert [hint["followers"] for hint in hints] == [1, 1, 1]
    assert [sorted(hint["sections"]) for hint in hints] == [["event:X", "run"]] * 3
    assert {hint["generation"] for hint in hints} == {int(side.checkpoint("generation") or 0)}

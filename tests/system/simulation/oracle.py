"""The oracle: after every commit and every acquisition, the snapshot on the server must be the fold of its stream.

It has every entry that a stream ever had, also trimmed ones, and folds them separately, entry by entry.
"""

from itertools import takewhile
from typing import Any

from sanctum_bus.fold.recovery import QuarantinedEntry
from sanctum_bus.protocol.dead_letter import raw_of
from sanctum_bus.protocol.keys import GROUP, RunKeys
from tests.system.simulation.history import History, Texts
from tests.system.simulation.server import Model
from tests.system.simulation.streams import Id, Stream, parse_id, show_id


class Violation(Exception):
    """A promise was broken."""


class Oracle:
    """Checks the effects of the scripts.

    Args:
        model: the server.
        log_cap: lines that the log keeps.
        fence: whether a commit of a replaced worker is a violation even if it writes the right state.

    Attributes:
        checks: number of compared snapshots.
        commits: number of commits.
        refused: guard -> number of refused commits.
    """

    def __init__(self, model: Model, log_cap: int, *, fence: bool = True) -> None:
        self._model = model
        self._log_cap = log_cap
        self._fence = fence
        self.histories: dict[str, History] = {}
        self.checks = 0
        self.commits = 0
        self.refused: dict[str, int] = {}

    def judge(self, name: str, run_id: str, argv: list[bytes], reply: Any) -> None:
        """Check the effect of a script.

        Raises:
            Violation: the script broke a promise.
        """
        history = self.histories.get(run_id)
        if history is None:
            history = self.histories[run_id] = History(self._log_cap)
            history.may_be_fresh = True
        if isinstance(reply, Exception):
            # The next acquisition must detect what a failed script has left.
            if self._model.died:
                history.may_be_fresh = history.scarred = True
        elif name == "acquire" and reply[0] == b"acquired":
            self._acquire(run_id, history, reply)
        elif name == "commit" and reply[0] == b"ok":
            self.commits += 1
            self._commit(run_id, history, argv)
        elif name == "commit":
            guard = reply[1].decode()
            self.refused[guard] = self.refused.get(guard, 0) + 1
        elif name == "remove_run" and reply >= 0:
            history.may_be_fresh = True

    def _acquire(self, run_id: str, history: History, reply: list[Any]) -> None:
        generation, version, attempts, new_history = (
            int(reply[1]),
            parse_id(reply[2]),
            int(reply[3]),
            reply[4] == b"1",
        )
        if generation <= history.generation:
            raise Violation(f"generation {generation} after {history.generation}")
        history.generation, history.attempts = generation, attempts
        begun = history.may_be_fresh and version == (0, 0) and self._is_empty(run_id)
        if new_history or begun:
            if not history.may_be_fresh:
                raise Violation("a new history began, although the old one was undamaged")
            history.begin()
        elif version != history.version:
            stream = self._stream(run_id)
            if version != (0, 0) or stream is None or stream.last >= history.version:
                raise Violation(f"acquired at version {version}, expected {history.version}")
            history.replaced()
        history.trimmed(reply[5].decode(), int(reply[6]))
        self.compare(run_id)

    def _is_empty(self, run_id: str) -> bool:
        """Return whether an acquisition has begun a new history and then failed."""
        checkpoint = self._model.keys.get(RunKeys(run_id).checkpoint.encode())
        return isinstance(checkpoint, dict) and checkpoint.get(b"entries") == b"0"

    def _stream(self, run_id: str) -> Stream | None:
        found = self._model.keys.get(RunKeys(run_id).events.encode())
        return found if isinstance(found, Stream) else None

    def _commit(self, run_id: str, history: History, argv: list[bytes]) -> None:
        generation, new = int(argv[1]), parse_id(argv[3])
        if self._fence and generation != history.generation:
            raise Violation(f"generation {generation} has committed while {history.generation} owns the run")
        acks = _acknowledged(argv)
        stream = self._stream(run_id) or Stream()
        known = {one: flat for one, flat in stream.full if history.version < one <= new}
        due = [one for one in known if one not in stream.removed]
        if sorted(set(acks)) != acks or not set(acks) <= known.keys():
            raise Violation(f"entries out of order, or from nowhere: {acks} of {sorted(known)}")
        # The one exception: a cursor that was moved by hand in the middle of a batch. At its beginning it is
        # detected.
        missed = {
            one for one in set(due) - set(acks) if one not in stream.skipped or not acks or one < acks[0]
        }
        if missed or (acks and acks[-1] != new) or (not acks and new != history.version):
            raise Violation(f"committed {new} after {history.version}, without {sorted(missed)}")
        self._note_killers(run_id, history, acks)
        history.extend([(one, known[one]) for one in acks], new)
        self.compare(run_id)

    def _note_killers(self, run_id: str, history: History, acks: list[Id]) -> None:
        """Record entries that were parked as killers. This is allowed for the first entry after five acquisitions."""
        dead = self._model.keys.get(RunKeys(run_id).dead.encode())
        told = {b"source_id": b"", b"reason": b""}
        for flat in dead.flats[-len(acks) :] if isinstance(dead, Stream) and acks else ():
            told = dict(zip(flat[::2], flat[1::2], strict=True))
            source = parse_id(told[b"source_id"])
            if told[b"reason"] == b"killed its reader" and source in acks:
                if history.attempts < 5 or source != acks[0]:
                    raise Violation(f"{source} was parked unread after {history.attempts} attempts")
                history.poison[show_id(source).decode()] = QuarantinedEntry("killed its reader", raw_of(told))
        if acks:
            history.attempts = 0

    def compare(self, run_id: str) -> None:
        """Compare a snapshot with the fold of its entries.

        Raises:
            Violation: they differ.
        """
        history = self.histories[run_id]
        if history.unchecked:
            return
        self.checks += 1
        run, keys, reference = RunKeys(run_id), self._model.keys, history.reference
        index: Texts = keys.get(run.sections.encode(), {})
        names = [name.decode() for name, changed in index.items() if not changed.startswith(b"-")]
        coverage = {
            name.encode(): b"%d" % times for name, times in reference.aggregate.coverage.counts.items()
        }
        checkpoint: Texts = keys[run.checkpoint.encode()]
        wanted = reference.counters() | {b"version": show_id(history.version)}
        self._same(
            run_id,
            "sections",
            {name: keys.get(run.section(name).encode()) for name in names},
            reference.sections,
        )
        self._same(run_id, "counters", {name: checkpoint.get(name, wanted[name]) for name in wanted}, wanted)
        self._same(run_id, "coverage", keys.get(run.coverage.encode(), {}), coverage)
        self._same(run_id, "log", self._lines(run.log), reference.lines)
        self._same(run_id, "batches", self._lines(run.batches), reference.batches)
        if not history.scarred:
            self._no_orphans(run)

    def _lines(self, key: str) -> list[tuple[Id, Texts]]:
        stream = self._model.keys.get(key.encode()) or Stream()
        return [
            (one, dict(zip(flat[::2], flat[1::2], strict=True)))
            for one, flat in zip(stream.ids, stream.flats, strict=True)
        ]

    def _no_orphans(self, run: RunKeys) -> None:
        base, fixed = run.base.encode(), {name.encode() for name in run.fixed}
        index: Texts = self._model.keys.get(run.sections.encode(), {})
        for name in self._model.keys:
            if name.startswith(base) and name not in fixed:
                changed = index.get(name[len(base) :], b"-")
                if changed.startswith(b"-"):
                    raise Violation(f"{name.decode()} exists, although the index does not name it")

    def _same(self, run_id: str, what: str, found: Any, wanted: Any) -> None:
        if found == wanted:
            return
        if isinstance(wanted, dict):
            differing = {key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)}
            found = {key: found.get(key) for key in sorted(differing)}
            wanted = {key: wanted.get(key) for key in sorted(differing)}
        raise Violation(f"{run_id}: {what} are {str(found)[:600]}, not {str(wanted)[:600]}")

    def unread(self, run_id: str) -> str:
        """Return a description of what is not folded, or ""."""
        stream, run = self._stream(run_id), RunKeys(run_id)
        checkpoint = self._model.keys.get(run.checkpoint.encode(), {})
        version = checkpoint.get(b"version", b"0-0") if isinstance(checkpoint, dict) else b"of the wrong type"
        if stream is None:
            # No entry can be unread, but a commit may have failed, and its owner not have restarted yet.
            return f"{run_id}: torn" if version == b"torn" else ""
        group = stream.groups.get(GROUP.encode())
        if not version[:1].isdigit() or any(one > parse_id(version) for one in stream.ids):
            return f"{run_id}: version {version!r}, the stream ends at {show_id(stream.last)!r}"
        # Folded entries that a client has read again stay pending until the next acquisition; they do no
        # harm.
        ahead = [one for one in group.pending if one > parse_id(version)] if group is not None else []
        if ahead:
            return f"{run_id}: pending {sorted(ahead)}"
        return ""


def _acknowledged(argv: list[bytes]) -> list[Id]:
    """Return the IDs at the end of a commit's arguments; the argument before them is a plain number."""
    return [parse_id(one) for one in takewhile(lambda one: b"-" in one, reversed(argv))][::-1]

"""The output of `sanctum doctor`, for tests of single checks."""

from typing import Any, NamedTuple

from tests.support.commands import sanctum


class Said(NamedTuple):
    """One finding."""

    where: str
    level: str
    seen: str
    remedy: str


class Diagnosis:
    """The output of `sanctum doctor --json`.

    Args:
        url: the server's URL.
    """

    def __init__(self, url: str) -> None:
        ran = sanctum("doctor", "--json", url=url)
        assert ran.err == ""
        self.status = ran.status
        self.text = ran.out
        self.level: str = ran.json["level"]
        self._findings: list[dict[str, Any]] = ran.json["findings"]

    def of(self, check: str) -> list[Said]:
        """The findings of a check."""
        return [
            Said(one["where"], one["level"], one["seen"], one["remedy"])
            for one in self._findings
            if one["check"] == check
        ]

    def one(self, check: str) -> Said:
        """The only finding of a check."""
        (said,) = self.of(check)
        return said

    def bad(self) -> dict[str, str]:
        """The checks that were not fine, with their levels."""
        return {one["check"]: one["level"] for one in self._findings if one["level"] != "ok"}

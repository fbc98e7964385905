"""The Lua scripts. Each one is an atomic step on the slot of one run."""

from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import NamedTuple


class Script(NamedTuple):
    """The text of a script, and its SHA-1 digest for EVALSHA."""

    text: str
    digest: str


@cache
def script(name: str) -> Script:
    """Return the script `<name>.lua`, with the shared functions before it."""
    here = files("sanctum_bus.protocol.scripts")
    own = here.joinpath(f"{name}.lua").read_text("utf-8")
    first, _, rest = own.partition("\n")
    text = f"{first}\n{here.joinpath('shared.lua').read_text('utf-8')}{rest}"
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())

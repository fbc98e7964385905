"""The Lua scripts. Each is one atomic step on the cluster slot of one run, or on one key that no run owns.

`calls` builds every call of a script. The header of each `.lua` file defines its KEYS, its ARGV and its reply.
"""

from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import NamedTuple


class Script(NamedTuple):
    """A Lua script.

    Args:
        text: the source, with the functions of `shared.lua` at the beginning.
        digest: the SHA-1 digest by which a server finds a script that it has run before.
    """

    text: str
    digest: str


@cache
def script(name: str) -> Script:
    """Return the script `<name>.lua`.

    Args:
        name: the file name without its extension.
    """
    folder = files("sanctum_bus.protocol.scripts")
    own = folder.joinpath(f"{name}.lua").read_text("utf-8")
    first, _, rest = own.partition("\n")
    text = f"{first}\n{folder.joinpath('shared.lua').read_text('utf-8')}{rest}"
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())

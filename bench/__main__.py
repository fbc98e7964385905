"""The command `scripts/bench`."""

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import charts, document, recorded, table
from bench.facts import facts_of
from bench.load import ROOT
from bench.plan import LONG, NORMAL, QUICK, Bench, Size
from bench.profile import profile_of
from bench.results import Figure, Results, load
from bench.server import running

#: Names of the figures for `--only`, in the order of the table.
FIGURES = (
    "drain",
    "peers",
    "many_runs",
    "two_workers",
    "flat",
    "memory",
    "visible",
    "emit",
    "reads",
    "followers",
    "takeover",
    "start",
)

#: Figures that `--quick` measures: the ratios that show a slowdown.
MAIN = ("drain", "peers", "many_runs", "visible", "emit", "reads")


def _parsed(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure Sanctum on a real server, print a table, and write JSON and charts.",
        epilog=f"figures: {' '.join(FIGURES)}",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="measure the main ratios with small loads, in about a minute"
    )
    size.add_argument(
        "--long", action="store_true", help="measure everything, and fold ten million events in one run"
    )
    parser.add_argument(
        "--only",
        nargs="*",
        choices=FIGURES,
        metavar="FIGURE",
        help="measure only these figures, without the profile",
    )
    parser.add_argument("--events", type=int, help="events per drain; default 300,000 (quick: 10,000)")
    parser.add_argument("--pairs", type=int, help="pairs per comparison; default 5 (quick: 3)")
    parser.add_argument("--profile", action="store_true", help="also profile a drain; works with --only")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="folder for the results")
    parser.add_argument(
        "--check", action="store_true", help="fail if a ratio is less than half as good as recorded"
    )
    parser.add_argument("--record", action="store_true", help="write the ratios to bench/recorded.json")
    parser.add_argument(
        "--document",
        action="store_true",
        help="write the results into docs/performance.md; without other options, use the last results",
    )
    options = parser.parse_args(words)
    if (options.check or options.record) and not options.quick:
        parser.error("--check and --record require --quick")
    return options


def _size(options: argparse.Namespace) -> Size:
    size = QUICK if options.quick else LONG if options.long else NORMAL
    return replace(size, events=options.events or size.events, pairs=options.pairs or size.pairs)


def _measured(options: argparse.Namespace) -> Results:
    size = _size(options)
    with running() as server:
        bench = Bench(server, size)
        results = Results(facts_of(server, size), skipped=bench.skipped)
        names = options.only if options.only is not None else MAIN if options.quick else FIGURES
        for name in names:
            results.figures.extend(_figures(name, bench))
        if options.profile or (options.only is None and not options.quick):
            results.profile.extend(profile_of(bench))
    return results


def _figures(name: str, bench: Bench) -> list[Figure]:
    began = time.perf_counter()
    print(f"{name} ...", end="", file=sys.stderr, flush=True)
    found: list[Figure] = importlib.import_module(f"bench.figures.{name}").measure(bench)
    print(f" {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return found


def _keep(results: Results, folder: Path) -> None:
    """Write the results folder, with a .gitignore that excludes it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    results.save(folder / "results.json")
    charts.write(results, folder)


def main(words: Sequence[str] | None = None) -> int:
    """Measure the selected figures, and return the exit status."""
    options = _parsed(words)
    only_document = options.document and not (options.quick or options.long or options.only is not None)
    if only_document:
        path = options.out / "results.json"
        if not path.exists():
            sys.exit(f"results not found: {path}; run scripts/bench first")
        document.write(load(path))
        return 0
    results = _measured(options)
    _keep(results, options.out)
    print(table.report(results))
    print(f"\nresults and charts: {options.out}")
    if options.record:
        recorded.record(results)
    if options.document:
        document.write(results)
    worse = recorded.worse(results) if options.check else []
    for line in worse:
        print(line, file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())

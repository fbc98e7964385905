"""The command: `scripts/bench`."""

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

#: The figures in the order of the table, under the names that `--only` takes.
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

#: Those that `--quick` measures: the ratios that tell when something has become slow.
MAIN = ("drain", "peers", "many_runs", "visible", "emit", "reads")


def _parsed(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures Sanctum on a real server, prints a table, and writes JSON and charts.",
        epilog=f"figures: {' '.join(FIGURES)}",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="the main ratios on small loads, in about a minute"
    )
    size.add_argument("--long", action="store_true", help="everything, and ten million events in one run")
    parser.add_argument("--only", nargs="*", choices=FIGURES, metavar="FIGURE", help="these, and no profile")
    parser.add_argument("--events", type=int, help="events of one drain, instead of 300,000 (quick: 10,000)")
    parser.add_argument("--pairs", type=int, help="pairs of each comparison, instead of 5 (quick: 3)")
    parser.add_argument(
        "--profile", action="store_true", help="say where a drain's time goes, with --only too"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="the results folder")
    parser.add_argument("--check", action="store_true", help="fail where a ratio is half as good as recorded")
    parser.add_argument("--record", action="store_true", help="write the ratios to bench/recorded.json")
    parser.add_argument(
        "--document",
        action="store_true",
        help="put the results into docs/performance.md; alone: those of the results folder",
    )
    options = parser.parse_args(words)
    if (options.check or options.record) and not options.quick:
        parser.error("--check and --record compare quick runs with quick runs: say --quick too")
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
    """Write a results folder; git is told to leave it alone."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    results.save(folder / "results.json")
    charts.write(results, folder)


def main(words: Sequence[str] | None = None) -> int:
    """Measure what was asked for, and return the exit status."""
    options = _parsed(words)
    only_document = options.document and not (options.quick or options.long or options.only is not None)
    if only_document:
        path = options.out / "results.json"
        if not path.exists():
            sys.exit(f"there is no {path}: measure first, with scripts/bench")
        document.write(load(path))
        return 0
    results = _measured(options)
    _keep(results, options.out)
    print(table.report(results))
    print(f"\nresults and charts are in {options.out}")
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

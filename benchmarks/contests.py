"""Who is compared with whom, and where the ratios are stored: the lines of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.timing import HALF

Row = Mapping[str, Any]


class Gain(NamedTuple):
    """How many times as fast as a peer the course was, and between what half of the rounds lay."""

    middle: float
    low: float
    high: float
    subject: str


@dataclass(frozen=True)
class Contest:
    """One line of the report: what was done, beside whom, and where the ratios are stored."""

    what: str
    peer: str
    benchmark: str
    column: str
    where: Mapping[str, Any]  # what a row must hold to belong here
    ours_over_theirs: bool = False  # the stored ratio is the course's time over the peer's
    about: tuple[str, ...] = field(default=())  # the columns that tell one row from the next

    def gains(self, rows: Sequence[Row]) -> list[Gain]:
        """Return a gain for each row that belongs here."""
        mine = [row for row in rows if self.where.items() <= row.items() and self.column in row]
        return [self._gain(row) for row in mine]

    def _gain(self, row: Row) -> Gain:
        middle = row[self.column]
        low, high = row.get(HALF, (middle, middle)) if self._has_half(row) else (middle, middle)
        if self.ours_over_theirs:
            middle, low, high = 1 / middle, 1 / high, 1 / low
        subject = ", ".join(f"{key} {row[key]}" for key in self.about if key in row)
        return Gain(middle, low, high, subject)

    def _has_half(self, row: Row) -> bool:
        """The two numbers belong to the column before them."""
        columns = list(row)
        return HALF in row and columns[columns.index(HALF) - 1] == self.column


def _rows(what: str, peer: str, benchmark: str, measured: str, name: str, *about: str) -> Contest:
    """Return a contest whose rows are those of the peer, and hold its time over the course's."""
    where = {"measured": measured, "contestant": name}
    return Contest(what, peer, benchmark, "times ours", where, about=about)


def _encoding(cache: str) -> Contest:
    where = {"encoding": f"this course, {cache} cache"}
    return Contest(
        f"encoding text, {cache} cache",
        "tokenizers",
        "tokenization",
        "times tokenizers",
        where,
        True,
        ("text",),
    )


def _writing(what: str, measured: str, name: str) -> Contest:
    where = {"measured": measured, "contestant": name}
    about = ("model", "batch")
    return Contest(what, "transformers' generate", "generation", "times theirs", where, about=about)


def _tiled(peer: str, column: str) -> Contest:
    where = {"contestant": "tiled"}
    about = ("tokens", "heads", "causal")
    return Contest("tiled attention", peer, "flash_attention", column, where, True, about)


def _searching(what: str, index: str, peer: str, *about: str) -> Contest:
    where = {"index": index, "peer": peer}
    return Contest(what, peer, "retrieval", "of the peer's speed", where, about=about)


def _real(doing: str, measured: str, ours: str, peer: str) -> Contest:
    where = {"measured": measured, "contestant": f"ours, {ours}", "peer": peer}
    about = ("batch", "cached tokens", "tokens")
    return Contest(
        f"0.6 B on two threads, {doing}, {ours}", peer, "real_size", "times as fast", where,
        about=about,
    )  # fmt: skip


REAL_PEERS = (  # ours, the peer, and whether prompts are compared too
    ("float32", "transformers, float32", True),
    ("float32, fused", "transformers, float32", True),
    ("bfloat16", "transformers, bfloat16", True),
    ("bfloat16", "llama.cpp, F16", True),
    ("int8", "llama.cpp, Q8_0", True),
    ("int4 group 64", "llama.cpp, Q8_0", True),
)
TRAINED = {"training, vocabulary 4096": "tokenizers"}
CACHED = {"measured": "one token over a cache", "contestant": "ours, shared keys"}
CONTESTS = (
    Contest("training a tokenizer", "tokenizers", "tokenization", "times this course", TRAINED),
    Contest(
        "training a tokenizer, two processes",
        "tokenizers, two threads",
        "tokenization_two",
        "times this course",
        {"training with": "2 of each", "contestant": "tokenizers"},
        about=("text",),
    ),
    _encoding("empty"),
    _encoding("full"),
    _rows("RMSNorm", "torch", "blocks", "rms_norm", "torch", "tokens", "type"),
    _rows(
        "RMSNorm with its gradient",
        "torch",
        "blocks",
        "rms_norm, forward and backward",
        "torch",
        "tokens",
        "width",
    ),
    *(
        _rows(
            "experts", f"transformers, {way}", "blocks", "experts, forward", f"transformers, {way}",
            "tokens",
        )
        for way in ("eager", "grouped_mm", "batched_mm")
    ),
    Contest(
        "attention over a cache",
        "torch SDPA",
        "attention",
        "against torch",
        CACHED,
        True,
        ("cached tokens", "batch"),
    ),
    _tiled("attention with all weights", "against standard"),
    _tiled("torch SDPA", "against torch"),
    *(
        _rows(what, f"transformers, {way}", "model", what, f"transformers, {way}", *about)
        for what, about in (
            ("forward", ("model", "batch", "tokens")),
            ("decoding", ("model", "batch", "cached tokens")),
        )
        for way in ("eager", "sdpa")
    ),
    Contest(
        "loading 1 GB",
        "from_pretrained",
        "checkpoint",
        "times ours",
        {"contestant": "transformers"},
        about=("model", "type"),
    ),
    *(
        _rows(f"training step{how}", f"transformers, {peer}", "training", "training step",
              f"transformers, {peer}", "model")
        for how, peer in (
            ("", "AdamW foreach"),
            ("", "AdamW fused"),
            (", compiled", "compiled, AdamW fused"),
        )
    ),
    _writing("reading a prompt", "prefill", "ours, readable, prepared"),
    _writing("writing, readable", "decode", "ours, readable"),
    _writing("writing, readable, prepared", "decode", "ours, readable, prepared"),
    _writing("writing, fused", "decode", "ours, fused"),
    _writing("writing, fused and compiled", "decode", "ours, fused and compiled"),
    Contest(
        "a prompt's completion, as text",
        "transformers' pipeline",
        "front_door",
        "times theirs",
        {"contestant": "course_lib.load"},
        about=("measured", "model"),
    ),
    *(
        Contest(
            f"one token, {bits}" + (", compiled" if how == "compiled" else ""),
            "the same model in float32",
            "compression",
            "times as fast",
            {"measured": "decode step", "contestant": f"{bits}, {how}"},
            about=("shape",),
        )
        for how, kinds in (
            ("bfloat16 input", ("int8 weights", "int4 group 64")),
            ("compiled", ("bfloat16", "int8 weights", "int4 group 64")),
        )
        for bits in kinds
    ),
    *(
        _rows("64 answers to 8 prompts", f"transformers' generate, {how}", "rewards", "rollouts",
              f"transformers, {how}")
        for how in ("one answer at a time", "one group at a time", "one batch")
    ),
    Contest(
        "loading 0.6 B",
        "from_pretrained",
        "real_size",
        "times ours",
        {"measured": "loading", "contestant": "transformers"},
        about=("type",),
    ),
    *(_real("one token", "decode", ours, peer) for ours, peer, _ in REAL_PEERS),
    *(_real("a prompt", "prefill", ours, peer) for ours, peer, also in REAL_PEERS if also),
    *(
        Contest(
            f"serving many requests{how}",
            "transformers' generate_batch",
            "serving",
            "times theirs",
            {"measured": "together", "contestant": f"ours, {ours}"},
            about=("model", "requests"),
        )
        for how, ours in (("", "chunked"), (", fused", "fused"))
    ),
    *(
        Contest(
            f"training step on two ranks{how}",
            f"torch's {peer}",
            "parallel",
            "times ours",
            {"measured": "a step on two ranks", "contestant": f"torch, {peer}"},
            about=("contestant",),
        )
        for how, peer in (("", "DDP"), (", sharded", "fully_shard"))
    ),
    _searching("exact search of vectors", "exact", "faiss"),
    _searching("IVF", "IVF", "faiss", "nprobe"),
    _searching("PQ", "PQ", "faiss"),
    _searching("IVF-PQ", "IVF-PQ", "faiss", "nprobe"),
    _searching("HNSW", "HNSW", "hnswlib", "ef"),
    _searching("BM25", "BM25", "bm25s"),
    _searching("BM25", "BM25", "rank_bm25"),
)  # fmt: skip

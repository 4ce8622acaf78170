"""The companion package of the course: each idea that a notebook teaches, implemented once.

`SYLLABUS` is the one catalogue of the course. Everything that needs to know which notebooks there
are, in which order, and which modules each of them may use, reads it here.

`load` is the front door for those who want the library and not the lessons. It is imported when it
is first asked for, so that `import course_lib` costs milliseconds:

    model = course_lib.load("folder")      or a hub name; without either, the course's own model
    print(model.generate("import os"))
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from course_lib.generation.text_model import load as load


def __getattr__(name: str) -> Any:
    if name == "load":
        from course_lib.generation.text_model import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "load"])


@dataclass(frozen=True)
class Notebook:
    """One chapter: its place in the order, its words and the modules that it introduces."""

    number: int
    slug: str
    title: str
    question: str
    minutes: int
    modules: tuple[str, ...]

    @property
    def stem(self) -> str:
        """The file name without its ending, such as `04_softmax`."""
        return f"{self.number:02d}_{self.slug}"


_CHAPTERS: tuple[tuple[str, str, str, int, tuple[str, ...]], ...] = (
    (
        "start_here",
        "Start here",
        "What is in this course, what will run on this machine, and how do the exercises work?",
        20,
        ("device",),
    ),
    (
        "tokenization",
        "Tokenization",
        "Why does a model read integers, and what does the choice of pieces cost?",
        160,
        ("corpus", "tokenization"),
    ),
    (
        "language_models",
        "Language models",
        "What is a language model before it is a neural network?",
        120,
        ("ngrams", "information"),
    ),
    (
        "embeddings_and_norms",
        "Embeddings and norms",
        "How do integers become vectors that stay usable through a deep network?",
        105,
        ("embeddings", "norms"),
    ),
    (
        "softmax",
        "Softmax",
        "How do scores become a distribution, and how does that go wrong in floating point?",
        120,
        ("softmax",),
    ),
    (
        "attention",
        "Attention",
        "How does a token decide what to read from the others?",
        140,
        ("attention",),
    ),
    (
        "rope",
        "Positions and RoPE",
        "How does a model know what comes first, and what happens past the length it was "
        "trained on?",
        130,
        ("positions", "rope"),
    ),
    (
        "mlp",
        "MLP and experts",
        "What do the feed-forward layers do, which hold two thirds of every block?",
        110,
        ("mlp", "experts"),
    ),
    (
        "transformer",
        "The whole transformer",
        "How do the parts become a model that loads real weights?",
        150,
        ("model", "families", "checkpoint", "pretrained"),
    ),
    (
        "parameter_counting",
        "Counting parameters",
        "Where do the parameters, FLOPs and bytes come from, and will it fit?",
        130,
        ("accounting",),
    ),
    (
        "flash_attention",
        "FlashAttention",
        "How can exact attention run without ever writing the n × n matrix?",
        130,
        ("flash",),
    ),
    ("training", "Training", "How does a pile of text become weights?", 150, ("training",)),
    (
        "generation",
        "Generation",
        "How do probabilities become text, and why is decoding slow?",
        150,
        ("generation",),
    ),
    ("self_check", "Self-check", "Do I understand it?", 120, ()),
    (
        "fine_tuning",
        "Fine-tuning",
        "How does a text model become an assistant?",
        150,
        ("fine_tuning", "assistant"),
    ),
    (
        "rewards",
        "Rewards",
        "How does a model learn from being right or wrong?",
        150,
        ("rewards",),
    ),
    ("serving", "Serving", "How do thousands of users share one model?", 150, ("serving",)),
    (
        "compression",
        "Compression",
        "How small can a model be, and what is lost?",
        160,
        ("compression",),
    ),
    (
        "parallel",
        "Many devices",
        "How does a model train on a thousand devices?",
        160,
        ("parallel",),
    ),
    (
        "retrieval",
        "Retrieval",
        "How does a model use documents it never saw?",
        150,
        ("retrieval",),
    ),
    ("agents", "Agents", "How does a model act?", 150, ("agents",)),
    (
        "evaluation",
        "Evaluation",
        "How good is it, is it safe, and how sure are we?",
        160,
        ("evaluation",),
    ),
    ("multimodal", "Multimodal", "How does a language model see?", 150, ("vision",)),
)

SYLLABUS = tuple(Notebook(number, *chapter) for number, chapter in enumerate(_CHAPTERS))
"""The chapters in their order; the place in the order is the notebook's number."""


def find_notebook(name: str, among: Sequence[Notebook] = SYLLABUS) -> Notebook:
    """Return the notebook with this number, slug or file name; suggest the nearest if none has."""
    known = {}
    for each in among:
        known.update(dict.fromkeys([str(each.number), f"{each.number:02d}", each.slug], each))
        known.update(dict.fromkeys([each.stem, f"{each.stem}.ipynb"], each))
    if name in known:
        return known[name]
    words = [each for each in known if not each.isdigit()]
    near = difflib.get_close_matches(name, words, n=1, cutoff=0.4)
    stems = ", ".join(each.stem for each in among)
    remedy = f"Did you mean {near[0]!r}?" if near else f"There are: {stems}."
    raise ValueError(f"There is no notebook named {name!r}. {remedy}")

"""The interactive figures of this chapter.

Taught in:        generation
Checked against:  the figures of `course_lib.chapters.generation.figures` for the same values
Shapes:           T tokens of a text, V vocabulary
"""

from functools import lru_cache

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.chapters.generation import figures
from course_lib.generation import Beams, beam_search, generate
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.study.display.explorer import Explorer, log_slider, slider, step_slider, text_field
from course_lib.study.display.plotting import Number

PROMPT = "The function returns a new"
LOOPING = "return self.path, self.name, self.path, self.name, self."
CODE = "import os\n\ndef join(path, name):\n    return os.path"
LONGEST = 24  # tokens; more labels would not be legible


@lru_cache(maxsize=32)
def next_logits(text: str) -> Float[Tensor, "T V"]:
    """Return the course model's logits after each of the last tokens of a text."""
    with torch.inference_mode():
        return course_model()(torch.tensor([text_ids(text)])).logits[0]


def text_ids(text: str) -> list[int]:
    """Return the last ids of a text; an empty text becomes a line break."""
    return list(course_tokenizer().encode(text or "\n"))[-LONGEST:]


def spelled() -> list[str]:
    """Return each token of the course model as text."""
    tokenizer = course_tokenizer()
    return [tokenizer.decode([i]) for i in range(course_model().config.vocab_size)]


def pipeline(
    text: str = PROMPT,
    temperature: Number = 1.0,
    k: int = 40,
    p: Number = 0.9,
    u: Number = 0.5,
) -> Explorer:
    """Type a text and change every setting between the model's logits and its next token."""
    vocabulary = spelled()

    def figure(text: str, temperature: Number, k: int, p: Number, u: Number) -> Figure:
        return figures.pipeline(next_logits(text)[-1], vocabulary, temperature, k, p, u)

    controls = {
        "text": text_field("text", text),
        "temperature": log_slider("temperature", temperature, 0.1, 5.0),
        "k": step_slider("top-k", k, 1, 100),
        "p": slider("top-p", p, 0.01, 1.0),
        "u": slider("random number u", u, 0.0, 0.99),
    }
    return Explorer(figure, controls, "From the course model's logits to a token, step by step.")


def nucleus(text: str = CODE, p: Number = 0.9, k: int = 10) -> Explorer:
    """See how many tokens top-p keeps after each token of a text."""
    vocabulary = spelled()

    def figure(text: str, p: Number, k: int) -> Figure:
        tokens = [vocabulary[i] for i in text_ids(text)]
        return figures.nucleus_sizes(next_logits(text), tokens, p, k)

    controls = {
        "text": text_field("text", text),
        "p": slider("top-p", p, 0.05, 0.99),
        "k": step_slider("top-k", k, 1, 100),
    }
    return Explorer(
        figure,
        controls,
        "Top-k keeps the same number everywhere; top-p adapts to the distribution.",
    )


def penalty(text: str = LOOPING, penalty: Number = 1.3) -> Explorer:
    """Change the repetition penalty after a text that repeats itself."""
    vocabulary = spelled()

    def figure(text: str, penalty: Number) -> Figure:
        return figures.penalty_effect(next_logits(text)[-1], text_ids(text), vocabulary, penalty)

    controls = {
        "text": text_field("text", text),
        "penalty": slider("penalty", penalty, 0.5, 3.0, step=0.05),
    }
    return Explorer(
        figure, controls, "Logits before (grey) and after (blue) the repetition penalty."
    )


def cache(prompt: int = 12, new: int = 16) -> Explorer:
    """Choose the number of prompt tokens and of new tokens, with and without a cache."""
    controls = {
        "prompt": step_slider("prompt tokens", prompt, 1, 48),
        "new": step_slider("new tokens", new, 1, 48),
    }
    return Explorer(
        figures.cache_growth, controls, "Which tokens pass through the layers in each pass."
    )


@lru_cache(maxsize=128)
def searched(text: str, beams: int, steps: int) -> Beams:
    """Return what a beam search with the course model finds after a text."""
    return beam_search(course_model(), torch.tensor([text_ids(text)]), steps, beams)


@lru_cache(maxsize=128)
def continued(text: str, steps: int) -> list[int]:
    """Return the tokens that the course model generates greedily after a text."""
    return generate(course_model(), torch.tensor([text_ids(text)]), steps)[0].tolist()


def beam_tree(text: str = PROMPT, beams: int = 4, steps: int = 7) -> Explorer:
    """Run a beam search, and see which beams it drops."""
    vocabulary = spelled()

    def figure(text: str, beams: int, steps: int) -> Figure:
        found, greedy = searched(text, beams, steps), continued(text, steps)
        return figures.beam_tree(found, greedy, vocabulary)

    controls = {
        "text": text_field("text", text),
        "beams": step_slider("beams", beams, 1, 6),
        "steps": step_slider("tokens", steps, 2, 8),
    }
    return Explorer(figure, controls, "Beam search as a tree; under each token log p of its text.")


def drafts(acceptance: Number = 0.7, cost: Number = 0.2, k: int = 4) -> Explorer:
    """Set how often a draft is kept and what it costs, and find the best number of drafts."""
    controls = {
        "acceptance": slider("P(draft kept)", acceptance, 0.0, 1.0),
        "cost": slider("draft time / pass time", cost, 0.01, 1.0),
        "k": step_slider("drafted tokens k", k, 1, 12),
    }
    return Explorer(
        figures.gain, controls, "When speculative decoding is faster, and when it is not."
    )

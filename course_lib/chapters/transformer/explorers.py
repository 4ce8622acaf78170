"""The figures of this chapter with controls.

Taught in:        transformer
Checked against:  the pictures of `course_lib.chapters.transformer.figures` for the same values
Shapes:           B texts, T tokens, L layers, H heads
"""

from functools import cache, lru_cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib import corpus
from course_lib.attention import repeated_ids
from course_lib.chapters.transformer import figures
from course_lib.chapters.transformer.planted_faults import FAULTS, report
from course_lib.device import seeded
from course_lib.model import DecoderLM
from course_lib.model.inspection import (
    PARTS,
    lens_of,
    loss_without_each_head,
    losses_from,
    mean_loss,
    residual_stream,
    token_losses,
    without_head,
    without_layer,
)
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.study.display.explorer import Explorer, choice, step_slider, text_field
from course_lib.tokenization.byte_bpe import ByteBPE

PROMPT = "def add(a, b):\n    return a"
LONGEST = 12  # tokens: more columns cannot be read
TEXTS, TOKENS, PERIOD = 6, 48, 16
SOURCE, TARGET = ("le", " petit", " chat", " dort"), ("the", " small", " cat", " sleeps")


def inside(
    text: str = PROMPT, model: DecoderLM | None = None, tokenizer: ByteBPE | None = None
) -> Explorer:
    """Type a text: how its stream grows, and what each layer predicts."""
    decoder = model or course_model()
    words = tokenizer or course_tokenizer()
    vocabulary = spelled(words)

    @lru_cache(maxsize=32)
    def read(text: str) -> tuple[Tensor, Tensor, list[str]]:
        ids = torch.tensor([words.encode(text or " ")])
        shown = slice(-LONGEST, None)
        tokens = [vocabulary[i] for i in ids[0, shown].tolist()]
        places = residual_stream(decoder, ids)[:, :, shown]  # (P, 1, T, C)
        return places.norm(dim=-1)[:, 0], lens_of(decoder, places)[:, 0], tokens

    def figure(text: str) -> Figure:
        norms, logits, tokens = read(text)
        return figures.stream_and_lens(norms, logits, vocabulary, tokens)

    controls = {"text": text_field("text", text)}
    return Explorer(figure, controls, f"The stream and the logit lens, last {LONGEST} tokens.")


def spelled(tokenizer: ByteBPE) -> list[str]:
    """Return each token of a vocabulary as text."""
    return [tokenizer.decode([number]) for number in range(tokenizer.vocab_size)]


@cache
def texts(what: str) -> tuple[Tensor, Tensor]:
    """Return ids (B, T) of the named kind, and which losses count: on repeats, the known ones."""
    if what == "repeats":
        ids = repeated_ids(course_model().config.vocab_size, PERIOD, TOKENS, seeded(0), TEXTS)
        counted = torch.zeros(TEXTS, TOKENS - 1, dtype=torch.bool)
        counted[:, PERIOD:] = True
        return ids, counted
    written = course_tokenizer().encode(corpus.held_out_text(40_000)[20_000:])
    ids = torch.tensor(written[: TEXTS * TOKENS]).view(TEXTS, TOKENS)
    return ids, torch.ones(TEXTS, TOKENS - 1, dtype=torch.bool)


@cache
def rises(what: str) -> Tensor:
    """Return the rise in loss without each head, (L, H)."""
    ids, counted = texts(what)
    whole = mean_loss(course_model(), ids, counted)
    return loss_without_each_head(course_model(), ids, counted) - whole


@cache
def stream(what: str) -> Tensor:
    """Return the stream of the whole model at each of its places, (P, B, T, C)."""
    return residual_stream(course_model(), texts(what)[0])


@lru_cache(maxsize=512)
def losses_without(what: str, part: str, layer: int, head: int) -> Tensor:
    """Return the loss at each place without a part; what comes before its layer is known."""
    model = course_model()
    if part == "one head":
        ablated = without_head(model, layer, head)
    else:
        ablated = without_layer(model, layer, PARTS if part == "the whole layer" else (part,))
    return losses_from(ablated, layer, stream(what)[layer], texts(what)[0]).mean(0)


@cache
def usual(what: str) -> Tensor:
    """Return the loss of the whole model at each place, the mean over the texts."""
    return token_losses(course_model(), texts(what)[0]).mean(0)


def ablate(
    what: str = "repeats", part: str = "one head", layer: int = 0, head: int = 0
) -> Explorer:
    """Choose what to remove from the course model, and the texts for the loss."""
    model = course_model()

    def figure(what: str, part: str, layer: int, head: int) -> Figure:
        named = {"one head": f"head {head} of ", "the whole layer": ""}
        missing = named.get(part, f"the {figures.spoken(part)} of ") + f"layer {layer}"
        without = losses_without(what, part, layer, head if part == "one head" else 0)
        framed = (layer, head) if part == "one head" else None
        first = int(texts(what)[1][0].int().argmax())
        vocabulary = model.config.vocab_size
        return figures.ablation(
            rises(what), usual(what), without, what, missing, framed, first, vocabulary
        )

    controls = {
        "what": choice("measured on", what, ("repeats", "text")),
        "part": choice("removed", part, ("one head", *PARTS, "the whole layer")),
        "layer": step_slider("layer", layer, 0, model.config.num_hidden_layers - 1),
        "head": step_slider("head", head, 0, model.config.num_attention_heads - 1),
    }
    return Explorer(figure, controls, "The course model without one of its parts.")


def families(kind: str = "decoder-only", source: int = 4, target: int = 4) -> Explorer:
    """Choose a family and the lengths of two texts: who reads whom, and what is predicted."""

    def figure(kind: str, source: int, target: int) -> Figure:
        return figures.family(kind, SOURCE[:source], TARGET[:target], hidden=(source,))

    controls = {
        "kind": choice("family", kind, tuple(figures.OBJECTIVES)),
        "source": step_slider("tokens of the source", source, 1, len(SOURCE)),
        "target": step_slider("tokens of the target", target, 1, len(TARGET)),
    }
    return Explorer(figure, controls, "Three families: mask and objective.")


def fault(kind: str = "gate and up exchanged in layer 2") -> Explorer:
    """Choose a fault of a small Qwen3, and see which module the report names."""

    def figure(kind: str) -> Figure:
        return figures.divergence(report(kind))

    controls = {"kind": choice("fault", kind, tuple(FAULTS))}
    return Explorer(figure, controls, "Our model beside the reference, module by module.")

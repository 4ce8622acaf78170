"""Each explorer of this chapter shows the figure of its controls, at both ends of each."""

import pytest
import torch

from course_lib.chapters.language_models import explorers, figures
from course_lib.device import seeded
from course_lib.ngrams import KneserNey, sample
from course_lib.study.display.plotting import png_bytes

TEXT = b"one fish two fish red fish blue fish, black fish old fish new fish. " * 3
MODELS = {n: KneserNey(TEXT, n, 256) for n in (1, 2, 3)}
MAKERS = {
    "tasks": explorers.tasks,
    "sampled_text": lambda: explorers.sampled_text(MODELS),
    "coin": explorers.coin,
    "distribution": explorers.distribution,
    "divergence": explorers.divergence,
    "huffman": explorers.huffman,
    "arithmetic": explorers.arithmetic,
    "capacity": lambda: explorers.capacity(0.2),
    "code_errors": explorers.code_errors,
}
P = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64)
IDS = [1, 0, 2, 0, 2, 0]


def ends(control):
    """Return the extreme values of a control."""
    if hasattr(control, "options"):
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
        return values[0], values[-1]
    if hasattr(control, "base"):
        return control.base**control.min, control.base**control.max
    if control.description == "flip probability" and control.max == 1:
        return control.min, 0.5  # a line that flips every bit carries as much as a clean one
    return control.min, control.max


def sampled():
    text = sample(MODELS[2], explorers.DRAWN_BYTES, seeded(4), temperature=0.5)
    return figures.sampled_text(bytes(text), MODELS[2](text), 2, 0.5)


def flattened():
    q = torch.softmax(P.roll(2).log() / 2.0, -1)
    return figures.divergence(P, q, explorers.NAMES)


def halving():
    return figures.huffman_tree(torch.tensor([4.0, 2.0, 1.0]).double() / 7, "abc")


def with_letter_counts():
    model = explorers.coder_models()["uniform"]
    return figures.arithmetic_steps(IDS, model, explorers.LETTERS, 5)


@pytest.mark.parametrize(
    ("name", "moves", "drawn"),
    [
        (
            "tasks",
            {"prefix": 4, "hidden": 5},
            lambda: figures.tasks(explorers.SENTENCE, 4, 5),
        ),
        ("sampled_text", {"order": 2, "temperature": 0.5, "seed": 4}, sampled),
        ("coin", {"heads": 0.25}, lambda: figures.coin(0.25)),
        (
            "distribution",
            {"w0": 1.0, "w1": 1.0},
            lambda: figures.distribution(torch.full((4,), 0.25).double(), explorers.NAMES),
        ),
        ("divergence", {"heat": 2.0, "shift": 2}, flattened),
        ("huffman", {"skew": 1.0, "count": 3}, halving),
        ("arithmetic", {"model": "uniform", "step": 5}, with_letter_counts),
        ("capacity", {"flip": 0.25}, lambda: figures.capacity_curve(0.25)),
        ("code_errors", {"flip": 0.2}, lambda: figures.code_errors(0.2)),
    ],
)
def test_the_controls_reach_the_figure(name, moves, drawn):
    explorer = MAKERS[name]()
    for control, value in moves.items():
        explorer.controls[control].value = value
    assert explorer.image == png_bytes(drawn())
    explorer.close()


def test_a_better_model_leaves_a_wider_interval():
    findings = []
    for name in ("uniform", "letter counts", "what follows each letter"):
        explorer = explorers.arithmetic(model=name, step=6)
        findings.append(float(explorer.finding.split("worth ")[1].split()[0]))
        explorer.close()
    assert findings == sorted(findings, reverse=True)
    assert findings[0] == pytest.approx(9.51, abs=0.01)  # 6 log2(3)

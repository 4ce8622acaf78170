"""Solutions and alternatives work wherever their inputs are.

All run on torch's `meta` device, which has no numbers and needs no GPU. What reads the numbers of
its inputs cannot run there: it is listed with the reason, and a listed one that could run fails.
"""

import pytest
import torch

from course_lib.rope import rope_frequencies
from course_lib.study.chapter_parts import all_exercises
from course_lib.study.check.made_on_cpu import moved, works_elsewhere

READS = "reads the numbers of its input one by one"
RETURNS = "returns plain numbers or text, which only values can give"
BRANCHES = "does different things for different values"
CHECKS = "raises an error for values out of range"
SELECTS = "selects by a mask, so that a shape depends on values"
COUNTS = "uses an operation that torch does not have for the meta device"
KERNEL = "is a kernel that Triton's interpreter runs on numbers"
SHARED = "its model is the same in every copy, and stays on the CPU"

CANNOT_RUN = {
    READS: {
        "fine_tuning.packed_mask": ("blocks on the diagonal",),
        "fine_tuning.packed_positions": ("the number of readable tokens, minus one",),
        "rewards.policy_gradient": ("by sums",),
        "rewards.gae": ("row by row",),
        "rewards.grpo_loss": ("answer by answer",),
        "language_models.masked": ("by loops",),
        "language_models.kneser_ney": (
            "token by token",
            "by relu and count_nonzero",
        ),
        "language_models.entropy": ("outcome by outcome",),
        "language_models.cross_entropy": ("outcome by outcome",),
        "language_models.kl": ("outcome by outcome",),
        "embeddings_and_norms.embed": (
            "text by text",
            "by recursion",
        ),
        "softmax.cross_entropy": ("row by row",),
        "softmax.gradient": ("entry by entry",),
        "softmax.chunked_loss": ("token by token in float64",),
        "attention.padding_mask": ("by slices",),
        "attention.induction_score": ("query by query",),
        "rope.batch_with_cache": (
            "as the hints say",
            "in Hadamard form",
        ),
        "rope.llama3": ("plane by plane",),
        "mlp.moe_forward": ("token by token",),
        "mlp.bias_step": ("expert by expert",),
        "transformer.forward": ("token by token",),
        "transformer.positions": ("token by token",),
        "transformer.fused": ("number by number",),
        "flash_attention.tiled": ("tile by tile in NumPy",),
        "training.next_token_loss": ("token by token",),
        "training.clip": ("number by number",),
        "generation.top_k": ("by sorting",),
        "generation.top_p": ("token by token",),
        "generation.beam_step": ("one by one",),
        "generation.residual": ("number by number",),
        "generation.speculative_round": ("token by token",),
    },
    RETURNS: {
        "retrieval.ivf": (
            "solution",
            "topk of cells",
            "inf elsewhere",
            "list by list",
        ),
        "mlp.dead_units": (
            "solution",
            "by what ReLU leaves, in float32",
            "as the hints have it",
        ),
        "training.bits_per_byte": (
            "solution",
            "as the hints say",
            "a mean weighted by bytes",
        ),
        "training.train": (
            "solution",
            "as the hints say",
            "a sum over the whole batch",
            "in pieces",
        ),
        "generation.accept": (
            "solution",
            "by the ratio",
            "the place of the first rejection",
        ),
        "transformer.greedy": (
            "solution",
            "as the hints have it",
            "on a growing tensor",
            "recursively",
        ),
        "self_check.continue_texts": (
            "solution",
            "text by text",
            "without generate",
            "the side set on the tokenizer",
        ),
    },
    BRANCHES: {
        "parallel.ring": ("solution",),
        "retrieval.kmeans": ("centre by centre",),
        "softmax.masked": ("row by row",),
        "attention.induction_score": ("solution",),
        "flash_attention.finish": ("query by query",),
        "training.next_token_loss": ("solution",),
        "training.clip": (
            "as the hints say",
            "only if too long",
        ),
        "generation.residual": (
            "solution",
            "as the hints say",
            "by F.normalize",
        ),
        "generation.speculative_round": (
            "solution",
            "as the hints say",
            "zeros as the last draft row",
        ),
    },
    CHECKS: {
        "parallel.average": ("solution",),
        "compression.absmax": ("solution",),
        "compression.zero_point": ("solution",),
        "compression.groups": ("solution",),
        "compression.table": ("solution",),
        "compression.gptq_step": ("solution",),
        "compression.wanda": ("solution",),
        "fine_tuning.log_probability": ("solution",),
        "rewards.gae": ("solution",),
        "rewards.group_advantages": ("solution",),
        "rewards.grpo_loss": ("solution",),
        "language_models.masked": ("solution",),
        "language_models.add_k": ("solution",),
        "language_models.kneser_ney": ("solution",),
        "language_models.entropy": ("solution",),
        "language_models.cross_entropy": ("solution",),
        "language_models.kl": ("solution",),
        "attention.padding_mask": ("solution",),
    },
    SELECTS: {
        "multimodal.splice": ("solution", "index_put"),
        "embeddings_and_norms.batch_statistics": (
            "solution",
            "tokens joined text by text",
            "by torch.var_mean",
            "as the hints say",
        ),
        "softmax.chunked_loss": ("the target picked in its chunk",),
        "attention.induction_score": ("as the hints say",),
        "mlp.moe_forward": (
            "solution",
            "as the hints have it",
        ),
        "training.next_token_loss": ("as the hints say",),
        "generation.draw": ("a loop",),
        "generation.distribution": ("row by row",),
    },
    COUNTS: {
        "fine_tuning.packed_positions": ("run by run",),
        "mlp.balancing": (
            "solution",
            "as the hints have it",
        ),
        "mlp.bias_step": (
            "solution",
            "as the hints have it",
        ),
        "transformer.head": ("solution",),
        "generation.penalty": ("token by token",),
    },
    KERNEL: {
        "flash_attention.leg": (
            "solution",
            "tl.load, tl.max and tl.sum",
            "scaled scores, and acc inside tl.dot",
            "two masks, one after the other",
            "as the hints say",
        ),
    },
    SHARED: {
        "generation.loop": (
            "solution",
            "as the hints say",
            "prefill before the loop",
            "with the library's Reader",
            "slices of the text",
        ),
    },
}
REASONS = {
    (exercise, name): reason
    for reason, answers in CANNOT_RUN.items()
    for exercise, names in answers.items()
    for name in names
}
WITH_TENSORS = [each for each in all_exercises() if moved(each.probes[0].inputs())]
ANSWERS = [
    pytest.param(exercise, name, function, id=f"{exercise.id}-{name}")
    for exercise in WITH_TENSORS
    for name, function in (
        ("solution", exercise.solution),
        *((each.name, each.function) for each in exercise.alternatives),
    )
]


def runs_elsewhere(exercise, function):
    given = (moved(probe.inputs()) for probe in exercise.probes)
    function = exercise.adapted(function)
    return all(works_elsewhere(function, each, seconds=60.0) for each in given if each)


@pytest.mark.parametrize(("exercise", "name", "function"), ANSWERS)
def test_answers_work_wherever_their_inputs_are(exercise, name, function):
    reason = REASONS.get((exercise.id, name))
    runs = runs_elsewhere(exercise, function)
    if reason and not runs:
        pytest.skip(reason)
    assert runs, "it makes a tensor on the CPU; or list it above with the reason why it cannot run"
    assert not reason, f"it runs there, so it does not belong in the list: {reason}"


def test_the_list_names_answers_that_exist():
    there = {(each.values[0].id, each.values[1]) for each in ANSWERS}
    assert set(REASONS) <= there


def test_one_that_makes_tensors_on_the_cpu_is_found():
    angles = next(each for each in WITH_TENSORS if each.id == "rope.angles")

    def meets(positions, head_dim, base=10_000.0):
        return positions[..., None] * rope_frequencies(head_dim, base)

    assert not runs_elsewhere(angles, meets)
    assert not runs_elsewhere(angles, lambda positions, *rest: torch.zeros(3))

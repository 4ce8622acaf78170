"""Rollouts, measured: tokens per second beside transformers' generate, on the same weights.

    python -m benchmarks.rewards

Eight prompts, eight answers to each. Ours samples all of them as one batch, reads each prompt once,
and returns the log-probabilities. The peers are `transformers.generate` in a loop over single
answers, in a loop over groups (`num_return_sequences`), and as one batch with padding on the left.

Sampled answers differ from library to library, so that times could not be compared: here all
generate greedily and exactly as many tokens, and "same answers" says that they agree. Sampling and
log-probabilities come on top of that in the row "ours, sampled", where no answer may end.
"""

import tempfile
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from benchmarks.record import progress, record
from benchmarks.timing import keeping, median, race, ratio
from course_lib.assistant.arithmetic import held_out_questions
from course_lib.assistant.evaluation import chat_prompts
from course_lib.assistant.stages import load_stage
from course_lib.assistant.tokenizer import role_tokenizer
from course_lib.checkpoint import save_model
from course_lib.device import seeded
from course_lib.generation import FusedDecoder, generate, left_pad
from course_lib.rewards import sample_answers

PROMPTS, GROUP, NEW = 8, 8, 32
NO_STOP = -1  # no token has this id
OURS = "ours, greedy"
Runs = dict[str, Callable[[], Tensor]]


def runs() -> Runs:
    """Return every contestant; each returns the new tokens of all answers."""
    model = load_stage("assistant").eval().requires_grad_(False)
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, folder)
        theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompts = chat_prompts(role_tokenizer(), held_out_questions(PROMPTS))
    ids, padding = (each.repeat_interleave(GROUP, 0) for each in left_pad(prompts))
    fixed = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "max_new_tokens": NEW}

    def loop() -> Tensor:
        rows = [torch.tensor([prompt]) for prompt in prompts for _ in range(GROUP)]
        return torch.cat([theirs.generate(row, **fixed)[:, row.shape[1] :] for row in rows])

    def groups() -> Tensor:
        rows = [torch.tensor([prompt] * GROUP) for prompt in prompts]
        return torch.cat([theirs.generate(row, **fixed)[:, row.shape[1] :] for row in rows])

    def batch() -> Tensor:
        return theirs.generate(ids, attention_mask=padding.long(), **fixed)[:, ids.shape[1] :]

    return {
        OURS: lambda: generate(FusedDecoder(model), ids, NEW, padding=padding),
        "ours, sampled": lambda: (
            sample_answers(model, prompts, GROUP, NEW, NO_STOP, generator=seeded(0)).answers
        ),
        "transformers, one answer at a time": loop,
        "transformers, one group at a time": groups,
        "transformers, one batch": batch,
    }


def main() -> None:
    torch.set_num_threads(1)
    contestants, found = keeping(runs())
    progress("all in turns")
    with torch.inference_mode():
        rounds = race(contestants, budget=15.0, least=3)
    greedy = {name: answers for name, answers in found.items() if name != "ours, sampled"}
    expected = greedy[OURS]
    tokens = PROMPTS * GROUP * NEW
    record(
        "rewards",
        [
            {
                "measured": "rollouts",
                "contestant": name,
                "answers": PROMPTS * GROUP,
                "tokens per processor second": round(tokens / median(rounds, name)),
                **ratio("times ours", rounds, name, OURS),
                "same answers": torch.equal(greedy[name], expected) if name in greedy else None,
            }
            for name in contestants
        ],
    )


if __name__ == "__main__":
    main()

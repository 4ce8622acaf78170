"""One training step, measured: ours beside transformers' model with torch.optim.AdamW.

    python -m benchmarks.training            everything
    python -m benchmarks.training --claims   without the second table

All contestants have the same weights and are given the same batch, all clip by the global norm, and
all set the rate by the same schedule. Text counts everywhere, so that transformers' own loss is the
same number. They run in turns on one thread. "times ours" above 1 means that ours is faster;
compiled ones are compared with ours compiled. Products and the attention kernel, which no compiler
changes, take four fifths of a step of the course model and nearly all of the largest, which is not
compiled. Before they are timed, the losses and the weights after three steps are compared.

The second table is the time from a fresh Python to the course model, and how much of it is spent
after the import of torch.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from statistics import median as middle

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from benchmarks.record import claims_alone, progress, record
from benchmarks.timing import Contestants, median, race, ratio
from course_lib.checkpoint import load_model, save_model
from course_lib.device import can_compile
from course_lib.model import ModelConfig, build_model
from course_lib.training.data import Batch
from course_lib.training.loop import Plan, Training
from course_lib.training.optimizer import decay_groups
from course_lib.training.recipes import COURSE_MODEL, QUICK
from course_lib.training.schedule import cosine_rate

OURS, COMPILED = "ours", "ours, compiled"
LARGEST = "Qwen3, 6 x 512"
PLAN = Plan(steps=10_000, warmup=100, peak=1e-3, final=1e-4, betas=(0.9, 0.98))
SHAPES = {  # model, sequences, tokens
    "quick recipe": (QUICK.config(), 12, QUICK.context),
    "course model": (COURSE_MODEL.config(), 12, COURSE_MODEL.context),
    LARGEST: (
        ModelConfig(
            vocab_size=8192,
            hidden_size=512,
            intermediate_size=1408,
            num_hidden_layers=6,
            num_attention_heads=8,
            num_key_value_heads=4,
            head_dim=64,
            max_position_embeddings=512,
            tie_word_embeddings=True,
        ),
        2,
        512,
    ),
}
IMPORTS = {
    "import torch": "import torch",
    "course model, loaded": "from course_lib.pretrained import course_model; course_model()",
    "transformers, loaded": (
        "from transformers import AutoModelForCausalLM; from course_lib.pretrained import FOLDER; "
        "AutoModelForCausalLM.from_pretrained(FOLDER)"
    ),
}
Step = Callable[[], float]


def our_step(model: nn.Module, ids: Tensor, compiled: bool = False) -> Step:
    batch = Batch(ids, torch.ones_like(ids, dtype=torch.bool))
    training = Training(model, lambda _step, _generator: batch, PLAN, compiled)
    return lambda: training.step().loss


def their_step(model: nn.Module, ids: Tensor, form: str, compiled: bool = False) -> Step:
    """Return the step as it is written with libraries; `form` is that of torch's AdamW."""
    groups = decay_groups(model, PLAN.weight_decay)
    optimizer = torch.optim.AdamW(groups, betas=PLAN.betas, **{form: True})
    forward = torch.compile(model) if compiled else model
    done = 0

    def step() -> float:
        nonlocal done
        done += 1
        optimizer.zero_grad()
        loss = forward(ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), PLAN.max_norm)
        for group in optimizer.param_groups:
            group["lr"] = cosine_rate(
                done, warmup=PLAN.warmup, steps=PLAN.steps, peak=PLAN.peak, final=PLAN.final
            )
        optimizer.step()
        return loss.item()

    return step


def contestants(
    config: ModelConfig, ids: Tensor, compiled: bool
) -> tuple[dict[str, Step], dict[str, nn.Module]]:
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        save_model(build_model(config), folder)
        models = {name: loaded(folder, name) for name in names(compiled)}
    steps: dict[str, Step] = {}
    for name, model in models.items():
        form = "foreach" if "foreach" in name else "fused"
        if name.startswith(OURS):
            steps[name] = our_step(model, ids, "compiled" in name)
        else:
            steps[name] = their_step(model, ids, form, "compiled" in name)
    return steps, models


def names(compiled: bool) -> list[str]:
    """Return the contestants; the recipes compile their model where there is a compiler."""
    found = [OURS, "transformers, AdamW foreach", "transformers, AdamW fused"]
    if compiled and can_compile():
        found += [COMPILED, "transformers, compiled, AdamW fused"]
    return found


def loaded(folder: str, name: str) -> nn.Module:
    load = load_model if name.startswith(OURS) else AutoModelForCausalLM.from_pretrained
    return load(folder).train().requires_grad_(True)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for _, p in sorted(model.named_parameters())])


def step_rows(name: str) -> list[dict]:
    config, batch, tokens = SHAPES[name]
    draws = torch.Generator().manual_seed(0)
    ids = torch.randint(config.vocab_size, (batch, tokens), generator=draws)
    steps, models = contestants(config, ids, name != LARGEST)
    losses = []
    for each, step in steps.items():
        progress("training step", name, each)
        losses.append([step() for _ in range(3)])
    loss_gap = max(abs(a - b) for each in losses for a, b in zip(each, losses[0], strict=True))
    after = [weights(model) for model in models.values()]
    weight_gap = max((each - after[0]).abs().max().item() for each in after)
    progress("training step", name, "all in turns")
    raced: Contestants = steps
    rounds = race(raced, budget=10.0, least=4, warm=True)
    return [
        {
            "measured": "training step",
            "model": name,
            "batch": f"{batch} x {tokens}",
            "contestant": each,
            "tokens per second": round(batch * tokens / median(rounds, each)),
            **ratio("times ours", rounds, each, COMPILED if "compiled" in each else OURS),
            "largest difference of losses": loss_gap,
            "of weights after 3 steps": weight_gap,
        }
        for each in steps
    ]


TIMER = (
    "import time; before = time.process_time(); import torch; "
    "between = time.process_time(); {code}; print(time.process_time() - before, "
    "time.process_time() - between)"
)


def loading_rows(rounds: int = 5) -> list[dict]:
    """Time fresh processes in turns; `seconds beyond torch` is what comes after its import."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in IMPORTS}
    for _ in range(rounds):
        for name, code in IMPORTS.items():
            progress("loading", name)
            command = [sys.executable, "-c", TIMER.format(code=code)]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            whole, beyond = map(float, out.split()[-2:])
            taken[name].append((whole, beyond))
    return [
        {
            "measured": "loading",
            "contestant": name,
            "processor seconds": round(middle(whole for whole, _ in found), 2),
            "beyond torch": round(middle(beyond for _, beyond in found), 2),
        }
        for name, found in taken.items()
    ]


def main() -> None:
    torch.set_num_threads(1)
    rows = [row for name in SHAPES for row in step_rows(name)]
    record("training", rows if claims_alone() else rows + loading_rows())


if __name__ == "__main__":
    main()

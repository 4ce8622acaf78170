"""Generation, measured: tokens per second beside transformers' generate, on the same weights.

    python -m benchmarks.generation              without the contestants that need a C++ compiler
    python -m benchmarks.generation --compiled   with them (they take minutes to compile)
    python -m benchmarks.generation --claims     without drafting and the slower kinds of cache

"prefill" reads a prompt; "decode" generates tokens one by one after a short one, sampling included.
All run on one thread in float32, in turns, and write the same greedy text; "same text" says so.
A step of "ours, fused and compiled" is the single call that "ours, fused" makes; only where that
is not possible, as on a GPU, does torch.compile make a program of it.
"times theirs" compares with transformers as it comes: dynamic cache, not compiled. "drafting" is
the course model drafted by its own first layers, which nobody trained for it: expect a loss.
"""

import sys
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, CompileConfig

from benchmarks.record import claims_alone, progress, record
from benchmarks.timing import median, median_ratio, race, ratio
from course_lib.checkpoint import load_model, save_model
from course_lib.device import seeded
from course_lib.generation import (
    CompiledDecoder,
    FusedDecoder,
    Reader,
    first_layers,
    generate,
    speculative_generate,
    speed_up,
)
from course_lib.model import DecoderLM, ModelConfig, build_model
from course_lib.pretrained import course_model, course_tokenizer

THEIRS = "transformers, dynamic cache"
PROMPT, NEW, LONG = 16, 48, 192
Runs = dict[str, Callable[[], Tensor]]

SIX_LAYERS = ModelConfig(
    vocab_size=2048,
    hidden_size=256,
    intermediate_size=704,
    num_hidden_layers=6,
    num_attention_heads=8,
    num_key_value_heads=2,
    head_dim=32,
    max_position_embeddings=512,
    tie_word_embeddings=True,
)


def with_opinions(config: ModelConfig) -> DecoderLM:
    """Return a random model whose best token is not a matter of rounding."""
    model = build_model(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter += 0.05 * torch.randn_like(parameter)
    return model


def as_transformers(model: DecoderLM) -> Any:
    """Return transformers' model on the same weights."""
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, folder)
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def their_run(model: Any, ids: Tensor, new: int, **settings: Any) -> Callable[[], Tensor]:
    """Return a run of transformers' generate that writes exactly `new` tokens."""
    mask = torch.ones_like(ids)
    fixed = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "max_new_tokens": new}
    return lambda: model.generate(ids, attention_mask=mask, **fixed, **settings)[:, ids.shape[1] :]


def contestants(model: DecoderLM, ids: Tensor, new: int, compiled: bool) -> Runs:
    """Return every contestant that generates `new` tokens after `ids`."""
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, folder)
        ready = load_model(folder).eval().requires_grad_(False).prepare_to_write()
    theirs, fused = as_transformers(model), FusedDecoder(model)
    static = {"cache_implementation": "static"}
    runs: Runs = {
        THEIRS: their_run(theirs, ids, new),
        "ours, readable": lambda: generate(model, ids, new),
        "ours, readable, prepared": lambda: generate(ready, ids, new),
        "ours, fused": lambda: generate(fused, ids, new),
    }
    if not claims_alone():
        runs["transformers, static cache"] = their_run(theirs, ids, new, **static)
    if compiled:
        torch.compiler.reset()  # what was compiled for other shapes must not make this general
        if len(ids) == 1 or not claims_alone():  # this takes a minute to compile
            everywhere = CompileConfig()
            everywhere._compile_all_devices = True  # by itself generate compiles on a GPU only
            settings: dict[str, Any] = {**static, "compile_config": everywhere}
            quick = their_run(as_transformers(model), ids, new, **settings)
            runs["transformers, static cache, compiled"] = quick
        stepping = CompiledDecoder(model)
        runs["ours, fused and compiled"] = lambda: generate(stepping, ids, new)
    return runs


def rows(about: dict[str, Any], runs: Runs, tokens: int, budget: float) -> list[dict[str, Any]]:
    """Return a row for each contestant; `tokens` is what one run reads or writes."""
    texts = {}
    for name, run in runs.items():
        progress(about["measured"], about["model"], f"batch {about['batch']}", name)
        texts[name] = run()
    rounds = race(runs, budget, least=3, warm=True)
    return [
        {
            **about,
            "contestant": name,
            "tokens per second": round(tokens / median(rounds, name)),
            **ratio("times theirs", rounds, THEIRS, name),
            "same text": bool(torch.equal(texts[name], texts[THEIRS])),
        }
        for name in runs
    ]


def decoding_rows(name: str, model: DecoderLM, batch: int, compiled: bool) -> list[dict[str, Any]]:
    ids = torch.randint(model.config.vocab_size, (batch, PROMPT), generator=seeded(0))
    about = {"measured": "decode", "model": name, "batch": batch}
    return rows(about, contestants(model, ids, NEW, compiled), batch * NEW, budget=5.0)


def prefill_rows(name: str, model: DecoderLM, batch: int) -> list[dict[str, Any]]:
    """Read a long prompt and choose one token."""
    ids = torch.randint(model.config.vocab_size, (batch, LONG), generator=seeded(1))
    about = {"measured": "prefill", "model": name, "batch": batch}
    return rows(about, contestants(model, ids, 1, compiled=False), batch * LONG, budget=3.0)


def drafting_rows(draft_tokens: int) -> list[dict[str, Any]]:
    """Write with and without drafts from the first layers of the course model."""
    model = course_model()
    prompts = ("The function returns a new", "import os\n\ndef ", "class Error(Exception):\n")
    found = []
    for count in range(1, model.config.num_hidden_layers):
        draft = first_layers(model, count)
        progress("drafting", f"{draft_tokens} tokens by {count} layers")
        kept = drafted = passes = 0
        runs: dict[str, Callable[[], object]] = {"alone": lambda: None, "drafted": lambda: None}
        ratios, same = [], True
        for prompt in prompts:
            ids = torch.tensor([course_tokenizer().encode(prompt)])
            settings = {"max_new_tokens": NEW, "draft_tokens": draft_tokens}
            result = speculative_generate(model, draft, ids, **settings)
            same &= torch.equal(result.ids, generate(model, ids, NEW))
            kept, drafted = kept + result.accepted, drafted + result.drafted
            passes += result.passes
            runs = {
                "alone": lambda ids=ids: generate(model, ids, NEW),
                "drafted": lambda ids=ids, s=settings, d=draft: speculative_generate(
                    model, d, ids, **s
                ),
            }
            ratios.append(median_ratio(race(runs, 1.0, least=3), "alone", "drafted"))
        cost = pass_cost(model, draft)
        found.append(
            {
                "measured": "drafting",
                "draft": f"first {count} of {model.config.num_hidden_layers} layers",
                "drafted in a round": draft_tokens,
                "kept": round(kept / drafted, 2),
                "tokens per pass": round(len(prompts) * NEW / passes, 2),
                "draft pass / pass": round(cost, 2),
                "times as fast, by the formula": round(
                    speed_up(kept / drafted, draft_tokens, cost), 2
                ),
                "times as fast, measured": round(sorted(ratios)[len(ratios) // 2], 2),
                "same text": same,
            }
        )
    return found


@torch.inference_mode()
def pass_cost(model: DecoderLM, draft: DecoderLM) -> float:
    """Return how long a decoding pass of the draft takes, in passes of the model."""

    def write(one: nn.Module) -> Callable[[], object]:
        def run() -> None:
            reader = Reader(one, 1, 40)
            for _ in range(40):
                reader.read(torch.zeros(1, 1, dtype=torch.long))

        return run

    return median_ratio(race({"model": write(model), "draft": write(draft)}, 1.0), "draft", "model")


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    compiled = "--compiled" in sys.argv[1:]
    models = {
        "6 layers of 256": with_opinions(SIX_LAYERS),
        "the course model": course_model(),
    }
    found = [
        row
        for name, model in models.items()
        for batch in (1, 8)
        for row in decoding_rows(name, model, batch, compiled)
    ]
    prefill = [row for name, model in models.items() for row in prefill_rows(name, model, 1)]
    drafting = [] if claims_alone() else [row for k in (2, 4) for row in drafting_rows(k)]
    record("generation", found + prefill + drafting)


if __name__ == "__main__":
    main()

"""The whole model, measured: our decoder beside transformers', on the same weights.

    python -m benchmarks.model            besides, our model as it is taught
    python -m benchmarks.model --claims   without it

"forward" scores every token of a batch of texts. "decoding" generates tokens one at a time after a
text that is in the cache: its time is that of one token, and includes sampling it. All run on one
thread in float32, in turns. "ours" is prepared to write: it uses PyTorch's kernels, as "sdpa" does,
and computes a new token in one call of its compiled program. As it is taught, its attention writes
its weights, as "eager" does. The cached text is random keys and values, the same for all. "times
ours" above 1 means that ours is faster. In a forward pass over many tokens, the products and the
attention kernel, which are the same for both, take more than nine tenths of the time: there is not
much to gain or lose.
"""

import tempfile
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from benchmarks.real_size_runs import NEW, our_decoding, their_decoding
from benchmarks.record import claims_alone, progress, record
from benchmarks.timing import keeping, median, race, ratio
from course_lib.checkpoint import load_model, save_model
from course_lib.model import ModelConfig, build_model

OURS = "ours"
LARGE = ("GPT-2, 12 x 768", "Llama, 30 x 576", "Qwen3, 4 x 1024")  # a pass takes seconds
LONGEST = 1024  # tokens of a forward pass
WAYS = ("eager", "sdpa")  # how transformers computes attention
Runs = dict[str, Callable[[], Tensor]]


def shape(layers: int, width: int, hidden: int, heads: tuple[int, int, int], **more: Any) -> dict:
    return {
        "vocab_size": 8192,
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "head_dim": heads[2],
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        **more,
    }


EXPERTS = {
    "num_experts": 32,
    "num_experts_per_tok": 4,
    "moe_intermediate_size": 96,
    "norm_topk_prob": True,
}
SHAPES = {
    "Qwen3, 3 x 128": shape(3, 128, 352, (4, 2, 32)),
    "Qwen3, 6 x 256": shape(6, 256, 704, (8, 2, 32)),
    "Qwen3-MoE, 4 x 256": shape(4, 256, 704, (8, 2, 32), model_type="qwen3_moe", **EXPERTS),
    "GPT-2, 12 x 768": shape(12, 768, 3072, (12, 12, 64), model_type="gpt2"),
    "Llama, 30 x 576": shape(30, 576, 1536, (9, 3, 64), model_type="llama"),
    "Qwen3, 4 x 1024": shape(4, 1024, 3072, (16, 8, 128)),
}


def same_weights(config: ModelConfig) -> dict[str, nn.Module]:
    """Return our model and transformers' in each way, all with the weights of one file."""
    with tempfile.TemporaryDirectory() as folder:
        save_model(build_model(config), folder)
        models: dict[str, nn.Module] = {OURS: load_model(folder).prepare_to_write()}
        if not claims_alone():
            models[f"{OURS}, as it is taught"] = load_model(folder)
        for way in WAYS:
            models[f"transformers, {way}"] = AutoModelForCausalLM.from_pretrained(
                folder, attn_implementation=way
            )
    return models


def rows(about: dict, runs: Runs, tokens: int = 1) -> list:
    """Time runs that compute the same; `tokens` is by what their time is divided."""
    keepers, outputs = keeping(runs)
    rounds = race(keepers, budget=1.2, least=2 if about.get("tokens") == LONGEST else 3)
    difference = max((each - outputs[OURS]).abs().max().item() for each in outputs.values())
    return [
        {
            **about,
            "contestant": name,
            "milliseconds": round(1e3 * median(rounds, name) / tokens, 3),
            **ratio("times ours", rounds, name, OURS),
            "largest difference": difference,
        }
        for name in runs
    ]


def forward_rows(name: str, models: dict[str, nn.Module], batch: int, tokens: int) -> list:
    progress("forward", name, f"batch {batch}", f"{tokens} tokens")
    ids = torch.randint(8192, (batch, tokens), generator=torch.Generator().manual_seed(0))
    runs = {each: lambda m=model: m(ids).logits for each, model in models.items()}
    about = {"measured": "forward", "model": name, "batch": batch, "tokens": tokens}
    return rows(about, runs)


def decoding_rows(name: str, models: dict[str, nn.Module], batch: int, cached: int) -> list:
    progress("decoding", name, f"batch {batch}", f"{cached} cached tokens")
    runs = {
        each: (our_decoding if each.startswith(OURS) else their_decoding)(model, batch, cached)
        for each, model in models.items()
    }
    about = {"measured": "decoding", "model": name, "batch": batch, "cached tokens": cached}
    return rows(about, runs, NEW)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    forward, decoding = [], []
    for name, sizes in SHAPES.items():
        models = same_weights(ModelConfig(**sizes))
        with torch.inference_mode():
            for batch, tokens in ((1, 16), (1, 256), (4, 256), (1, LONGEST)):
                if batch == 1 or name not in LARGE:
                    forward += forward_rows(name, models, batch, tokens)
            for batch, cached in ((1, 512), (4, 512), (1, 2000)):
                decoding += decoding_rows(name, models, batch, cached)
    record("model", forward + decoding)


if __name__ == "__main__":
    main()

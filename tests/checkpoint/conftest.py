"""Small checkpoints in the form in which the real ones were published: all files, tiny sizes.

The keys of the JSON files, the names and types of the tensors and the set-up of the tokenizers are
those of the released files. Only the sizes are others, and so the numbers in the weights.
"""

import json

import pytest
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    processors,
    trainers,
)
from tokenizers import pre_tokenizers as splits

from course_lib import corpus

LEARNED = corpus.train_text(20_000) + "\n".join(corpus.SAMPLES.values())
PIECES = 500
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT2_CONFIG = {
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "attn_pdrop": 0.1,
    "bos_token_id": 0,
    "embd_pdrop": 0.1,
    "eos_token_id": 0,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "model_type": "gpt2",
    "n_ctx": 256,
    "n_embd": 48,
    "n_head": 6,
    "n_layer": 3,
    "n_positions": 256,
    "resid_pdrop": 0.1,
    "summary_activation": None,
    "summary_first_dropout": 0.1,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    "vocab_size": PIECES,
}
QWEN3_CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": PIECES,
    "eos_token_id": PIECES + 2,
    "head_dim": 10,
    "hidden_act": "silu",
    "hidden_size": 48,
    "initializer_range": 0.02,
    "intermediate_size": 72,
    "max_position_embeddings": 40960,
    "max_window_layers": 3,
    "model_type": "qwen3",
    "num_attention_heads": 6,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.51.0",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": PIECES + 28,  # the table is larger than the vocabulary
}
SMOLLM2_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "hidden_act": "silu",
    "hidden_size": 54,
    "initializer_range": 0.041666666666666664,
    "intermediate_size": 80,
    "is_llama_config": True,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 9,
    "num_hidden_layers": 3,
    "num_key_value_heads": 3,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_interleaved": False,
    "rope_scaling": None,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.40.1",
    "use_cache": True,
    "vocab_size": PIECES,
}
GENERATION = {
    "gpt2": {
        "_from_model_config": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "transformers_version": "4.26.0.dev0",
    },
    "qwen3": {
        "bos_token_id": PIECES,
        "do_sample": True,
        "eos_token_id": [PIECES + 2, PIECES],
        "pad_token_id": PIECES,
        "temperature": 0.6,
        "top_k": 20,
        "top_p": 0.95,
        "transformers_version": "4.51.0",
    },
    "smollm2": {
        "_from_model_config": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "transformers_version": "4.40.1",
    },
}
CONFIGS = {"gpt2": GPT2_CONFIG, "qwen3": QWEN3_CONFIG, "smollm2": SMOLLM2_CONFIG}


def byte_pairs(pre_tokenizer, special=()):
    """Return byte-pair encoding of this course's texts, trained by `tokenizers` alone."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES,
        initial_alphabet=splits.ByteLevel.alphabet(),
        special_tokens=[AddedToken(name, special=True) for name in special],
        show_progress=False,
    )
    tokenizer.train_from_iterator([LEARNED], trainer)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def qwen_tokenizer():
    tokenizer = byte_pairs(
        splits.Sequence(
            [
                splits.Split(Regex(QWEN_SPLIT), "isolated"),
                splits.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    )
    tokenizer.normalizer = normalizers.NFC()
    names = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    tokenizer.add_tokens([AddedToken(name, normalized=False, special=True) for name in names])
    return tokenizer


def tokenizer_files(family):
    """Return the contents of tokenizer.json and tokenizer_config.json."""
    if family == "qwen3":
        settings = {
            "add_bos_token": False,
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "model_max_length": 131072,
            "tokenizer_class": "Qwen2Tokenizer",
        }
        return json.loads(qwen_tokenizer().to_str()), settings
    tokenizer = byte_pairs(splits.ByteLevel(add_prefix_space=False), ["<|endoftext|>"])
    content = json.loads(tokenizer.to_str())
    content["model"]["merges"] = [" ".join(merge) for merge in content["model"]["merges"]]
    settings = {"model_max_length": 256, "eos_token": "<|endoftext|>"}
    return content, {**settings, "tokenizer_class": "GPT2Tokenizer"}


def published_tensors(family, model):
    """Return the tensors of a model of transformers with the names and types of the real file."""
    state = dict(model.state_dict())
    if family == "gpt2":  # no prefix, no head, and the causal masks that were buffers then
        size = model.config.n_positions
        mask = torch.ones(size, size).tril().view(1, 1, size, size)
        bare = {name.removeprefix("transformer."): w for name, w in state.items()}
        del bare["lm_head.weight"]
        masks = {f"h.{i}.attn.bias": mask.clone() for i in range(model.config.n_layer)}
        return {**bare, **masks}
    state = {name: weight.bfloat16() for name, weight in state.items()}
    if family == "qwen3":  # tied, and stored twice
        return {**state, "lm_head.weight": state["lm_head.weight"].clone()}
    return {name: weight for name, weight in state.items() if name != "lm_head.weight"}


def write_json(path, content):
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """Return a function that gives the folder of a small checkpoint, written once."""
    written = {}

    def folder_of(family):
        if family not in written:
            folder = tmp_path_factory.mktemp(family)
            write_json(folder / "config.json", CONFIGS[family])
            write_json(folder / "generation_config.json", GENERATION[family])
            content, settings = tokenizer_files(family)
            write_json(folder / "tokenizer.json", content)
            write_json(folder / "tokenizer_config.json", settings)
            torch.manual_seed(0)
            config = transformers.AutoConfig.from_pretrained(folder)
            model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            for weight in model.parameters():
                weight.data += 0.1 * torch.randn_like(weight)  # ones and zeros would hide much
            tensors = published_tensors(family, model)
            save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
            written[family] = folder
        return written[family]

    return folder_of

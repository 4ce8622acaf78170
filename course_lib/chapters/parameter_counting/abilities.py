"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "parameter_counting",
        "count the parameters of any model of the Qwen3, Llama, Mistral or GPT-2 kind exactly, and "
        "name the four usual slips",
        exercises="attention mlp model active",
        questions="gqa model_size untied what_counts bug_count more_experts",
    ),
    ability(
        "parameter_counting",
        "tell the FLOPs of a token and of a training run, and how long a run takes",
        exercises="flops_per_token training_flops",
        questions="token days",
    ),
    ability(
        "parameter_counting",
        "tell the bytes of weights, of a KV cache and of a training step",
        exercises="kv_cache",
        questions="weights cache training_state checkpointing fits",
    ),
    ability(
        "parameter_counting",
        "draw a roofline, say why reading a prompt and writing an answer are limited by different "
        "things, and bound the tokens per second of a model on a device",
        exercises="roofline decode",
        questions="waiting decode_rate larger_batch ridge plan bug_decode",
    ),
)

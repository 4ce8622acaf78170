"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "parameter_counting",
        "count the parameters of any model of the Qwen3, Llama, Mistral or GPT-2 families exactly, "
        "and name the four common mistakes",
        exercises="attention mlp model active",
        questions="gqa model_size untied what_counts bug_count more_experts",
    ),
    ability(
        "parameter_counting",
        "calculate the FLOPs of a token and of a training run, how long a run takes, and its "
        "utilisation",
        exercises="flops_per_token training_flops mfu",
        questions="token days",
    ),
    ability(
        "parameter_counting",
        "calculate the bytes of weights, of a KV cache and of a training step, with its "
        "activations",
        exercises="kv_cache activations",
        questions="weights cache training_state checkpointing fits",
    ),
    ability(
        "parameter_counting",
        "draw a roofline, say why prefill and decode have different limits, and bound the tokens "
        "per second of a model on a device by the bytes that a step reads",
        exercises="roofline step_bytes decode",
        questions="waiting decode_rate larger_batch ridge plan bug_decode",
    ),
)

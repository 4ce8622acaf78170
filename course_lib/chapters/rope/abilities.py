"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "rope",
        "say what each way does, where it enters the model, and what it does beyond the "
        "trained length",
        exercises="sinusoidal alibi_slopes alibi_bias",
        questions="blind beyond slope no_absolute_value",
    ),
    ability(
        "rope",
        "write RoPE in both of its layouts, convert a checkpoint from one to the other, and prove "
        "what the score depends on",
        exercises="angles halves neighbours convert batch_with_cache",
        questions="shifted score properties values order bug_matrix bug_layout mixed_layouts",
    ),
    ability(
        "rope",
        "read a `rope_parameters` entry of a config, and say which planes it slows and why",
        exercises="ntk_base llama3",
        questions="wavelength ntk qwen_base interpolation window",
    ),
    ability(
        "rope",
        "tell what falls with distance under RoPE and what does not",
        questions="decay",
    ),
)

"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "self_check",
        "say from memory why the parts of a model are as they are, and what argues against the "
        "alternatives",
        questions="why_pieces end_as_padding two_perplexities attention_cost root_of_d "
        "rope_or_absolute alibi layer_or_rms dead_unit expert_balance residual_stream families "
        "why_decoders why_flash flash_facts cache_saves prefill_or_decode temperature_first drafts",
    ),
    ability(
        "self_check",
        "compute what a model costs, and predict what a few lines of code print",
        questions="angle cache_saved prompt_seconds table_moved rate nucleus prints_merges "
        "prints_masks prints_shapes prints_rows prints_penalty prints_norm active_parameters "
        "training_bytes decode_speed",
    ),
    ability(
        "self_check",
        "find the one wrong line in short code, and put the steps of a process in order",
        questions="bug_bytes bug_shared bug_loss bug_adamw bug_position bug_norm bug_leak bug_nan "
        "encoding training_step one_answer block_order",
    ),
    ability(
        "self_check",
        "write attention, RoPE and text generation without looking them up",
        exercises="attention rope continue_texts",
    ),
    ability(
        "self_check",
        "design a model or a service for a purpose, and judge your own design",
        questions="design_long_context design_faster design_images",
    ),
)

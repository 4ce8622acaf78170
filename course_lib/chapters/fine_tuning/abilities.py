"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "fine_tuning",
        "turn conversations into ids and labels, pack them into rows where none reads "
        "another, and say what a base model must know before a short fine-tuning can work",
        exercises="labels packed_mask packed_positions",
        questions="end first_token bug_labels separate packing packed_pairs base_lacks",
    ),
    ability(
        "fine_tuning",
        "write LoRA, merge it, count what it trains and what it saves, and say why one of its "
        "factors must not start at zero",
        exercises="lora merged trainable",
        questions="scale both_zero trained time merged_twice new_roles",
    ),
    ability(
        "fine_tuning",
        "steer a frozen model by a prefix in its cache, and compare adapters, prompts and prefixes",
        exercises="prefix",
        questions="prefix_memory",
    ),
    ability(
        "fine_tuning",
        "derive DPO from the KL-constrained optimum, write it, and predict what it does to the "
        "log-probabilities of chosen and rejected answers",
        exercises="bradley_terry log_probability dpo",
        questions="bug_reward margin_loss mask_prompt chosen_falls beta derivation which_loss",
    ),
)

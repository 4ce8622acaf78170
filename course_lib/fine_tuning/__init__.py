"""Fine-tuning: how a model of text becomes an assistant.

Small files, in the order in which the notebook reads them:

    labels               a conversation as ids and labels
    packing              several conversations in a row, without noticing each other
    new_tokens           rows for tokens that the base model has never read
    lora                 a change of low rank beside frozen weights
    adapter_files        adapters on disk, in peft's format
    adapters             bottlenecks after the layers
    prefix               keys and values that no token produced
    reward_head          a reward model, and the Bradley-Terry loss
    preferences          DPO and its relatives
    preference_training  the training loop on pairs

Taught in:        fine_tuning
"""

from course_lib.fine_tuning.adapter_files import (
    adapter_tensors,
    load_adapter,
    save_adapter,
    set_adapter_tensors,
)
from course_lib.fine_tuning.adapters import Adapted, inject_adapters
from course_lib.fine_tuning.labels import (
    IGNORED,
    Example,
    answer_header,
    answer_labels,
    chat_example,
    check_turns,
)
from course_lib.fine_tuning.lora import (
    ALL_LINEAR,
    ATTENTION,
    LoRAConfig,
    LoRALinear,
    fold_lora,
    inject_lora,
    lora_forward,
    lora_layers,
    lora_parameters,
    lora_scale,
    merge_lora,
    merged_weight,
    trainable_parameters,
    unmerge_lora,
)
from course_lib.fine_tuning.new_tokens import copy_rows, embedding, train_rows_only
from course_lib.fine_tuning.packing import (
    PADDING,
    Packed,
    assign_rows,
    pack_examples,
    packed_logits,
    packed_mask,
    packed_positions,
    pad_examples,
)
from course_lib.fine_tuning.preference_training import (
    Pair,
    PairStatistics,
    PreferenceTraining,
    batch_log_probabilities,
    pair_batch,
    pair_statistics,
)
from course_lib.fine_tuning.preferences import (
    dpo_loss,
    ipo_loss,
    kto_loss,
    preference_margin,
    sequence_log_probability,
    simpo_loss,
)
from course_lib.fine_tuning.prefix import Prefix, PrefixLayer, prefixed_output, with_prefix
from course_lib.fine_tuning.reward_head import (
    RewardModel,
    bradley_terry_loss,
    last_token,
    log_sigmoid,
)

__all__ = [
    "ALL_LINEAR",
    "ATTENTION",
    "IGNORED",
    "PADDING",
    "Adapted",
    "Example",
    "LoRAConfig",
    "LoRALinear",
    "Packed",
    "Pair",
    "PairStatistics",
    "PreferenceTraining",
    "Prefix",
    "PrefixLayer",
    "RewardModel",
    "adapter_tensors",
    "answer_header",
    "answer_labels",
    "assign_rows",
    "batch_log_probabilities",
    "bradley_terry_loss",
    "chat_example",
    "check_turns",
    "copy_rows",
    "dpo_loss",
    "embedding",
    "fold_lora",
    "inject_adapters",
    "inject_lora",
    "ipo_loss",
    "kto_loss",
    "last_token",
    "load_adapter",
    "log_sigmoid",
    "lora_forward",
    "lora_layers",
    "lora_parameters",
    "lora_scale",
    "merge_lora",
    "merged_weight",
    "pack_examples",
    "packed_logits",
    "packed_mask",
    "packed_positions",
    "pad_examples",
    "pair_batch",
    "pair_statistics",
    "preference_margin",
    "prefixed_output",
    "save_adapter",
    "sequence_log_probability",
    "set_adapter_tensors",
    "simpo_loss",
    "train_rows_only",
    "trainable_parameters",
    "unmerge_lora",
    "with_prefix",
]

"""Training: how text becomes weights.

Small files, in the order in which the notebook reads them:

    objective       the mean cross-entropy of each next token, shifted by one
    descent         plain descent and AdamW in a valley that is steep across and flat along
    optimizer       AdamW, as a single step and over groups of parameters
    schedule        warm-up and cosine
    gradients       clipping by the global norm, shares of a batch in parts
    data            crops of a memory-mapped row of tokens, random ids that repeat
    loop            the training loop
    training_state  save a run, and resume it exactly
    evaluation      bits per byte, and attention scores of the heads
    scaling         how the loss falls with parameters and tokens
    muon            an optimizer for matrices, to compare with AdamW
    recipes         how the course's own models are trained
    runs            a recipe that is trained in a folder, and can be resumed

All but the last two are imported here. `recipes` and `runs` need the tokenizers and the course's
texts; import them by name.

Taught in:        training
"""

from course_lib.training.data import (
    Batch,
    random_crops,
    read_tokens,
    repeating_batch,
    write_tokens,
)
from course_lib.training.descent import adamw_path, height, sgd_path, valley
from course_lib.training.evaluation import (
    RepeatProbe,
    pooled_bits_per_byte,
    probe_repeats,
    text_bits_per_byte,
    token_log_probabilities,
)
from course_lib.training.gradients import (
    clip_by_global_norm,
    clip_factor,
    clipped,
    global_norm,
    share_of,
)
from course_lib.training.loop import Draw, Plan, StepReport, Training, split
from course_lib.training.muon import Muon, muon_update, newton_schulz
from course_lib.training.objective import MeanCrossEntropy, expected_initial_loss, next_token_loss
from course_lib.training.optimizer import AdamW, adamw_step, adamw_update, decay_groups
from course_lib.training.scaling import PowerLaw, ScalingLaw, fit_power_law, fit_scaling_law
from course_lib.training.schedule import cosine_rate
from course_lib.training.training_state import resume_training, save_training

__all__ = [
    "AdamW",
    "Batch",
    "Draw",
    "MeanCrossEntropy",
    "Muon",
    "Plan",
    "PowerLaw",
    "RepeatProbe",
    "ScalingLaw",
    "StepReport",
    "Training",
    "adamw_path",
    "adamw_step",
    "adamw_update",
    "clip_by_global_norm",
    "clip_factor",
    "clipped",
    "cosine_rate",
    "decay_groups",
    "expected_initial_loss",
    "fit_power_law",
    "fit_scaling_law",
    "global_norm",
    "height",
    "muon_update",
    "newton_schulz",
    "next_token_loss",
    "pooled_bits_per_byte",
    "probe_repeats",
    "random_crops",
    "read_tokens",
    "repeating_batch",
    "resume_training",
    "save_training",
    "sgd_path",
    "share_of",
    "split",
    "text_bits_per_byte",
    "token_log_probabilities",
    "valley",
    "write_tokens",
]

"""The budget of a model: its parameters, FLOPs, bytes, and the limits of its speed.

Nothing here builds a model: its config is enough to calculate parameters, FLOPs and bytes.

Five small files, in the order in which the notebook reads them: `models` (the configurations),
`parameters`, `compute` (FLOPs), `memory` (bytes), `limits` (the roofline and its consequences).

Taught in:        parameter_counting
"""

from course_lib.accounting.compute import (
    attention_flops,
    flops_by_part,
    flops_per_token,
    forward_flops,
    model_flops_utilisation,
    training_flops,
)
from course_lib.accounting.limits import (
    DEVICES,
    Device,
    PassCost,
    arithmetic_intensity,
    decode_tokens_per_second,
    model_step,
    parameters_read,
    ridge_intensity,
    roofline,
    time_bound,
)
from course_lib.accounting.memory import (
    InferenceMemory,
    TrainingMemory,
    activation_bytes,
    bytes_per_number,
    inference_memory,
    training_memory,
)
from course_lib.accounting.models import MODELS
from course_lib.accounting.parameters import (
    Part,
    active_parameters,
    attention_parameters,
    inner_parts,
    matmul_parameters,
    mlp_parameters,
    norm_parameters,
    parameter_parts,
    parameters_without_embeddings,
    total_parameters,
)
from course_lib.attention import kv_cache_bytes

__all__ = [
    "DEVICES",
    "MODELS",
    "Device",
    "InferenceMemory",
    "Part",
    "PassCost",
    "TrainingMemory",
    "activation_bytes",
    "active_parameters",
    "arithmetic_intensity",
    "attention_flops",
    "attention_parameters",
    "bytes_per_number",
    "decode_tokens_per_second",
    "flops_by_part",
    "flops_per_token",
    "forward_flops",
    "inference_memory",
    "inner_parts",
    "kv_cache_bytes",
    "matmul_parameters",
    "mlp_parameters",
    "model_flops_utilisation",
    "model_step",
    "norm_parameters",
    "parameter_parts",
    "parameters_read",
    "parameters_without_embeddings",
    "ridge_intensity",
    "roofline",
    "time_bound",
    "total_parameters",
    "training_flops",
    "training_memory",
]

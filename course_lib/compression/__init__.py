"""Compression: fewer bits, fewer weights, smaller models, and what is lost.

Small files, in the order in which the notebook reads them:

    integers          absmax and zero point, scales for groups
    number_formats    floating-point formats with few bits
    normal_float      NF4
    packing           codes of a few bits, in bytes without gaps
    tensors           a quantised matrix and its scheme
    layers            linear layers and embeddings that stay packed
    cpu_kernels       the same, multiplied by kernels: compiled ones, or torch's
    calibration       statistics of what each layer reads
    smoothing         SmoothQuant, and an outlier planted on purpose
    gptq, awq         rounding that knows the inputs
    pruning           magnitude, Wanda, 2:4, SparseGPT
    low_rank          two thin matrices for one
    whole_model       all of it for a whole model
    quantised_cache   keys and values in few bits
    straight_through  training through rounding
    distillation      a small model learns from a large one; `distillation_training` is its loop
    files             on disk and back
    gguf_blocks       llama.cpp's blocks
    onnx_graph        the decoder as an ONNX graph

`files` and `onnx_graph` are not imported here.

Taught in:        compression
"""

from course_lib.compression.awq import Search, awq_scales, awq_search
from course_lib.compression.calibration import (
    InputStatistics,
    calibrate,
    calibration_rows,
    linear_layers,
    output_error,
)
from course_lib.compression.cpu_kernels import KernelLinear, use_cpu_kernels
from course_lib.compression.distillation import (
    distillation_gradient,
    distillation_loss,
)
from course_lib.compression.distillation_training import DistillationTraining
from course_lib.compression.gguf_blocks import gguf_dequantise, gguf_quantise
from course_lib.compression.gptq import corrected, gptq, inverse_factor
from course_lib.compression.integers import (
    absmax_quantise,
    dequantise,
    group_round_trip,
    largest_code,
    relative_error,
    zero_point_quantise,
)
from course_lib.compression.layers import (
    QuantisedEmbedding,
    QuantisedLinear,
    model_bytes,
    quantised_layers,
    replace_layer,
)
from course_lib.compression.low_rank import break_even_rank, low_rank_factors
from course_lib.compression.normal_float import (
    NF4_TABLE,
    nearest_entry,
    nf4_dequantise,
    nf4_quantise,
    normal_quantiles,
    table_quantise,
)
from course_lib.compression.number_formats import FORMATS, format_values, round_to_format
from course_lib.compression.packing import pack, packed_bytes, unpack
from course_lib.compression.pruning import (
    compress_two_four,
    expand_two_four,
    kept_mask,
    magnitude_mask,
    sparsegpt,
    two_four_mask,
    wanda_mask,
)
from course_lib.compression.quantised_cache import (
    QuantisedKVCache,
    QuantisedPool,
    quantised_pool,
    use_quantised_cache,
)
from course_lib.compression.smoothing import (
    plant_outlier,
    smooth_,
    smooth_model,
    smoothing_scales,
)
from course_lib.compression.straight_through import (
    keep_rounded,
    straight_through,
    train_rounded,
)
from course_lib.compression.tensors import (
    QuantisedTensor,
    Scales,
    Scheme,
    choose_scales,
    decode,
    encode,
    quantise,
)
from course_lib.compression.whole_model import (
    dequantise_model,
    prune_model,
    quantise_embedding,
    quantise_model,
)

__all__ = [
    "FORMATS",
    "NF4_TABLE",
    "DistillationTraining",
    "InputStatistics",
    "KernelLinear",
    "QuantisedEmbedding",
    "QuantisedKVCache",
    "QuantisedLinear",
    "QuantisedPool",
    "QuantisedTensor",
    "Scales",
    "Scheme",
    "Search",
    "absmax_quantise",
    "awq_scales",
    "awq_search",
    "break_even_rank",
    "calibrate",
    "calibration_rows",
    "choose_scales",
    "compress_two_four",
    "corrected",
    "decode",
    "dequantise",
    "dequantise_model",
    "distillation_gradient",
    "distillation_loss",
    "encode",
    "expand_two_four",
    "format_values",
    "gguf_dequantise",
    "gguf_quantise",
    "gptq",
    "group_round_trip",
    "inverse_factor",
    "keep_rounded",
    "kept_mask",
    "largest_code",
    "linear_layers",
    "low_rank_factors",
    "magnitude_mask",
    "model_bytes",
    "nearest_entry",
    "nf4_dequantise",
    "nf4_quantise",
    "normal_quantiles",
    "output_error",
    "pack",
    "packed_bytes",
    "plant_outlier",
    "prune_model",
    "quantise",
    "quantise_embedding",
    "quantise_model",
    "quantised_layers",
    "quantised_pool",
    "relative_error",
    "replace_layer",
    "round_to_format",
    "smooth_",
    "smooth_model",
    "smoothing_scales",
    "sparsegpt",
    "straight_through",
    "table_quantise",
    "train_rounded",
    "two_four_mask",
    "unpack",
    "use_cpu_kernels",
    "use_quantised_cache",
    "wanda_mask",
    "zero_point_quantise",
]

"""Throughputs that were published, and what the planner predicts for the same layouts.

    Llama 3 405B    H100, sequences of 8192 tokens, 16 M tokens a step, interleaved 1F1B (the number
                    of chunks is not given; 4 is assumed here)
    GPT             A100, sequences of 2048 tokens, all activations recomputed, which counts as work
                    (the table has no microbatch; 4, 2 and 2 sequences are assumed here)

Taught in:        parallel
Paper:            Llama team 2024, arXiv:2407.21783, table 4; Narayanan et al. 2021,
                  arXiv:2104.04473, table 1
Checked against:  the papers' tables; the sizes of the GPT models there
Shapes:           none
"""

from dataclasses import replace
from typing import NamedTuple

from course_lib.accounting.limits import DEVICES
from course_lib.model import ModelConfig
from course_lib.parallel import Batch, Cluster, Layout, prediction

# 126 layers in the paper; 128 here, so that 16 stages have as many.
LLAMA_405B = ModelConfig(
    128256, 16384, 53248, 128, 128, 8, 128, 131072, model_type="llama"
)  # fmt: skip
A100 = Cluster(DEVICES["A100 SXM 80 GB"], 512, node_bandwidth=300e9, network_bandwidth=25e9)


class Published(NamedTuple):
    """A published training: its layout, and its share of the peak."""

    name: str
    config: ModelConfig
    cluster: Cluster
    layout: Layout
    batch: Batch
    tflops: float

    @property
    def share(self) -> float:
        """The published share of the peak."""
        return self.tflops * 1e12 / self.cluster.device.peak_flops


def _gpt(hidden: int, heads: int, layers: int) -> ModelConfig:
    return ModelConfig(
        51200, hidden, 4 * hidden, layers, heads, heads, hidden // heads, 2048, model_type="gpt2"
    )


def _llama(devices: int, tflops: float) -> Published:
    layout = Layout(dp=devices // 128, tp=8, pp=16, zero=1, chunks=4)
    cluster = Cluster(devices=devices)
    name = f"Llama 3 405B, {devices:,}"
    return Published(name, LLAMA_405B, cluster, layout, Batch(2048, 8192), tflops)


def _megatron(
    config: ModelConfig, devices: int, pp: int, sequences: int, microbatch: int, tflops: float
) -> Published:
    layout = Layout(devices // (8 * pp), 8, pp, microbatch=microbatch, recompute=True)
    name = f"GPT {config.num_hidden_layers} layers, {devices:,}"
    cluster = replace(A100, devices=devices)
    return Published(name, config, cluster, layout, Batch(sequences, 2048), tflops)


PUBLISHED = (
    _llama(8192, 430.0),
    _llama(16384, 400.0),
    _megatron(_gpt(8192, 64, 48), 512, 2, 1536, 4, 138.0),
    _megatron(_gpt(10240, 80, 60), 1024, 4, 1792, 2, 140.0),
    _megatron(_gpt(12288, 96, 80), 1536, 8, 2304, 2, 148.0),
)


def predicted_share(row: Published) -> float:
    """Return the predicted share of the peak; recomputation counts where the paper counts it."""
    found = prediction(row.config, row.layout, row.batch, row.cluster)
    return found.utilisation * (4 / 3 if row.layout.recompute else 1)

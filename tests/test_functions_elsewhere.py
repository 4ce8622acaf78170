"""Library functions work wherever their inputs are, tried on torch's `meta` device.

The exercises' solutions are tried in `tests/study/check/test_answers_elsewhere.py`. Here are all
other functions that take tensors: called, or left out with the reason.
"""

import importlib
import inspect
import pkgutil

import pytest
import torch

from course_lib import (
    SYLLABUS,
    attention,
    compression,
    embeddings,
    evaluation,
    families,
    fine_tuning,
    flash,
    generation,
    mlp,
    norms,
    parallel,
    positions,
    retrieval,
    rewards,
    rope,
    serving,
    softmax,
    vision,
)
from course_lib.compression import layers
from course_lib.evaluation.greedy_match import cosines
from course_lib.flash import traffic
from course_lib.model import (
    DecoderLM,
    ModelConfig,
    compiled_block,
    compiled_products,
    cpu_linear,
    huge_pages,
    inspection,
    watchers,
    weight_layout,
)
from course_lib.parallel import collectives, differentiable, shards, tensor_parallel
from course_lib.retrieval import cross_encoder, rerank, reranker_training
from course_lib.study.chapter_parts import all_exercises
from course_lib.study.check.made_on_cpu import tensors_of
from course_lib.training import descent, gradients, muon, optimizer
from course_lib.vision import clip_training, encoder, looking, world
from course_lib.vision import evaluation as vision_evaluation

META = torch.device("meta")


def x(*shape):
    return torch.empty(shape, device=META)


def ids(*shape):
    return torch.empty(shape, dtype=torch.long, device=META)


def flags(*shape):
    return torch.empty(shape, dtype=torch.bool, device=META)


def model():
    return DecoderLM(ModelConfig(7, 8, 12, 2, 2, 1, 4, 64)).to(META)


HEADS = x(2, 4, 5, 6), x(2, 2, 5, 6), x(2, 2, 5, 6)
STATE = flash.AttentionState(x(4), x(4), x(4, 3))
ROPE = {"rope_type": "default", "rope_theta": 1e4}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}


def adamw_step():
    changed = x(3), x(3), x(3)
    optimizer.adamw_step(changed[0], x(3), *changed[1:], 1, 0.1)
    return changed


def metered(attend, **blocks):
    return attend(x(4, 6), x(5, 6), x(5, 3), query_block=2, **blocks)


def cached_step():
    cache = attention.KVCache(2, 2, 9, 6, device=META)
    return attention.attention_step(*HEADS, cache)


CALLS = {
    "attention.additive_mask": lambda: attention.additive_mask(flags(3, 4)),
    "attention.attention_step": cached_step,
    "attention.attention_weights": lambda: attention.attention_weights(*HEADS[:2]),
    "attention.combine_masks": lambda: attention.combine_masks(flags(3, 4), None, flags(4)),
    "attention.first_token_score": lambda: attention.heads.first_token_score(x(2, 5, 5)),
    "attention.induction_targets": lambda: attention.heads.induction_targets(ids(5)),
    "attention.mix_values": lambda: attention.mix_values(x(2, 4, 5, 5), HEADS[2]),
    "attention.prefix_mask": lambda: attention.prefix_mask(3, 5, prefix=2, device=META),
    "attention.previous_token_score": lambda: attention.heads.previous_token_score(x(2, 5, 5)),
    "attention.scores_to_weights": lambda: attention.scores_to_weights(x(2, 5, 5), flags(5, 5)),
    "attention.sliding_window_mask": lambda: attention.sliding_window_mask(
        3, 5, window=2, device=META
    ),
    "attention.stack_group": lambda: attention.scaled_dot_product.stack_group(HEADS[0], 2),
    "attention.token_offsets": lambda: attention.token_offsets(3, 5, META),
    "attention.torch_attention": lambda: attention.scaled_dot_product.torch_attention(*HEADS),
    "embeddings.draw_": lambda: embeddings.draw_(x(3, 4)),
    "embeddings.scale_embedding": lambda: embeddings.scale_embedding(x(2, 3, 4)),
    "families.shift_right": lambda: families.shift_right(ids(2, 5), 0),
    "flash.attend_scores_": lambda: flash.online_attention.attend_scores_(
        flash.AttentionState(x(2, 4), x(2, 4), x(2, 4, 3)), x(2, 4, 6), x(2, 6, 3)
    ),
    "flash.empty_state": lambda: flash.online_attention.empty_state(x(4, 6), 3),
    "flash.finite_or_zero": lambda: flash.online_attention.finite_or_zero(x(4)),
    "flash.metered_standard_attention": lambda: metered(traffic.metered_standard_attention),
    "flash.metered_tiled_attention": lambda: metered(traffic.metered_tiled_attention, key_block=2),
    "flash.split_attention": lambda: flash.split_attention(*HEADS, parts=2),
    "flash.tiled_attention": lambda: flash.tiled_attention(*HEADS),
    "flash.tiled_attention_with_lse": lambda: flash.tiled_attention_with_lse(*HEADS),
    "generation.apply_temperature": lambda: generation.apply_temperature(x(2, 7), 0.5),
    "generation.next_distribution": lambda: generation.next_distribution(
        x(2, 7), ids(2, 3), generation.Sampling(0.5, 3, 0.9)
    ),
    "mlp.feed_forward": lambda: mlp.feed_forward(x(2, 3, 4), x(6, 4), x(4, 6), mlp.silu),
    "mlp.identity": lambda: mlp.identity(x(3)),
    "model.attention_maps": lambda: inspection.attention_maps(model(), ids(2, 5)),
    "model.contiguous_along_longer_axis": lambda: weight_layout.contiguous_along_longer_axis(
        x(3, 4)
    ),
    "model.stored_to_multiply": lambda: weight_layout.stored_to_multiply(x(3, 4)),
    "model.lens_of": lambda: inspection.lens_of(model(), x(3, 2, 5, 8)),
    "model.can_be_compiled": lambda: x(1) * cpu_linear.can_be_compiled(x(3, 4)),
    "model.compiled_blocks": lambda: (
        x(1) * (compiled_block.compiled_blocks([], x(2, 1, 8), None, None, []) is None)
    ),
    "model.are_plain": lambda: x(1) * watchers.are_plain([x(3)]),
    "model.compiled_matrix": lambda: x(1) * (cpu_linear.compiled_matrix(x(3, 4)) is None),
    "model.cpu_linear": lambda: cpu_linear.cpu_linear(x(2, 4), x(3, 4), x(3)),
    "model.room_for": lambda: x(1) * huge_pages.room_for(x(3)),
    "model.stored_for_few_rows": lambda: cpu_linear.stored_for_few_rows(x(3, 4)),
    "model.wants_gradient": lambda: x(1) * watchers.wants_gradient([x(3)]),
    "model.can_multiply": lambda: x(1) * compiled_products.can_multiply(x(3, 4), x(2, 4)),
    "model.needs_widening": lambda: x(1) * cpu_linear.needs_widening(x(3, 4)),
    "model.logit_lens": lambda: inspection.logit_lens(model(), ids(2, 5)),
    "model.loss_without_each_head": lambda: inspection.loss_without_each_head(model(), ids(2, 5)),
    "model.losses_from": lambda: inspection.losses_from(model(), 1, x(2, 5, 8), ids(2, 5)),
    "model.mean_loss": lambda: inspection.mean_loss(model(), ids(2, 5)),
    "model.residual_norms": lambda: inspection.residual_norms(model(), ids(2, 5)),
    "model.residual_stream": lambda: inspection.residual_stream(model(), ids(2, 5)),
    "model.stream_parts": lambda: inspection.stream_parts(model(), ids(2, 5)),
    "model.token_losses": lambda: inspection.token_losses(model(), ids(2, 5)),
    "norms.batch_norm": lambda: norms.batch_norm(x(2, 3, 4)),
    "norms.post_norm_residual": lambda: norms.post_norm_residual(x(3, 4), mlp.silu, norms.rms_norm),
    "positions.relative_position_bias": lambda: positions.relative_position_bias(
        x(32, 3), ids(4, 5)
    ),
    "positions.relative_position_bucket": lambda: positions.relative_position_bucket(ids(4, 5)),
    "rope.apply_rope": lambda: rope.apply_rope(x(2, 4, 5, 6), x(5, 3), x(5, 3)),
    "rope.halves_to_neighbours": lambda: rope.halves_to_neighbours(x(12, 8), 3),
    "rope.interpolated_frequencies": lambda: rope.scaling.interpolated_frequencies(x(3), 2.0),
    "rope.longrope_frequencies": lambda: rope.scaling.longrope_frequencies(x(3), [1.0, 2.0, 3.0]),
    "rope.proportional_frequencies": lambda: rope.scaling.proportional_frequencies(x(4), 0.5),
    "rope.rope_cos_sin": lambda: rope.rope_cos_sin(ids(2, 5), 6, ROPE, 64),
    "rope.rope_frequencies": lambda: rope.rope_frequencies(6, device=META),
    "rope.scaled_frequencies": lambda: rope.parameters.scaled_frequencies(YARN, 6, 64, device=META),
    "rope.yarn_frequencies": lambda: rope.scaling.yarn_frequencies(x(3), 1e4, 2.0, 16),
    "softmax.logsumexp": lambda: softmax.logsumexp(x(3, 4)),
    "softmax.naive_softmax": lambda: softmax.naive_softmax(x(3, 4)),
    "softmax.softmax_from_state": lambda: softmax.softmax_from_state(
        x(3, 4), softmax.SoftmaxState(x(3), x(3))
    ),
    "softmax.softmax_jacobian": lambda: softmax.softmax_jacobian(x(3, 4)),
    "softmax.surprises": lambda: softmax.surprises(x(3, 4), ids(3)),
    "training.adamw_path": lambda: descent.adamw_path(x(2, 2), x(2), 0.1, 3),
    "training.adamw_step": adamw_step,
    "training.clip_by_global_norm": lambda: gradients.clip_by_global_norm([x(3), x(4)], 1.0),
    "training.clip_factor": lambda: gradients.clip_factor(x(), 1.0),
    "training.global_norm": lambda: gradients.global_norm([x(3), x(4)]),
    "training.height": lambda: descent.height(x(3, 2), x(2, 2)),
    "training.muon_update": lambda: muon.muon_update(x(3, 4), x(3, 4), x(3, 4), 0.1),
    "training.newton_schulz": lambda: muon.newton_schulz(x(3, 4)),
    "training.sgd_path": lambda: descent.sgd_path(x(2, 2), x(2), 0.1, 3),
}

PAIRS = x(3), x(3), x(3), x(3)
GRPO = rewards.OBJECTIVES["GRPO"]
ANSWERS = x(2, 5), x(2, 5)


def prefixed():
    small = model()
    return fine_tuning.prefixed_output(small, fine_tuning.Prefix(small, 3), ids(2, 5)).logits


def paged():
    groups = serving.grouped([serving.Row([0], 4, [1, 0])], META)
    masks = [group.mask(4) for group in groups]
    return serving.paged_attention(x(2, 1, 6), serving.Pool(x(3, 4, 4, 6)), groups, masks)


CALLS |= {
    "fine_tuning.ipo_loss": lambda: fine_tuning.ipo_loss(*PAIRS),
    "fine_tuning.kto_loss": lambda: fine_tuning.kto_loss(x(3), x(3), flags(3), x()),
    "fine_tuning.log_sigmoid": lambda: fine_tuning.log_sigmoid(x(3)),
    "fine_tuning.packed_logits": lambda: fine_tuning.packed_logits(model(), ids(2, 5), ids(2, 5)),
    "fine_tuning.preference_margin": lambda: fine_tuning.preference_margin(*PAIRS),
    "fine_tuning.prefixed_output": prefixed,
    "fine_tuning.simpo_loss": lambda: fine_tuning.simpo_loss(x(3), x(3)),
    "fine_tuning.with_prefix": lambda: fine_tuning.prefix.with_prefix(x(2, 3, 4), x(5, 2, 6, 4)),
    "retrieval.best": lambda: retrieval.results.best(x(2, 4), ids(2, 4), 3),
    "retrieval.entry_sums": lambda: retrieval.product_quantization.entry_sums(
        x(8, 3), torch.empty(5, 2, dtype=torch.uint8, device=META)
    ),
    "retrieval.late_interaction": lambda: rerank.late_interaction(x(3, 4), x(5, 4)),
    "retrieval.moved_centres": lambda: retrieval.moved_centres(
        x(5, 4), x(3, 4), retrieval.nearest_centres(x(5, 4), x(3, 4))
    ),
    "retrieval.nearest_centres": lambda: retrieval.nearest_centres(x(5, 4), x(3, 4)),
    "retrieval.normalize": lambda: retrieval.normalize(x(3, 4)),
    "retrieval.search_in_blocks": lambda: retrieval.results.search_in_blocks(
        retrieval.top_k, x(5, 400), 2, 3
    ),
    "retrieval.shortened": lambda: retrieval.shortened(x(3, 4), 2),
    "retrieval.similarity": lambda: retrieval.similarity(x(3, 4), x(5, 4), "l2"),
    "retrieval.principal_components": lambda: reranker_training.principal_components(x(9, 5), 2),
    "retrieval.segments_of": lambda: cross_encoder.segments_of(ids(2, 5), 3),
    "retrieval.table_distances": lambda: retrieval.table_distances(
        x(3, 2, 4), torch.empty(5, 2, dtype=torch.uint8, device=META)
    ),
    "retrieval.top_k": lambda: retrieval.top_k(x(3, 400), 1),
    "rewards.best_baseline": lambda: rewards.best_baseline(x(4), x(4)),
    "rewards.exact_gradient": lambda: rewards.exact_gradient(x(4), x(4)),
    "rewards.exact_kl": lambda: rewards.exact_kl(x(3, 4), x(3, 4)),
    "rewards.expected_reward": lambda: rewards.expected_reward(x(4), x(4)),
    "rewards.gradient_variance": lambda: rewards.gradient_variance(x(4), x(4)),
    "rewards.importance_ratio": lambda: rewards.importance_ratio(x(3), x(3)),
    "rewards.is_clipped": lambda: rewards.is_clipped(x(3), x(3)),
    "rewards.k1": lambda: rewards.k1(x(3), x(3)),
    "rewards.k2": lambda: rewards.k2(x(3), x(3)),
    "rewards.k3": lambda: rewards.k3(x(3), x(3)),
    "rewards.ratio_of": lambda: rewards.objectives.ratio_of(GRPO, *ANSWERS, flags(2, 5)),
    "rewards.sampled_log_probabilities": lambda: rewards.policy_gradients.sampled_log_probabilities(
        x(3, 4), ids(3)
    ),
    "rewards.score": lambda: rewards.policy_gradients.score(x(4), ids(3)),
    "rewards.surrogate_loss": lambda: rewards.surrogate_loss(x(3), x(3)),
    "serving.blocks_of": lambda: serving.blocks_of(x(3, 4, 2, 6), ids(2, 2) % 3),
    "serving.empty_pool": lambda: serving.empty_pool((3, 4, 2, 6), torch.float32, META).numbers,
    "serving.paged_attention": paged,
    "evaluation.cosines": lambda: cosines(x(3, 4), x(5, 4)),
    "evaluation.sliding_losses": lambda: evaluation.sliding_losses(model(), ids(9), 5, 2),
}


def on_two(function):
    return parallel.run_ranks(function, 2)


def pipelined(comm):
    run = parallel.run_pipeline(
        comm,
        torch.nn.Linear(3, 3, device=META),
        [x(2, 3)],
        lambda output, _: output.sum(),
        [("F", 0)],
        x(2, 3),
    )
    return run.kept[0]


CALLS |= {
    "parallel.copy_to_ranks": lambda: on_two(lambda c: differentiable.copy_to_ranks(c, x(3))),
    "parallel.cut_row": lambda: shards.cut_row(x(8), [x(2, 3), x(1)]),
    "parallel.enter": lambda: on_two(lambda c: tensor_parallel.enter(c, x(1, 2, 3), True)),
    "parallel.exchange_rows": lambda: on_two(
        lambda c: differentiable.exchange_rows(c, x(4, 2), [2, 2], [2, 2])
    ),
    "parallel.flat_row": lambda: shards.flat_row([x(2, 3), x(1)], 4),
    "parallel.gather_from_ranks": lambda: on_two(
        lambda c: differentiable.gather_from_ranks(c, x(2, 3), 1)
    ),
    "parallel.gather_row": lambda: on_two(lambda c: shards.gather_row(c, x(3))),
    "parallel.global_shard_norm": lambda: on_two(lambda c: shards.global_shard_norm(c, [x(3)])),
    "parallel.halving_all_reduce": lambda: on_two(lambda c: parallel.halving_all_reduce(c, x(3))),
    "parallel.own_part": lambda: on_two(lambda c: tensor_parallel.own_part(x(4, 3), c, 0)),
    "parallel.own_shard": lambda: on_two(lambda c: shards.own_shard([x(3)], c)),
    "parallel.pairwise_all_to_all": lambda: on_two(
        lambda c: parallel.pairwise_all_to_all(c, [x(2), x(2)])
    ),
    "parallel.recompute": lambda: parallel.recompute(torch.tanh, x(3).requires_grad_()),
    "parallel.reduce_to_shard": lambda: on_two(lambda c: shards.reduce_to_shard(c, [x(3)])),
    "parallel.reduced": lambda: collectives.reduced(x(3), x(3), "max"),
    "parallel.resized": lambda: collectives.resized(x(3, 2), 5),
    "parallel.ring_all_reduce": lambda: on_two(lambda c: parallel.ring_all_reduce(c, x(3))),
    "parallel.ring_attention": lambda: on_two(lambda c: parallel.ring_attention(c, *HEADS)),
    "parallel.run_pipeline": lambda: on_two(pipelined),
    "parallel.scatter_sum": lambda: on_two(lambda c: differentiable.scatter_sum(c, x(4, 3), 0)),
    "parallel.shift": lambda: on_two(lambda c: differentiable.shift(c, x(3))),
    "parallel.sum_over_ranks": lambda: on_two(lambda c: differentiable.sum_over_ranks(c, x(3))),
    "parallel.touch": lambda: differentiable.touch(x(3), x(2)),
    "parallel.tree_all_reduce": lambda: on_two(lambda c: parallel.tree_all_reduce(c, x(3))),
    "parallel.tree_broadcast": lambda: on_two(lambda c: parallel.tree_broadcast(c, x(3))),
    "parallel.vocab_parallel_losses": lambda: on_two(
        lambda c: parallel.vocab_parallel_losses(c, x(3, 4), ids(3), 0)
    ),
    "vision.class_attention": lambda: looking.class_attention(
        clip_training.fresh_clip().to(META), x(2, 3, 32, 32)
    ),
    "vision.class_vectors": lambda: vision.class_vectors(x(3, 2, 4)),
    "vision.coverage": lambda: world.coverage(ids(2, 4), x(2, 4), x(2, 4, 2)),
    "vision.inside_distances": lambda: world.inside_distances(
        x(2, 4, 1, 16), x(2, 4, 16, 1), x(2, 4, 1, 1)
    ),
    "vision.quick_gelu": lambda: encoder.quick_gelu(x(3)),
    "vision.shown": lambda: vision_evaluation.shown(x(2, 3, 4, 4), "other"),
    "vision.siglip_loss": lambda: vision.siglip_loss(x(3, 4), x(3, 4), 10.0, -10.0),
    "vision.spectrogram": lambda: vision.spectrogram(x(90), 16, 8),
    "vision.unit": lambda: encoder.unit(x(2, 3)),
    "vision.unpatchify": lambda: vision.unpatchify(x(2, 4, 12), 2, 4, 4),
}

CODES = torch.empty(2, 8, dtype=torch.uint8, device=META)
SCALES = compression.Scales(x(2, 1))
INT4 = compression.Scheme(4)

CALLS |= {
    "compression.awq_scales": lambda: compression.awq_scales(x(8), 0.5),
    "compression.choose_scales": lambda: compression.choose_scales(x(2, 8), INT4),
    "compression.corrected": lambda: compression.corrected(x(2, 8), x(2), x(8, 8), 3),
    "compression.decode": lambda: compression.decode(CODES, SCALES, INT4),
    "compression.dequantise": lambda: compression.dequantise(CODES, x(2, 1)),
    "compression.distillation_gradient": lambda: compression.distillation_gradient(
        x(3, 4), x(3, 4)
    ),
    "compression.encode": lambda: compression.encode(x(2, 8), SCALES, INT4),
    "compression.expand_two_four": lambda: compression.expand_two_four(x(2, 8), CODES),
    "compression.gguf_dequantise": lambda: compression.gguf_dequantise(
        torch.empty(2, 18, dtype=torch.uint8, device=META), "Q4_0"
    ),
    "compression.nearest_entry": lambda: compression.nearest_entry(x(2, 8), x(16)),
    "compression.nf4_dequantise": lambda: compression.nf4_dequantise(CODES, x(2, 1)),
    "compression.pack": lambda: compression.pack(CODES, 4),
    "compression.prepared_inputs": lambda: layers.prepared_inputs(x(2, 8), x(8), None),
    "compression.round_to_format": lambda: compression.round_to_format(x(3), "E4M3"),
    "compression.smoothing_scales": lambda: compression.smoothing_scales(x(8), x(8), 0.5),
    "compression.straight_through": lambda: compression.straight_through(x(2, 8), x(2, 1), 4),
    "compression.unpack": lambda: compression.unpack(CODES, 4, 16),
}

READS = "reads numbers: its work is a loop over them, or its result plain numbers"
CHECKS = "raises an error for values out of range"
COUNTS = "counts, or selects by a mask, so that a shape depends on values"
CHOOSES = "generates text, and each token depends on the one before"
DRAWS = "draws with a generator on the CPU and moves what it drew"
PARTS = "is a part of a function that is called here, and gets its tensors"
FILES = "reads files, and moves what it has read"
MOVES = "takes a batch from the CPU and moves its part to the model's device"
ASKS = "asks a device, and takes no tensors"
POOLS = "takes a function that makes pools on the model's device, and no tensors"
KERNEL = "runs a Triton kernel, which needs a GPU or numbers"

CANNOT_RUN = {
    READS: {
        *("information.cumulative_frequencies", "information.word_lengths"),
        *("information.huffman_code", "information.average_length"),
        *("information.encode", "information.decode", "ngrams.log_probabilities", "ngrams.sample"),
        *("generation.acceptance_rate", "generation.check_padding", "generation.without_padding"),
        *("serving.token_logprobs", "parallel.causal_pairs"),
        *("serving.token_logprobs", "evaluation.percentile_interval", "evaluation.exposure"),
        *("serving.token_logprobs", "vision.rate"),
        "serving.token_logprobs",
        *("compression.output_error", "compression.relative_error", "compression.awq_search"),
    },
    CHECKS: {
        *("compression.compress_two_four", "compression.gguf_quantise", "compression.gptq"),
        *("compression.inverse_factor", "compression.kept_mask", "compression.low_rank_factors"),
        *("compression.magnitude_mask", "compression.wanda_mask", "compression.pruned"),
        *("compression.nf4_quantise", "compression.quantise", "compression.require_finite"),
        "compression.sparsegpt",
        "attention.head_scores",
        *("embeddings.one_hot", "embeddings.one_hot_embed", "embeddings.require_known_ids"),
        *("positions.learned_positions", "information.self_information"),
        *("information.check_distribution", "generation.process"),
        *("rewards.advantages_of", "rewards.check_finite", "rewards.leave_one_out_advantages"),
        *("rewards.masked_average", "rewards.policy_loss", "rewards.token_rewards"),
        *(
            "fine_tuning.last_token",
            "retrieval.require_width",
            "retrieval.require_vectors",
            "vision.check_pictures",
        ),
    },
    COUNTS: {
        "compression.calibrate",
        "experts.expert_load",
        "experts.dispatch",
        "experts.grouped_linear",
        "experts.run_experts",
    },
    CHOOSES: {
        *("generation.beam_search", "generation.generate", "generation.stream"),
        *("generation.choose", "generation.speculative_generate"),
        *("serving.sample", "serving.sample_one", "serving.allowed_only"),
        *("vision.answer", "vision.answer_and_looks", "vision.answers_right"),
    },
    DRAWS: {
        "information.transmit",
        "families.hide_tokens",
        "training.repeating_batch",
        "retrieval.kmeans",
    },
    PARTS: {
        *("attention.silence_head", "model.without_head", "model.as_matrix"),
        "model.through_layers",
        *("flash.forward_tiles", "flash.backward_tiles"),
        *("serving.grouped", "serving.step_of"),
        "parallel.require_chunks",
        *("compression.smooth_", "compression.watched", "compression.scheme_words"),
    },
    FILES: {
        *("checkpoint.require_fit", "checkpoint.load_model", "checkpoint.load_encoder"),
        *("generation.load", "assistant.load_folder", "assistant.load_stage"),
        *("retrieval.load_encoder", "retrieval.load_reranker", "evaluation.canary_model"),
        *("vision.load_clip", "vision.load_llava", "vision.stored_clip", "vision.stored_llava"),
        *("fine_tuning.set_adapter_tensors", "compression.load_quantised"),
    },
    MOVES: {"parallel.own_parts"},
    ASKS: {"device.default_dtype", "device.seeded", "device.synchronize"},
    POOLS: {"serving.blocks_for", "serving.engine_for", "serving.start"},
    KERNEL: {"flash.fused_attention", "flash.fused_attention_with_lse"},
}


def functions_that_take_tensors():
    """Return the public functions of the subject by the name of their module and their own."""
    found = {}
    for subject in (name for notebook in SYLLABUS for name in notebook.modules):
        top = importlib.import_module(f"course_lib.{subject}")
        inner = pkgutil.walk_packages(getattr(top, "__path__", []), f"{top.__name__}.")
        for name in (top.__name__, *(each.name for each in inner if "kernel" not in each.name)):
            for function in vars(importlib.import_module(name)).values():
                if getattr(function, "__module__", "") == name and inspect.isroutine(function):
                    found[f"{subject}.{function.__name__}"] = inspect.unwrap(function)
    return {name: each for name, each in found.items() if _is_public(name) and _takes(each)}


def _is_public(name):
    return not name.split(".")[1].startswith("_")


def _takes(function):
    parameters = inspect.signature(function).parameters.values()
    return any(
        word in str(each.annotation) for each in parameters for word in ("Tensor", "torch.device")
    )


@pytest.mark.parametrize("name", CALLS)
def test_functions_work_wherever_their_inputs_are(name):
    tensors = [*tensors_of(CALLS[name]())]
    assert tensors
    assert all(each.is_meta for each in tensors)


def test_no_function_is_left_out():
    solutions = {inspect.unwrap(each.solution) for each in all_exercises()}
    others = {n for n, each in functions_that_take_tensors().items() if each not in solutions}
    left_out = set().union(*CANNOT_RUN.values())
    assert others - set(CALLS) - left_out == set()
    assert left_out <= others
    assert not left_out & set(CALLS)

"""What takes minutes to measure, and the stored results.

`python -m course_lib.chapters.compression.measurements` repeats all of it, or what is named.

    methods       bits per byte, size and error of the course model under every method
    speeds        how fast each of them generates, beside float32
    grid          bits per byte for bits and group sizes, without calibration
    layers        which layers hurt most when they alone are quantised
    rounding      two bits with and without training through rounding, with three seeds
    distillation  a student alone and with the course model as its teacher, with three seeds
    references    results beside bitsandbytes, gguf and onnxruntime, which must be installed for it

Taught in:        compression
Checked against:  rows measured again in the notebook and in the tests
"""

import copy
import json
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from course_lib import compression
from course_lib.chapters.compression.speeds import decode_speeds
from course_lib.compression import Scheme
from course_lib.compression.calibration import InputStatistics
from course_lib.compression.distillation_run import STUDENT, crops, student_training, training_ids
from course_lib.corpus import held_out_text
from course_lib.model import DecoderLM, build_model
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.study.exhibits import toy_models
from course_lib.training import Plan, Training, text_bits_per_byte
from course_lib.training.recipes import SEPARATOR

STORED = Path(__file__).parent / "data" / "measurements.json"
STUDENT_LOG = STORED.with_name("distilled_student.jsonl")  # of `course train`, with seed 0
CHARACTERS, SHORT = 10_000, 4_000  # of held-out documentation
ROWS, CONTEXT = 64, 256  # of calibration text
SEEDS = (0, 1, 2)
BITS, GROUPS = (2, 3, 4, 5, 6, 8), (16, 32, 64, 128, "channel", "tensor")
METHODS: tuple[tuple[Scheme, tuple[str, ...]], ...] = (
    (Scheme(8, "tensor"), ("nearest",)),
    (Scheme(8, "channel"), ("nearest",)),
    (Scheme(8, "channel", "fp8"), ("nearest",)),
    (Scheme(4, "tensor"), ("nearest",)),
    (Scheme(4, "channel"), ("nearest", "gptq", "awq")),
    (Scheme(4, 64), ("nearest", "gptq", "awq")),
    (Scheme(4, 64, "nf4"), ("nearest",)),
    (Scheme(4, 32, "zero point"), ("nearest",)),
    (Scheme(3, "channel"), ("nearest", "gptq", "awq")),
    (Scheme(3, 64), ("nearest", "gptq", "awq")),
    (Scheme(2, 64), ("nearest", "gptq", "awq")),
)
SPARSITIES = ((0.3, "30 %"), (0.5, "50 %"), (None, "2:4"))
STUDENT_PLAN = Plan(steps=110, warmup=10, peak=5e-3, final=5e-4)
ROUNDED_PLAN = Plan(steps=80, warmup=5, peak=5e-4, final=5e-5)

Record = dict[str, Any]


def bits(model: DecoderLM, characters: int = CHARACTERS) -> float:
    """Return the bits per byte of held-out text."""
    text, tokenizer = held_out_text(characters), course_tokenizer()
    ids = tokenizer.encode_ordinary(text)
    return text_bits_per_byte(model.use_kernels(), text, ids, tokenizer.special_tokens[SEPARATOR])


def held_out_ids(count: int) -> list[int]:
    """Return the first ids of the held-out text."""
    return list(course_tokenizer().encode_ordinary(held_out_text(SHORT)))[:count]


def fresh() -> DecoderLM:
    """Return a copy of the course model that may be changed."""
    return copy.deepcopy(course_model())


def course_statistics(rows: int = ROWS) -> dict[str, InputStatistics]:
    """Return what each layer of the course model reads on training text."""
    ids = compression.calibration_rows(training_ids(), rows, CONTEXT)
    return compression.calibrate(fresh(), ids)


def block_bits(model: DecoderLM) -> float:
    """Return the bits per weight of the packed layers, scales included."""
    stored = [layer.stored for _, layer in compression.quantised_layers(model)]
    return 8 * sum(s.nbytes for s in stored) / sum(s.shape[0] * s.shape[1] for s in stored)


def _methods() -> Record:
    statistics = course_statistics()
    whole = bits(fresh())
    rows: list[Record] = [
        _row("float32", "none", fresh(), whole, 32.0),
        _row("bfloat16", "none", fresh().bfloat16().float(), whole, 16.0),
    ]
    for scheme, methods in METHODS:
        for method in methods:
            packed = compression.quantise_model(fresh(), scheme, method, statistics)
            rows.append(_packed_row(str(scheme), method, packed, whole))
    packed = compression.quantise_model(fresh(), Scheme(4, 64), "gptq", statistics, embedding=True)
    rows.append(_packed_row("int4 group 64, embedding too", "gptq", packed, whole))
    for sparsity, name in SPARSITIES:
        for method in ("magnitude", "wanda", "sparsegpt"):
            pruned = compression.prune_model(fresh(), method, sparsity, statistics)
            size = 9.0 if sparsity is None else 16 * (1 - sparsity) + 1  # a bit says what is there
            rows.append(_row(f"{name} pruned", method, pruned, whole, size))
    return {"characters": CHARACTERS, "tokens": ROWS * CONTEXT, "rows": rows}


def _packed_row(name: str, method: str, packed: DecoderLM, whole: float) -> Record:
    size, total = block_bits(packed), compression.model_bytes(packed)
    row = _row(name, method, compression.dequantise_model(packed), whole, size)
    return row | {"megabytes": round(total / 1e6, 3)}


def _row(name: str, method: str, model: DecoderLM, whole: float, size: float) -> Record:
    found = bits(model)
    return {
        "name": name,
        "method": method,
        "bits per weight": round(size, 3),
        "bits per byte": round(found, 4),
        "more": round(found - whole, 4),
    }


def _speeds() -> dict[str, Record]:
    models = {"float32": fresh(), "bfloat16": fresh().bfloat16()}
    for scheme, _ in METHODS:
        models[str(scheme)] = compression.quantise_model(fresh(), scheme)
    both = compression.quantise_model(fresh(), Scheme(4, 64), embedding=True)
    models["int4 group 64, embedding too"] = both
    for sparsity, name in SPARSITIES:
        models[f"{name} pruned"] = compression.prune_model(fresh(), "magnitude", sparsity)
    return decode_speeds(models)


def _grid() -> Record:
    whole = bits(fresh(), SHORT)
    found = {}
    for group in GROUPS:
        row = []
        for each in BITS:
            packed = compression.quantise_model(fresh(), Scheme(each, group))
            row.append(round(bits(compression.dequantise_model(packed), SHORT), 4))
        found[str(group)] = row
    return {"bits": list(BITS), "whole": round(whole, 4), "groups": found}


def _layers() -> list[Record]:
    whole, rows = bits(fresh(), SHORT), []
    for name in compression.linear_layers(course_model()):
        model = fresh()
        weight = model.get_parameter(f"{name}.weight")
        weight.data = compression.quantise(weight.data, Scheme(2, 64)).dequantised()
        rows.append({"layer": name, "more": round(bits(model, SHORT) - whole, 4)})
    return rows


def _plan(plan: Plan, seed: int) -> Plan:
    return Plan(**(vars(plan) | {"seed": seed}))


def _rounding() -> Record:
    scheme, runs = Scheme(2, 64), []
    for seed in SEEDS:
        model = compression.train_rounded(fresh().requires_grad_(True), scheme)
        training = Training(model, crops(8, 128), _plan(ROUNDED_PLAN, seed))
        losses = [round(training.step().loss, 4) for _ in range(ROUNDED_PLAN.steps)]
        kept = compression.keep_rounded(model)
        runs.append({"seed": seed, "losses": losses, "bits per byte": round(bits(kept), 4)})
    plain = Training(fresh().requires_grad_(True), crops(8, 128), ROUNDED_PLAN)
    for _ in range(ROUNDED_PLAN.steps):
        plain.step()
    assert isinstance(plain.model, DecoderLM)
    return {"scheme": str(scheme), "runs": runs, "not rounded": round(bits(plain.model), 4)}


def _student(seed: int, share: float, temperature: float = 1.0) -> Record:
    plan, began = _plan(STUDENT_PLAN, seed), time.process_time()
    training = student_training(plan, crops(6, 96), share, temperature)
    losses = [round(training.step().loss, 4) for _ in range(plan.steps)]
    spent, student = time.process_time() - began, training.model
    assert isinstance(student, DecoderLM)
    return {
        "seed": seed,
        "share": share,
        "temperature": temperature,
        "losses": losses,
        "seconds": round(spent, 1),
        "bits per byte": round(bits(student.requires_grad_(False)), 4),
    }


def _distillation() -> Record:
    parameters = sum(p.numel() for p in build_model(STUDENT).parameters())
    runs = [_student(seed, share) for seed in SEEDS for share in (0.0, 1.0)]
    return {"parameters": parameters, "teacher": round(bits(fresh()), 4), "runs": runs}


def _references() -> list[Record]:
    return [_bitsandbytes(), *map(_gguf, ("Q8_0", "Q4_0")), _onnx()]


def _bitsandbytes() -> Record:
    import bitsandbytes.functional as theirs

    weight = course_model().get_parameter("model.layers.0.mlp.up_proj.weight")
    packed, state = theirs.quantize_4bit(weight, blocksize=64, quant_type="nf4")
    ours = compression.quantise(weight, Scheme(4, 64, "nf4"))
    equal = torch.equal(ours.dequantised(), theirs.dequantize_4bit(packed, state))
    equal = equal and torch.equal(ours.packed.flatten(), packed.flatten())
    return _reference("NF4, bytes and numbers", "bitsandbytes", weight.numel(), equal)


def _gguf(kind: str) -> Record:
    import gguf

    weight = course_model().get_parameter("model.layers.0.mlp.up_proj.weight")
    theirs = gguf.quants.quantize(weight.numpy(), gguf.GGMLQuantizationType[kind])
    ours = compression.gguf_quantise(weight, kind)
    back = gguf.quants.dequantize(theirs, gguf.GGMLQuantizationType[kind])
    equal = np.array_equal(ours.numpy(), theirs)
    equal = equal and np.array_equal(compression.gguf_dequantise(ours, kind).numpy(), back)
    return _reference(f"{kind}, bytes and numbers", "gguf", weight.numel(), equal)


def _onnx() -> Record:
    from course_lib.compression.onnx_graph import OnnxDecoder, export_onnx

    ids = torch.tensor([training_ids()[:64]])
    with tempfile.TemporaryDirectory() as folder:
        exported = OnnxDecoder(export_onnx(fresh(), Path(folder) / "model.onnx"))
        logits = torch.cat([exported.read(part) for part in ids.split(16, dim=1)], dim=1)
    wanted = fresh()(ids).logits
    equal = bool((logits - wanted).abs().max() < 1e-3)
    return _reference("logits with cache, within 0.001", "onnxruntime", wanted.numel(), equal)


def _reference(what: str, package: str, numbers: int, equal: bool) -> Record:
    version = metadata.version(package)
    return {"what": what, "package": package, "version": version, "numbers": numbers,
            "equal": equal}  # fmt: skip


EXPERIMENTS: dict[str, Callable[[], Any]] = {
    "methods": _methods,
    "speeds": _speeds,
    "grid": _grid,
    "layers": _layers,
    "rounding": _rounding,
    "distillation": _distillation,
    "references": _references,
}


def student_log() -> list[Record]:
    """Return what was measured while the recipe `distilled-student` ran."""
    return [json.loads(line) for line in STUDENT_LOG.read_text(encoding="utf-8").splitlines()]


def stored_measurements() -> dict[str, Any]:
    """Return the stored results, by name."""
    return toy_models.stored_results(STORED)


if __name__ == "__main__":
    toy_models.measure_into(STORED, EXPERIMENTS, sys.argv[1:])

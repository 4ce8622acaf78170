"""The course model in 8 and 4 bits, by this course and by the programs that people use.

    python -m venv ENV; ENV/bin/pip install torch==2.13.0 transformers torchao optimum-quanto
        bitsandbytes accelerate jaxtyping safetensors
    ENV/bin/python -m benchmarks.quantised_peers

None of these packages is needed for the course, so this runs in an environment of its own, from the
root of the repository; what is missing there is named and left out. All quantise the linear layers
of the blocks only, and compute in bfloat16 on one thread. `bytes` are those of the saved weights.
A token after a short text is timed in turns, beside the same program's model in bfloat16.
"""

import copy
import io
import shutil
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.compression import PROMPT, one_token, twin
from benchmarks.record import record
from benchmarks.timing import median, race, ratio
from course_lib import compression
from course_lib.checkpoint import save_model
from course_lib.compression import Scheme
from course_lib.corpus import held_out_text
from course_lib.device import seeded
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.study.exhibits.stored_benchmarks import benchmark_file
from course_lib.training import text_bits_per_byte
from course_lib.training.recipes import SEPARATOR

OURS, THEIRS = "this course", "transformers"
CHARACTERS = 4000  # of held-out documentation


class Contestant(NamedTuple):
    """Who quantises, how, and the function that makes the model."""

    package: str
    scheme: str
    make: Callable[[Path], nn.Module]


def ours(scheme: Scheme | None = None, kernels: bool = False) -> Callable[[Path], nn.Module]:
    def make(_: Path) -> nn.Module:
        model = twin(copy.deepcopy(course_model()).bfloat16())
        if scheme is None:
            return model.prepare_to_write()
        packed = compression.quantise_model(model, scheme).use_kernels()
        return compression.use_cpu_kernels(packed) if kernels else packed

    return make


def theirs(folder: Path, **more: Any) -> nn.Module:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, **more).eval()


def torchao(config: str, **more: Any) -> Callable[[Path], nn.Module]:
    def make(folder: Path) -> nn.Module:
        from torchao import quantization

        model = theirs(folder)
        inside = model.get_submodule("model.layers")
        quantization.quantize_(inside, getattr(quantization, config)(**more))
        return model

    return make


def torchao_int4(folder: Path) -> nn.Module:
    from torchao.quantization import PerGroup

    given = {"weight_dtype": torch.int4, "granularity": PerGroup(64)}
    return torchao("IntxWeightOnlyConfig", **given)(folder)


def quanto(bits: int) -> Callable[[Path], nn.Module]:
    def make(folder: Path) -> nn.Module:
        from optimum import quanto

        model = theirs(folder)
        inside = model.get_submodule("model.layers")
        quanto.quantize(inside, weights={8: quanto.qint8, 4: quanto.qint4}[bits])
        quanto.freeze(inside)
        return model

    return make


def bitsandbytes(**how: Any) -> Callable[[Path], nn.Module]:
    def make(folder: Path) -> nn.Module:
        import bitsandbytes
        from transformers import BitsAndBytesConfig

        config = BitsAndBytesConfig(bnb_4bit_compute_dtype=torch.bfloat16, **how)
        assert bitsandbytes, "transformers uses it"
        return theirs(folder, quantization_config=config, device_map="cpu")

    return make


CONTESTANTS = (
    Contestant(OURS, "bfloat16", ours()),
    Contestant(THEIRS, "bfloat16", theirs),
    Contestant(OURS, "int8 channel, torch's kernel", ours(Scheme(8), True)),
    Contestant(OURS, "int4 group 64, torch's kernel", ours(Scheme(4, 64), True)),
    Contestant(OURS, "int4 group 64, unpacked", ours(Scheme(4, 64))),
    Contestant("torchao", "int8 channel", torchao("Int8WeightOnlyConfig")),
    Contestant("torchao", "int4 group 64", torchao_int4),
    Contestant("optimum-quanto", "int8 channel", quanto(8)),
    Contestant("optimum-quanto", "int4 group 128", quanto(4)),
    Contestant("bitsandbytes", "int8 channel, inputs too", bitsandbytes(load_in_8bit=True)),
    Contestant("bitsandbytes", "NF4 group 64", bitsandbytes(
        load_in_4bit=True, bnb_4bit_quant_type="nf4")),
)  # fmt: skip


def their_token(model: nn.Module) -> Callable[[], Tensor]:
    """Return a run of transformers' model that reads one more token than its cache holds."""
    from transformers import DynamicCache

    ids = torch.randint(model.config.vocab_size, (1, PROMPT + 1), generator=seeded(0))
    cache = DynamicCache(config=model.config)
    model(ids[:, :PROMPT], past_key_values=cache)

    def run() -> Tensor:
        logits = model(ids[:, PROMPT:], past_key_values=cache).logits
        cache.crop(-1)
        return logits.float()

    return run


def saved_bytes(model: nn.Module) -> int:
    """Return how many bytes the weights take when they are saved; shared ones count once."""
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.tell()


def bits(model: nn.Module) -> float:
    """Return the bits per byte of held-out text."""
    text, tokenizer = held_out_text(CHARACTERS), course_tokenizer()
    ids = tokenizer.encode_ordinary(text)
    return text_bits_per_byte(model, text, ids, tokenizer.special_tokens[SEPARATOR])


def working(folder: Path) -> dict[Contestant, tuple[nn.Module, Callable[[], Tensor]]]:
    """Return the models that can be made and run here; say which cannot, and why."""
    found = {}
    for each in CONTESTANTS:
        try:
            model = each.make(folder)
            run = (one_token if each.package == OURS else their_token)(model)
            run()
            found[each] = model, run
        except Exception as error:  # whatever a package raises where it cannot run
            print(f"left out: {each.package}, {each.scheme}: {type(error).__name__}: {error}")
    return found


def rows(folder: Path) -> list[dict[str, Any]]:
    found = working(folder)
    rounds = race({f"{e.package}, {e.scheme}": run for e, (_, run) in found.items()}, 30.0, least=9)
    result = []
    for each, (model, _) in found.items():
        name, own = f"{each.package}, {each.scheme}", OURS if each.package == OURS else THEIRS
        result.append({
            "package": each.package,
            "version": "" if each.package == OURS else metadata.version(each.package),
            "scheme": each.scheme,
            "megabytes": round(saved_bytes(model) / 1e6, 2),
            "bits per byte": round(bits(model), 4),
            "milliseconds": round(1e3 * median(rounds, name), 2),
            **ratio("times as fast as bfloat16", rounds, f"{own}, bfloat16", name),
        })  # fmt: skip
    return result


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        save_model(course_model(), name)
        found = rows(Path(name))
    shutil.copy(record("quantised_peers", found), benchmark_file("compression", "peers"))


if __name__ == "__main__":
    main()

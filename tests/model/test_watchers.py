"""Whoever watches or changes PyTorch's operations finds all of them, compiled program or not."""

import copy
import warnings
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import forward_ad
from torch.nn.modules import module
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from course_lib import compression
from course_lib.accounting.models import MODELS
from course_lib.device import seeded, seeded_draws
from course_lib.generation import FusedDecoder
from course_lib.model import build_model, watchers
from course_lib.model.compiled_products import compiled_products
from tests.model.test_compiled_block import SIZES

pytestmark = pytest.mark.skipif(compiled_products() is None, reason="no C compiler here")


@pytest.fixture(scope="module")
def models():
    """Return the same weights as a plain model, and in each form that uses the program."""
    with torch.no_grad(), seeded_draws(0):
        plain = build_model(replace(MODELS["Qwen3-0.6B"], **SIZES)).requires_grad_(False)
        for name, weight in plain.named_parameters():
            weight.copy_(0.15 * torch.randn_like(weight) + ("norm" in name))
    packed = compression.quantise_model(copy.deepcopy(plain), compression.Scheme(8))
    return {
        "plain": plain,
        "prepared": copy.deepcopy(plain).prepare_to_write(),
        "packed": compression.use_cpu_kernels(packed.use_kernels()),
        "fused": FusedDecoder(plain),
    }


FORMS = ("prepared", "packed", "fused")


@pytest.fixture
def used(monkeypatch):
    """Return a list of what the program has computed."""
    program, noted = compiled_products(), []
    for name in ("blocks", "_product"):
        own = getattr(program, name)
        noting = lambda *given, own=own, name=name: noted.append(name) or own(*given)  # noqa: E731
        monkeypatch.setattr(program, name, noting)
    return noted


def after_a_prompt(model):
    """Return a function that computes the logits for one more token, each time anew."""
    ids = torch.randint(96, (2, 30), generator=seeded(9))
    cache = model.make_cache(2, 30)
    model(ids[:, :29], cache=cache)

    def run():
        for layer in cache:
            layer.truncate(29)
        return model(ids[:, 29:], cache=cache).logits

    return run


class Dispatched(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


class Called(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


class EveryModule:
    """A hook that all modules call."""

    def __enter__(self):
        self.hook = module.register_module_forward_hook(lambda *_: None)

    def __exit__(self, *_):
        self.hook.remove()


MODES = {
    "a dispatch mode": Dispatched,
    "a function mode": Called,
    "flops": lambda: FlopCounterMode(display=False),
    "forward-mode gradients": forward_ad.dual_level,
}


@torch.no_grad()
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_under_a_mode_every_operation_is_pytorchs(mode, form, models, used):
    run = after_a_prompt(models[form])
    used.clear()
    wanted = run()
    assert "blocks" in used  # nobody watches: the program computes
    used.clear()
    with MODES[mode]():
        found = run()
    assert not used
    assert (found - wanted).abs().max() < 1e-3 * wanted.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("form", ["plain", "prepared", "fused"])
def test_autocast_counts_in_every_product(form, models, used):
    run, x = after_a_prompt(models[form]), torch.ones(1, 64)
    used.clear()
    with torch.autocast("cpu", torch.bfloat16):
        assert models["prepared"].lm_head(x).dtype == torch.bfloat16
        with pytest.raises(ValueError, match=r"got torch\.float32 and torch\.bfloat16"):
            run()  # its values have 16 bits now, and the cache is for 32
    assert not used
    assert models["prepared"].lm_head(x).dtype == run().dtype == torch.float32


@torch.no_grad()
@pytest.mark.parametrize("form", FORMS)
def test_a_default_device_is_no_watcher(form, models, used):
    run = after_a_prompt(models[form])
    used.clear()
    with torch.device("cpu"):
        run()
    assert "blocks" in used
    with torch.device("cpu"), Called():
        assert watchers.is_watched()


@torch.no_grad()
def test_flops_are_those_of_the_plain_model(models):
    counts = {}
    kernels = copy.deepcopy(models["plain"]).use_kernels()
    for form, model in {**models, "kernels": kernels}.items():
        run = after_a_prompt(model)
        with FlopCounterMode(display=False) as counter:
            run()
        counts[form] = counter.get_total_flops()
    linear = sum(w.numel() for n, w in models["plain"].named_parameters() if w.ndim == 2)
    products = 2 * 2 * linear  # two texts; the tied embedding is the head
    attention = 2 * 2 * (2 * 2 * 30 * 6 * 32)  # layers, texts, two products of 30 keys
    assert counts["plain"] == products + attention
    counted = counts["kernels"]  # torch counts nothing for its own attention kernel on a CPU
    assert counted in (products, products + attention)
    assert all(counts[form] == counted for form in FORMS)


@torch.no_grad()
@pytest.mark.parametrize("form", ["prepared", "packed"])
def test_a_hook_of_all_modules_is_called_by_each(form, models, used):
    run, seen = after_a_prompt(models[form]), []
    used.clear()
    hook = module.register_module_forward_hook(lambda part, *_: seen.append(part))
    try:
        run()
    finally:
        hook.remove()
    assert {id(part) for part in models[form].blocks.modules()} - {id(part) for part in seen} == {
        id(models[form].blocks)  # a list of modules, which is not called itself
    }
    assert "blocks" not in used
    run()
    assert "blocks" in used


@torch.no_grad()
@pytest.mark.parametrize("form", FORMS)
def test_a_profile_shows_each_product_and_what_lies_between(form, models, used):
    run = after_a_prompt(models[form])
    used.clear()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        run()
    counts = {event.key: event.count for event in profiled.key_averages()}
    assert "blocks" not in used
    # The head is tied to the embedding, and not packed.
    products = (form != "packed") + 2 * (4 if form == "fused" else 7)
    assert used.count("_product") == counts["course_lib::product"] == products
    assert "aten::silu" in counts
    run()
    assert "blocks" in used


@torch.no_grad()
def test_what_functions_become_sees_the_product(models, used):
    layer, x = models["prepared"].lm_head, torch.randn(3, 64, generator=seeded(1))
    wanted = F.linear(x, layer.weight)
    assert (layer(x) - wanted).abs().max() < 1e-4
    assert used == ["_product"]
    used.clear()
    assert (torch.func.vmap(layer)(x) - wanted).abs().max() < 1e-4
    other = torch.ones(3, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what torch calls deprecated, and of tracing
        tangent = torch.func.jvp(layer, (x,), (x,))[1]
        traced = torch.jit.trace(layer, (x,), check_trace=False)
    assert (tangent - wanted).abs().max() < 1e-4
    assert (traced(other) - F.linear(other, layer.weight)).abs().max() < 1e-4
    assert not used


@torch.no_grad()
def test_a_tensor_of_another_class_computes_for_itself(models, used):
    seen = []

    class Noting(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            seen.append(func)
            return super().__torch_function__(func, types, args, kwargs or {})

    layer = copy.deepcopy(models["prepared"].lm_head)
    layer(torch.ones(1, 64).as_subclass(Noting))
    assert F.linear in seen
    layer.weight = nn.Parameter(layer.weight.as_subclass(Noting), requires_grad=False)
    seen.clear()
    layer(torch.ones(1, 64))
    assert F.linear in seen
    assert not used

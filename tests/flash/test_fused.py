"""The Triton kernels, run by the interpreter or on a GPU, against attention in float64."""

import subprocess
import sys

import pytest
import torch

from course_lib.attention import causal_mask, grouped_query_attention
from course_lib.authoring.machine_speed import patience
from course_lib.device import default_device, seeded
from course_lib.flash import CAUSAL, kernel_trouble, tiled_attention

if kernel_trouble():
    pytest.skip(kernel_trouble(), allow_module_level=True)

from course_lib.flash import fused

DEVICE = default_device() if not fused.INTERPRETED else torch.device("cpu")
ROUNDING = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
SHAPES = {  # heads, key heads, queries, keys, width
    "one token": (2, 1, 1, 1, 64),
    "one tile and a tail": (2, 2, 17, 17, 64),
    "a decoding step": (4, 2, 1, 130, 64),
    "new tokens after a cache": (4, 2, 33, 200, 32),
    "several tiles": (2, 1, 200, 200, 128),
    "full tiles": (1, 1, 128, 128, 64),
    "narrow": (6, 2, 40, 70, 16),
}


def inputs(shape, dtype, size=1.0):
    heads, groups, queries, keys, width = shape
    sizes = ((2, heads, queries, width), (2, groups, keys, width), (2, groups, keys, width))
    made = (size * torch.randn(s, generator=seeded(i)) for i, s in enumerate(sizes))
    return tuple(x.to(DEVICE, dtype).requires_grad_() for x in made)


def exact(q, k, v, causal):
    """Return output and logsumexp in float64, with a table."""
    mask = causal_mask(q.shape[2], k.shape[2], q.device) if causal else None
    scores = q @ k.repeat_interleave(q.shape[1] // k.shape[1], dim=1).mT * q.shape[-1] ** -0.5
    scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
    return grouped_query_attention(q, k, v, mask), torch.logsumexp(scores, -1)


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
def test_output_logsumexp_and_gradients(dtype, name, causal):
    given = inputs(SHAPES[name], dtype)
    ours = fused.fused_attention_with_lse(*given, causal=causal)
    wide = tuple(x.detach().double().requires_grad_() for x in given)
    expected = exact(*wide, causal)
    assert (ours[0].dtype, ours[1].dtype) == (dtype, torch.float32)
    upstream = [torch.randn(x.shape, generator=seeded(9)).to(x) for x in ours]
    gradients = torch.autograd.grad(ours, given, upstream)
    theirs = torch.autograd.grad(expected, wide, [x.double() for x in upstream])
    assert (ours[1] - expected[1]).abs().max() < 1e-5
    for mine, right in zip((ours[0], *gradients), (expected[0], *theirs), strict=True):
        assert mine.dtype == dtype
        assert (mine - right).abs().max() < ROUNDING[dtype] * max(1, right.abs().max())


def test_more_queries_than_keys_without_a_mask():
    given = inputs((2, 2, 70, 33, 32), torch.float32)
    expected, _ = exact(*(x.double() for x in given), causal=False)
    assert (fused.fused_attention(*given) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
def test_extreme_scores(dtype):
    given = inputs((2, 1, 40, 70, 64), dtype, size=45.0)
    scores = given[0].detach().float() @ given[1].detach().float().mT / 8
    assert scores.abs().max() > 1e3
    output, lse = fused.fused_attention_with_lse(*given, causal=True)
    gradients = torch.autograd.grad(output.float().sum(), given)
    assert all(x.isfinite().all() for x in (output, lse, *gradients))


def test_scale_strides_and_agreement_with_the_tiled_form():
    q, k, v = inputs((4, 2, 50, 60, 32), torch.float32)
    strided = q.detach().transpose(1, 2).contiguous().transpose(1, 2)  # a different order in memory
    ours = fused.fused_attention(strided, k, v, causal=True, scale=0.5)
    assert not strided.is_contiguous()
    assert (ours - tiled_attention(q, k, v, reach=CAUSAL, scale=0.5)).abs().max() < 1e-5
    assert (ours - tiled_attention(q, k, v, reach=CAUSAL)).abs().max() > 0.01


def test_by_hand():
    # Width 16, all scores 0: the output of query i is the mean of the values 0 .. i.
    q, k = torch.zeros(2, 1, 1, 5, 16, device=DEVICE)
    v = torch.arange(5.0, device=DEVICE).view(1, 1, 5, 1).expand(1, 1, 5, 16)
    output, lse = fused.fused_attention_with_lse(q, k, v, causal=True)
    assert torch.allclose(output[0, 0, :, 3].cpu(), torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0]))
    assert torch.allclose(lse[0, 0].cpu(), torch.arange(1.0, 6.0).log(), atol=1e-6)


def test_errors_say_what_is_wrong():
    q, k, v = inputs((4, 2, 5, 7, 16), torch.float32)
    with pytest.raises(ValueError, match=r"\(16, 32, 64, 128, 256\).*\b8\b"):
        fused.fused_attention(q[..., :8], k[..., :8], v[..., :8])
    with pytest.raises(ValueError, match=r"torch\.float64.*tiled_attention"):
        fused.fused_attention(q.double(), k.double(), v.double())
    with pytest.raises(ValueError, match=r"torch\.float32, torch\.float16 and torch\.float32"):
        fused.fused_attention(q, k.half(), v)
    with pytest.raises(ValueError, match=r"multiple.*\b3 and 2\b"):
        fused.fused_attention(q[:, :3], k, v)
    with pytest.raises(ValueError, match=r"\b5 queries.*\b4 keys"):
        fused.fused_attention(q, k[:, :, :4], v[:, :, :4], causal=True)
    with pytest.raises(ValueError, match=r"scale.*positive.*-1\.0\b"):
        fused.fused_attention(q, k, v, scale=-1.0)


COMPILE = """
import torch, triton
torch.cuda.is_available = lambda: True  # so that kernels are made to be compiled
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from course_lib.flash import fused, kernel, kernel_backward

NUMBERS = {"scale": "fp32", "T": "i32", "S": "i32", "SHARING": "i32"}
FLOAT32 = ("LSE", "DELTA")

def compile_for(kernel, arch, width, causal, cut):
    fixed = {"D": width, "BLOCK_T": cut.block_t, "BLOCK_S": cut.block_s, "CAUSAL": causal,
             "PRECISION": "ieee"}
    kinds = {name: "constexpr" if name in fixed else NUMBERS.get(name)
             or ("*fp32" if name in FLOAT32 else "*bf16") for name in kernel.arg_names}
    constants = {(kernel.arg_names.index(name),): value for name, value in fixed.items()}
    source = ASTSource(fn=kernel, signature=kinds, constexprs=constants)
    options = {"num_warps": cut.warps, "num_stages": cut.stages}
    return triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)

assert not fused.INTERPRETED
forward = {width: fused.forward_launch(width, torch.bfloat16) for width in (64, 128)}
for_queries, for_keys = fused.backward_launch(128, torch.bfloat16)
for made, arch, most_shared, width, causal, cut in (
    (kernel.forward_kernel, 80, 163, 64, False, forward[64]),
    (kernel.forward_kernel, 90, 227, 128, True, forward[128]),
    (kernel_backward.query_kernel, 90, 227, 128, True, for_queries),
    (kernel_backward.key_kernel, 90, 227, 128, True, for_keys),
):
    compiled = compile_for(made, arch, width, causal, cut)
    assert compiled.metadata.shared <= 1024 * most_shared, compiled.metadata.shared
    print(arch, width, made.__name__, "wgmma" in compiled.asm["ptx"])
"""


def test_kernels_compile_for_data_centre_gpus_without_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    script = tmp_path / "compile_kernels.py"
    script.write_text(COMPILE, encoding="utf-8")
    environment = [sys.executable, str(script)]
    done = subprocess.run(environment, capture_output=True, text=True, timeout=240 * patience())
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.split("\n")[:-1]
    assert len(lines) == 4
    # On the newer architecture every product runs on its widest matrix units.
    assert all(line.endswith(str(line.startswith("90"))) for line in lines)


def test_importing_the_library_does_not_import_triton():
    code = "import sys, course_lib.flash; print('triton' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_other_libraries_may_have_imported_triton_before(monkeypatch):
    """Without a GPU the kernels are interpreted, whatever was imported first and was set."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    code = (
        "import torch, triton\n"
        "torch.cuda.is_available = lambda: False\n"
        "from course_lib.flash.fused import INTERPRETED, fused_attention\n"
        "x = torch.ones(1, 1, 3, 16)\n"
        "print(INTERPRETED, fused_attention(x, x, x).sum().item())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "48.0"]

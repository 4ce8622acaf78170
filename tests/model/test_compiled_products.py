"""The compiled products, against the same products in float64, at all kinds of counts."""

import shutil
import sys
import threading
from pathlib import Path

import pytest
import torch

from course_lib.device import seeded
from course_lib.model import compiled_products as compiled_products_module
from course_lib.model import program_file
from course_lib.model.compiled_products import KINDS, as_matrix, can_multiply, compiled_products

# With gcc on Linux the tests run, and fail if the program does not compile there.
EXPECTED = sys.platform == "linux" and shutil.which("gcc") is not None
needs_compiler = pytest.mark.skipif(
    not EXPECTED and compiled_products() is None, reason="no C compiler with OpenMP here"
)
SHAPES = [(1, 64), (13, 64), (16, 192), (130, 256)]  # outputs that no tile divides, and inputs


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


def assert_close(found, wanted):
    assert found.shape == wanted.shape
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-5 * wanted.abs().max())


def assert_rounded(found, x, wide):
    """Each number of x may be off by half a step: the largest number of its span, over 65534."""
    wanted = x.double() @ wide.T
    most = x.abs().amax(-1, keepdim=True).double() / 65534 * wide.abs().sum(-1)
    assert found.shape == wanted.shape
    assert ((found - wanted).abs() <= 1.01 * most + 1e-5 * wanted.abs().max()).all()
    # A mean error far below the bound: steps of a code of 8 bits would be 258 times as large.
    assert (found - wanted).abs().mean() < 0.5 * most.mean()


@needs_compiler
@pytest.mark.parametrize("vectors", [1, 2, 3, 4, 5, 8, 11, 130])
@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
def test_products_are_those_of_the_widened_matrix(outputs, inputs, vectors):
    x = numbers(vectors, inputs)
    program = compiled_products()
    wide = numbers(outputs, inputs, seed=1)
    assert_close(program.float32(wide, x), x.double() @ wide.double().T)
    half = wide.bfloat16()
    assert_close(program.bfloat16(half, x), x.double() @ half.double().T)
    codes = torch.randint(-128, 128, (outputs, inputs), generator=seeded(2), dtype=torch.int8)
    scale = numbers(outputs, seed=3)
    assert_rounded(program.int8(codes, scale, x), x, codes.double() * scale[:, None])


@needs_compiler
@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
def test_many_vectors_are_multiplied_by_parts_of_unpacked_codes(outputs, inputs, monkeypatch):
    monkeypatch.setattr(compiled_products_module, "UNPACKED", 1500)
    program, x = compiled_products(), numbers(40, inputs)
    sizes, unpack = [], program._unpack
    monkeypatch.setattr(program, "_unpack", lambda *a: sizes.append(a[2] - a[1]) or unpack(*a))
    codes = torch.randint(-128, 128, (outputs, inputs), generator=seeded(2), dtype=torch.int8)
    scale = numbers(outputs, seed=3)
    found = program.multiply_unpacked(as_matrix("int8", codes, scale), x)
    assert_close(found, x.double() @ (codes.double() * scale[:, None]).T)
    packed = torch.randint(0, 256, (outputs, inputs // 2), generator=seeded(1), dtype=torch.uint8)
    scale, shift = numbers(2, outputs, inputs // 64, seed=2)
    found = program.multiply_unpacked(as_matrix("int4", packed, scale, shift), x)
    codes = torch.stack((packed >> 4, packed & 15), -1).flatten(1).double().unflatten(1, (-1, 64))
    wide = codes * scale[..., None] + shift[..., None]
    assert_close(found, x.double() @ wide.flatten(1).T)
    assert sum(sizes) == 2 * outputs  # each row once for each matrix
    assert max(sizes) * inputs <= 2 * 1500  # and never all of a large matrix


@needs_compiler
@pytest.mark.parametrize(("kind", "vectors"), [("int8", 12), ("int8", 257), ("int4", 257)])
def test_codes_are_unpacked_only_for_many_vectors(kind, vectors, monkeypatch):
    program, unpacked = compiled_products(), []
    monkeypatch.setattr(program, "_unpack", lambda *a: unpacked.append(a))
    monkeypatch.setattr(program, "_adds_pairs", True)
    codes = torch.ones(8, 64 if kind == "int8" else 32, dtype=KINDS[kind].dtype)
    table = (torch.ones(8, 1), torch.zeros(8, 1)) if kind == "int4" else (torch.ones(8),)
    for count in (vectors, vectors - 1):
        program.multiply_codes(as_matrix(kind, codes, *table), torch.ones(count, 64))
        assert bool(unpacked) == (kind == "int4" and count > 256)
        unpacked.clear()


@needs_compiler
def test_numbers_need_no_unpacking():
    matrix, x = as_matrix("bfloat16", torch.ones(2, 64).bfloat16()), torch.ones(20, 64)
    with pytest.raises(ValueError, match="one of bfloat16"):
        compiled_products().multiply_unpacked(matrix, x)


@needs_compiler
@pytest.mark.parametrize("vectors", [1, 3, 4, 9])
@pytest.mark.parametrize(("group", "inputs"), [(64, 384), (192, 384), (64, 1088), (256, 512)])
@pytest.mark.parametrize("outputs", [1, 6, 16])
def test_codes_of_4_bits_have_a_scale_and_a_shift_for_each_group(outputs, group, inputs, vectors):
    x = numbers(vectors, inputs)
    codes = torch.randint(0, 16, (outputs, inputs), generator=seeded(1), dtype=torch.uint8)
    packed = codes[:, 0::2] << 4 | codes[:, 1::2]
    scale, shift = numbers(2, outputs, inputs // group, seed=2)
    wide = codes.double().unflatten(1, (-1, group)) * scale[..., None] + shift[..., None]
    found = compiled_products().int4(packed, scale, shift, x)
    assert_rounded(found, x, wide.flatten(1))


@needs_compiler
def test_an_outlier_costs_only_its_own_span_precision():
    x, inputs = numbers(1, 384), 384
    codes = torch.randint(-128, 128, (5, inputs), generator=seeded(1), dtype=torch.int8)
    codes[:, 200] = 0
    wanted = x.double() @ codes.double().T
    x[0, 200] = 1e4
    found = compiled_products().int8(codes, torch.ones(5), x)
    errors = (found - wanted).abs()
    step = 1e4 / 32767
    assert errors.max() < step / 2 * codes[:, 128:256].double().abs().sum(-1).max()
    x[0, 128:256] = 0
    wanted = x.double() @ codes.double().T
    x[0, 200] = 1e4
    found = compiled_products().int8(codes, torch.ones(5), x)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-3, atol=0.02)


@needs_compiler
@pytest.mark.parametrize("largest", [1e-42, 1e-30, 1e30])
def test_codes_take_vectors_of_any_size(largest):
    x = torch.zeros(1, 64)
    x[0, 3], x[0, 40] = largest, -largest / 4
    codes = torch.full((2, 64), 100, dtype=torch.int8)
    found = compiled_products().int8(codes, torch.tensor([1.0, 2.0]), x)
    wanted = 75 * largest * torch.tensor([[1.0, 2.0]])
    # Below 1e-33 all numbers of a span count as 0.
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-40)


@needs_compiler
@pytest.mark.parametrize("wrong", [torch.inf, -torch.inf, torch.nan])
def test_a_number_that_is_not_finite_makes_its_vector_nan_and_no_other(wrong):
    x = torch.ones(2, 64)
    x[1, 40] = wrong
    codes = torch.ones(3, 64, dtype=torch.int8)
    found = compiled_products().int8(codes, torch.ones(3), x)
    torch.testing.assert_close(found[0], torch.full((3,), 64.0), rtol=1e-5, atol=0)
    assert found[1].isnan().all()


@needs_compiler
def test_the_longest_sum_of_the_largest_codes_does_not_overflow():
    x = torch.ones(1, 4096)
    codes = torch.full((1, 4096), -128, dtype=torch.int8)
    assert compiled_products().int8(codes, torch.ones(1), x).item() == pytest.approx(-128 * 4096)
    packed = torch.full((1, 2048), 0xFF, dtype=torch.uint8)
    found = compiled_products().int4(packed, torch.ones(1, 1), torch.zeros(1, 1), x)
    assert found.item() == pytest.approx(15 * 4096)


@pytest.mark.skipif(not EXPECTED, reason="compiled with gcc on Linux")
def test_any_processor_computes_the_same(tmp_path, monkeypatch):
    """Without the option that allows it, only instructions that each processor has are used."""
    plain = [flag for flag in program_file.FLAGS if flag != "-march=native"]
    assert len(plain) == len(program_file.FLAGS) - 1
    monkeypatch.setattr(program_file, "FLAGS", plain)
    monkeypatch.setattr(program_file, "program_folder", lambda: tmp_path)
    program, x = compiled_products.__wrapped__(), numbers(5, 192)
    codes = torch.randint(-128, 128, (7, 192), generator=seeded(1), dtype=torch.int8)
    assert_rounded(program.int8(codes, torch.ones(7), x), x, codes.double())
    wide = numbers(7, 192, seed=2)
    assert_close(program.float32(wide, x), x.double() @ wide.double().T)


@needs_compiler
def test_by_hand():
    program = compiled_products()
    x = torch.arange(64.0)[None]
    one = torch.zeros(2, 64)
    one[0, 5], one[1, 40] = 3.0, -0.5
    assert program.bfloat16(one.bfloat16(), x).tolist() == [[15.0, -20.0]]
    assert program.float32(one, x).tolist() == [[15.0, -20.0]]
    found = program.int8(one.mul(2).char(), torch.tensor([0.5, 2.0]), x)
    assert found.tolist() == [[pytest.approx(15.0, rel=1e-3), pytest.approx(-80.0, rel=1e-3)]]
    packed = torch.zeros(1, 32, dtype=torch.uint8)
    packed[0, 3] = 0x2F  # the codes of inputs 6 and 7
    found = program.int4(packed, torch.tensor([[10.0]]), torch.tensor([[1.0]]), x)
    assert found.item() == pytest.approx(10 * (2 * 6 + 15 * 7) + sum(range(64)), rel=1e-3)


@needs_compiler
def test_large_and_small_numbers_survive():
    program, x = compiled_products(), torch.zeros(1, 64)
    x[0, 0] = 1.0
    weight = torch.zeros(3, 64)
    weight[:, 0] = torch.tensor([3e38, 1e-38, torch.inf])
    assert torch.equal(
        program.bfloat16(weight.bfloat16(), x)[0, :2], weight.bfloat16()[:2, 0].float()
    )
    assert not program.bfloat16(weight.bfloat16(), x)[0, 2].isfinite()
    assert program.bfloat16(weight.bfloat16(), torch.empty(0, 64)).shape == (0, 3)
    # Some compiler options let the processor flush the smallest numbers to 0, in all of Python.
    assert torch.tensor(1e-40) * 1 != 0


@needs_compiler
def test_the_number_of_threads_changes_nothing():
    weight, x = numbers(301, 256).bfloat16(), numbers(5, 256, seed=1)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(compiled_products().bfloat16(weight, x))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


@pytest.mark.skipif(not EXPECTED, reason="threads are counted in Linux's /proc")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_thread_of_python_has_the_number_of_threads_that_torch_has(threads):
    weight, x = numbers(301, 256).bfloat16(), numbers(5, 256, seed=1)
    before, found, program = torch.get_num_threads(), [], compiled_products()

    def run():  # a thread of its own, in which nothing has been computed
        running = len(list(Path("/proc/self/task").iterdir()))
        program.bfloat16(weight, x)
        found.append(len(list(Path("/proc/self/task").iterdir())) - running)

    try:
        torch.set_num_threads(threads)
        own = threading.Thread(target=run)
        own.start()
        own.join()
    finally:
        torch.set_num_threads(before)
    assert found == [threads - 1]


@needs_compiler
@pytest.mark.parametrize("shape", [(0, 64), (3, 0), (0, 0)])
def test_nothing_to_multiply_gives_zeros(shape):
    vectors, inputs = shape
    program, x = compiled_products(), torch.empty(vectors, inputs)
    wanted = torch.zeros(vectors, 5)
    assert torch.equal(program.bfloat16(torch.empty(5, inputs).bfloat16(), x), wanted)
    assert torch.equal(program.int8(torch.empty(5, inputs).char(), torch.ones(5), x), wanted)


HALF, X = torch.ones(4, 32).bfloat16(), torch.ones(1, 32)
CODES = torch.ones(4, 32, dtype=torch.int8)


@needs_compiler
@pytest.mark.parametrize(
    ("kind", "matrix", "scale", "x", "said"),
    [
        ("bfloat16", HALF.float(), None, X, r"matrix in bfloat16.*got float32\."),
        ("int8", CODES, torch.ones(4).double(), X, r"float32; got int8, float64"),
        ("bfloat16", HALF, None, X.double(), r"float32; got \(1, 32\) in float64"),
        ("bfloat16", HALF, None, X[:, :16], r"32 inputs.*got \(1, 16\)"),
        ("int8", CODES, torch.ones(3), X, r"got \(4, 32\), \(3,\)"),
        ("bfloat16", HALF.T.contiguous().T, None, X, r"strides \(1, 4\) on cpu"),
        ("bfloat16", HALF.to("meta"), None, X, "on meta"),
    ],
    ids=["matrix", "scale", "vectors", "width", "scales", "strides", "device"],
)
def test_what_the_program_would_misread_raises(kind, matrix, scale, x, said):
    with pytest.raises(ValueError, match=said):
        compiled_products().multiply(as_matrix(kind, matrix, scale), x)


@needs_compiler
def test_a_width_that_words_do_not_divide_is_named():
    with pytest.raises(ValueError, match=r"bfloat16 takes 16 .* got 24"):
        compiled_products().bfloat16(torch.ones(2, 24).bfloat16(), torch.ones(1, 24))
    packed, ones = torch.zeros(1, 32, dtype=torch.uint8), torch.ones(1, 2)
    with pytest.raises(ValueError, match=r"int4 takes 64 .* got 32"):
        compiled_products().int4(packed, ones, ones, torch.ones(1, 64))


def test_only_plain_memory_outside_autograd_is_handed_over():
    matrix, x = torch.ones(3, 4), torch.ones(2, 4)
    assert can_multiply(matrix, x)
    assert not can_multiply(torch.ones(4, 3).T, x)
    assert not can_multiply(matrix.to("meta"), x.to("meta"))
    assert not can_multiply(matrix, x, torch.ones(3, requires_grad=True))
    assert not can_multiply(matrix, x.clone().requires_grad_())
    assert not can_multiply(matrix.requires_grad_(), x)
    with torch.no_grad():
        assert can_multiply(matrix, x)

"""The compiled products, against the same products in float64, at all kinds of counts."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path
from subprocess import CalledProcessError

import pytest
import torch

from course_lib.device import seeded
from course_lib.model import compiled_products as module
from course_lib.model.compiled_products import can_multiply, compiled_products

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


@needs_compiler
@pytest.mark.parametrize("vectors", [1, 2, 3, 4, 5, 8, 11])
@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
def test_products_are_those_of_the_widened_matrix(outputs, inputs, vectors):
    x = numbers(vectors, inputs)
    program = compiled_products()
    half = numbers(outputs, inputs, seed=1).bfloat16()
    assert_close(program.bfloat16(half, x), x.double() @ half.double().T)
    codes = torch.randint(-128, 128, (outputs, inputs), generator=seeded(2), dtype=torch.int8)
    scale = numbers(outputs, seed=3)
    wide = codes.double() * scale[:, None]
    assert_close(program.int8(codes, scale, x), x.double() @ wide.T)


@needs_compiler
@pytest.mark.parametrize("vectors", [1, 3, 4, 9])
@pytest.mark.parametrize("group", [64, 192])
@pytest.mark.parametrize("outputs", [1, 6, 16])
def test_codes_of_4_bits_have_a_scale_and_a_shift_for_each_group(outputs, group, vectors):
    x, inputs = numbers(vectors, 384), 384
    codes = torch.randint(0, 16, (outputs, inputs), generator=seeded(1), dtype=torch.uint8)
    packed = codes[:, 0::2] << 4 | codes[:, 1::2]
    scale, shift = numbers(2, outputs, inputs // group, seed=2)
    wide = codes.double().unflatten(1, (-1, group)) * scale[..., None] + shift[..., None]
    found = compiled_products().int4(packed, scale, shift, x)
    assert_close(found, x.double() @ wide.flatten(1).T)


@needs_compiler
def test_by_hand():
    program = compiled_products()
    x = torch.arange(64.0)[None]
    one = torch.zeros(2, 64)
    one[0, 5], one[1, 40] = 3.0, -0.5
    assert program.bfloat16(one.bfloat16(), x).tolist() == [[15.0, -20.0]]
    assert program.int8(one.mul(2).char(), torch.tensor([0.5, 2.0]), x).tolist() == [[15.0, -80.0]]
    packed = torch.zeros(1, 32, dtype=torch.uint8)
    packed[0, 3] = 0x2F  # the codes of inputs 6 and 7
    found = program.int4(packed, torch.tensor([[10.0]]), torch.tensor([[1.0]]), x)
    assert found.item() == 10 * (2 * 6 + 15 * 7) + sum(range(64))


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
        ("bfloat16", HALF.float(), None, X, r"matrix in bfloat16.*got float32, float32"),
        ("bfloat16", HALF, None, X.double(), "got bfloat16, float64"),
        ("bfloat16", HALF, None, X[:, :16], r"got \(4, 32\), \(1, 16\)"),
        ("int8", CODES, torch.ones(3), X, r"got \(4, 32\), \(1, 32\), \(3,\)"),
        ("bfloat16", HALF.T.contiguous().T, None, X, r"strides \(1, 4\) on cpu"),
        ("bfloat16", HALF.to("meta"), None, X, "on meta"),
    ],
    ids=["matrix", "vectors", "width", "scales", "strides", "device"],
)
def test_what_the_program_would_misread_raises(kind, matrix, scale, x, said):
    with pytest.raises(ValueError, match=said):
        compiled_products()._product(kind, matrix, scale, None, x)


@needs_compiler
def test_a_width_that_words_do_not_divide_is_named():
    with pytest.raises(ValueError, match=r"bfloat16 takes 16 .* got 24"):
        compiled_products().bfloat16(torch.ones(2, 24).bfloat16(), torch.ones(1, 24))
    packed, ones = torch.zeros(1, 32, dtype=torch.uint8), torch.ones(1, 2)
    with pytest.raises(ValueError, match=r"int4 takes 64 .* got 32"):
        compiled_products().int4(packed, ones, ones, torch.ones(1, 64))


def raises(error):
    def function(*_, **__):
        raise error

    return function


@pytest.mark.parametrize("trouble", ["no compiler", "an error", "no folder"])
def test_without_a_compiler_there_is_no_program(trouble, monkeypatch):
    found = None if trouble == "no compiler" else "/usr/bin/cc"
    monkeypatch.setattr(module.shutil, "which", lambda _: found)
    if trouble == "no folder":
        monkeypatch.setattr(module.tempfile, "mkdtemp", raises(FileNotFoundError("no folder")))
    else:
        monkeypatch.setattr(module.subprocess, "run", raises(CalledProcessError(1, "cc")))
    assert compiled_products.__wrapped__() is None


@needs_compiler
def test_where_one_compiler_fails_another_is_tried(monkeypatch):
    run = subprocess.run

    def only_the_second(command, **options):
        if command[0] == "broken":
            raise CalledProcessError(1, "broken")
        return run([compiler, *command[1:]], **options)

    compiler = shutil.which("gcc") or shutil.which("clang")
    names = {"gcc": "broken", "clang": "whole"}
    monkeypatch.setattr(module.shutil, "which", names.__getitem__)
    monkeypatch.setattr(module.subprocess, "run", only_the_second)
    assert compiled_products.__wrapped__() is not None


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

"""The machine: which device, which number types, and what is said about it."""

import dataclasses
import os
import platform
import sys
import time

import psutil
import pytest
import torch

from course_lib import device
from course_lib.device import (
    Machine,
    default_device,
    default_dtype,
    one_thread,
    seeded,
    seeded_draws,
    this_machine,
)

MACHINE = Machine(
    system="Linux x86_64",
    python="3.11.7",
    torch="2.13.0",
    device="cpu",
    device_name="x86_64",
    dtypes=("float32", "float64"),
    cores=2,
    free_memory=4_000_000_000,
    free_device_memory=None,
    free_disk=9_000_000_000,
    triton=None,
    triton_missing="Triton is published for Linux only, and this is Darwin",
)


@pytest.fixture(autouse=True)
def no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_DEVICE", raising=False)


def test_the_default_is_the_best_that_torch_itself_reports() -> None:
    best = "cuda" if torch.cuda.is_available() else "cpu"
    best = "mps" if torch.backends.mps.is_available() else best
    assert default_device().type == best


@pytest.mark.parametrize(
    ("working", "expected"),
    [({"cuda", "mps", "cpu"}, "cuda"), ({"mps", "cpu"}, "mps"), ({"cpu"}, "cpu")],
)
def test_the_order_is_cuda_mps_cpu(
    monkeypatch: pytest.MonkeyPatch, working: set[str], expected: str
) -> None:
    monkeypatch.setattr(device, "_computes", lambda where, dtype: where.type in working)
    assert default_device() == torch.device(expected)


def test_the_variable_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_computes", lambda where, dtype: True)
    for name in ("cpu", " cpu ", "cuda:1"):
        monkeypatch.setenv("COURSE_DEVICE", name)
        assert default_device() == torch.device(name.strip())
    monkeypatch.setenv("COURSE_DEVICE", " ")
    assert default_device().type == "cuda"


@pytest.mark.parametrize("name", ["gpu", "cuda:97", "meta", "cpu,cuda"])
def test_a_device_that_cannot_compute_is_an_error(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COURSE_DEVICE", name)
    with pytest.raises(ValueError, match="COURSE_DEVICE") as told:
        default_device()
    assert f"got {name!r}" in str(told.value)
    assert "Set it to" in str(told.value)


def test_number_types_are_tried() -> None:
    cpu = torch.device("cpu")
    assert device._computes(cpu, torch.float32)
    assert device._computes(cpu, torch.bfloat16)
    assert not device._computes(cpu, torch.float8_e4m3fn)
    assert not device._computes(torch.device("meta"), torch.float32)


def test_a_number_type_that_computes_wrongly_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threes = torch.full((2, 2), 3.0)
    monkeypatch.setattr(torch, "ones", lambda *_, **__: threes)
    assert not device._computes(torch.device("cpu"), torch.float32)


@pytest.mark.parametrize(
    ("major", "hip", "expected"),
    [
        (9, None, torch.bfloat16),
        (8, None, torch.bfloat16),
        (7, None, torch.float32),
        (7, "6.0", torch.bfloat16),
    ],
)
def test_bfloat16_only_where_the_gpu_has_it(
    monkeypatch: pytest.MonkeyPatch, major: int, hip: str | None, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda where: (major, 0))
    monkeypatch.setattr(torch.version, "hip", hip)
    assert default_dtype("cuda") == expected
    assert default_dtype("cpu") == torch.float32
    assert default_dtype(torch.device("mps")) == torch.float32


def test_a_seed_gives_the_same_draws_and_another_seed_others() -> None:
    draws = [torch.randn(5, generator=seeded(seed)) for seed in (3, 3, 4)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    state = torch.get_rng_state()
    torch.randn(2, generator=seeded(1, torch.device("cpu")))
    assert torch.equal(state, torch.get_rng_state())


def test_seeded_draws_repeat_and_leave_the_global_generator_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    drawn = []
    for seed in (1, 1, 2):
        with seeded_draws(seed):
            drawn.append(torch.nn.Linear(3, 2).weight.detach())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    with pytest.raises(RuntimeError), seeded_draws(3):
        torch.rand(2) @ torch.rand(3)
    assert torch.equal(torch.rand(3), expected)


def test_waiting_asks_the_device_that_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda where: asked.append(str(where)))
    monkeypatch.setattr(torch.mps, "synchronize", lambda: asked.append("mps"))
    for name in ("cpu", "cuda:1", "mps"):
        device.synchronize(name)
    assert asked == ["cuda:1", "mps"]


def test_this_machine_agrees_with_other_sources() -> None:
    machine = this_machine()
    assert machine.python == platform.python_version()
    assert machine.torch == torch.__version__
    assert machine.cores == os.cpu_count()
    assert {"float32"} <= set(machine.dtypes)
    assert machine.free_memory is not None
    assert 0 < machine.free_memory <= psutil.virtual_memory().total
    assert machine.free_disk > 0
    assert (machine.triton is None) == (machine.triton_missing is not None)


def test_missing_triton_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.setattr(sys, "platform", "linux")
    version, why = device.triton_version()
    assert version is None
    assert "could not be imported" in str(why)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "for Linux only" in str(device.triton_version()[1])


def test_without_psutil_the_memory_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert device._free_memory() is None
    assert "memory unknown" in dataclasses.replace(MACHINE, free_memory=None).report()[3]


def test_the_report_of_a_laptop() -> None:
    assert MACHINE.report() == (
        "Python 3.11.7 and PyTorch 2.13.0 on Linux x86_64.",
        "The notebooks run on the CPU (x86_64, 2 cores). They are made for that; no GPU is needed.",
        "Number types that compute here: float32, float64.",
        "Free: memory 4.0 GB, disk 9.0 GB.",
        "Triton kernels are shown but not run: Triton is published for Linux only, and this is "
        "Darwin. Everything else is unaffected.",
    )


def test_the_report_of_a_gpu() -> None:
    gpu = dataclasses.replace(
        MACHINE,
        device="cuda",
        device_name="NVIDIA H200",
        free_device_memory=140_000_000_000,
        triton="3.7.1",
        triton_missing=None,
    )
    _, where, _, room, kernels = gpu.report()
    assert where.startswith("Models run on the GPU (NVIDIA H200, as cuda); small examples")
    assert room.endswith("GPU memory 140.0 GB.")
    assert kernels == "Triton 3.7.1 compiles kernels for this GPU."
    without = dataclasses.replace(gpu, device="cpu")
    assert "in its interpreter" in without.report()[4]


def test_compiling_needs_a_compiler_and_a_path_without_spaces(monkeypatch):
    monkeypatch.setattr(device.shutil, "which", lambda name: "/bin/g++" if name == "g++" else None)
    monkeypatch.setattr(device.torch, "__file__", "/opt/torch/__init__.py")
    assert device.can_compile()
    monkeypatch.setattr(device.torch, "__file__", "/my course/torch/__init__.py")
    assert not device.can_compile()
    monkeypatch.setattr(device.torch, "__file__", "/opt/torch/__init__.py")
    monkeypatch.setattr(device.shutil, "which", lambda name: None)
    assert not device.can_compile()


def test_a_type_is_fast_where_its_products_take_about_as_long_as_in_float32(monkeypatch):
    waits = {torch.float32: 0.002, torch.bfloat16: 0.003, torch.float16: 0.01}
    monkeypatch.setattr(
        device.torch.nn.functional, "linear", lambda x, _: time.sleep(waits[x.dtype])
    )
    found = [device.multiplies_fast.__wrapped__(kind) for kind in waits]
    assert found == [True, True, False]


def test_one_thread_for_a_while():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(RuntimeError), one_thread():
            torch.ones(2) @ torch.ones(3)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("before", "cores", "after"), [(2, 2, 1), (4, 8, 4), (8, 4, 3), (1, 1, 1)])
def test_a_core_is_left_to_other_programs(monkeypatch, before, cores, after):
    chosen = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: before)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    device.leave_a_core()
    assert chosen == [], "whoever sets the variable has chosen"
    monkeypatch.delenv("OMP_NUM_THREADS")
    device.leave_a_core()
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    device.leave_a_core()
    assert chosen == [after, after]

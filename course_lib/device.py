"""The machine under the course: which device computes, in which number types, with how much room.

Every notebook asks here for its device, so that it runs on a GPU where there is one and gives the
same text on a CPU. What a machine can do is tried, not assumed: a number type counts as working
once a product in it has come out right.

    default device = cuda, else mps (Apple), else cpu; COURSE_DEVICE=cpu chooses another

Taught in:        start_here
Paper:            none
Checked against:  what torch itself reports about the machine
Shapes:           none
"""

import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def default_device() -> torch.device:
    """Return the best device that computes here, or the one that COURSE_DEVICE names."""
    chosen = os.environ.get("COURSE_DEVICE", "").strip()
    if chosen:
        return device_named(chosen)
    for name in ("cuda", "mps"):
        if _computes(torch.device(name), torch.float32):
            return torch.device(name)
    return torch.device("cpu")


def device_named(name: str, setting: str = "COURSE_DEVICE") -> torch.device:
    """Return the device that a setting names, once it has computed something here."""
    rule = f"{setting} must name a device that computes on this machine; got {name!r}. "
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(rule + "Set it to cpu, cuda, cuda:1 or mps, or unset it.") from error
    if not _computes(device, torch.float32):
        best = next(d for d in ("cuda", "mps", "cpu") if _computes(torch.device(d), torch.float32))
        raise ValueError(rule + f"Set it to {best}, or unset it.")
    return device


def _computes(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a small product in this number type comes out right on this device."""
    try:
        ones = torch.ones(2, 2, dtype=dtype, device=device)
        return (ones @ ones).sum().item() == 8
    except (RuntimeError, AssertionError, NotImplementedError, TypeError):
        return False  # torch says in each of these ways that it cannot


def default_dtype(device: torch.device | str) -> torch.dtype:
    """Return bfloat16 where the device computes in it natively, else float32.

    CPUs and Apple's GPUs can do bfloat16 too, but not all of them faster than float32.
    """
    if torch.device(device).type == "cuda":
        native = torch.cuda.get_device_capability(device)[0] >= 8 or torch.version.hip is not None
        return torch.bfloat16 if native else torch.float32
    return torch.float32


@cache
def multiplies_fast(dtype: torch.dtype) -> bool:
    """Return whether this CPU multiplies matrices of a type about as fast as float32, by trying.

    Without instructions for bfloat16, products in it take several times as long. It is tried once.
    """

    def fastest(kind: torch.dtype) -> float:
        rows, matrix = (torch.ones(n, 512, dtype=kind, device="cpu") for n in (64, 512))
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            torch.nn.functional.linear(rows, matrix)
            times.append(time.perf_counter() - begin)
        return min(times)

    return fastest(dtype) < 2 * fastest(torch.float32)


def can_compile() -> bool:
    """Return whether torch.compile works here; what uses it is slower without.

    It needs a C++ compiler, and its linker does not understand a path with a space.
    """
    found = any(shutil.which(name) for name in ("g++", "c++", "clang++", "cl"))
    return found and " " not in str(Path(torch.__file__).resolve())


def seeded(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh random generator; the same seed gives the same draws on one kind of device.

    A GPU draws other numbers than a CPU does. For text that is equal everywhere, draw with a
    generator on the CPU and move the result.
    """
    return torch.Generator(device=device).manual_seed(seed)


def leave_a_core() -> None:
    """Let torch use a core fewer than there are, unless OMP_NUM_THREADS says how many.

    Its threads wait for one another after each operation. If another program holds the core of one
    of them, all wait for that program, and a small model takes ten times as long.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return
    usable = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    cores = len(usable(0)) if usable else os.cpu_count() or 1
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores - 1)))


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one core: for products this small a second one costs more than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded_draws(seed: int) -> Iterator[None]:
    """Let what draws without a generator, such as the weights of new layers, follow from a seed.

    Afterwards the CPU's global generator is as it was before, as if nothing had been drawn.

        with seeded_draws(0):
            layer = nn.Linear(3, 2)  # the same weights each time
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def synchronize(device: torch.device | str) -> None:
    """Wait until the device has finished what it was given; a CPU always has."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


@dataclass(frozen=True)
class Machine:
    """What this machine offers; `report` says what follows from it."""

    system: str
    python: str
    torch: str
    device: str
    device_name: str
    dtypes: tuple[str, ...]
    cores: int
    free_memory: int | None  # bytes, of the CPU's memory; None where it cannot be told
    free_device_memory: int | None  # bytes, of a GPU with memory of its own
    free_disk: int  # bytes, where the notebook runs
    triton: str | None  # its version
    triton_missing: str | None  # why it cannot be used

    def report(self) -> tuple[str, ...]:
        """Return what will run where, in plain words, a line for each subject."""
        return (
            f"Python {self.python} and PyTorch {self.torch} on {self.system}.",
            self._where(),
            f"Number types that compute here: {', '.join(self.dtypes)}.",
            self._room(),
            self._kernels(),
        )

    def _where(self) -> str:
        if self.device == "cpu":
            return (
                f"The notebooks run on the CPU ({self.device_name}, {self.cores} cores). "
                "They are made for that; no GPU is needed."
            )
        return (
            f"Models run on the GPU ({self.device_name}, as {self.device}); small examples and the "
            "checks of exercises run on the CPU."
        )

    def _room(self) -> str:
        memory = "unknown" if self.free_memory is None else _gigabytes(self.free_memory)
        line = f"Free: memory {memory}, disk {_gigabytes(self.free_disk)}"
        if self.free_device_memory is not None:
            line += f", GPU memory {_gigabytes(self.free_device_memory)}"
        return line + "."

    def _kernels(self) -> str:
        if self.triton is None:
            return (
                f"Triton kernels are shown but not run: {self.triton_missing}. "
                "Everything else is unaffected."
            )
        if self.device.startswith("cuda"):
            return f"Triton {self.triton} compiles kernels for this GPU."
        return (
            f"Triton {self.triton} is here without a GPU to compile for: its kernels run slowly, "
            "step by step, in its interpreter."
        )


def this_machine() -> Machine:
    """Return what this machine offers, by trying it."""
    device = default_device()
    version, missing = triton_version()
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        torch=str(torch.__version__),
        device=str(device),
        device_name=_device_name(device),
        dtypes=tuple(str(d).removeprefix("torch.") for d in DTYPES if _computes(device, d)),
        cores=os.cpu_count() or 1,
        free_memory=_free_memory(),
        free_device_memory=torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None,
        free_disk=shutil.disk_usage(Path.cwd()).free,
        triton=version,
        triton_missing=missing,
    )


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "Apple" if device.type == "mps" else platform.machine() or "unknown"


def _free_memory() -> int | None:
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def triton_version() -> tuple[str | None, str | None]:
    """Return Triton's version and None, or None and why it cannot be used."""
    try:
        import triton
    except ImportError as error:
        if sys.platform != "linux":
            return None, f"Triton is published for Linux only, and this is {platform.system()}"
        return None, f"Triton could not be imported ({error})"
    return str(triton.__version__), None


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"

"""Look for what can be wrong with an installation, and say how to fix it.

Every check is a function of facts, so that a test can plant any fault; `examine` collects the facts
of this machine. The report is made to be pasted whole into a bug report.
"""

import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from course_lib.study.record.paths import course_home, existing, writable

PROJECT = "llm-insides"
ROOT = Path(__file__).resolve().parents[3]
OLDEST_PYTHON = (3, 11)
SPACE = 200_000_000  # bytes; a learner's notebooks with their outputs, progress and backups
WIDGETS = ("@jupyter-widgets/jupyterlab-manager", "anywidget")
_ANY_PYTHON = ("python", "python3", f"python3.{sys.version_info[1]}")  # Jupyter puts its own there
REINSTALL = "Delete the folder .venv beside start.py and run `python3 start.py lab` again."


@dataclass(frozen=True)
class Check:
    """One check: what was found, and the remedy where something is wrong."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    essential: bool = True

    def line(self) -> str:
        """Return the check as a line of the report, with its remedy below it."""
        mark = "ok  " if self.ok else ("FAIL" if self.essential else "note")
        line = f"{mark}  {self.name}: {self.found}"
        return line if self.ok else f"{line}\n      -> {self.remedy}"


def check_python(version: tuple[int, ...]) -> Check:
    """Check that Python is new enough."""
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return Check(
        "Python",
        version >= OLDEST_PYTHON,
        ".".join(map(str, version)),
        f"Install Python {wanted} or newer and start the course with it.",
    )


def check_packages(
    requirements: Sequence[str], pins: Sequence[str], installed: Mapping[str, str]
) -> Check:
    """Check what is installed against what is needed; other releases than the pinned are noted."""
    wrong, differing = [], []
    for requirement in _applying(requirements):
        there = installed.get(canonicalize_name(requirement.name))
        if there is None:
            wrong.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(there, prereleases=True):
            wrong.append(f"{requirement.name} is {there}, needed is {requirement.specifier}")
    for pin in _applying(pins):
        there = installed.get(canonicalize_name(pin.name))
        if there is not None and not pin.specifier.contains(there, prereleases=True):
            differing.append(f"{pin.name} {there}")
    found = "; ".join(wrong) or "all there"
    if differing:
        found += f"; not the release that the outputs were made with: {', '.join(differing)}"
    return Check("Packages", not wrong, found, REINSTALL)


def check_kernel(command: Sequence[str] | None, python: str) -> Check:
    """Check that notebooks run on this Python: `command` is what the kernel `python3` starts."""
    remedy = f'Run `"{python}" -m ipykernel install --sys-prefix --name python3`.'
    if not command:
        return Check("Notebook kernel", False, "no kernel `python3` is registered", remedy)
    starts = python if command[0] in _ANY_PYTHON else command[0]
    here = Path(python).absolute().parent == Path(starts).absolute().parent
    found = f"python3 runs {starts}"
    return Check("Notebook kernel", here, found if here else f"{found}, not {python}", remedy)


def check_torch(version: str | None, problem: str | None) -> Check:
    """Check that PyTorch can be imported and computes; `problem` is what it said if not."""
    found = f"{version}, computes" if problem is None else problem
    return Check("PyTorch", problem is None, found, REINSTALL)


def check_widgets(extensions: Sequence[str]) -> Check:
    """Check that JupyterLab can display sliders, given the names of its extensions."""
    missing = [name for name in WIDGETS if name not in extensions]
    found = f"missing in JupyterLab: {', '.join(missing)}" if missing else "both extensions there"
    return Check("Widgets", not missing, found, REINSTALL)


def check_folder(name: str, path: Path, can_write: bool, free: int) -> Check:
    """Check that a folder of the learner can be written and that its disk has room."""
    if not can_write:
        remedy = "Set COURSE_HOME to a folder that you may write."
        return Check(name, False, f"{path} cannot be written", remedy)
    enough = free >= SPACE
    remedy = f"Free {SPACE / 1e6:.0f} MB, or set COURSE_HOME to a folder on another disk."
    return Check(name, enough, f"{path}, {free / 1e9:.1f} GB free", remedy)


def check_store(path: Path | None, problem: str | None) -> Check:
    """Check that progress can be read; the course goes on without it."""
    remedy = "Keep the file for a bug report; `course reset --progress` starts a new one."
    found = str(path) if path else "nothing is recorded here"
    return Check("Progress", problem is None, problem or found, remedy, essential=False)


def check_triton(version: str | None, problem: str | None) -> Check:
    """Note whether GPU kernels can be compiled; nothing essential needs it."""
    remedy = "Nothing to do, unless this is Linux with an NVIDIA GPU: then `pip install triton`."
    return Check("Triton", version is not None, version or problem or "", remedy, essential=False)


def examine() -> tuple[Check, ...]:
    """Return every check, made with the facts of this machine."""
    return (
        check_python(sys.version_info[:3]),
        check_packages(requirements(), _pins(), _installed()),
        check_kernel(_kernel_command(), sys.executable),
        check_torch(*_torch_facts()),
        check_widgets(_extensions()),
        *(
            check_folder(name, path, writable(path), shutil.disk_usage(existing(path)).free)
            for name, path in _folders().items()
        ),
        check_store(*_store_facts()),
        check_triton(*_triton_facts()),
    )


def doctor() -> int:
    """Print the report; return 1 when something essential is wrong, else 0."""
    version = _installed().get(PROJECT, "(not installed)")
    print(f"{PROJECT} {version} on {platform.platform()}, {sys.executable}\n")
    checks = examine()
    for check in checks:
        print(check.line())
    failed = [check.name for check in checks if check.essential and not check.ok]
    if failed:
        print(f"\nTo be put right: {', '.join(failed)}.")
        return 1
    print("\nEverything that the course needs is in order.")
    return 0


def requirements() -> list[str]:
    """Return what the installed course says it needs, extras included, as requirement lines."""
    try:
        return metadata.requires(PROJECT) or []
    except metadata.PackageNotFoundError:
        return [f"{PROJECT}>=0"]  # which the check will find missing


def _applying(lines: Sequence[str]) -> list[Requirement]:
    """Read requirements, and keep those that apply to this machine and to no extra."""
    parsed = [Requirement(line) for line in lines]
    return [each for each in parsed if each.marker is None or each.marker.evaluate({"extra": ""})]


def _pins() -> list[str]:
    path = ROOT / "constraints.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line for line in lines if line and not line.startswith("#")]


def _installed() -> dict[str, str]:
    installed: dict[str, str] = {}
    for each in metadata.distributions():  # of two copies the first is the one that is imported
        if each.metadata["Name"] and each.version:
            installed.setdefault(canonicalize_name(each.metadata["Name"]), each.version)
    return installed


def _kernel_command() -> list[str] | None:
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return None  # which package is missing stands in another line
    try:
        return list(KernelSpecManager(ensure_native_kernel=False).get_kernel_spec("python3").argv)
    except (NoSuchKernel, ValueError):  # ValueError: its file is no JSON
        return None


def _torch_facts() -> tuple[str | None, str | None]:
    try:
        import torch

        from course_lib.device import default_device

        device = default_device()
        total = torch.arange(4.0, device=device).sum().item()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        return None, f"{type(error).__name__}: {error}"
    problem = None if total == 6 else f"0 + 1 + 2 + 3 came out as {total} on {device}"
    return f"{torch.__version__} on {device}", problem


def _extensions() -> list[str]:
    try:
        from jupyter_core.paths import jupyter_path
    except ImportError:
        return []
    places = [Path(place) for place in jupyter_path("labextensions")]
    return [name for name in WIDGETS if any((place / name).is_dir() for place in places)]


def _folders() -> dict[str, Path]:
    from course_lib.study.files.workspace import workspace_path

    return {"Data folder": course_home(), "Workspace": workspace_path()}


def _store_facts() -> tuple[Path | None, str | None]:
    try:
        from course_lib.study.record.progress import store
    except ImportError as error:
        return None, f"not looked at ({error})"
    results = store()
    results.exercises()
    return results.path, results.notice


def _triton_facts() -> tuple[str | None, str | None]:
    try:
        from course_lib.device import triton_version
    except (ImportError, OSError) as error:
        return None, f"not looked for, since PyTorch is missing ({error})"
    return triton_version()

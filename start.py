"""Start the course with nothing but Python: make its environment, then do what was asked.

The first start builds `.venv` beside this file from `constraints.txt`; a later start finds it
finished and takes no time. Only the standard library is used here, and nothing that an old Python
could not read, so that an old Python can say what is wrong with it.
"""

import hashlib
import importlib.util
import io
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

OLDEST = (3, 11)

if sys.version_info < OLDEST:
    sys.exit(
        "This course needs Python {}.{} or newer, and this is Python {}: install a newer one from "
        "https://www.python.org/downloads/ and start the course with it, for instance "
        "`python3.13 start.py lab`.".format(*OLDEST, ".".join(map(str, sys.version_info[:3])))
    )

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOG = VENV / "install.log"
STAMP = VENV / "course-stamp.json"
KERNEL = "LLM insides"
# Where this is not said, JupyterLab asks a learner at the first start whether to show its news.
LAB_SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}
NEEDS_TEST_TOOLS = ("test", "build")
LAST_LINES = 12
SPACE = 3 * 10**9  # bytes; what the environment takes without any GPU library

HELP = """\
A hands-on course on the insides of large language models.

  python3 start.py lab        open the course in JupyterLab, in your own copy of the notebooks
  python3 start.py lab 04     the same, opened at notebook 04
  python3 start.py test       check everything: style, types, tests, every notebook

The first start makes the folder .venv beside this file and installs what the course needs there:
that takes minutes, a network connection and 3 GB of disk, more where GPU libraries come along.
Later starts take seconds and no network. Your notebooks and your progress are kept in a folder of
your own, which the command doctor names; nothing else on your machine is changed.

Further commands: check, progress, review, reset, update, doctor; chat, serve, ask, mcp, evaluate,
train; class, for teachers; new, build, for authors.
  python3 start.py COMMAND --help     what a command does and what you can add to it
On Windows, type py instead of python3.
"""

# What in pip's output means what, in the order in which it is asked: without a network pip also
# complains that it found no version.
REASONS = (
    (
        ("No space left on device", "Errno 28", "WinError 112", "Disk quota exceeded"),
        "The disk is full: the environment needs {space:.0f} GB or more. Free some space and run "
        "the same command again.",
    ),
    (
        (
            "NewConnectionError",
            "ConnectTimeout",
            "ReadTimeout",
            "Failed to establish a new connection",
            "Temporary failure in name resolution",
            "getaddrinfo failed",
            "Max retries exceeded",
            "Network is unreachable",
            "ProxyError",
            "SSLError",
            "Connection aborted",
            "IncompleteRead",
        ),
        "The packages could not be fetched: is there a network connection? Once there is, run the "
        "same command again; what has arrived is kept.",
    ),
    (
        ("No matching distribution found", "ResolutionImpossible", "conflicting dependencies"),
        "A package has no version that fits this machine and Python {python}: try another Python, "
        "3.11 to 3.13 are tested.",
    ),
    (
        ("Permission denied", "Errno 13", "WinError 5"),
        "A file in {venv} cannot be written: close what is using it, or move the course to a "
        "folder of your own.",
    ),
)


class SetupError(Exception):
    """Something that the person at the keyboard can put right; the text says how."""


class Progress:
    """One line that says what is going on: kept up to date on a terminal, sparse elsewhere."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty()
        self.began = time.monotonic()
        self.printed = 0.0
        self.seen: set[str] = set()

    def show(self, text: str) -> None:
        """Say `text`, with the time since the beginning."""
        seconds = time.monotonic() - self.began
        line = f"  {int(seconds) // 60}:{int(seconds) % 60:02d}  {text}"
        kind = text.split()[0]
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            print("\r" + line[:width].ljust(width), end="", flush=True)
        elif kind not in self.seen or seconds - self.printed >= 10:
            print(line, flush=True)
            self.printed = seconds
        self.seen.add(kind)

    def close(self) -> None:
        """Leave the last line standing and go to the next."""
        if self.live and self.seen:
            print(flush=True)


def interpreter() -> Path:
    """The environment's own Python."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint(extras: str) -> dict[str, str]:
    """Everything that an environment was made from; another value means: install again."""
    files = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    return {
        "files": hashlib.sha256(b"\0".join(files)).hexdigest(),
        "extras": extras,
        "python": ".".join(map(str, sys.version_info[:2])),
        "folder": str(ROOT),
    }


def read_stamp() -> dict[str, str]:
    """What the finished environment was made from; empty while there is no finished one."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def stage(line: str, found: int) -> str | None:
    """What a line of pip's output means to somebody who waits; None for one that says nothing."""
    words = line.split()
    if line.startswith("Collecting ") and len(words) > 1:
        return f"Looking for {re.split('[^A-Za-z0-9._-]', words[1])[0]}, package {found}"
    if words[:1] == ["Downloading"] and line.rstrip().endswith("B)"):
        name = words[1].rsplit("/", 1)[-1].split("-")[0]
        return f"Downloading {name} {' '.join(words[2:])}, package {found}"
    return None


def packages() -> set[str]:
    """The names of the packages that stand in the environment, each with its version."""
    places = [*VENV.glob("lib/python*/site-packages"), VENV / "Lib" / "site-packages"]
    return {folder.stem for place in places for folder in place.glob("*.dist-info")}


def unpacking(line: str, before: set[str]) -> str:
    """Which package pip installs now: the first of those in `line` that has not come since."""
    names = re.split("[, ]+", line.split(":")[1].strip())
    come = {_plain(each.split("-")[0]) for each in packages() - before}
    waiting = [name for name in names if _plain(name) not in come]
    if not waiting:
        return f"Installing {len(names)} packages: all are there, pip is finishing"
    return f"Installing {waiting[0]}, {len(names) - len(waiting) + 1} of {len(names)}"


def _plain(name: str) -> str:
    """A package's name as pip compares it."""
    return re.sub("[-_.]+", "-", name).lower()


def explain(output: str) -> str:
    """One sentence on why an installation failed, from pip's own words."""
    for marks, sentence in REASONS:
        if any(mark in output for mark in marks):
            return sentence.format(
                space=SPACE / 1e9, venv=VENV, python=".".join(map(str, sys.version_info[:2]))
            )
    return "The reason is in the lines above; the whole story is in the log."


def run_logged(command: list[str], progress: Progress, text: str) -> None:
    """Run a command with its output in the log, show what its lines tell, explain a failure."""
    output: list[str] = []
    found, installing, before = 0, "", packages()
    with LOG.open("a", encoding="utf-8") as log, _child(command, log) as child:
        for line in _lines(child):
            if line:
                log.write(line)
                log.flush()
                output.append(line)
                found += line.startswith("Collecting ")
                text = stage(line, found) or text
                if line.startswith("Installing collected packages:"):
                    installing = line  # the longest part, in which pip says nothing
            if installing:
                text = unpacking(installing, before)
            progress.show(text)
    if child.returncode:
        progress.close()
        tail = "".join(output[-LAST_LINES:]).rstrip()
        raise SetupError(f"{tail}\n\n{explain(''.join(output))}\nLog: {LOG}")


def _child(command: list[str], log: TextIO) -> subprocess.Popen[str]:
    """Start a command in the course's folder, text as UTF-8, with `.venv` as pip's only target."""
    log.write(f"\n$ {' '.join(command)}\n")
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=dict(os.environ, PYTHONUTF8="1", PYTHONUNBUFFERED="1", PIP_USER="0"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )


def _lines(child: subprocess.Popen[str]) -> Iterator[str]:
    """Give a program's output line by line, and an empty text for each second without any."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in child.stdout or ():
            lines.put(line)
        lines.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while True:
            try:
                line = lines.get(timeout=1)
            except queue.Empty:
                line = ""
            if line is None:
                break
            yield line
    except BaseException:  # Ctrl-C, mostly: the program must not go on alone
        child.terminate()
        reader.join(timeout=10)
        raise


def missing_module(find: Callable[[str], object]) -> str | None:
    """The sentence for a Python without the parts that make an environment, as Debian splits it."""
    missing = [name for name in ("venv", "ensurepip") if find(name) is None]
    if not missing:
        return None
    version = ".".join(map(str, sys.version_info[:2]))
    return (
        f"This Python comes without its module `{missing[0]}`, which makes environments: on Debian "
        f"and Ubuntu install it with `sudo apt install python{version}-venv`, then run the same "
        "command again."
    )


def answers(python: str) -> bool:
    """Whether an environment's Python runs, is new enough and has its pip."""
    question = f"import pip, sys; assert sys.version_info >= {OLDEST}"
    try:
        asked = subprocess.run(
            [python, "-c", question], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except OSError:  # there is none, or it is no program
        return False
    return asked.returncode == 0


def make_venv(progress: Progress) -> None:
    """Make `.venv`, unless it stands already and its Python and pip answer."""
    if answers(str(interpreter())):
        return
    sentence = missing_module(importlib.util.find_spec)
    if sentence:
        raise SetupError(sentence)
    if shutil.disk_usage(str(ROOT)).free < SPACE:
        raise SetupError(explain("No space left on device"))
    progress.show("Making the environment .venv")
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if made.returncode:
        raise SetupError(f"{made.stdout.rstrip()}\n\nThe environment {VENV} could not be made.")


def install(extras: str) -> None:
    """Bring the environment to what `pyproject.toml` and `constraints.txt` say."""
    stamp = read_stamp()
    wanted = fingerprint(extras or stamp.get("extras", ""))
    if stamp == wanted and interpreter().exists():
        return
    print("Setting up the course (needed once; minutes, with a network connection)", flush=True)
    progress = Progress()
    python = str(interpreter())
    project = ".[" + wanted["extras"] + "]" if wanted["extras"] else "."
    pip = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    try:
        if stamp and any(stamp.get(key) != wanted[key] for key in ("folder", "python")):
            shutil.rmtree(str(VENV))  # moved, or another Python's: its paths lead elsewhere
        make_venv(progress)
        if STAMP.exists():
            STAMP.unlink()
        options = ["--progress-bar", "off", "-c", "constraints.txt", "-e", project]
        run_logged(pip + options, progress, "Preparing the installation")
        kernel = ["--sys-prefix", "--name", "python3", "--display-name", KERNEL]
        command = [python, "-m", "ipykernel", "install"]
        run_logged(command + kernel, progress, "Registering the notebook kernel")
        settings = VENV / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(json.dumps(LAB_SETTINGS, indent=2), encoding="utf-8")
        STAMP.write_text(json.dumps(wanted), encoding="utf-8")
        progress.show("Ready")
    finally:
        progress.close()


def hand_over(python: str, args: list[str]) -> int:
    """Run `course_lib.cli` with these arguments; its exit status is ours."""
    command = [python, "-m", "course_lib.cli", *args]
    if os.name != "nt":
        os.execv(python, command)  # from here on this process is that program
    child = subprocess.Popen(command)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue  # the program has heard it too, and decides


def main(args: list[str]) -> int:
    """Do what the command line asks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if not args or args[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if "-h" in args or "--help" in args:
        os.environ["PYTHONPATH"] = str(ROOT)  # help needs nothing but this folder
        return hand_over(sys.executable, args)
    try:
        install("test" if args[0] in NEEDS_TEST_TOOLS else "")
    except SetupError as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\n{error}\n\n{explain(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on.", file=sys.stderr)
        return 130
    return hand_over(str(interpreter()), args)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

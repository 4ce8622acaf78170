"""Tools that raise, hang, print without end, crash, and return what is no JSON."""

import os
import subprocess
import sys
import time
from pathlib import Path


def raises(text: str) -> str:
    raise KeyError(text)


def leaves() -> str:
    raise SystemExit(3)


def hangs() -> str:
    print("before")
    time.sleep(600)
    return "never"


def prints_much(megabytes: int) -> str:
    for _ in range(megabytes):
        print("x" * 2**20)
    return "done"


def returns_much(characters: int) -> str:
    return "y" * characters


def returns_a_set() -> set:
    return {1}


def returns_nan() -> float:
    return float("nan")


def returns_a_dict(name: str, count: int = 2) -> dict:
    print("a line on the standard output")
    return {"name": name, "count": count}


def dies() -> str:
    os._exit(7)


def starts_a_child(path: str) -> str:
    code = f"import time, pathlib; time.sleep(3); pathlib.Path({path!r}).write_text('late')"
    subprocess.Popen([sys.executable, "-c", code])
    time.sleep(600)
    return "never"


def environment() -> list:
    return sorted(os.environ)


def allocates(megabytes: int) -> int:
    return len(bytearray(megabytes * 2**20))


def writes(path: str, line: str) -> str:
    with Path(path).open("a") as file:
        file.write(line + "\n")
    return "written"


def writes_slowly(path: str, line: str) -> str:
    writes(path, line)
    time.sleep(600)
    return "written"

"""Put finished pages in their folder: all of them or none, and one build at a time.

The pages are first written to a folder of their own inside, which needs the room for all of them,
and then take their places, which needs none. A disk that fills up or a build that is stopped leaves
the pages that were there. The system frees the lock of a build that is stopped, so the next one
goes on, says so and removes what that one left.

Taught in:        none
Checked against:  a file system that is full, a build that is killed, two builds
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from filelock import FileLock, Timeout
from matplotlib.font_manager import findfont

from course_lib.study.display.labels import FONT
from course_lib.study.display.plotting import MONOSPACED

UNFINISHED = ".pages-"
"""How the names of folders begin in which pages wait until all of them are written."""


def publish(folder: Path, pages: Mapping[str, str]) -> list[Path]:
    """Write the pages into a folder that this build holds; return their paths, in that order."""
    free = shutil.disk_usage(folder).free / 1e6  # before the disk fills up
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=folder) as beside:
        try:
            for name, page in pages.items():
                Path(beside, name).write_text(page, encoding="utf-8", newline="\n")
        except OSError as error:
            size = sum(len(page.encode()) for page in pages.values()) / 1e6
            raise OSError(
                f"the pages could not be written to {folder}: {error.strerror or error}. They need "
                f"{size:.0f} MB, and {free:.0f} MB are free; nothing there has been changed."
            ) from error
        for name in pages:
            os.replace(Path(beside, name), folder / name)
    return [folder / name for name in pages]


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[Path]:
    """Make a folder and hold it for this build, or raise because another one that runs holds it."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".build.lock"
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(
            f"another build is writing to {folder}; it holds {path}. Wait until it has ended."
        ) from None
    try:
        for left in sorted(folder.glob(f"{UNFINISHED}*")):
            print(f"A build of these pages was stopped; what it left in {left} is removed.")
            shutil.rmtree(left)
        yield folder
    finally:
        with contextlib.suppress(OSError):  # Windows removes no file that is open
            path.unlink(missing_ok=True)
        lock.release()


def require_fonts() -> None:
    """Raise if a font of the pictures is missing: others would change every label's place."""
    for font in (FONT, MONOSPACED):
        try:
            findfont(font, fallback_to_default=False)
        except ValueError:
            raise ValueError(
                f"the pictures need the font {font!r}, which comes with matplotlib, and it is not "
                "found. Install matplotlib again, or delete its font cache."
            ) from None

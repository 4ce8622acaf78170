"""Put finished pages in their folder: all of them or none, and one build at a time.

The pages are first written beside the folder, which needs the room for all of them, and then take
their places, which needs none. A disk that fills up or a build that is stopped leaves the pages
that were there.

Taught in:        none
Checked against:  a file system that is full, a build that is killed, two builds
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from matplotlib.font_manager import findfont

from course_lib.study.display.labels import FONT
from course_lib.study.display.plotting import MONOSPACED


def publish(folder: Path, pages: Mapping[str, str]) -> list[Path]:
    """Write the pages into the folder and return their paths, in the order given."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder), tempfile.TemporaryDirectory(prefix=".pages-", dir=folder) as beside:
        try:
            for name, page in pages.items():
                Path(beside, name).write_text(page, encoding="utf-8", newline="\n")
        except OSError as error:
            size = sum(len(page.encode()) for page in pages.values()) / 1e6
            free = shutil.disk_usage(folder).free / 1e6
            raise OSError(
                f"the pages could not be written to {folder}: {error.strerror or error}. They need "
                f"{size:.0f} MB, and {free:.0f} MB are free; nothing there has been changed."
            ) from error
        for name in pages:
            os.replace(Path(beside, name), folder / name)
    return [folder / name for name in pages]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder for this build; raise if another one that still runs holds it."""
    lock = folder / ".build.lock"
    try:
        descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        raise ValueError(
            f"another build is writing to {folder}, or was stopped while it did; it holds {lock}. "
            "Wait for it to end; if none is running, delete that file."
        ) from None
    os.close(descriptor)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


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

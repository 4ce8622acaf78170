"""Replace a file as a whole: whatever happens meanwhile, the old file is there or the new one.

A new file is written beside the old one, in the same folder and so on the same disk. It is flushed
to the disk, and only then takes the old one's name, which the system does in one step. A program
that is killed before that leaves the old file untouched, and beside it at worst a hidden leftover,
`.NAME.*.part`, that nothing reads.

    write_whole(path, lambda part: torch.save(state, part))      # any function that writes a file
    write_whole_text(path, "text")                               # UTF-8, lines ended by "\\n"

The new file has the permissions of the old one; a first file has those that any new file gets. A
symbolic link is replaced by a file, and what it pointed to stays as it is.

What this does not do: keep two programs from writing at the same time (the last one wins), or make
missing folders.
"""

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a new file beside `path`, then put it in the place of `path`.

    If `write` raises, the new file is removed and `path` stays as it was. The old file may be the
    mapped memory of the very data that are written.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        write(part)
        _flush_to_disk(part)
        if path.exists():
            shutil.copymode(path, part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_whole_text(path: Path, text: str) -> None:
    """Put `text` in the place of the file at `path`."""
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8", newline="\n"))


def _flush_to_disk(path: Path) -> None:
    """Wait until the file's content is on the disk.

    Otherwise its new name may be there first, and a power cut in between leaves an empty file.
    """
    with path.open("r+b") as file:
        os.fsync(file.fileno())

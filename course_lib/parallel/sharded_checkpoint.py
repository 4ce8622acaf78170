"""Checkpoints that are written in pieces and read by any number of ranks.

What a rank holds is a list of segments: "numbers 300 to 599 of the tensor `layers.0.mlp...`". A
checkpoint is the segments of all ranks, a file for each rank. A reader fills its own segments from
whichever files have the numbers, so the next run may have more ranks, fewer, or another layout.

    FOLDER/step-250/rank-0.pt ...      segments, written by all ranks at the same time
    FOLDER/latest.json                 which step is complete; replaced when all files are there

A run that is killed while it writes leaves the previous step as the latest one.

Taught in:        parallel
Checked against:  whole tensors; runs that were killed and resumed with other ranks
Shapes:           a segment is (numbers,), a view of the flattened tensor
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.atomic_write import write_whole, write_whole_text
from course_lib.parallel.communicator import Communicator

LATEST = "latest.json"
Shapes = Mapping[str, Sequence[int]]  # of the parameters of the whole model


@dataclass(frozen=True)
class Segment:
    """Some consecutive numbers of a flattened tensor."""

    name: str
    start: int
    numbers: Float[Tensor, " n"]  # a view: loading writes into it

    @property
    def stop(self) -> int:
        """The place after the last number."""
        return self.start + len(self.numbers)


def save_segments(
    comm: Communicator,
    folder: Path,
    step: int,
    segments: Sequence[Segment],
    extra: dict[str, Any],
    shapes: Shapes,
) -> None:
    """Write this rank's segments; every rank calls this. `extra` of rank 0 is kept with them."""
    target = folder / f"step-{step}"
    target.mkdir(parents=True, exist_ok=True)
    state = [(each.name, each.start, each.numbers.detach().clone()) for each in segments]
    write_whole(target / f"rank-{comm.rank}.pt", lambda part: torch.save(state, part))
    if comm.rank == 0:
        whole = {name: list(shape) for name, shape in shapes.items()}
        write_whole(target / "extra.pt", lambda part: torch.save((extra, whole), part))
    comm.barrier()
    if comm.rank == 0:
        write_whole_text(folder / LATEST, json.dumps({"step": step, "ranks": comm.size}))
        for old in folder.glob("step-*"):
            if old != target:
                shutil.rmtree(old)
    comm.barrier()


def has_segments(folder: Path) -> bool:
    """Say whether there is a complete checkpoint."""
    return (folder / LATEST).is_file()


def load_segments(folder: Path, segments: Sequence[Segment], shapes: Shapes) -> dict[str, Any]:
    """Fill the segments from the latest complete step, and return its `extra`.

    The files may have been written by more or fewer ranks, but for the same model: a `ValueError`
    names the first parameter that differs, before anything is filled, or a number that is missing.
    """
    if not has_segments(folder):
        raise ValueError(
            f"there must be a complete checkpoint; got {str(folder)!r} without {LATEST}."
        )
    latest = json.loads((folder / LATEST).read_text(encoding="utf-8"))
    source = folder / f"step-{latest['step']}"
    extra, saved = torch.load(source / "extra.pt", weights_only=True)
    _check_shapes(saved, shapes, folder)
    stored: dict[str, list[Segment]] = {}
    for rank in range(latest["ranks"]):
        path = source / f"rank-{rank}.pt"
        for name, start, numbers in torch.load(path, map_location="cpu", weights_only=True):
            stored.setdefault(name, []).append(Segment(name, start, numbers))
    for segment in segments:
        _fill(segment, stored.get(segment.name, []), folder)
    return dict(extra)


def _check_shapes(saved: Shapes, shapes: Shapes, folder: Path) -> None:
    for name in sorted(saved.keys() | shapes.keys()):
        here, there = shapes.get(name), saved.get(name)
        if here is None or there is None or list(here) != list(there):
            raise ValueError(
                f"a run is resumed with the model that it started with; got {name!r} of shape "
                f"{here and tuple(here)}, and of shape {there and tuple(there)} in the checkpoint "
                f"{str(folder)!r}. Build the model from the same configuration."
            )


@torch.no_grad()
def _fill(segment: Segment, stored: Sequence[Segment], folder: Path) -> None:
    """Copy what overlaps; the pieces must cover the segment without a gap."""
    place = segment.start
    for piece in sorted(stored, key=lambda each: each.start):
        if piece.start <= place < piece.stop:
            end = min(piece.stop, segment.stop)
            found = piece.numbers[place - piece.start : end - piece.start]
            segment.numbers[place - segment.start : end - segment.start] = found
            place = max(place, end)
    if place < segment.stop:
        raise ValueError(
            f"the checkpoint in {str(folder)!r} must have every number of the model; got "
            f"{segment.name!r} without number {place}. A file of it has been changed or replaced."
        )

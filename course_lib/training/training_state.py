"""Save a training run, and resume it exactly: model, optimizer, step, random generator.

    save_training("state.pt", model, optimizer, step)
    step = resume_training("state.pt", model, optimizer)  # in a new process

The file is replaced as a whole, so a kill during writing leaves the previous one intact.
The data and the schedule are not in the file; create them again as they were.

Taught in:        training
Checked against:  a run without interruption, bit for bit
"""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from course_lib.atomic_write import write_whole


def save_training(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    generator: torch.Generator | None = None,
) -> None:
    """Write everything that determines the next step, completely or not at all.

    `generator` is the one that draws the batches; for torch's global one, which dropout also uses,
    pass `torch.default_generator`.
    """
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "generator": None if generator is None else generator.get_state(),
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda part: torch.save(state, part))


def resume_training(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator | None = None,
) -> int:
    """Load a saved run into model, optimizer and generator; return the number of steps done.

    If the file does not match them, a ValueError is raised and nothing is changed.
    """
    state = _read(Path(path))
    _check_model(model, state["model"])
    if (generator is None) != (state["generator"] is None):
        wanted = "none was saved" if state["generator"] is None else "one was saved"
        raise ValueError(
            f"pass a generator if and only if the run was saved with one; {wanted} in "
            f"{str(path)!r}. Pass to resume_training what was passed to save_training."
        )
    optimizer.load_state_dict(state["optimizer"])
    model.load_state_dict(state["model"])
    if generator is not None:
        generator.set_state(state["generator"])
    return int(state["step"])


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{str(path)!r} cannot be read as a file of save_training: {type(error).__name__}. "
            "Check the path; to start the run again, delete the file."
        ) from error
    wanted = {"model", "optimizer", "step", "generator"}
    if not isinstance(state, dict) or state.keys() != wanted:
        raise ValueError(
            f"a saved run consists of {sorted(wanted)}; {str(path)!r} was written by an earlier "
            "version of the course or by another program and cannot be resumed. Delete it to start "
            "the run again, or train in a new folder."
        )
    return state


def _check_model(model: nn.Module, saved: dict[str, Any]) -> None:
    from course_lib.checkpoint import misfits

    wrong = misfits(model.state_dict(), saved)
    if any(wrong):
        first = next(name for names in wrong for name in names)
        raise ValueError(
            "a run must be resumed with the model that it started with; the saved weights differ: "
            f"{len(wrong.missing)} missing, {len(wrong.extra)} unexpected and "
            f"{len(wrong.misshapen)} of a different shape, the first {first!r}. "
            "Build the model from the same configuration."
        )

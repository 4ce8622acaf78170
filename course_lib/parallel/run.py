"""A run of a recipe on several ranks, in the same folder as a run on one.

    FOLDER/ranks/latest.json, step-N/    what determines the next step, a file from each rank

Everything else is where it always is: tokenizer, texts, log, finished model. Rank 0 writes them. A
run that one process has begun is continued by the ranks from its `state.pt`.

Taught in:        parallel
Checked against:  a run on one process; runs that were killed and resumed with other ranks
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from course_lib.parallel.communicator import Communicator
from course_lib.parallel.processes import ProcessCommunicator, RankError, connect
from course_lib.parallel.sharded_checkpoint import LATEST
from course_lib.parallel.spread import Parallelism
from course_lib.parallel.training import ParallelTraining
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.training.loop import Draw
from course_lib.training.recipes import Recipe
from course_lib.training.runs import RecipeRun, Record


class ParallelRun(RecipeRun):
    """A recipe in training on several ranks; every rank makes one, and the same calls."""

    training: ParallelTraining

    def __init__(
        self, recipe: Recipe, folder: Path, comm: Communicator, spread: Parallelism
    ) -> None:
        self.comm, self.spread = comm, spread
        super().__init__(recipe, folder)

    @property
    def state(self) -> Path:
        """The file of the training state: that of all ranks, or of one process before them."""
        sharded, single = self.folder / "ranks" / LATEST, self.folder / "state.pt"
        return sharded if sharded.is_file() or not single.is_file() else single

    def prepared(self, recipe: Recipe, folder: Path) -> tuple[ByteBPE, list[Path]]:
        """Return tokenizer and tokens; rank 0 makes what is missing, and the others wait."""
        if self.comm.rank == 0:
            found = super().prepared(recipe, folder)
        self.comm.barrier()
        if self.comm.rank:
            found = super().prepared(recipe, folder)
        return found

    def training_on(self, draw: Draw) -> ParallelTraining:
        """Return this rank's part of the training."""
        device = self.comm.device if isinstance(self.comm, ProcessCommunicator) else "cpu"
        model = self.recipe.fresh_model().to(device)
        return ParallelTraining(model, draw, self.recipe.plan, self.comm, self.spread)

    def look(self) -> Record:
        """Measure, on every rank the same."""
        self.training.refresh()
        found = super().look()
        self.training.release()
        return found

    def weights(self) -> dict[str, Tensor]:
        """Return the state dict of the whole model."""
        return self.training.whole_state()

    def store(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Let rank 0 write model, tokenizer and log."""
        if self.comm.rank == 0:
            super().store(folder, dtype)
        else:
            self.weights()
        self.comm.barrier()

    def _write_log(self) -> None:
        if self.comm.rank == 0:
            super()._write_log()


@contextlib.contextmanager
def as_a_rank() -> Iterator[ProcessCommunicator]:
    """Connect to the other ranks of torchrun; only rank 0 prints, and errors name their rank."""
    comm = connect()
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere if comm.rank else sys.stdout),
    ):
        try:
            yield comm
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise RankError(
                f"rank {comm.rank} of {comm.size} cannot go on, since another rank has ended or "
                f"does not answer; torchrun names it below. ({reason})"
            ) from error
        except ValueError as error:
            raise ValueError(f"rank {comm.rank} of {comm.size}: {error}") from error
    dist.destroy_process_group()

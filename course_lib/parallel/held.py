"""Which numbers of which parameters a rank holds, for norms and checkpoints.

A shard of a row covers the end of one parameter, some whole ones and the start of another. A matrix
cut by its columns is held row by row. Several ranks may hold the same numbers; one of them owns
them. Norms count owned numbers and checkpoints store them, so that each is there once.

Taught in:        parallel
Checked against:  the whole parameters
Shapes:           none
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from course_lib.model import ModelConfig, build_model
from course_lib.parallel.communicator import Communicator
from course_lib.parallel.expert_parallel import ExpertParallel
from course_lib.parallel.sharded_checkpoint import Segment
from course_lib.parallel.split_model import SplitDecoder
from course_lib.training.optimizer import AdamW, decay_groups
from course_lib.training.training_state import resume_training

MOMENTS = ("exp_avg", "exp_avg_sq")
Shapes = Mapping[str, torch.Size]  # of the parameters of the whole model


class Piece(NamedTuple):
    """`length` numbers of a parameter from `start` on, held from `offset` on."""

    name: str
    start: int
    offset: int
    length: int
    owned: bool = True


class Held(NamedTuple):
    """A tensor that the optimizer of a rank updates, and what it holds."""

    tensor: nn.Parameter
    pieces: list[Piece]

    def owned_squares(self) -> Iterator[Tensor]:
        """Yield sums of squares that together are those of the owned gradients."""
        if self.tensor.grad is not None:
            flat = self.tensor.grad.view(-1)
            for begin, end in runs(self.pieces):
                yield flat[begin:end].square().sum()

    def segments(self, state: dict[str, Any], done: int, owned: bool) -> Iterator[Segment]:
        """Yield weights and moments as views; those that this rank owns, or all that it holds."""
        if not state:
            state["step"] = done
            state.update({kind: torch.zeros_like(self.tensor) for kind in MOMENTS})
        for kind in ("weights", *MOMENTS):
            flat = (self.tensor if kind == "weights" else state[kind]).detach().view(-1)
            for piece in self.pieces:
                if piece.owned or not owned:
                    numbers = flat[piece.offset : piece.offset + piece.length]
                    yield Segment(f"{kind}.{piece.name}", piece.start, numbers)


def runs(pieces: Iterable[Piece]) -> list[tuple[int, int]]:
    """Return from where to where the numbers are owned, in as few runs as possible."""
    found: list[tuple[int, int]] = []
    for piece in pieces:
        if piece.owned:
            begin, end = piece.offset, piece.offset + piece.length
            if found and found[-1][1] == begin:
                begin = found.pop()[0]
            found.append((begin, end))
    return found


def split_pieces(
    split: SplitDecoder, name: str, shapes: Shapes, experts: Communicator
) -> list[Piece]:
    """Return what a parameter of a rank holds of one of the whole model.

    What all ranks of a group have is owned by its first rank, and a table that the first and last
    stage of a pipeline share by the first stage.
    """
    own, original = split.get_parameter(name).shape, whole_name(split, name)
    shape, comm = shapes[original], experts if is_expert(split, name) else split.comm
    first = original == "lm_head.weight" or name != "head" or split.is_first
    if own == shape:
        return [Piece(original, 0, 0, own.numel(), first and comm.rank == 0)]
    if own[0] < shape[0]:
        return [Piece(original, comm.rank * own.numel(), 0, own.numel(), first)]
    rows, wide, width = *shape, own[1]
    return [Piece(original, i * wide + comm.rank * width, i * width, width) for i in range(rows)]


def is_expert(split: SplitDecoder, name: str) -> bool:
    """Say whether a parameter is a stack of experts, of which this rank has some."""
    return isinstance(split.get_submodule(name.rpartition(".")[0]), ExpertParallel)


def whole_name(split: SplitDecoder, name: str) -> str:
    """Return the name that a parameter of a rank has in the whole model."""
    if name == "head":
        tied = split.whole_config.tie_word_embeddings
        return "model.embed_tokens.weight" if tied else "lm_head.weight"
    layer, _, own = name.removeprefix("model.").rpartition(".")
    return f"{layer}.experts.{own}" if is_expert(split, name) else f"{layer}.{own}"


def shard_pieces(parts: Sequence[Sequence[Piece]], length: int, rank: int) -> list[Piece]:
    """Return what a shard of this length holds of a row of parameters with these pieces."""
    low, high, begin, found = rank * length, (rank + 1) * length, 0, []
    for part in parts:
        for piece in part:
            first = max(begin + piece.offset, low)
            last = min(begin + piece.offset + piece.length, high)
            if first < last:
                start = piece.start + first - begin - piece.offset
                found.append(Piece(piece.name, start, first - low, last - first, piece.owned))
        begin += sum(piece.length for piece in part)
    return found


def fill_from_single(
    path: Path, config: ModelConfig, segments: Iterable[Segment]
) -> dict[str, Any]:
    """Fill segments from the file of a run on one process; return its step and generator."""
    whole = build_model(config)
    optimizer = AdamW(decay_groups(whole, 0.0), lr=1.0)
    generator = torch.Generator()
    step = resume_training(path, whole, optimizer, generator)
    tensors = {}
    for name, p in whole.named_parameters():
        state = optimizer.state[p]
        for kind, tensor in (("weights", p), *((k, state[k]) for k in MOMENTS)):
            tensors[f"{kind}.{name}"] = tensor.detach().flatten()
    for each in segments:
        each.numbers.copy_(tensors[each.name][each.start : each.stop])
    return {"step": step, "generator": generator.get_state()}


@torch.no_grad()
def gather_whole(comm: Communicator, held: Iterable[Held], whole: nn.Module) -> None:
    """Fill the whole model from what the ranks own, on every rank."""
    parameters = dict(whole.named_parameters())
    for p in parameters.values():
        p.zero_()
    for tensor, pieces in held:
        flat = tensor.detach().view(-1)
        for name, start, offset, length, owned in pieces:
            if owned:
                numbers = flat[offset : offset + length]
                parameters[name].view(-1)[start : start + length] = numbers
    for p in parameters.values():
        p.copy_(comm.all_reduce(p))

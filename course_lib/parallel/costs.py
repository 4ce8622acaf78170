"""What communication costs: bytes, steps, and seconds by the model of latency and bandwidth.

    seconds = steps * latency + bytes / bandwidth              (alpha, and 1 / beta)
    ring all-reduce of M bytes over n ranks     2 (n-1) steps     2 (n-1)/n * M bytes each
    reduce-scatter, all-gather                    (n-1) steps       (n-1)/n * M
    tree all-reduce                               2 ceil(log2 n)    2 ceil(log2 n) * M, on its path
    recursive halving                             2 log2 n        2 (n-1)/n * M

Taught in:        parallel
Paper:            Thakur et al. 2005, doi:10.1177/1094342005051521
Checked against:  the meters of simulated ranks, exactly
Shapes:           none
"""

from typing import NamedTuple

Number = int | float


class Traffic(NamedTuple):
    """What one rank sends in a collective."""

    steps: Number
    bytes: Number

    def seconds(self, latency: Number, bandwidth: Number) -> float:
        """Return the time by the model, from seconds per step and bytes per second."""
        if latency < 0 or bandwidth <= 0:
            raise ValueError(
                f"latency must not be negative and bandwidth positive; got {latency} and "
                f"{bandwidth}. Units are seconds and bytes per second."
            )
        return self.steps * latency + self.bytes / bandwidth


def collective_traffic(kind: str, size: Number, ranks: int) -> Traffic:
    """Return what each rank sends in a collective on `size` bytes; of a tree, its longest path."""
    if ranks < 1:
        raise ValueError(f"there must be at least one rank; got {ranks}.")
    around = ranks - 1
    depth = around.bit_length()  # log2, rounded up
    table = {
        "all-reduce": Traffic(2 * around, 2 * around * size / ranks),
        "reduce-scatter": Traffic(around, around * size / ranks),
        "all-gather": Traffic(around, around * size / ranks),
        "all-to-all": Traffic(around, around * size / ranks),
        "tree": Traffic(2 * depth, 2 * depth * size),
        "halving": Traffic(2 * depth, 2 * around * size / ranks),
    }
    if kind not in table:
        raise ValueError(f"the kind must be one of {', '.join(table)}; got {kind!r}.")
    return table[kind]


class RankMemory(NamedTuple):
    """The bytes of parameters, gradients and optimizer state on one rank."""

    parameters: Number
    gradients: Number
    optimizer: Number

    @property
    def total(self) -> float:
        """The sum."""
        return float(sum(self))


def zero_memory(
    parameters: Number,
    ranks: int,
    stage: int,
    parameter_bytes: Number = 2,
    gradient_bytes: Number = 2,
    optimizer_bytes: Number = 12,
) -> RankMemory:
    """Return the bytes of one rank under ZeRO 0 (plain data parallelism) to 3.

    The defaults are those of mixed precision with Adam: bfloat16 weights and gradients, and float32
    master weights and two moments.
    """
    if ranks < 1 or stage not in (0, 1, 2, 3):
        raise ValueError(f"stage is 0 to 3, with at least one rank; got {stage} and {ranks} ranks.")
    cut = [1 / ranks if stage >= needed else 1 for needed in (3, 2, 1)]
    sizes = (parameter_bytes, gradient_bytes, optimizer_bytes)
    return RankMemory(*(parameters * size * part for size, part in zip(sizes, cut, strict=True)))


def zero_traffic(parameters: Number, ranks: int, stage: int, number_bytes: Number = 2) -> float:
    """Return the bytes that each rank sends in a step: 2 P, or 3 P in stage 3, times (n-1)/n."""
    if stage not in (0, 1, 2, 3):
        raise ValueError(f"stage is 0 to 3; got {stage}.")
    return float((3 if stage == 3 else 2) * parameters * number_bytes * (ranks - 1) / ranks)

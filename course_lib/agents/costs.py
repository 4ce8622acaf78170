"""What a run costs in tokens: each turn reads the whole conversation again.

    turn i reads   base + (i - 1) * per_turn        base: instructions, tools, task
    n turns read   n * base + per_turn * n (n - 1) / 2

A prefix cache (notebook on serving) keeps what was read before, so that each turn reads only what
is new: base + per_turn * (n - 1) in all.

Taught in:        agents
Checked against:  conversations counted turn by turn
Shapes:           none
"""


def tokens_read(base: int, per_turn: int, turns: int, cached: bool = False) -> int:
    """Return how many tokens the turns of a run read, with or without a prefix cache."""
    if min(base, per_turn, turns) < 0:
        raise ValueError(
            f"tokens and turns are counted from 0; got {base}, {per_turn} and {turns}."
        )
    if turns == 0:
        return 0
    if cached:
        return base + per_turn * (turns - 1)
    return turns * base + per_turn * turns * (turns - 1) // 2

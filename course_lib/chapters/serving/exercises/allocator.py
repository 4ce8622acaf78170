"""The exercise on the block allocator: one more token, with shared blocks and copy on write."""

from collections import Counter

from course_lib.chapters.serving import answers
from course_lib.chapters.serving.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_counts(tables, who, length, num_blocks, block_size):
    held = Counter(block for table in tables for block in table)
    free = [block for block in range(num_blocks) if not held[block]]
    after = [list(table) for table in tables]
    place = length // block_size
    full = place == len(after[who])
    if free and full:
        after[who].append(free[0])
    elif free and held[after[who][place]] > 1:
        after[who][place] = free[0]
    return after


def _by_sets(tables, who, length, num_blocks, block_size):
    free = set(range(num_blocks)).difference(*tables)
    mine = tables[who]
    others = {block for i, table in enumerate(tables) if i != who for block in table}
    if free and length % block_size == 0:
        mine = [*mine, min(free)]
    elif free and length % block_size and mine[-1] in others:
        mine = [*mine[:-1], min(free)]
    return [list(mine if i == who else table) for i, table in enumerate(tables)]


def _step_by_step(tables, who, length, num_blocks, block_size):
    used = sorted({block for table in tables for block in table})
    free = next((n for n, block in enumerate([*used, None]) if block != n), None)
    after = [table[:] for table in tables]
    if free is None or free >= num_blocks:
        return after
    if length == block_size * len(after[who]):
        after[who] += [free]
    elif sum(table.count(after[who][-1]) for table in tables) > 1:
        after[who][-1:] = [free]
    return after


def _with_references(tables, who, length, num_blocks, block_size):
    references, after = [0] * num_blocks, []
    for table in tables:
        after.append([])
        for block in table:
            references[block] += 1
            after[-1].append(block)
    place = length // block_size
    last = after[who][place : place + 1]
    if (last and references[last[0]] == 1) or 0 not in references:
        return after
    after[who][place : place + 1] = [references.index(0)]
    return after


def _mistake(name, explanation, *, take=None, write=None):
    """Declare a mistake in taking the next block (`take`) or in the rule of writing (`write`)."""

    def function(tables, who, length, num_blocks, block_size):
        after = [list(table) for table in tables]
        free = (take or _lowest)(tables, who, num_blocks)
        (write or _write)(after, who, length, block_size, free)
        return after

    return Misconception(name, function, explanation)


def _lowest(tables, who, num_blocks):
    held = {block for table in tables for block in table}
    return next((block for block in range(num_blocks) if block not in held), None)


def _write(after, who, length, block_size, free):
    mine = after[who]
    if free is None:
        return
    if length == block_size * len(mine):
        mine.append(free)
    elif _is_shared(after, mine[-1]):
        mine[-1] = free


def _is_shared(tables, block):
    return sum(block in table for table in tables) > 1


def _without_copy(after, who, length, block_size, free):
    if free is not None and length == block_size * len(after[who]):
        after[who].append(free)


def _moved_for_all(after, who, length, block_size, free):
    shared = after[who][-1] if after[who] and length % block_size else None
    if free is None or shared is None or not _is_shared(after, shared):
        return _write(after, who, length, block_size, free)
    for table in after:
        table[:] = [free if block == shared else block for block in table]
    return None


def _copied_beside(after, who, length, block_size, free):
    mine = after[who]
    new = length == block_size * len(mine) or _is_shared(after, mine[-1])
    if free is not None and new:
        mine.append(free)


def _always_copied(after, who, length, block_size, free):
    mine = after[who]
    if free is not None and length == block_size * len(mine):
        mine.append(free)
    elif free is not None:
        mine[-1] = free


def _full_copied_too(after, who, length, block_size, free):
    mine = after[who]
    if free is None:
        return
    if mine and _is_shared(after, mine[-1]):
        mine[-1] = free
    elif length == block_size * len(mine):
        mine.append(free)


def _one_early(after, who, length, block_size, free):
    mine = after[who]
    if free is not None and length % block_size == block_size - 1 and mine:
        mine.append(free)
    else:
        _write(after, who, length, block_size, free)


def _one_late(after, who, length, block_size, free):
    mine = after[who]
    if mine and length == block_size * len(mine):
        return
    _write(after, who, length, block_size, free)


def _own_only(tables, who, num_blocks):
    return next((block for block in range(num_blocks) if block not in tables[who]), None)


def _after_the_largest(tables, who, num_blocks):
    block = max((block for table in tables for block in table), default=-1) + 1
    return block if block < num_blocks else None


def _no_limit(tables, who, num_blocks):
    held = {block for table in tables for block in table}
    return next(block for block in range(num_blocks + 1) if block not in held)


WRITE = Exercise(
    id="serving.write",
    title="Room for one more token",
    minutes=15,
    difficulty=3,
    statement=(
        "`tables` has one table for each request: a list of block numbers, in the order of its "
        "text. A block may be in several tables, at the same place in each. Request `who` has "
        "`length` tokens in the cache, which fill its blocks in order, and writes one more. "
        "Return the tables afterwards, as a new list of lists. If all its blocks are full (or it "
        "has none), it takes one more. If the block into which it writes is in another table too, "
        "a free block replaces it, in its own table only. Otherwise nothing changes. Take the "
        "free block with the lowest number; the blocks are numbered from 0 to num_blocks - 1, and "
        "those in no table are free. If a block is needed and none is free, nothing changes."
    ),
    solution=answers.write_one_token,
    reference=_by_counts,
    generator=generators.write,
    probes=(
        Probe("a new block", lambda: call([[0], [2]], 0, 4, 4, 4), "Block 1 is the lowest free."),
        Probe("room in its last block", lambda: call([[0], [2]], 0, 3, 4, 4), "Nothing to do."),
        Probe("its very first token", lambda: call([[1], []], 1, 0, 3, 4), "It takes block 0."),
        Probe(
            "the last block is shared",
            lambda: call([[0, 1], [0, 1]], 1, 6, 8, 4),
            "Request 1 takes a copy of block 1; both still share block 0.",
        ),
        Probe(
            "only a full block is shared",
            lambda: call([[0, 1], [0, 2]], 0, 6, 8, 4),
            "Nobody writes into block 0 any more, so it stays shared.",
        ),
        Probe(
            "the shared block is full",
            lambda: call([[0, 1], [0, 1]], 0, 8, 8, 4),
            "The token goes into a new block; block 1 is not written.",
        ),
        Probe("none is free", lambda: call([[0], [1]], 0, 2, 2, 2), "The tables stay as they are."),
        Probe("no room for a copy", lambda: call([[0], [0]], 1, 1, 1, 2), "Here too."),
        Probe("none is free, none is needed", lambda: call([[1], [0]], 0, 1, 2, 2), "All is well."),
        Probe("blocks of one", lambda: call([[2], [0]], 1, 1, 4, 1), "Each token takes a block."),
        Probe(
            "shared by three", lambda: call([[3], [3], [3]], 1, 1, 5, 2), "The others keep block 3."
        ),
    ),
    misconceptions=(
        _mistake(
            "no copy on write",
            "You write into a block that another request holds too: its text is overwritten. "
            "Replace the block in the writer's table first.",
            write=_without_copy,
        ),
        _mistake(
            "moved for everybody",
            "You replace the shared block in all tables, so they still share it. Only the writer "
            "gets the copy; the others keep what they have.",
            write=_moved_for_all,
        ),
        _mistake(
            "the copy beside the original",
            "You append the copy and leave the shared block in the table: the text would have its "
            "tokens twice. The copy replaces the block.",
            write=_copied_beside,
        ),
        _mistake(
            "copied without need",
            "You copy a block that belongs to the writer alone. Copy only what another table has.",
            write=_always_copied,
        ),
        _mistake(
            "a full block copied",
            "The last block is shared but full, and nobody will write into it: the token goes into "
            "a new block, and the full one stays shared.",
            write=_full_copied_too,
        ),
        _mistake(
            "a block one token early",
            "You take a block while the last one still has a free place. A new one is needed when "
            "length is a multiple of block_size.",
            write=_one_early,
        ),
        _mistake(
            "a block one token late",
            "When all blocks are full, this very token needs the next one.",
            write=_one_late,
        ),
        _mistake(
            "others' blocks taken",
            "You hand out a block that another request holds. A block is free if it is in no table "
            "at all.",
            take=_own_only,
        ),
        _mistake(
            "gaps not used",
            "You take the block after the largest number in use, so blocks that were given back "
            "are never used again. Take the lowest free one.",
            take=_after_the_largest,
        ),
        _mistake(
            "beyond the cache",
            "You hand out block num_blocks, which does not exist: the last one has the number "
            "num_blocks - 1. With no free block, leave the tables as they are.",
            take=_no_limit,
        ),
    ),
    alternatives=(
        Alternative("with sets", _by_sets),
        Alternative("step by step", _step_by_step),
        Alternative("with reference counts", _with_references),
    ),
    hints=(
        "Find the free block first: the smallest number from 0 to num_blocks - 1 that is in no "
        "table. There may be none.",
        "The writer's blocks are full if length == block_size * len(tables[who]). If they are not, "
        "the token goes into the last block, and only that one can need a copy.",
    ),
)

"""The exercise on prefix caching: what of a prompt need not be computed."""

from course_lib.chapters.serving import answers
from course_lib.chapters.serving.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _common(a, b):
    length = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        length += 1
    return length


def _by_common_prefix(prompt, earlier, block_size):
    longest = max((_common(prompt, ids) for ids in earlier), default=0)
    usable = min(longest, len(prompt) - 1)
    return usable // block_size * block_size


def _by_starts(prompt, earlier, block_size):
    starts = {
        tuple(ids[:end]) for ids in earlier for end in range(block_size, len(ids) + 1, block_size)
    }
    found = 0
    while found + block_size < len(prompt) and tuple(prompt[: found + block_size]) in starts:
        found += block_size
    return found


def _by_hashes(prompt, earlier, block_size, chained=True, keep_last=True, count=None):
    def names(ids):
        parent, found = 0, []
        for start in range(0, len(ids) - block_size + 1, block_size):
            block = tuple(ids[start : start + block_size])
            parent = hash((parent, block)) if chained else hash(block)
            found.append(parent)
        return found

    known = {name for ids in earlier for name in names(ids)}
    mine = [name in known for name in names(prompt[:-1] if keep_last else prompt)]
    blocks = sum(mine) if count else next((i for i, hit in enumerate(mine) if not hit), len(mine))
    return blocks * block_size


def _by_dict(prompt, earlier, block_size):
    tree = {}
    for ids in earlier:
        node = tree
        for start in range(0, len(ids) // block_size * block_size, block_size):
            node = node.setdefault(tuple(ids[start : start + block_size]), {})
    node, found = tree, 0
    for start in range(0, (len(prompt) - 1) // block_size * block_size, block_size):
        node = node.get(tuple(prompt[start : start + block_size]))
        if node is None:
            break
        found += block_size
    return found


def _by_place(prompt, earlier, block_size):
    found = 0
    while found + block_size < len(prompt):
        here = slice(found, found + block_size)
        if prompt[here] not in [ids[here] for ids in earlier]:
            break
        found += block_size
    return found


def _partial(prompt, earlier, block_size):
    longest = max((_common(prompt, ids) for ids in earlier), default=0)
    return min(longest, len(prompt) - 1)


def _last_only(prompt, earlier, block_size):
    return _by_common_prefix(prompt, earlier[-1:], block_size)


def _whole_prompts(prompt, earlier, block_size):
    starts = [ids for ids in earlier if prompt[: len(ids)] == ids]
    return _by_common_prefix(prompt, starts, block_size)


def _one_block_less(prompt, earlier, block_size):
    longest = max((_common(prompt, ids) for ids in earlier), default=0)
    return max(min(longest, len(prompt)) // block_size - 1, 0) * block_size


REUSABLE = Exercise(
    id="serving.reusable",
    title="What the prefix cache saves",
    minutes=10,
    difficulty=2,
    statement=(
        "The cache keeps every full block of the prompts in `earlier`, lists of ids. Return how "
        "many tokens of `prompt`, from its start, need not be computed: those in full blocks of "
        "`block_size` tokens that some earlier prompt has at the same place after exactly the same "
        "tokens. At least the last token of the prompt is always computed, since its logits are "
        "needed; so a block that contains it is never reused. The prompt has at least one token."
    ),
    solution=answers.reusable_tokens,
    reference=_by_common_prefix,
    generator=generators.reusable,
    probes=(
        Probe(
            "the same start",
            lambda: call([1, 2, 3, 4, 5, 6, 7], [[1, 2, 3, 4, 9, 9]], 2),
            "Two blocks of two are the same, the third is not.",
        ),
        Probe(
            "a block and a half",
            lambda: call([1, 2, 3, 4, 5], [[1, 2, 3, 8]], 2),
            "The third token is equal too, but it is in a block that is not.",
        ),
        Probe(
            "the whole prompt",
            lambda: call([1, 2, 3, 4], [[1, 2, 3, 4, 5, 6]], 2),
            "Token 4 must be computed, so its block is: one block is left.",
        ),
        Probe(
            "one token more than a block",
            lambda: call([1, 2, 3], [[1, 2, 3, 4]], 2),
            "The first block is reused, token 3 is computed.",
        ),
        Probe(
            "the same block after another start",
            lambda: call([1, 2, 7, 8, 5], [[3, 4, 7, 8], [7, 8, 1, 2]], 2),
            "7, 8 is known only after 3, 4 and at the start: its keys depend on that.",
        ),
        Probe(
            "two starts mixed",
            lambda: call([1, 2, 3, 4, 5], [[1, 2, 9, 9], [8, 8, 3, 4]], 2),
            "3, 4 is known at this place, but after 8, 8.",
        ),
        Probe(
            "a gap",
            lambda: call([1, 1, 5, 5, 2, 2, 0], [[1, 1, 9, 9, 2, 2]], 2),
            "After the first difference nothing is the same any more.",
        ),
        Probe(
            "several earlier prompts",
            lambda: call([1, 2, 3, 4, 5], [[1, 2, 3, 4], [1, 2], [6]], 2),
            "The longest common start counts, not the newest prompt.",
        ),
        Probe("nothing before", lambda: call([1, 2, 3], [], 1), "An empty cache saves nothing."),
        Probe("blocks of one", lambda: call([4, 4, 4], [[4, 4]], 1), "Two tokens are reused."),
    ),
    misconceptions=(
        Misconception(
            "partial blocks reused",
            _partial,
            "You count single tokens. Only full blocks are kept: round down to a multiple of "
            "block_size.",
        ),
        Misconception(
            "the last token reused",
            lambda prompt, earlier, block_size: _by_hashes(
                prompt, earlier, block_size, keep_last=False
            ),
            "Where the whole prompt is known nothing is left to compute, and there are no logits "
            "for the next token. Look at prompt[:-1] only.",
        ),
        Misconception(
            "the start left out",
            lambda prompt, earlier, block_size: _by_hashes(
                prompt, earlier, block_size, chained=False
            ),
            "You compare blocks by their own tokens. Keys and values depend on all tokens before: "
            "two blocks are the same only if their whole prefixes are.",
        ),
        Misconception(
            "blocks from different prompts",
            _by_place,
            "You look for each block at its place in any earlier prompt. All blocks up to it must "
            "come from the same one, since keys and values depend on all tokens before.",
        ),
        Misconception(
            "blocks after a gap",
            lambda prompt, earlier, block_size: (
                sum(
                    any(prompt[s : s + block_size] == ids[s : s + block_size] for ids in earlier)
                    for s in range(0, (len(prompt) - 1) // block_size * block_size, block_size)
                )
                * block_size
            ),
            "You also count blocks after one that differs. Stop at the first difference.",
        ),
        Misconception(
            "the newest prompt only",
            _last_only,
            "You compare with the last of the earlier prompts. All of them are in the cache.",
        ),
        Misconception(
            "whole earlier prompts only",
            _whole_prompts,
            "You reuse a prompt only if all of it is a start of the new one. Its first blocks are "
            "good for any prompt that starts with them.",
        ),
        Misconception(
            "blocks counted",
            lambda prompt, earlier, block_size: (
                _by_common_prefix(prompt, earlier, block_size) // block_size
            ),
            "You return the number of blocks. Asked is the number of tokens.",
        ),
        Misconception(
            "one block less",
            _one_block_less,
            "You always give up the last known block. That is needed only if it contains the last "
            "token of the prompt.",
        ),
    ),
    alternatives=(
        Alternative("sets of starts", _by_starts),
        Alternative("chained hashes", _by_hashes),
        Alternative("a tree of blocks", _by_dict),
    ),
    hints=(
        "For each earlier prompt, how many tokens are equal from the start? Take the longest.",
        "At most len(prompt) − 1 tokens count; round down to a multiple of block_size.",
    ),
)

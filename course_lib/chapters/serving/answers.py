"""Answers of exercises that no user of the library would call: its parts, put to one use."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from course_lib.accounting.limits import Device, Number, PassCost, time_bound
from course_lib.serving import (
    BlockManager,
    Grammar,
    Job,
    JsonMask,
    NoRoomError,
    Pool,
    Request,
    Row,
    Scheduler,
    TokenTree,
    block_hashes,
    grouped,
    ngram_draft,
    paged_attention,
)


def read_blocks(
    q: Tensor, keys: Tensor, values: Tensor, table: Sequence[int], length: int
) -> Tensor:
    """Return what one query reads of the first `length` tokens of a block table."""
    pool = torch.cat((keys, values), dim=2)
    groups = grouped([Row([0], length - 1, table)], q.device)
    masks = [group.mask(keys.shape[1]) for group in groups]
    return paged_attention(q[:, None], Pool(pool), groups, masks)[:, 0]


def reusable_tokens(
    prompt: Sequence[int], earlier: Sequence[Sequence[int]], block_size: int
) -> int:
    """Return how many tokens of a prompt are in the cache after earlier prompts."""
    known = {name for ids in earlier for name in block_hashes(ids, block_size)}
    found = 0
    for name in block_hashes(prompt[:-1], block_size):
        if name not in known:
            break
        found += block_size
    return found


def token_shares(pending: Sequence[int], budget: int) -> list[int]:
    """Return how many tokens of each running request a step computes."""
    blocks = BlockManager(max(1, sum(pending)), 1, keep=False)
    scheduler = Scheduler(blocks, token_budget=budget)
    jobs = [Job(Request((0,) * count), number) for number, count in enumerate(pending)]
    scheduler.running = list(jobs)
    sizes = {chunk.job: chunk.size for chunk in scheduler.plan().chunks}
    return [sizes.get(job, 0) for job in jobs]


def write_one_token(
    tables: Sequence[Sequence[int]], who: int, length: int, num_blocks: int, block_size: int
) -> list[list[int]]:
    """Return the tables after one of the requests has written one more token."""
    manager, everything = BlockManager(num_blocks, block_size, keep=False), list[int]()
    manager.extend(everything, num_blocks * block_size)
    after = [manager.share(table) for table in tables]
    manager.release(everything)
    try:
        manager.extend(after[who], length + 1)
        manager.make_writable(after[who], length, length + 1)
    except NoRoomError:
        pass  # no block is free, and nothing has changed
    return after


def preempted(held: Sequence[int], needs: Sequence[int], free: int) -> list[str]:
    """Return for each running request whether it runs, pauses or is preempted in a step."""
    if not held:
        return []
    blocks = BlockManager(sum(held) + free, 2, keep=False)
    scheduler = Scheduler(blocks, token_budget=len(held))
    for number, (count, need) in enumerate(zip(held, needs, strict=True)):
        computed = 2 * count - (not need)  # blocks of two: the last one is full, or half full
        job = Job(Request((0,) * (computed + 1)), number, computed=computed)
        blocks.extend(job.table, computed)
        scheduler.running.append(job)
    jobs = list(scheduler.running)
    plan = scheduler.plan()
    going = [chunk.job for chunk in plan.chunks]
    return [
        "preempted" if job in plan.preempted else "runs" if job in going else "pauses"
        for job in jobs
    ]


def allowed_tokens(
    tokens: Sequence[str], state: int, moves: Mapping[tuple[int, str], int]
) -> list[bool]:
    """Return which tokens an automaton allows, all their characters one after another."""
    states = {state, *(start for start, _ in moves), *moves.values()}
    rules = {
        str(each): [
            (),
            *((frozenset(c.encode()), str(end)) for (s, c), end in moves.items() if s == each),
        ]
        for each in states
    }
    tree = TokenTree({number: token.encode() for number, token in enumerate(tokens)})
    mask = JsonMask(Grammar(rules, str(state)), tree)
    allowed = set(mask.tokens(mask.start))
    return [number in allowed for number in range(len(tokens))]


def draft(tokens: Sequence[int], count: int, n: int) -> list[int]:
    """Return up to `count` tokens that followed when the last n tokens occurred before."""
    return ngram_draft(tokens, count, n, n)


def decode_rate(
    batch: int,
    weight_bytes: Number,
    cache_bytes: Number,
    flops: Number,
    bandwidth: Number,
    peak: Number,
) -> float:
    """Return the most tokens per second of a batch of decoding requests."""
    step = PassCost(batch * flops, weight_bytes + batch * cache_bytes)
    seconds, _ = time_bound(step, Device("this one", peak, bandwidth, 0))
    return batch / seconds

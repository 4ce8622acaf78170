"""The questions that close this notebook.

Taught in:        serving
Checked against:  `course_lib.serving`, from which the numeric answers are computed
"""

import random
from typing import Any

from course_lib.chapters.serving.answers import reusable_tokens
from course_lib.serving import blocks_needed, little_concurrency, most_requests
from course_lib.study.ask.question import FindTheBug, Numeric, OneAnswer, OrderSteps, SeveralAnswers
from course_lib.study.ask.question_parts import Slip, right, wrong

LITTLE = Numeric(
    id="serving.little",
    prompt="{rate} requests arrive per second, and each is in the server for {seconds} seconds on "
    "average. How many requests are in it at the same time, on average?",
    draw=lambda rng: {"rate": rng.randint(2, 40), "seconds": rng.randint(3, 30)},
    answer=lambda rate, seconds: little_concurrency(float(rate), seconds),
    explain=lambda rate, seconds: f"Little's law: {rate} · {seconds} = {rate * seconds}.",
    slips=(
        Slip(
            "divided",
            lambda rate, seconds: seconds / rate,
            "The longer they stay and the more arrive, the more are there: multiply.",
        ),
    ),
)

BATCH = OneAnswer(
    "serving.batch",
    "Why does a batch of 16 decoding requests take hardly any longer per step than one request, "
    "on a large GPU?",
    (
        right(
            "The weights are read once for all 16, and reading them is most of the step.",
            "A step for one token waits for memory. Sixteen tokens wait for the same bytes.",
        ),
        wrong(
            "The 16 requests share one KV cache.",
            "Each has a cache of its own, which is read in each step.",
        ),
        wrong(
            "A GPU computes 16 tokens with the FLOPs of one.",
            "The FLOPs are 16 times as many; there is room for them while memory is the limit.",
        ),
        wrong(
            "The tokens of one request are spread over 16 steps.",
            "Every request gets a token in every step.",
        ),
    ),
)

STATIC = OneAnswer(
    "serving.static",
    "In static batching, eight requests start together. Seven want 20 tokens, one wants 500. What "
    "happens to a request that arrives after 30 steps?",
    (
        right(
            "It waits for about 470 steps, while seven of eight places are empty.",
            "A new batch starts when the last request of the old one has ended.",
        ),
        wrong(
            "It takes one of the free places in the next step, and the others wait.",
            "That is continuous batching: requests join and leave between steps.",
        ),
        wrong(
            "It is answered with status 429.",
            "That depends on how many are waiting, not on how batches are made.",
        ),
    ),
)

BLOCKS = Numeric(
    id="serving.blocks_of_request",
    prompt="A block holds {size} tokens. A request has a prompt of {prompt} tokens and has "
    "generated {new}; the newest one has not passed through the model yet. How many blocks "
    "does it hold at least?",
    draw=lambda rng: {
        "size": rng.choice([8, 16, 32]),
        "prompt": rng.randint(400, 3000),
        "new": rng.randint(2, 60),
    },
    answer=lambda size, prompt, new: blocks_needed(prompt + new - 1, size),
    explain=lambda size, prompt, new: (
        f"{prompt} + {new} − 1 = {prompt + new - 1} tokens are in the cache; divided by {size} and "
        f"rounded up: {blocks_needed(prompt + new - 1, size)}."
    ),
    tolerance=0.001,
    slips=(
        Slip(
            "rounded down",
            lambda size, prompt, new: (prompt + new - 1) // size,
            "The last block is incomplete, and it is held all the same. Round up.",
        ),
    ),
)


def _draw_memory(rng: random.Random) -> dict[str, Any]:
    return {
        "memory": rng.choice([10, 20, 40]),
        "kb": rng.choice([64, 128]),
        "tokens": rng.randint(900, 3000),
    }


FIT = Numeric(
    id="serving.fit",
    prompt="{memory} GB (10⁹ bytes each) are left for the cache. A token takes {kb} kB (10³ bytes "
    "each), a block holds 16 tokens. How many requests of {tokens} tokens fit at the same time?",
    draw=_draw_memory,
    answer=lambda memory, kb, tokens: most_requests(memory * 10**9, kb * 1000, tokens),
    explain=lambda memory, kb, tokens: (
        f"{memory * 10**9 // (kb * 16000)} blocks, {blocks_needed(tokens, 16)} for each request: "
        f"{most_requests(memory * 10**9, kb * 1000, tokens)}."
    ),
    tolerance=0.005,
    slips=(
        Slip(
            "a block for each token",
            lambda memory, kb, tokens: memory * 10**9 // (kb * 16000) // tokens,
            "A block holds 16 tokens, not one.",
        ),
    ),
)

PAGED = SeveralAnswers(
    "serving.paged",
    "What does a paged cache save, compared with one that reserves the longest possible text for "
    "each request?",
    (
        right(
            "Places that a request never uses are not reserved for it.",
            "At most block_size − 1 places of a request are unused.",
        ),
        right(
            "Requests with the same start can hold the same blocks.",
            "A block is shared by counting who holds it.",
        ),
        wrong(
            "Keys and values take fewer bytes for each token.",
            "They are the same numbers in other places. Quantisation would do that.",
        ),
        wrong(
            "Attention needs fewer FLOPs.",
            "Each query reads the same keys, looked up through a table.",
        ),
    ),
)

CHAIN = OneAnswer(
    "serving.chain",
    "A prefix cache hashes each block of 16 tokens on its own, without what comes before. Two "
    "prompts share their second block but not their first. What happens?",
    (
        right(
            "The second prompt reads keys that were computed after another text: its answer is "
            "wrong.",
            "Keys and values of deeper layers depend on all tokens before them.",
        ),
        wrong(
            "Nothing: the tokens of the block are the same, so its keys are.",
            "Only in the first layer, and only at the same positions. Later layers have read the "
            "text before.",
        ),
        wrong(
            "The block is computed twice, which is slow but right.",
            "The hash is equal, so the block is found and not computed.",
        ),
    ),
)


def _draw_prompt(rng: random.Random) -> dict[str, Any]:
    return {"system": 16 * rng.randint(5, 40) + rng.randint(1, 15), "question": rng.randint(20, 90)}


SAVED = Numeric(
    id="serving.saved",
    prompt="All chats begin with the same {system} tokens, followed by a question of {question} "
    "tokens that is new each time. Blocks hold 16 tokens. How many tokens of the second chat's "
    "prompt are found in the cache?",
    draw=_draw_prompt,
    answer=lambda system, question: reusable_tokens(
        [0] * system + [1] * question, [[0] * system + [2] * question], 16
    ),
    explain=lambda system, question: (
        f"Only full blocks are kept: {system // 16} of them, {system // 16 * 16} tokens."
    ),
    tolerance=0.001,
    slips=(
        Slip(
            "single tokens",
            lambda system, question: system,
            "The last block of the shared start also holds tokens of the question. It differs.",
        ),
        Slip(
            "the blocks",
            lambda system, question: system // 16,
            "That is the number of blocks; each holds 16 tokens.",
        ),
    ),
)

CHUNKS = OneAnswer(
    "serving.chunks",
    "What is the price of cutting a long prompt into chunks?",
    (
        right(
            "Its own first token comes later, since it needs several steps, each of which also "
            "costs its fixed time and serves the others.",
            "The others get a token in every step meanwhile: that is what the chunks are for.",
        ),
        wrong(
            "Its tokens cannot attend across the borders of the chunks, so its answer is worse, "
            "and its keys and values have to be computed again.",
            "Later chunks read the keys of earlier ones from the cache; the result is the same.",
        ),
        wrong(
            "It takes more memory in the cache.",
            "The keys of a token are the same, whenever they are computed.",
        ),
    ),
)

PREEMPTION = OrderSteps(
    id="serving.preemption",
    prompt="The cache is full, and a running request needs one more block. Put the steps of "
    "preemption by recomputation in order.",
    steps=(
        "The running request that is last in order of service is chosen.",
        "Its blocks are given back, and the count of its tokens in the cache is set to 0.",
        "It goes back to those who wait, with its prompt and all that it has generated.",
        "When there is room again, its whole text passes through the model once more.",
        "It generates its next token, as if nothing had happened.",
    ),
    explanation="Only keys and values are lost. They follow from the text, so recomputing them "
    "gives the same next token, and nothing that was sent has to be taken back.",
)

DRAFTS = OneAnswer(
    "serving.drafts",
    "A text is sampled at temperature 1 with drafts from its own n-grams. Each token is sampled as "
    "without drafts, and the draft goes on while it agrees. How does the text change?",
    (
        right(
            "Not at all: the same seed gives the same tokens.",
            "The draft only decides how many tokens one pass computes.",
        ),
        wrong(
            "It repeats itself more often.",
            "A guess is kept only if it is what was sampled anyway.",
        ),
        wrong(
            "Its distribution is the same, but the tokens differ.",
            "That holds for drafts that are sampled themselves. Here nothing else is random.",
        ),
    ),
)


def _leaks(names: dict[str, Any]) -> bool:
    references: dict[int, int] = {7: 2}
    free: list[int] = []
    names["drop"](7, references, free)
    return free != []


BUG = FindTheBug(
    id="serving.bug_drop",
    prompt="Two requests share a block. When one of them ends, the text of the other becomes "
    "nonsense some steps later.",
    code="""
def drop(block, references, free):
    references[block] -= 1
    if references[block] >= 0:
        free.append(block)
""",
    line=3,
    fixed="if references[block] == 0:",
    why="A block is free when nobody holds it any more. Here it is given to a third request, which "
    "writes into it, while the second still reads it.",
    why_not={
        1: "The block, the counts and the list of free blocks are all that is needed.",
        2: "One request fewer holds the block: that is right.",
        4: "A free block belongs in this list; the question is when it is free.",
    },
    shows_bug=_leaks,
)

QUESTIONS = (
    LITTLE,
    BATCH,
    STATIC,
    BLOCKS,
    FIT,
    PAGED,
    CHAIN,
    SAVED,
    CHUNKS,
    PREEMPTION,
    DRAFTS,
    BUG,
)

"""Serving: one model, many users.

Small files, in the order in which the notebook reads them: `estimates` (Little's law, blocks, the
roofline), `blocks` and `prefix_hashes` (who holds which part of the cache), `pools` (its memory),
`paged_attention` (attention through block tables), `request`, `scheduler` (who takes part in the
next step), `sampler`, `drafting`, `json_grammar`, `json_schema` and `json_mask` (output that fits a
schema), `runner`, `fused_runner` and `engine` (the whole), `simulation` (the scheduler without a
model). On top, for `course serve`: `worker` (the engine in a thread), `protocol` (OpenAI's requests
and answers), `server` and `statistics`.

    engine = Engine(model)
    generate_all(engine, [Request(prompt=(5, 3, 8)), Request(prompt=(5, 3), max_new_tokens=9)])

Taught in:        serving
"""

from course_lib.serving.blocks import BlockManager, NoRoomError, blocks_needed
from course_lib.serving.drafting import ngram_draft
from course_lib.serving.engine import Engine, Event, OverloadedError, generate_all
from course_lib.serving.estimates import (
    little_concurrency,
    most_requests,
    served_tokens_per_second,
    unused_fraction,
)
from course_lib.serving.fused_runner import FusedRunner
from course_lib.serving.json_grammar import Grammar
from course_lib.serving.json_mask import JsonMask, TokenTree
from course_lib.serving.json_schema import any_object, schema_grammar
from course_lib.serving.paged_attention import (
    Group,
    Row,
    Step,
    grouped,
    paged_attention,
    slots,
    step_of,
)
from course_lib.serving.pools import Pool, blocks_of, empty_pool
from course_lib.serving.prefix_hashes import block_hashes, hash_block
from course_lib.serving.request import Job, Request, TokenLogprobs
from course_lib.serving.runner import PagedRunner
from course_lib.serving.scheduler import Chunk, Plan, Scheduler
from course_lib.serving.statistics import Statistics

__all__ = [
    "BlockManager",
    "Chunk",
    "Engine",
    "Event",
    "FusedRunner",
    "Grammar",
    "Group",
    "Job",
    "JsonMask",
    "NoRoomError",
    "OverloadedError",
    "PagedRunner",
    "Plan",
    "Pool",
    "Request",
    "Row",
    "Scheduler",
    "Statistics",
    "Step",
    "TokenLogprobs",
    "TokenTree",
    "any_object",
    "block_hashes",
    "blocks_needed",
    "blocks_of",
    "empty_pool",
    "generate_all",
    "grouped",
    "hash_block",
    "little_concurrency",
    "most_requests",
    "ngram_draft",
    "paged_attention",
    "schema_grammar",
    "served_tokens_per_second",
    "slots",
    "step_of",
    "unused_fraction",
]

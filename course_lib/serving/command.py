"""`course serve`: load a model, size its cache, and answer OpenAI's HTTP API.

Taught in:        serving
Checked against:  a server in a process of its own; generation with a contiguous cache
Shapes:           none
"""

from pathlib import Path

import torch

from course_lib.generation import why_not_fused
from course_lib.generation.text_model import TextModel, load
from course_lib.model import ModelConfig
from course_lib.serving.engine import Engine
from course_lib.serving.pools import MakePool, Shape, empty_pool
from course_lib.serving.server import Service, serve

COURSE_MODEL = "course-model"
BLOCK, CONTEXTS, LARGEST = 16, 32, 2 * 10**9  # tokens; whole texts; bytes
COPIED = 10**8
"""Up to how many bytes of weights are copied into the layout with fewer operations.

With 400 MB, products take most of a step, and the layout no longer helps (`benchmarks/serving.py`).
"""


def start(
    source: str | None,
    host: str,
    port: int,
    api_key: str | None = None,
    num_blocks: int | None = None,
    draft_tokens: int = 0,
    make_pool: MakePool = empty_pool,
) -> int:
    """Serve a checkpoint until the program is stopped; return the exit status."""
    model = load(source)
    name = COURSE_MODEL if source is None else Path(source).name
    engine = engine_for(model, num_blocks, draft_tokens, make_pool)
    address = f"http://{host}:{port}"
    print(f"{name} is served at {address}/v1; {address}/ shows what happens. Ctrl-C stops it.")
    tokens, size = engine.blocks.num_blocks * BLOCK, engine.runner.nbytes / 1e6
    print(f"Its cache has room for {tokens:,} tokens in {size:,.0f} MB.")
    serve(Service(model, engine, name, api_key), host, port)
    return 0


def engine_for(
    model: TextModel,
    num_blocks: int | None = None,
    draft_tokens: int = 0,
    make_pool: MakePool = empty_pool,
) -> Engine:
    """Return an engine for a model, with as many blocks as told, or as `blocks_for` says."""
    decoder = model.model.eval().requires_grad_(False)
    if num_blocks is None:
        num_blocks = blocks_for(model.config, decoder.lm_head.weight.dtype, make_pool)
    size = sum(weight.nbytes for weight in decoder.parameters())
    return Engine(
        decoder,
        num_blocks=num_blocks,
        block_size=BLOCK,
        draft_tokens=draft_tokens,
        make_pool=make_pool,
        fused=size <= COPIED and why_not_fused(decoder) is None,
    )


def blocks_for(config: ModelConfig, dtype: torch.dtype, make_pool: MakePool = empty_pool) -> int:
    """Return the number of blocks that hold 32 whole contexts, or that fit into 2 GB."""
    shape: Shape = (1, BLOCK, 2 * config.num_key_value_heads, config.head_dim)
    one = make_pool(shape, dtype, torch.device("meta"))  # which takes no memory
    per_block = config.num_hidden_layers * one.nbytes
    whole = -(-config.max_position_embeddings // BLOCK)
    return max(1, min(CONTEXTS * whole, LARGEST // per_block))

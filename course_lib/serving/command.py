"""`course serve`: load a model, size its cache, and answer OpenAI's HTTP API.

Taught in:        serving
Checked against:  a server in a process of its own
Shapes:           none
"""

from pathlib import Path

from course_lib.accounting.memory import inference_memory
from course_lib.generation import why_not_fused
from course_lib.generation.text_model import TextModel, load
from course_lib.model import ModelConfig
from course_lib.serving.engine import Engine
from course_lib.serving.server import Service, serve

COURSE_MODEL = "course-model"
BLOCK, CONTEXTS, LARGEST = 16, 32, 2 * 10**9  # tokens; whole texts; bytes
COPIED = 10**9
"""Up to how many bytes of weights are copied into the faster layout, which helps small models."""


def start(
    source: str | None,
    host: str,
    port: int,
    api_key: str | None = None,
    num_blocks: int | None = None,
    draft_tokens: int = 0,
) -> int:
    """Serve a checkpoint until the program is stopped; return the exit status."""
    model = load(source)
    name = COURSE_MODEL if source is None else Path(source).name
    engine = engine_for(model, num_blocks, draft_tokens)
    address = f"http://{host}:{port}"
    print(f"{name} is served at {address}/v1; {address}/ shows what happens. Ctrl-C stops it.")
    serve(Service(model, engine, name, api_key), host, port)
    return 0


def engine_for(model: TextModel, num_blocks: int | None = None, draft_tokens: int = 0) -> Engine:
    """Return an engine for a model, with as many blocks as told, or as `blocks_for` says."""
    if num_blocks is None:
        num_blocks = blocks_for(model.config, str(model.model.lm_head.weight.dtype)[6:])
    decoder = model.model.eval().requires_grad_(False)
    size = sum(weight.nbytes for weight in decoder.parameters())
    fused = size <= COPIED and why_not_fused(decoder) is None
    return Engine(
        decoder, num_blocks=num_blocks, block_size=BLOCK, draft_tokens=draft_tokens, fused=fused
    )


def blocks_for(config: ModelConfig, dtype: str) -> int:
    """Return the number of blocks that hold 32 whole contexts, or that fit into 2 GB."""
    per_block = inference_memory(config, BLOCK, 1, dtype).cache
    whole = -(-config.max_position_embeddings // BLOCK)
    return max(1, min(CONTEXTS * whole, LARGEST // per_block))

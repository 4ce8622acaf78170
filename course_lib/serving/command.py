"""`course serve`: load a model, size its cache, and put it behind OpenAI's HTTP API.

Taught in:        serving
Checked against:  a server in a process of its own
Shapes:           none
"""

from pathlib import Path

from course_lib.accounting.memory import inference_memory
from course_lib.generation.text_model import TextModel, load
from course_lib.serving.engine import Engine
from course_lib.serving.server import Service, serve

COURSE_MODEL = "course-model"
BLOCK = 16


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
    """Return an engine whose cache holds 32 whole contexts, within 2 GB, unless told otherwise."""
    config, bytes_for_all = model.config, 2 * 10**9
    if num_blocks is None:
        per_block = inference_memory(config, BLOCK, 1, _dtype(model)).cache
        whole = -(-config.max_position_embeddings // BLOCK)
        num_blocks = max(1, min(32 * whole, bytes_for_all // per_block))
    decoder = model.model.eval().requires_grad_(False)
    return Engine(decoder, num_blocks=num_blocks, block_size=BLOCK, draft_tokens=draft_tokens)


def _dtype(model: TextModel) -> str:
    return str(model.model.lm_head.weight.dtype).removeprefix("torch.")

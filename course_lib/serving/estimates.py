"""What to expect of a server before it runs: queues, memory and the roofline.

    Little's law         requests in the system = arrivals per second * mean seconds in it
    requests that fit    memory for the cache / bytes of a request, rounded up to whole blocks
    decode               tokens per second <= B / max(memory time, compute time) of one step

A step that generates a token for each of B requests reads all weights once, and the cache of every
request. Weights are shared by the batch, so a larger batch is nearly free while the step waits for
memory. It ends where the cache outweighs the weights, or where arithmetic takes longer.

Taught in:        serving
Paper:            Little 1961, doi:10.1287/opre.9.3.383; Pope et al. 2022, arXiv:2211.05102
Checked against:  simulated queues; `course_lib.accounting`
Shapes:           B requests
"""

from collections.abc import Sequence

from course_lib.accounting.limits import Device, Number, model_step, time_bound
from course_lib.model import ModelConfig
from course_lib.serving.blocks import blocks_needed


def little_concurrency(arrivals_per_second: Number, seconds_in_system: Number) -> float:
    """Return how many requests are in the system on average, by Little's law."""
    if not arrivals_per_second >= 0 or not seconds_in_system >= 0:
        raise ValueError(
            "rates and times are not negative; got "
            f"{arrivals_per_second} arrivals per second and {seconds_in_system} seconds."
        )
    return arrivals_per_second * seconds_in_system


def most_requests(cache_bytes: int, bytes_per_token: int, tokens: int, block_size: int = 16) -> int:
    """Return how many requests of `tokens` tokens fit into the memory of a paged cache."""
    if bytes_per_token < 1 or tokens < 1:
        raise ValueError(
            f"a request has at least one token, and a token at least one byte; got {tokens} "
            f"tokens and {bytes_per_token} bytes."
        )
    blocks = cache_bytes // (bytes_per_token * block_size)
    return blocks // blocks_needed(tokens, block_size)


def unused_fraction(lengths: Sequence[int], reserved: int | None, block_size: int = 1) -> float:
    """Return the fraction of the cache's memory that holds no token.

    With `reserved`, each request has that many places from the start; without, as many blocks as
    its length needs.
    """
    if not lengths or min(lengths) < 1:
        raise ValueError(f"each request holds at least one token; got lengths {list(lengths)}.")
    if reserved is not None and max(lengths) > reserved:
        raise ValueError(f"a request of {max(lengths)} tokens does not fit into {reserved} places.")
    held = [reserved or blocks_needed(length, block_size) * block_size for length in lengths]
    return 1 - sum(lengths) / sum(held)


def served_tokens_per_second(
    config: ModelConfig, device: Device, batch: int, past: int, dtype: str = "bfloat16"
) -> float:
    """Return the most tokens per second that `batch` requests with `past` tokens can get."""
    seconds, _ = time_bound(model_step(config, 1, past, batch, dtype), device)
    return batch / seconds

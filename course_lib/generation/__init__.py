"""Generation: from a model's logits to text.

Small files, in the order in which the notebook reads them: `processors` (what is done to the
logits), `sampling` (from a distribution to a token), `stopping` (when a text is finished),
`cached_reader` (a model with its cache: prefill and decode), `decoding` (the loop: `generate` and
`stream`), `beam`, `speculative`, `fused` and `compiled` (the same model laid out for speed),
`checkpoint_defaults` (what a checkpoint says about its use), `text_model` (text in, text out: what
`course_lib.load` returns) and `conversation` (several turns on one cache).

    generate(model, ids, 40)                                             greedy
    generate(model, ids, 40, Sampling(temperature=0.8, top_p=0.9))       sampled

Taught in:        generation
"""

from course_lib.generation.beam import Beams, BeamStep, beam_search, best_extensions
from course_lib.generation.cached_reader import (
    LanguageModel,
    Reader,
    left_pad,
    most_tokens_per_second,
    tokens_through_layers,
)
from course_lib.generation.compiled import CompiledDecoder
from course_lib.generation.decoding import generate, stream, stream_text
from course_lib.generation.fused import FusedDecoder, why_not_fused
from course_lib.generation.processors import (
    GREEDY,
    NO_TOKEN,
    Processor,
    Sampling,
    apply_temperature,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalise_repetition,
    process,
)
from course_lib.generation.sampling import (
    choose,
    draw,
    next_distribution,
)
from course_lib.generation.speculative import (
    Speculated,
    acceptance_rate,
    accepted_count,
    first_layers,
    residual_distribution,
    speculative_generate,
    speed_up,
    tokens_per_pass,
    verify,
)
from course_lib.generation.stopping import NEVER, Stop

__all__ = [
    "GREEDY",
    "NEVER",
    "NO_TOKEN",
    "BeamStep",
    "Beams",
    "CompiledDecoder",
    "FusedDecoder",
    "LanguageModel",
    "Processor",
    "Reader",
    "Sampling",
    "Speculated",
    "Stop",
    "acceptance_rate",
    "accepted_count",
    "apply_temperature",
    "beam_search",
    "best_extensions",
    "choose",
    "draw",
    "first_layers",
    "generate",
    "keep_min_p",
    "keep_top_k",
    "keep_top_p",
    "left_pad",
    "most_tokens_per_second",
    "next_distribution",
    "penalise_repetition",
    "process",
    "residual_distribution",
    "speculative_generate",
    "speed_up",
    "stream",
    "stream_text",
    "tokens_per_pass",
    "tokens_through_layers",
    "verify",
    "why_not_fused",
]

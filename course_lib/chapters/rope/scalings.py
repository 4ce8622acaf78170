"""The scalings that this chapter compares, by the names it uses for them.

Taught in:        rope
Checked against:  `course_lib.rope.scaled_frequencies`
Shapes:           none
"""

from typing import Any

from course_lib.rope import ntk_aware_base

SCALINGS = ("plain", "interpolation", "NTK-aware", "dynamic", "YaRN", "Llama 3")


def rope_request(
    scaling: str, factor: int | float, head_dim: int, base: int | float, trained_length: int
) -> dict[str, Any]:
    """Return `rope_parameters`, as in a model's config, that ask for a scaling by its name here."""
    if scaling not in SCALINGS:
        raise ValueError(f"scaling must be one of {', '.join(SCALINGS)}; got {scaling!r}.")
    plain: dict[str, Any] = {"rope_type": "default", "rope_theta": float(base)}
    if scaling == "plain" or factor == 1:
        return plain
    if scaling == "NTK-aware":
        return plain | {"rope_theta": ntk_aware_base(float(base), float(factor), head_dim)}
    kinds = {"interpolation": "linear", "dynamic": "dynamic", "YaRN": "yarn", "Llama 3": "llama3"}
    stretched = {"rope_type": kinds[scaling], "factor": float(factor)}
    original = {"original_max_position_embeddings": trained_length}
    ramp = {"low_freq_factor": 1.0, "high_freq_factor": 4.0} if scaling == "Llama 3" else {}
    return plain | stretched | original | ramp

"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "mlp",
        "write GELU in both of its forms, SiLU and a gated layer such as SwiGLU, and say what "
        "each choice is good for",
        exercises="gelu_exact gelu_tanh silu dead_units gated_ffn",
        questions="alone gelus dead unit names bug_gated",
    ),
    ability(
        "mlp",
        "give two kinds of layer the same number of parameters before you compare them",
        exercises="matched_width",
        questions="matched",
    ),
    ability(
        "mlp",
        "read a feed-forward layer as a memory, with keys and values",
        exercises="memory",
        questions="memory",
    ),
    ability(
        "mlp",
        "write the router of a mixture of experts and the loss that keeps its experts busy, and "
        "count what a mixture holds in memory against what works for one token",
        exercises="route balancing expert_parameters",
        questions="moe_steps gate softmax_order bug_route balance balance_gradient capacity active "
        "room",
    ),
)

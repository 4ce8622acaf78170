"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "mlp",
        "write GELU in both of its forms, SiLU and a gated layer such as SwiGLU, and explain the "
        "advantages of each",
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
        "write a mixture of experts, from the router to the output, keep its experts evenly "
        "loaded, and compare its parameters, FLOPs and memory traffic with a dense layer's",
        exercises="route moe_forward balancing bias_step expert_parameters",
        questions="moe_steps gate softmax_order bug_route balance balance_gradient capacity active "
        "room",
    ),
)

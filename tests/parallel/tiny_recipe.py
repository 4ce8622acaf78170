"""A recipe that is prepared and trained within a second."""

from dataclasses import replace

from course_lib.training.recipes import QUICK

TINY = replace(
    QUICK, plan=replace(QUICK.plan, steps=4, warmup=1), vocab_size=300, context=64,
    hidden_size=16, intermediate_size=24, heads=2, key_value_heads=2, head_dim=8, text_rows=3,
    repeat_rows=2, periods=(2, 6), characters=6000, look_every=2, save_every=2,
    layers=2, shares=(("documentation", 1.0),),
)  # fmt: skip

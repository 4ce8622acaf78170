"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "flash_attention",
        "say why attention is bound by memory traffic, and compute the bytes that the standard and "
        "the tiled method move",
        exercises="standard_bytes tiled_bytes",
        questions="bound table flops keys_read",
    ),
    ability(
        "flash_attention",
        "write the tiled forward pass, with smaller last tiles, say which tiles a mask skips, and "
        "show that no table was made",
        exercises="update finish tiled",
        questions="total tile_step bug_outside bug_rescale approximate causal_tiles",
    ),
    ability(
        "flash_attention",
        "derive the backward pass, write it for one tile, and say why one saved number for each "
        "query is enough",
        exercises="backward_tile",
        questions="logsumexp saved score_gradient",
    ),
    ability(
        "flash_attention",
        "join parts of a row that were computed separately, as flash-decoding does",
        exercises="join",
        questions="decoding join",
    ),
    ability(
        "flash_attention",
        "read a Triton kernel for all of this, write its inner loop, and choose its tiles for a "
        "given fast memory",
        exercises="query_block leg",
        questions="fast_memory",
    ),
)

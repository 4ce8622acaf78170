"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "compression",
        "quantise weights by absmax, with a zero point, in groups and by a table, and count the "
        "bits with their scales",
        exercises="absmax zero_point groups table",
        questions="bits scale zero nf4 packed bug_range",
    ),
    ability(
        "compression",
        "explain outliers, SmoothQuant, GPTQ's column step and AWQ, and say what each of them "
        "measures",
        exercises="smooth gptq_step",
        questions="outlier gptq_facts gptq_order smoothing",
    ),
    ability(
        "compression",
        "prune by Wanda and two of four, train through rounding, distil, and judge what is faster "
        "and what is only smaller",
        exercises="wanda two_four straight distil",
        questions="faster two_four_bytes through temperature",
    ),
)

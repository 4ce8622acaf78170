"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "rewards",
        "derive the policy gradient, estimate it from samples, and say what a baseline changes "
        "and what it does not",
        exercises="policy_gradient gae",
        questions="exact baseline bug_gae",
    ),
    ability(
        "rewards",
        "build the clip, the group advantages and the loss of GRPO, and say in which place each "
        "of its relatives differs",
        exercises="clip group_advantages grpo_loss",
        questions="clipped prints_group advantage loss_zero silent bug_loss steps",
    ),
    ability(
        "rewards",
        "estimate the distance to a reference from samples, and say what each estimator does as "
        "a number and as a loss",
        exercises="kl",
        questions="kl_loss",
    ),
    ability(
        "rewards",
        "write a verifier that is hard to exploit, and recognise a reward that is being exploited",
        exercises="verifier",
        questions="verifier_rules hacking",
    ),
    ability(
        "rewards",
        "trade compute for accuracy with votes, best of n and pass@k, and say when it fails",
        exercises="majority_vote pass_at_k",
        questions="pass voting what_grpo_adds",
    ),
)

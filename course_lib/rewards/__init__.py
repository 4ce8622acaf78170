"""Rewards: how a model learns from being right or wrong.

Small files, in the order in which the notebook reads them:

    policy_gradients  the gradient of an expected reward, from samples; baselines
    clipping          importance ratios, and PPO's clip
    advantages        group, leave one out, GAE
    kl_estimators     k1, k2 and k3: the distance to a reference, from samples
    objectives        GRPO, Dr. GRPO, DAPO, RLOO and GSPO as rows of one table
    verifiers         is this answer right? numbers, fractions, expressions
    rollouts          a group of answers to each prompt, with log-probabilities
    learning          the loop: sample, judge, update; saved and resumed exactly
    voting            majority votes, best of n, pass@k
    assistant_grpo    the recipe of a stage of the assistant; import it by name

    training = RewardTraining(model, task, RewardPlan(steps=100), reference)
    while training.done < 100:
        training.step()
        print(training.measures.reward)

Taught in:        rewards
"""

from course_lib.rewards.advantages import (
    check_finite,
    gae,
    group_advantages,
    leave_one_out_advantages,
    token_rewards,
)
from course_lib.rewards.clipping import clipped_objective, importance_ratio, is_clipped
from course_lib.rewards.kl_estimators import ESTIMATORS, exact_kl, k1, k2, k3
from course_lib.rewards.learning import (
    Judged,
    Measures,
    RewardPlan,
    RewardTraining,
    Task,
    answer_texts,
)
from course_lib.rewards.objectives import (
    OBJECTIVES,
    Objective,
    advantages_of,
    masked_average,
    policy_loss,
    ratio_of,
)
from course_lib.rewards.policy_gradients import (
    best_baseline,
    exact_gradient,
    expected_reward,
    gradient_variance,
    policy_gradient,
    sampled_log_probabilities,
    score,
    surrogate_loss,
)
from course_lib.rewards.rollouts import Rollouts, answer_log_probabilities, sample_answers
from course_lib.rewards.verifiers import (
    is_correct,
    marked_answer,
    parse_number,
    same_expression,
    same_number,
)
from course_lib.rewards.voting import (
    best_of_n,
    best_of_n_accuracy,
    majority_accuracy,
    majority_vote,
    multinomial,
    pass_at_k,
    weighted_vote,
)

__all__ = [
    "ESTIMATORS",
    "OBJECTIVES",
    "Judged",
    "Measures",
    "Objective",
    "RewardPlan",
    "RewardTraining",
    "Rollouts",
    "Task",
    "advantages_of",
    "answer_log_probabilities",
    "answer_texts",
    "best_baseline",
    "best_of_n",
    "best_of_n_accuracy",
    "check_finite",
    "clipped_objective",
    "exact_gradient",
    "exact_kl",
    "expected_reward",
    "gae",
    "gradient_variance",
    "group_advantages",
    "importance_ratio",
    "is_clipped",
    "is_correct",
    "k1",
    "k2",
    "k3",
    "leave_one_out_advantages",
    "majority_accuracy",
    "majority_vote",
    "marked_answer",
    "masked_average",
    "multinomial",
    "parse_number",
    "pass_at_k",
    "policy_gradient",
    "policy_loss",
    "ratio_of",
    "same_expression",
    "same_number",
    "sample_answers",
    "sampled_log_probabilities",
    "score",
    "surrogate_loss",
    "token_rewards",
    "weighted_vote",
]

"""Questions on verifiers, reward hacking, votes and pass@k."""

import random
from typing import Any

from course_lib.rewards import pass_at_k
from course_lib.study.ask.question import Numeric, OneAnswer, SeveralAnswers
from course_lib.study.ask.question_parts import Option, Slip


def _draw_pass(rng: random.Random) -> dict[str, Any]:
    n = rng.choice((7, 9, 11))
    return {"n": n, "c": rng.randint(1, n // 2), "k": rng.randint(2, n // 2)}


PASS = Numeric(
    id="rewards.pass",
    prompt="{c} of {n} sampled answers got the reward. What is the unbiased estimate of pass@{k}?",
    draw=_draw_pass,
    answer=lambda n, c, k: pass_at_k(n, c, k),
    explain=lambda n, c, k: (
        f"1 − C({n - c}, {k}) / C({n}, {k}) = {pass_at_k(n, c, k):.4g}: the probability that "
        f"{k} of the {n}, drawn without replacement, are not all wrong."
    ),
    slips=(
        Slip(
            "with replacement",
            lambda n, c, k: 1 - (1 - c / n) ** k,
            "That puts each answer back after it was drawn, and is too low on average.",
        ),
        Slip(
            "pass@1",
            lambda n, c, k: c / n,
            "That is the fraction of right answers, pass@1. More tries find a right one more "
            "often.",
        ),
    ),
)

VOTING = OneAnswer(
    id="rewards.voting",
    prompt="To a question a model gives the right answer with probability 0.35, one wrong answer "
    "with 0.45, others with 0.2. You let it vote with ever more samples. What happens?",
    options=(
        Option(
            "The vote gets worse and goes to 0, while pass@n goes to 1.",
            True,
            "the vote converges to the most frequent answer, and that is a wrong one. A verifier "
            "could still pick the right one out of the samples.",
        ),
        Option(
            "The vote gets better and goes to 1, and so does pass@n, as always.",
            False,
            "that holds only where the right answer is the most frequent one.",
        ),
        Option(
            "The vote stays at 0.35.",
            False,
            "that is the accuracy of one sample. Votes make the frequent answer more certain.",
        ),
        Option(
            "Both the vote and pass@n go to 0.",
            False,
            "pass@n only asks whether any sample is right: 1 − 0.65^n goes to 1.",
        ),
    ),
)

VERIFIER = SeveralAnswers(
    id="rewards.verifier_rules",
    prompt="Answers should end with `so NUMBER.` Which of these make a verifier of sums harder to "
    "exploit?",
    options=(
        Option(
            "Judge only the number after the last `so`, at the end of the text.",
            True,
            "a text that lists many numbers then has only one answer.",
        ),
        Option(
            "Compare values exactly, as fractions.",
            True,
            "a tolerance lets wrong answers pass, and a comparison of texts rejects right ones.",
        ),
        Option(
            "Give nothing to an answer that was cut off.",
            True,
            "otherwise a model may learn never to finish.",
        ),
        Option(
            "Give half of the reward if the right number occurs anywhere.",
            False,
            "that pays for listing every number.",
        ),
        Option(
            "Give a little reward for words that good answers contain.",
            False,
            "the words are easier to produce than right answers, and so they will be produced.",
        ),
    ),
)

HACKING = OneAnswer(
    id="rewards.hacking",
    prompt="The reward of a run rises steadily. What is the best evidence that the model gets "
    "better at what you want?",
    options=(
        Option(
            "A separate measure that is not part of the reward, on held-out questions, rises too.",
            True,
            "a reward that is optimised stops being a measure. Only something that is not "
            "optimised can tell.",
        ),
        Option(
            "The reward rises on held-out questions as well.",
            False,
            "a hole in the reward is open on held-out questions too.",
        ),
        Option(
            "The KL divergence to the reference stays below 20 nats.",
            False,
            "a small distance limits the damage, but a cheap trick may need little distance.",
        ),
        Option(
            "The loss falls.",
            False,
            "the loss of GRPO is close to 0 by construction and says nothing.",
        ),
    ),
)

WHAT_GRPO_ADDS = OneAnswer(
    id="rewards.what_grpo_adds",
    prompt="Before GRPO a model is right with 20 % of its samples, and pass@16 is 97 %. After "
    "GRPO it is right with 90 %, and pass@16 is 98 %. What did GRPO do?",
    options=(
        Option(
            "It made frequent what the model could already do.",
            True,
            "almost every question had a right answer among 16 samples before. Training moved "
            "probability to such answers, and found hardly any new ones.",
        ),
        Option(
            "It taught the model to solve questions that it could not solve before.",
            False,
            "then pass@16 would have risen. It was high from the start.",
        ),
        Option(
            "It made the answers more diverse.",
            False,
            "the opposite: probability moves to one way of answering, and entropy falls.",
        ),
        Option(
            "It replaced sampling by greedy decoding.",
            False,
            "the numbers are of samples; their distribution has become narrower.",
        ),
    ),
)

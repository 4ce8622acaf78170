# %% [markdown] id="15-rewards"
# # 15 · Rewards
#
# **How does a model learn from being right or wrong?**
#
# So far a model learned from texts that someone wrote: each token was a target. Often there is no such text. For a sum, a
# proof or a program we can say whether an answer is *right*, but not which of the many right answers the model should have
# written. This notebook teaches a model with nothing more than that: it writes answers, a program judges them, and the better
# ones become more likely. The assistant of [Fine-tuning](14_fine_tuning.ipynb) learns to work its sums out, because that pays.
#
# After this notebook you can
# - derive the policy gradient, estimate it from samples, and say what a baseline changes and what it does not;
# - build the clip, the group advantages and the loss of GRPO, and say in which place each of its relatives differs;
# - estimate the distance to a reference from samples, and say what each estimator does as a number and as a loss;
# - write a verifier that is hard to exploit, and recognise a reward that is being exploited;
# - trade compute for accuracy with votes, best of n and pass@k, and say when it fails.
#
# About 150 minutes. You need [Training](11_training.ipynb), [Generation](12_generation.ipynb) and
# [Fine-tuning](14_fine_tuning.ipynb). Nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/15_rewards.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/15_rewards.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/15_rewards.ipynb).

# %% id="setup"
# @title Set up: does nothing where the course is installed
import sys
from importlib.util import find_spec

from IPython import get_ipython

if find_spec("course_lib") is None or find_spec("ipywidgets") is None:
    print("Installing the course, which takes a minute or two.")
    get_ipython().run_line_magic("pip", "install --quiet llm-insides==0.1.0")
    if find_spec("course_lib") is None:
        raise ImportError("pip failed, as it says above. If it says nothing, restart the kernel.")
if "google.colab" in sys.modules:
    from google.colab import output

    output.enable_custom_widget_manager()

# %% id="device-default-device"
import time
from dataclasses import replace
from statistics import fmean

import torch

from course_lib import rewards
from course_lib.assistant.arithmetic import held_out_questions, is_right, way_of
from course_lib.assistant.evaluation import SAMPLED, answers, chat_prompts
from course_lib.assistant.stages import load_stage, stage_log
from course_lib.assistant.tokenizer import role_tokenizer
from course_lib.chapters.rewards import measurements
from course_lib.device import default_device, seeded
from course_lib.rewards import OBJECTIVES, RewardTraining
from course_lib.rewards.assistant_grpo import PLAN, arithmetic_task
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show

device = default_device()

# %% [markdown] id="1-a-reward-has-no-gradient"
# ## 1 · A reward has no gradient
#
# Start with the smallest case: one choice among five actions, each with a fixed reward. A *policy* is a distribution over
# the actions, here softmax of five logits. In the language of this notebook a language model is a policy too: given a prompt, it
# chooses an answer, and each token is a choice.
#
# We want a large *expected* reward, the mean over the policy's own choices:
#
# $$J = \sum_a p(a)\, r(a)$$
#
# With five actions we can compute it, and its gradient, by going through all of them.

# %% id="logits-torch-tensor-0-3-1"
logits = torch.tensor([0.3, -1.2, 0.8, 0.0, 1.5], dtype=torch.float64)
reward = torch.tensor([1.0, 5.0, 2.0, -1.0, 1.5], dtype=torch.float64)
print("probabilities:   ", rounded(logits.softmax(-1)))
print("expected reward: ", rounded(rewards.expected_reward(logits, reward)))
print("exact gradient:  ", rounded(rewards.exact_gradient(logits, reward)))

# %% [markdown] id="build-it"
# The gradient is $p(a)\,(r(a) - J)$: up for actions that are better than the mean, down for the others. A language model has
# far too many answers to go through. We can only *sample* some and see their rewards. But the reward of a sampled answer is
# a plain number; nothing connects it to the logits, so there is nothing to differentiate.
#
# The way out is one line of algebra. Since $\nabla p = p\, \nabla \log p$,
#
# $$\nabla J = \sum_a r(a)\, \nabla p(a) = \sum_a p(a)\, r(a)\, \nabla \log p(a) = \mathbb{E}\big[r(a)\, \nabla \log p(a)\big]$$
#
# The last form is a mean over the policy's own choices, and samples estimate a mean. The reward is now a *weight* on a
# gradient that we can compute. For logits, $\nabla \log p(a) = \text{onehot}(a) - p$, as in [Softmax](04_softmax.ipynb).
#
# By hand: two actions with logits 0 and 0, so $p$ is 0.5 and 0.5. The first was sampled and got reward 1. The estimate is
# $1 \cdot (1 - 0.5,\ 0 - 0.5) = (0.5, -0.5)$: do that more often.
#
# ### Build it
# The weights are called *advantages* here, for a reason that follows. Return the mean over the samples. It points uphill: the
# direction in which the expected reward grows.


# %% id="rewards.policy_gradient"
@exercise("rewards.policy_gradient")
def policy_gradient(logits, actions, advantages):
    """Return the estimate (V) of the gradient of the expected reward, from N samples."""
    ...


# %% id="reveal-rewards-policy-gradient"
reveal("rewards.policy_gradient")

# %% [markdown] id="checked-against-the-exact-gradient"
# ### Checked against the exact gradient
# A hundred thousand samples, compared with the sum over all actions:

# %% id="actions-torch-multinomial-logits-softmax-1"
actions = torch.multinomial(logits.softmax(-1), 100_000, replacement=True, generator=seeded(0))
estimate = rewards.policy_gradient(logits, actions, reward[actions])
exact = rewards.exact_gradient(logits, reward)
deviation = (rewards.gradient_variance(logits, reward) / 100_000).sqrt()
print("estimate:", rounded(estimate, 2))
print("exact:   ", rounded(exact, 2))
print("error within 4 standard deviations:", bool((estimate - exact).norm() < 4 * deviation))

# %% [markdown] id="the-baseline"
# ### The baseline
# > **Predict.** All five rewards grow by 10. Does the exact gradient change? Does the estimate from 16 samples get better,
# > worse, or stay as good?

# %% id="for-name-changed-in-as-they"
for name, changed in (("as they are", reward), ("plus 10", reward + 10)):
    variance = rewards.gradient_variance(logits, changed).item()
    same = torch.allclose(rewards.exact_gradient(logits, changed), exact)
    print(f"{name:12} same gradient: {same}; variance of one sample {variance:7.2f}")

# %% [markdown] id="the-gradient-stays-and-the-variance"
# The gradient stays, and the variance (of the estimate from one sample, summed over the five logits) explodes: with rewards around
# 10 every sampled action is pushed up hard, and only the average over many samples shows which one deserves it. So subtract a
# *baseline* $b$ from each reward. It changes no mean:
#
# $$\mathbb{E}[b\, \nabla \log p] = b \sum_a \nabla p(a) = b\, \nabla 1 = 0$$
#
# A reward minus what was to be expected is called an **advantage**.

# %% id="mean-rewards-expected-reward-logits-reward"
mean = rewards.expected_reward(logits, reward).item()
best = rewards.best_baseline(logits, reward).item()
for name, b in (("none", 0.0), ("the mean reward", mean), ("the best constant", best)):
    print(f"{name:18} b = {b:5.2f}   variance {rewards.gradient_variance(logits, reward, b):.3f}")

# %% [markdown] id="the-best-constant-weighs-each-reward"
# The best constant weighs each reward by the squared length of its $\nabla \log p$. The mean reward is simpler and nearly as good.
# Most of what follows is about where the baseline comes from.

# %% [markdown] id="2-the-clip"
# ## 2 · The clip
#
# Sampling answers is expensive (section 8), so one would like to take several steps on the same batch. After the first step
# the answers no longer come from the policy that is being trained. An *importance ratio* corrects the mean:
#
# $$\mathbb{E}_{\text{old}}\Big[\frac{p_\text{new}(a)}{p_\text{old}(a)}\, A\Big] = \mathbb{E}_{\text{new}}[A], \qquad
# \frac{p_\text{new}}{p_\text{old}} = e^{\log p_\text{new} - \log p_\text{old}}$$
#
# But far from the old policy the same few samples say little, and nothing stops the optimizer from pushing a ratio to 10.
# *Proximal policy optimisation* (PPO, Schulman et al. 2017) takes the lower of two products:
#
# $$\min\big(\text{ratio} \cdot A,\ \operatorname{clip}(\text{ratio}, 1 - \varepsilon, 1 + \varepsilon) \cdot A\big)$$
#
# By hand, with $\varepsilon = 0.2$. A good answer, $A = 2$, has become 1.5 times as likely: the products are 3 and 2.4, the lower
# one is constant, so there is no gradient any more. A bad answer, $A = -2$, at the same ratio: −3 and −2.4. Now the lower one
# is the plain product, and the gradient stays.
#
# > **Predict.** For which sign of A does the clip act when the ratio is 0.5?

# %% id="ratio-torch-tensor-0-5-0"
ratio = torch.tensor([0.5, 0.9, 1.1, 1.5])
for advantage in (2.0, -2.0):
    a = torch.full_like(ratio, advantage)
    stopped = rewards.is_clipped(ratio, a).tolist()
    print(
        f"A = {advantage:+}: objective {rounded(rewards.clipped_objective(ratio, a), 1)}, stopped {stopped}"
    )

# %% [markdown] id="build-it-2"
# The clip stops only a move that has *succeeded* far enough. A token that moved the wrong way is always corrected.
#
# ### Build it
# `low` and `high` are the distances of the limits from 1. The gradient with respect to `ratio` is checked too.


# %% id="rewards.clip"
@exercise("rewards.clip")
def clipped_objective(ratio, advantages, low=0.2, high=0.2):
    """Return PPO's objective of each token, to be maximised."""
    ...


# %% id="reveal-rewards-clip"
reveal("rewards.clip")

# %% [markdown] id="play-with-it"
# ### Play with it
# Move the ratio through the grey band. Where does the slope vanish? Then make the advantage negative.

# %% id="explorers-rewards-clip"
explorers.rewards.clip()

# %% [markdown] id="3-which-token-deserves-it"
# ## 3 · Which token deserves it
#
# An answer of 33 tokens gets one reward at its end. Which of its tokens made it right? To tell, PPO trains a second model, the
# *value function*: usually a copy of the model with a linear layer on its hidden state. Its output $V_t$ is the reward to be expected
# just before token $t$ is chosen. If the value rises from one token to the next, that token was good news. With $r_t$ the reward at
# token $t$, here 0 everywhere but at the last one, the error of the prediction at a step (the *TD error*, for temporal difference) is
#
# $$\delta_t = r_t + \gamma V_{t+1} - V_t$$
#
# The *discount* $\gamma$, from 0 to 1, makes later rewards count less; it is 1 in most work on language models. After the last token
# nothing is to be expected, so the next value there is 0. As an estimate of the advantage $A_t$ of a token, one error trusts the
# value function completely. In the sum of this one and all later ones (with $\gamma = 1$) every $V$ but $V_t$ cancels, so it trusts
# only the reward. *Generalised advantage estimation* (GAE, Schulman et al. 2015) lies between them, with $\lambda = 0$ for the single
# error and $\lambda = 1$ for the sum of all:
#
# $$A_t = \delta_t + \gamma\lambda\, A_{t+1}$$
#
# By hand: three tokens, values 0.5, 0.6, 0.9, and a reward of 1 at the last. With $\gamma = 1$ the errors are 0.1, 0.3, 0.1.
# With $\lambda = 0.5$: $A_3 = 0.1$, $A_2 = 0.3 + 0.05 = 0.35$, $A_1 = 0.1 + 0.175 = $ **0.275**.

# %% id="values-torch-tensor-0-5-0"
values = torch.tensor([[0.5, 0.6, 0.9]])
mask = torch.ones(1, 3, dtype=torch.bool)
given = rewards.token_rewards(torch.tensor([1.0]), mask)
for lam in (0.0, 0.5, 1.0):
    print(f"λ = {lam}: {rounded(rewards.gae(given, values, mask, 1.0, lam))}")

# %% [markdown] id="build-it-3"
# ### Build it
# Answers have different lengths, and padding holds leftovers. After an answer's last token nothing follows: its next value is 0.
# A value read from the padding there is the classic mistake ("bootstrapping past the end").


# %% id="rewards.gae"
@exercise("rewards.gae")
def gae(rewards, values, mask, gamma, lam):
    """Return the advantage of each token (B, T), 0 at padding."""
    ...


# %% id="reveal-rewards-gae"
reveal("rewards.gae")

# %% [markdown] id="4-the-group"
# ## 4 · The group
#
# A value function is a second model, about as large as the first, that has to be trained as well. *Group relative policy
# optimisation* (GRPO, Shao et al. 2024) does without. It samples a *group* of G answers to the same prompt, and the mean of the group says what was to be expected:
#
# $$A_i = \frac{r_i - \operatorname{mean}(r)}{\operatorname{std}(r) + \epsilon}$$
#
# All tokens of an answer share its advantage. By hand, for one right answer of four: the mean is 0.25, the standard deviation
# (with $G - 1$) is 0.5. The right answer gets 1.5, each wrong one −0.5.
#
# > **Predict.** A second prompt is easy: three of four are right. What advantage does its single *wrong* answer get?

# %% id="groups-torch-tensor-1-0-0"
groups = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
groups = groups.double()
print("GRPO:         ", rewards.group_advantages(groups).round(decimals=2).tolist())
print("not scaled:   ", rewards.group_advantages(groups, scale=False).tolist())
print("leave one out:", rewards.leave_one_out_advantages(groups).round(decimals=2).tolist())

# %% [markdown] id="build-it-4"
# Rare outcomes get large advantages. The last group teaches nothing: all rewards are equal, so all advantages are 0. Such
# *silent* groups become frequent when the questions are too easy or too hard.
#
# ### Build it
# The standard deviation divides by $G - 1$, as in `trl`. Each group is a row.


# %% id="rewards.group_advantages"
@exercise("rewards.group_advantages")
def group_advantages(rewards, epsilon=1e-4):
    """Return the advantages (P, G) of G answers to each of P prompts."""
    ...


# %% id="reveal-rewards-group-advantages"
reveal("rewards.group_advantages")

# %% [markdown] id="play-with-it-2"
# ### Play with it
# Eight answers to one prompt. Make all of them right; then all but one. Compare the methods: dividing by the standard deviation
# makes a group with tiny differences as loud as one with large ones.

# %% id="explorers-rewards-group"
explorers.rewards.group()

# %% [markdown] id="5-staying-close-to-the-reference"
# ## 5 · Staying close to the reference
#
# A reward measures one thing only. A policy that chases it may forget everything else, so most methods keep it close to the
# model it started from, the *reference*. How far it has moved is measured by the Kullback–Leibler divergence
# $\text{KL}(\pi \| \text{ref}) = \mathbb{E}_\pi[\log \pi - \log \text{ref}]$, a mean over answers from the policy, and again we can only
# sample. With $d = \log \pi - \log \text{ref}$ of a sampled token, three estimators are in use (Schulman 2020). An
# answer's $d$ is the sum over its tokens; the loss takes the mean of the estimates over the tokens, and the logs below give their sum
# over an answer, in nats.
#
# | | formula | mean | |
# |---|---|---|---|
# | k1 | $d$ | KL | often negative |
# | k2 | $d^2 / 2$ | biased | never negative |
# | k3 | $e^{-d} - 1 + d$ | KL | never negative |
#
# k3 adds $e^{-d} - 1$ to k1. Its mean under the policy is $\sum \pi \cdot \text{ref}/\pi - 1 = 0$, so it changes no mean; but it is large
# where k1 is negative, and removes most of the variance as long as the two policies are close. Far apart, $e^{-d}$ is now and then
# enormous, and k3 varies more than k1.
#
# By hand: a token that the policy likes less, $d = -1$. k1 says −1, k2 says 0.5, k3 says $e - 2 = $ **0.718**.

# %% id="policy-torch-tensor-1-0-0"
policy = torch.tensor([1.0, 0.2, -0.7, 0.0, 0.5], dtype=torch.float64).log_softmax(-1)
reference = torch.tensor([0.0, 0.6, 0.1, -1.0, 0.4], dtype=torch.float64).log_softmax(-1)
chosen = torch.multinomial(policy.exp(), 100_000, replacement=True, generator=seeded(1))
print(f"exact KL {rewards.exact_kl(policy, reference):.3f}")
for name, estimator in rewards.ESTIMATORS.items():
    sampled = estimator(policy, reference)[chosen]
    print(
        f"{name}: mean {sampled.mean():.2f}, variance {sampled.var():.2f}, least {sampled.min():.2f}"
    )

# %% [markdown] id="build-it-5"
# ### Build it
# `policy` and `reference` have the same shape, and so has each of the three results. The gradient with respect to `policy` is
# checked too.


# %% id="rewards.kl"
@exercise("rewards.kl")
def kl_estimates(policy, reference):
    """Return the tuple (k1, k2, k3) of each token, from its log-probabilities."""
    ...


# %% id="reveal-rewards-kl"
reveal("rewards.kl")

# %% [markdown] id="6-grpo-and-its-relatives"
# ## 6 · GRPO and its relatives
#
# All parts are there. The loss of GRPO is minus PPO's objective with group advantages, plus a KL penalty, averaged over the
# tokens of each answer and then over the answers. Each of its relatives changes two places of it, and the rows below GRPO
# have no KL penalty here:

# %% id="for-name-each-in-objectives-items"
for name, each in OBJECTIVES.items():
    limits = f"−{each.low:g} +{each.high:g}"
    print(
        f"{name:9} {each.advantages:14} ratio: {each.ratio:12} {limits:15} mean over {each.average}"
    )

# %% [markdown] id="dr-grpo-liu-et-al-2025"
# - **Dr. GRPO** (Liu et al. 2025) does not divide by the standard deviation, since dividing gives more weight to questions that are
#   nearly always answered rightly or nearly always wrongly. And it divides by a constant length: with the mean over each answer, a
#   long wrong answer is punished less per token than a short one.
# - **DAPO** (Yu et al. 2025) raises the upper limit, so that rare tokens can grow, and averages over all tokens of the batch.
# - **RLOO** (REINFORCE leave one out, Ahmadian et al. 2024) uses the mean of the *other* answers and treats the whole answer as one
#   action. The paper has no ratio and no clip; the library, so that several steps on a batch are possible, has one ratio for the
#   whole answer.
# - **GSPO** (group sequence policy optimisation, Zheng et al. 2025) uses one ratio too, the geometric mean over the tokens, with very tight limits.
#
# > **Predict.** Two answers of a group: a right one of 10 tokens and a wrong one of 40, advantages +1 and −1, all ratios 1.
# > What is the loss of GRPO, and what is that of DAPO?

# %% id="lengths-torch-tensor-10-40"
lengths = torch.tensor([10, 40])
mask = torch.arange(40) < lengths[:, None]
log_p = torch.full((2, 40), -0.5)
advantages = torch.tensor([1.0, -1.0])
for name in ("GRPO", "Dr. GRPO", "DAPO"):
    plain = replace(OBJECTIVES[name], kl_weight=0.0)
    leaf = log_p.clone().requires_grad_()
    loss = rewards.policy_loss(plain, leaf, log_p, advantages, mask, longest=40)
    (gradient,) = torch.autograd.grad(loss, leaf)
    print(
        f"{name:9} loss {loss:+.3f}, gradient of a token: right {gradient[0, 0]:+.4f}, wrong {gradient[1, 0]:+.4f}"
    )

# %% [markdown] id="build-it-6"
# In GRPO each token of the long wrong answer is pushed down a quarter as hard as the tokens of the short right one are pushed up.
# In the other two all tokens count the same.
#
# ### Build it
# GRPO's loss without the KL penalty. `mask` is True at the tokens of an answer; the padding may hold any finite numbers. The
# gradient with respect to `new` is checked too.


# %% id="rewards.grpo_loss"
@exercise("rewards.grpo_loss")
def grpo_loss(new, old, advantages, mask, clip=0.2):
    """Return the loss, one number: mean over each answer's tokens, then over the answers."""
    ...


# %% id="reveal-rewards-grpo-loss"
reveal("rewards.grpo_loss")

# %% [markdown] id="the-library-has-the-choices-of"
# The library has the choices of the table in one function:

# %% id="reveal-rewards-policy-loss"
reveal(rewards.policy_loss)

# %% [markdown] id="the-tests-compare-each-row-of"
# The tests compare each row of the table with a loop over single tokens in float64, and four of them with the loss and the
# gradient of `trl` 1.16 (an optional package, `pip install trl`).

# %% [markdown] id="7-a-verifier"
# ## 7 · A verifier
#
# Where do rewards come from? For open questions, from a model of what people prefer ([Fine-tuning](14_fine_tuning.ipynb)). For sums,
# proofs and programs a *program* can decide, and such rewards are called verifiable. A verifier does two things. It finds the
# answer in the text, by a rule that the text must obey, and it compares it with the right one, by value.
#
# > **Predict.** The right answer is 13. Which of these texts should get the reward?

# %% id="texts-7-6-13-so-13"
texts = ("7+6=13 so 13.", "The answer is 13.", "so 12 or 13.", "so 26/2.", "so 13", "12 13 14 15")
for text in texts:
    print(f"{text:18} {rewards.is_correct(text, '13')}")

# %% [markdown] id="build-it-7"
# Each `False` closes a door. Without a mark, any number would count; with two numbers, a text could list candidates; a text that was
# cut off may stand in the middle of a number. A policy tries all of these millions of times, and finds every door.
#
# ### Build it
# The text must end with the word `so`, one space, a number and a full stop. A number is an integer, a decimal number or a fraction.
# Compare exactly, and never raise an error: a policy writes anything. Whether additional white space is allowed, the check leaves
# open.


# %% id="rewards.verifier"
@exercise("rewards.verifier")
def is_correct(text, expected):
    """Return whether the text ends with `so NUMBER.`, where the number equals `expected`."""
    ...


# %% id="reveal-rewards-verifier"
reveal("rewards.verifier")

# %% [markdown] id="after-the-verifier"
# The library is a little more lenient than the exercise: it also allows more white space, a plus sign, commas between thousands, and a
# decimal point without a digit before it.

# %% [markdown] id="for-formulas-comparing-by-value-is"
# For formulas, comparing by value is harder: `2*(x + 1)` and `2*x + 2` are equal. The library evaluates both at random points of
# a large finite field. Two different formulas of degree d agree at such a point with a probability of at most about
# $d/2^{61}$; three points are tried, and formulas of a degree above 10 000 or with numbers as large as the field are rejected.

# %% id="pairs-2-x-1-2-x"
pairs = (("2*(x + 1)", "2*x + 2"), ("(a + b)^2", "a^2 + b^2"), ("x/x", "1"), ("0.5*x", "x/2"))
for a, b in pairs:
    print(f"{a:10} = {b:10} {rewards.same_expression(a, b)}")

# %% [markdown] id="8-rollouts"
# ## 8 · Rollouts
#
# A *rollout* is an answer sampled for training, with the log-probability of each token. Three things make rollouts cheap: all
# answers are generated as one batch with a cache; each prompt is read once and its keys and values are copied for the group; and
# the log-probabilities come from the logits that were computed anyway.

# %% id="tokenizer-task-role-tokenizer-arithmetic-task"
tokenizer, task = role_tokenizer(), arithmetic_task()
assistant = load_stage("assistant", device)
questions = held_out_questions(2)
prompts = chat_prompts(tokenizer, questions)
rollouts = rewards.sample_answers(assistant, prompts, 4, 48, task.stop_id, generator=seeded(0))
again = rewards.answer_log_probabilities(assistant, rollouts)
gap = (again - rollouts.log_probabilities).abs().max().item()
print("answers:", len(rollouts.rows()), "for", len(prompts), "prompts")
print("log-probabilities as in one pass over prompt and answer:", gap < 1e-4)

# %% tags=["nbval-ignore-output"] id="for-i-text-in-enumerate-rewards"
for i, text in enumerate(rewards.answer_texts(rollouts, task)):
    question = questions[i // 4]
    print(f"{question!s:26} {'right' if is_right(question, text) else 'wrong'}: {text}")

# %% [markdown] id="before-any-reward-the-assistant-answers"
# Before any reward the assistant answers in three ways, as it was taught: it works the sum out, answers directly, or chatters. Only
# the first is often right.
#
# > **Predict.** One step of training samples 64 answers and then reads them once with gradient. Which of the two takes longer?

# %% tags=["nbval-ignore-output"] id="prompts-chat-prompts-tokenizer-held-out"
prompts = chat_prompts(tokenizer, held_out_questions(8))
start = time.perf_counter()
batch = rewards.sample_answers(assistant, prompts, 8, 48, task.stop_id, generator=seeded(0))
sampling = time.perf_counter() - start
start = time.perf_counter()
rewards.answer_log_probabilities(assistant, batch).sum().backward()
reading = time.perf_counter() - start
tokens = int(batch.mask.sum())
print(
    f"{tokens} tokens; sampling {sampling:.2f} s ({tokens / sampling:.0f} tokens/s), gradient {reading:.2f} s"
)
assistant.zero_grad()

# %% [markdown] id="for-large-models-sampling-takes-most"
# This model is so small that its weights stay in the processor's cache, and the gradient takes longer. For large models sampling
# takes most of the time, because each token needs a pass over all weights ([Generation](12_generation.ipynb)). Stored measurements against a loop over `transformers.generate`, on the same weights, are in
# the project's `benchmarks` folder.

# %% [markdown] id="9-the-assistant-learns"
# ## 9 · The assistant learns
#
# Now everything together. The recipe `assistant-grpo` draws 8 questions, samples 8 answers to each, gives 1 for the right number and 0
# for anything else, and takes one step. Nobody tells the model that thinking is better. Three steps, live:

# %% tags=["nbval-ignore-output"] id="policy-model-frozen-load-stage-assistant"
policy_model, frozen = load_stage("assistant", device), load_stage("assistant", device)
training = RewardTraining(policy_model, task, PLAN, frozen.requires_grad_(False))
for _ in range(3):
    report = training.step()
    m = training.measures
    print(
        f"reward {m.reward:.2f}  loss {report.loss:+.1e}  gradient {report.norm:.2f}  KL {m.kl:.3f}  silent {m.silent:.2f}"
    )

# %% [markdown] id="the-loss-is-close-to-0"
# The loss is close to 0 although the gradient is not. That is no accident: with one update per batch every ratio is 1, and the
# advantages of a group add up to 0; what is left is the KL penalty. Watch the reward, never the loss.
#
# The whole run takes about ten minutes on one core (`course train --recipe assistant-grpo`), and its log is stored. Scrub through it (at temperature 1 even the
# token `user` is sampled now and then):

# %% id="log-stage-log-assistant-grpo"
log = stage_log("assistant-grpo")
explorers.rewards.training_run()

# %% id="for-record-in-log-0-log"
for record in (log[0], log[len(log) // 2], log[-1]):
    shares = ", ".join(f"{way} {record[way]:.0%}" for way in ("thinking", "direct", "chatter"))
    print(
        f"step {record['step']:3}: exact {record['sampled']:.0%} sampled, {record['greedy']:.0%} greedy; {shares}"
    )

# %% [markdown] id="two-things-happen-first-the-share"
# Two things happen. First the share of answers that work the sum out rises to nearly all, and with it the accuracy. Then the work
# itself gets more reliable. One run may be luck, so the recipe was run with three seeds:

# %% id="runs-measurements-stored-measurements-seeds"
runs = measurements.stored_measurements()["seeds"]
show(figures.rewards.seeds(runs, "sampled", "exact, sampled"))

# %% [markdown] id="what-else-changes"
# ### What else changes
# The policy becomes narrower. The surprise of its own tokens, an estimate of its entropy, falls, and more and more groups are silent.
# If entropy falls too early, the policy stops exploring, and learning ends there (*entropy collapse*).

# %% id="for-record-in-log-1-log"
for record in (log[1], log[len(log) // 2], log[-1]):
    print(
        f"step {record['step']:3}: surprise {record['surprise']:.3f} nats, silent groups {record['silent']:.0%}, KL {record['kl']:.1f}"
    )

# %% [markdown] id="10-reward-hacking"
# ## 10 · Reward hacking
#
# A reward is never quite what we want. Suppose someone thinks that a polite answer deserves something too: 0.7 for a polite phrase,
# 0.3 for the right number.
#
# > **Predict.** What will the policy do, and what happens to its sums?

# %% id="hacked-measurements-stored-measurements-hacking"
hacked = measurements.stored_measurements()["hacking"]
show(figures.rewards.hacking(hacked))

# %% [markdown] id="the-reward-that-is-paid-rises"
# The reward that is paid rises; what was meant falls. The policy did exactly what it was paid for, since chatter is easier than
# sums. This is *reward hacking*, an instance of Goodhart's law: a measure that is optimised stops being a good measure.
#
# What helps: rewards that check what is wanted and nothing else; a separate measure that is not optimised; the KL penalty, which
# limits how far a trick can go; and reading the answers.

# %% [markdown] id="11-thinking-longer-many-samples"
# ## 11 · Thinking longer: many samples
#
# There is a second way to turn compute into accuracy, without training: sample several answers and combine them. If the answers can be
# compared, let them vote (*self-consistency*, Wang et al. 2022).
#
# ### Build it
# `answers` is a list of strings and None, which stands for a text without an answer and has no vote. If all are None, return None.


# %% id="rewards.majority_vote"
@exercise("rewards.majority_vote")
def majority_vote(answers):
    """Return the most frequent answer; of equally frequent ones the first given."""
    ...


# %% id="reveal-rewards-majority-vote"
reveal("rewards.majority_vote")

# %% [markdown] id="how-good-could-any-such-method"
# How good could any such method be? *pass@k* asks whether *any* of k answers is right. To estimate it from $n$ samples of which
# $c$ are right, draw k of them without replacement, and ask how often all are wrong (Chen et al. 2021):
#
# $$\text{pass@}k = 1 - \binom{n - c}{k} \Big/ \binom{n}{k}$$
#
# By hand, for 2 right of 4 and $k = 2$: of the 6 pairs only one has no right answer, so pass@2 is **5/6**.
#
# > **Predict.** The obvious formula is $1 - (1 - c/n)^k$, here $1 - 0.5^2 = 0.75$. On average, is it too high or too low?

# %% id="n-k-p-8-4-0"
n, k, p = 8, 4, 0.2
chance = [rewards.multinomial((c, n - c), (p, 1 - p)) for c in range(n + 1)]
unbiased = sum(w * rewards.pass_at_k(n, c, k) for c, w in enumerate(chance))
plain = sum(w * (1 - (1 - c / n) ** k) for c, w in enumerate(chance))
print(
    f"true pass@{k}: {1 - (1 - p) ** k:.3f}   mean of the estimate: {unbiased:.3f}   of the obvious formula: {plain:.3f}"
)

# %% [markdown] id="build-it-8"
# ### Build it


# %% id="rewards.pass_at_k"
@exercise("rewards.pass_at_k")
def pass_at_k(n, c, k):
    """Return the unbiased estimate of pass@k, from c right answers of n."""
    ...


# %% id="reveal-rewards-pass-at-k"
reveal("rewards.pass_at_k")

# %% [markdown] id="measured"
# ### Measured
# The assistant before and after GRPO, on held-out questions:

# %% id="scaling-measurements-stored-measurements-scaling"
scaling = measurements.stored_measurements()["scaling"]
show(figures.rewards.scaling(scaling["counts"], scaling["measured"]))

# %% id="for-name-lines-in-scaling-measured"
for name, lines in scaling["measured"].items():
    vote, passed = lines["majority vote"], lines["pass@n"]
    print(f"{name:12} one sample {vote[0]:.2f}, vote of 16 {vote[4]:.2f}, pass@16 {passed[4]:.2f}")

# %% [markdown] id="play-with-it-3"
# Compare pass@16 before and after. Before GRPO nearly every question already had a right answer among 16 samples. GRPO did not so much
# teach new sums as make frequent what was already possible: it turned pass@16 into pass@1. You pay once, in training, instead of
# 16 times at each question. Whether reinforcement learning at scale finds more than that is debated (Yue et al. 2025).
#
# ### Play with it
# *Best of n* needs a verifier or a reward model: it judges all n answers, and the one with the highest score is taken. In the explorer the
# verifier only accepts or rejects, each with an error rate, and one of the accepted answers is taken (one of all, if none is).
# Choose how often a model is right, and how often it gives its favourite wrong answer. When does voting fail? How good must a verifier
# be to beat the vote?

# %% id="explorers-rewards-compute"
explorers.rewards.compute()

# %% [markdown] id="12-what-it-costs"
# ## 12 · What it costs
#
# Count forward passes over a token as 1; a backward pass costs 2 ([Counting parameters](09_parameter_counting.ipynb)). One step of GRPO
# samples each token (1), reads it under the reference (1), and trains on it (3). Sampling is a fifth of the FLOPs.
#
# > **Predict.** Why does it take most of the time in a large model, then?

# %% id="answer-batch-tokens-33-64-33"
answer, batch_tokens = 33, 64 * 33
passes = {
    "sampling": (1, answer),
    "reference": (1, 1),
    "training": (3, 3),
}  # FLOPs, and how often all weights are moved
for name, (flops, reads) in passes.items():
    print(
        f"{name:10} passes per token: {flops}; times the weights move for {batch_tokens} tokens: {reads}"
    )

# %% [markdown] id="sampling-reads-all-weights-once-for"
# Sampling reads all weights once for each token of an answer. Training moves them about three times for the whole batch: read
# forwards, read backwards, and the gradient, equally large, written. Where memory decides, sampling takes as many times longer
# than one pass over the same text as the answer has tokens; here that is 33 passes, and 11 times training. That is why serious systems sample with a serving engine and
# train elsewhere.
#
# Memory: the policy with its gradient and AdamW's two moments, and a frozen copy as the reference. PPO adds a value model with
# gradient and moments.

# %% id="parameters-sum-p-numel-for-p"
parameters = sum(p.numel() for p in assistant.parameters())
copies = {"GRPO, no reference": 4, "GRPO": 5, "PPO with a value model": 9}
for name, count in copies.items():
    print(
        f"{name:23} {count} numbers per parameter: {count * 4 * parameters / 1e6:4.1f} MB here, {count * 4 * 7:3} GB for 7 B"
    )

# %% [markdown] id="and-at-the-question-a-vote"
# And at the question: a vote of 16 costs 16 answers each time. GRPO cost 80 steps of 64 answers once.

# %% id="once-64-plan-steps-5-in"
once = 64 * PLAN.steps * 5  # in forward passes over an answer: sampling, reference, training
print(f"GRPO's training costs as much as {once // 15} questions with 15 more samples each")

# %% [markdown] id="13-claims-that-are-wrong"
# ## 13 · Claims that are wrong
#
# > *"The loss is almost 0, so nothing is learned."*

# %% id="judged-training-judged"
judged = training.judged
batch = judged.rollouts
for parameter in policy_model.parameters():
    parameter.grad = None
now = rewards.answer_log_probabilities(policy_model, batch)
plain = replace(PLAN.objective, kl_weight=0.0)
flat = judged.advantages.flatten().to(device)
loss = rewards.policy_loss(plain, now, now.detach(), flat, batch.mask)
loss.backward()
norm = torch.stack([p.grad.norm() for p in policy_model.parameters() if p.grad is not None]).norm()
print(f"loss below 1e-6: {abs(loss.item()) < 1e-6}; gradient norm above 0.1: {norm.item() > 0.1}")

# %% [markdown] id="the-value-is-zero-by-construction"
# The value is zero by construction, the gradient is not. A surrogate loss is made for its gradient alone.
#
# > *"k3 is an unbiased estimate of KL(π‖ref), so k3 in the loss penalises KL(π‖ref)."* (`policy` and `reference` are the five
# log-probabilities of section 5.)


# %% id="slope"
def slope(value):
    """Return the gradient of a function of the policy's log-probabilities, at the policy."""
    leaf = policy.clone().requires_grad_()
    return torch.autograd.grad(value(leaf.log_softmax(-1)), leaf)[0]


right = slope(lambda log_p: rewards.exact_kl(log_p, reference))
other = slope(lambda log_p: rewards.exact_kl(reference, log_p))
for name, k in rewards.ESTIMATORS.items():
    # The samples are fixed, so their probabilities are constants.
    g = slope(lambda log_p, k=k: (policy.exp() * k(log_p, reference)).sum())
    same = [torch.allclose(g, each) for each in (right, other)]
    print(
        f"{name}: gradient of KL(π‖ref) {same[0]!s:5}  of KL(ref‖π) {same[1]!s:5}  norm {g.norm():.3f}"
    )

# %% [markdown] id="as-a-loss-k3-has-the"
# As a loss, k3 has the gradient of the *other* direction, k1 has none, and k2, the biased one, is right. Unbiased as a
# number does not mean unbiased as a gradient, since the samples depend on the policy and autograd does not see it.
#
# > *"Old log-probabilities need no `.detach()` if they are computed with the same model."*

# %% id="leaf-policy-clone-requires-grad"
leaf = policy.clone().requires_grad_()
log_p = leaf.log_softmax(-1)
for name, old in (("detached", log_p.detach()), ("not detached", log_p)):
    (gradient,) = torch.autograd.grad((log_p - old).exp()[1], leaf, retain_graph=True)
    print(f"{name:12} gradient norm {gradient.norm():.3f}")

# %% [markdown] id="without-detach-the-ratio-is-the"
# Without `.detach()` the ratio is the constant 1, and the gradient vanishes. (The library's `importance_ratio` detaches.)
#
# > *"Voting always helps."*

# %% id="for-n-in-1-5-25"
for n in (1, 5, 25, 101):
    vote = rewards.majority_accuracy((0.35, 0.45, 0.20), n)
    print(f"n = {n:3}: vote {vote:.2f}, pass@n {1 - 0.65**n:.2f}")

# %% [markdown] id="a-vote-converges-to-the-most"
# A vote converges to the *most frequent* answer. If that is wrong, more votes make it more certainly wrong.
#
# > *"With a reward model, more samples are better: just take the best."*

# %% id="generator-seeded-3"
generator = seeded(3)
for n in (1, 4, 16, 64, 256, 1024):
    right = torch.rand(2000, n, generator=generator) < 0.3
    noise = torch.randn(2000, n, generator=generator)
    tail = noise / torch.rand(2000, n, generator=generator) ** (1 / 3)  # now and then enormous
    scores = torch.where(right, 3 + 0.5 * noise, tail)
    picked = right.gather(1, scores.argmax(1, keepdim=True)).float().mean()
    print(f"n = {n:4}: best of n is right in {picked:.2f}")

# %% [markdown] id="this-verifier-gives-right-answers-about"
# This reward model gives right answers about 3 and wrong ones about 0, but now and then a wrong one gets an enormous score. The more
# samples, the more surely one of these is among them, and the maximum picks it. Best of n is an optimizer too, and it hacks rewards
# like any other (Gao et al. 2022).

# %% [markdown] id="further-from-base-model-to-reasoner"
# ## Further: from base model to reasoner
#
# The recipe of DeepSeek-R1 (2025) is this notebook at scale: a *cold start* (a little fine-tuning on worked answers, so that thinking occurs
# at all), GRPO with rewards from rules, *rejection sampling* (keep the right answers of the trained policy, and fine-tune a fresh model on
# them), a second round of rewards, and *distillation* (fine-tune small models on the answers). Rejection sampling is best of n with
# the verifier, turned into data. The policy is that of section 9, after three steps:

# %% tags=["nbval-ignore-output"] id="asked-held-out-questions-16"
asked = held_out_questions(16)
tries = [answers(policy_model, tokenizer, asked, SAMPLED, seed) for seed in range(4)]
kept = [
    (question, text)
    for attempt in tries
    for question, text in zip(asked, attempt, strict=True)
    if is_right(question, text)
]
thinking = fmean(way_of(text) == "thinking" for _, text in kept)
print(
    f"{len(kept)} of {4 * len(asked)} answers are right; {thinking:.0%} of these work the sum out"
)

# %% [markdown] id="further-rewards-for-steps"
# Nearly all right answers work the sum out, although the model still writes all three ways: fine-tuning on the kept ones teaches thinking
# without any policy gradient.
#
# ## Further: rewards for steps
#
# An *outcome reward* judges the end, a *process reward* each step. Steps of a sum can be checked by a program:

# %% id="text-7-6-13-4-9"
text = "7+6=13 4+9+1=15 3+4+1=8 so 853."
for step in text.split(" so ")[0].split():
    left, right_side = step.split("=")
    print(f"{step:9} {rewards.same_expression(left, right_side)}")

# %% [markdown] id="a-process-reward-says-where-an"
# A process reward says *where* an answer went wrong, which an outcome alone leaves open. But someone must say what a step is, and steps can be
# gamed as well: a policy that is paid for each right step writes many easy ones. R1 does without process rewards.

# %% [markdown] id="recap"
# ## Recap
#
# 1. A reward has no gradient, but its expectation has: the mean of (reward − baseline) · ∇log p over the policy's own samples. The
#    baseline changes the variance only.
# 2. PPO clips the importance ratio, one-sidedly: what has moved far enough stops, what moved the wrong way is corrected. GAE spreads
#    one reward over tokens with a value function; GRPO does without, by comparing the answers of a group.
# 3. GRPO, Dr. GRPO, DAPO, RLOO and GSPO differ in four places: advantage, ratio, limits, average; and Dr. GRPO and
#    DAPO drop the KL penalty.
# 4. A verifier finds by a rule and compares by value. Whatever the reward leaves open will be found.
# 5. Votes, best of n and pass@k trade compute for accuracy at the question. GRPO moves much of that into training.
#
# ### Test yourself

# %% id="quiz-rewards"
quiz("rewards")

# %% [markdown] id="papers"
# ### Papers
# - Williams 1992, *Simple statistical gradient-following algorithms for connectionist reinforcement learning*, Machine Learning 8.
# - Schulman, Wolski, Dhariwal, Radford & Klimov 2017, *Proximal policy optimization algorithms*, arXiv:1707.06347; Schulman et al. 2015,
#   *High-dimensional continuous control using generalized advantage estimation*, arXiv:1506.02438.
# - Shao et al. 2024, *DeepSeekMath*, arXiv:2402.03300 (GRPO); Liu et al. 2025, arXiv:2503.20783 (Dr. GRPO); Yu et al. 2025,
#   arXiv:2503.14476 (DAPO); Ahmadian et al. 2024, arXiv:2402.14740 (RLOO); Zheng et al. 2025, arXiv:2507.18071 (GSPO).
# - Schulman 2020, *Approximating KL divergence*, joschu.net/blog/kl-approx.html.
# - DeepSeek-AI 2025, *DeepSeek-R1*, arXiv:2501.12948; Yue et al. 2025, arXiv:2504.13837, on what it adds to the base model.
# - Tang & Munos 2025, *On a few pitfalls in KL divergence gradient estimation for RL*, arXiv:2506.09477.
# - Wang et al. 2022, *Self-consistency*, arXiv:2203.11171; Chen et al. 2021, *Evaluating large language models trained on code*,
#   arXiv:2107.03374 (pass@k).
# - Gao, Schulman & Hilton 2022, *Scaling laws for reward model overoptimization*, arXiv:2210.10760.
#
# **Next:** [Serving](16_serving.ipynb). The assistant has learned, and many people want to ask it: how thousands of users share one
# model.

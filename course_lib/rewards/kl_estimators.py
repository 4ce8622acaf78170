"""How far the policy has moved from a reference, estimated from the policy's own samples.

The KL divergence is a mean over all answers, far too many to enumerate. For a sampled token, let
d = log π - log ref. Three estimators of KL(π‖ref) = E_π[d]:

    k1 = d                        unbiased, but often negative and noisy
    k2 = d² / 2                   biased, never negative, small variance
    k3 = exp(-d) - 1 + d          unbiased, never negative

As *numbers*, to report or to subtract from a reward, k1 and k3 have the right mean. As *losses*, to
differentiate, they do not behave like that: the sampling itself depends on the parameters, and
autograd does not see it. The gradient of k2 is, on average, that of KL(π‖ref); that of k1 is zero;
that of k3 is that of the other direction, KL(ref‖π).

Taught in:        rewards
Paper:            Schulman 2020, "Approximating KL divergence", joschu.net/blog/kl-approx.html;
                  Tang & Munos 2025, arXiv:2506.09477 (their gradients)
Checked against:  enumeration over a small vocabulary: means, variances, gradients
Shapes:           any; V vocabulary
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from course_lib.softmax import log_softmax


def k1(
    policy: Float[Tensor, "*shape"], reference: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return log π - log ref of each sampled token."""
    return policy - reference


def k2(
    policy: Float[Tensor, "*shape"], reference: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return half the square of log π - log ref."""
    return (policy - reference) ** 2 / 2


def k3(
    policy: Float[Tensor, "*shape"], reference: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return ref/π - 1 - log(ref/π), which is never negative."""
    gap = reference - policy
    return gap.expm1() - gap  # expm1 keeps the digits where the two are almost equal


ESTIMATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"k1": k1, "k2": k2, "k3": k3}


def exact_kl(
    policy_logits: Float[Tensor, "*rows V"], reference_logits: Float[Tensor, "*rows V"]
) -> Float[Tensor, "*rows"]:
    """Return KL(π‖ref) in nats by enumeration of the vocabulary."""
    policy, reference = log_softmax(policy_logits), log_softmax(reference_logits)
    return (policy.exp() * (policy - reference)).sum(-1)

"""Exercises on a whole mixture of experts: its forward pass, and balancing without a loss."""

import torch
import torch.nn.functional as F

from course_lib.chapters.mlp import answers
from course_lib.chapters.mlp.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _expert(x, gate, up, down):
    return (F.silu(x @ gate.T) * (x @ up.T)) @ down.T


def _token_by_token(x, router, gate, up, down, k):
    """Compute every token alone, and only the experts that it has chosen."""
    rows = []
    for token in x:
        shares = torch.softmax(router @ token, 0)
        order = sorted(range(len(shares)), key=lambda e: -float(shares[e].detach()))[:k]
        total = sum(shares[e] for e in order)
        parts = [shares[e] / total * _expert(token, gate[e], up[e], down[e]) for e in order]
        rows.append(torch.stack(parts).sum(0))
    return torch.stack(rows)


def _mixture(
    x,
    router,
    gate,
    up,
    down,
    k,
    normalise=True,
    weigh=lambda gates: gates,
    pick=None,
    expert=_expert,
):
    """Compute the mixture with one of its steps replaced, all experts on all tokens."""
    shares = torch.softmax(x @ router.T, -1)
    gates, chosen = shares.topk(k, -1) if pick is None else pick(shares)
    gates = weigh(gates / gates.sum(-1, keepdim=True) if normalise else gates)
    outputs = torch.stack([expert(x, *part) for part in zip(gate, up, down, strict=True)], 1)
    index = chosen[..., None].expand(-1, -1, outputs.shape[-1])
    return (gates[..., None] * outputs.gather(1, index)).sum(1)


def _over_tokens(x, router, gate, up, down, k):
    def pick(_):
        return torch.softmax(x @ router.T, 0).topk(k, -1)

    return _mixture(x, router, gate, up, down, k, pick=pick)


def _as_hinted(x, router, gate, up, down, k):
    gates, chosen = torch.softmax(x @ router.T, -1).topk(k, -1)
    gates = gates / gates.sum(-1, keepdim=True)
    y = torch.zeros_like(x)
    for e in range(len(gate)):
        token, choice = (chosen == e).nonzero(as_tuple=True)
        output = _expert(x[token], gate[e], up[e], down[e])
        y = y.index_add(0, token, gates[token, choice, None] * output)
    return y


def _by_full_gates(x, router, gate, up, down, k):
    shares = torch.softmax(x @ router.T, -1)
    kept, chosen = shares.topk(k, -1)
    gates = torch.zeros_like(shares).scatter(-1, chosen, kept / kept.sum(-1, keepdim=True))
    hidden = F.silu(torch.einsum("nc,efc->nef", x, gate)) * torch.einsum("nc,efc->nef", x, up)
    return torch.einsum("nef,ecf,ne->nc", hidden, down, gates)


def _assigned(x, router, gate, up, down, k):
    """Keep what the expert with the highest number returns, since each assignment overwrites."""
    gates, chosen = torch.softmax(x @ router.T, -1).topk(k, -1)
    gates = gates / gates.sum(-1, keepdim=True)
    rows = [torch.zeros_like(row) for row in x]
    for e in range(len(gate)):
        for n, c in (chosen == e).nonzero().tolist():
            rows[n] = gates[n, c] * _expert(x[n], gate[e], up[e], down[e])
    return torch.stack(rows)


def _layer(tokens, width, hidden, experts, k, router=None):
    numbers = uneven(3 * experts * hidden, width)
    gate, up, down = (
        part.reshape(experts, hidden, width) / 2 for part in numbers.roll(1, 0).chunk(3)
    )
    router = uneven(experts, width).cos() * 2 if router is None else router
    return call(uneven(tokens, width).sin(), router, gate, up, down.mT.contiguous(), k)


MOE_FORWARD = Exercise(
    id="mlp.moe_forward",
    title="A mixture of experts, from router to output",
    minutes=15,
    difficulty=3,
    statement=(
        "x is (N, C), `router` (E, C), `gate` and `up` (E, F, C), `down` (E, C, F). Return (N, C): "
        "for each token, the sum over its k best experts of gate weight times expert output. Gate "
        "weights are softmax probabilities over all E experts, divided by the sum of the k kept. "
        "An expert is a SwiGLU layer. Gradients flow to every tensor."
    ),
    solution=answers.moe_forward,
    reference=_token_by_token,
    generator=generators.whole_mixtures,
    probes=(
        Probe(
            "one token, one expert of two",
            lambda: _layer(1, 3, 2, 2, 1),
            "With k = 1 the only gate weight is 1: the output is the chosen expert's.",
        ),
        Probe(
            "four tokens, two of three experts",
            lambda: _layer(4, 5, 3, 3, 2),
            "Each token has its own experts and its own gate weights.",
            gradient=True,
        ),
        Probe("all experts", lambda: _layer(3, 4, 2, 3, 3), "With k = E nothing is left out."),
        Probe(
            "an expert that no token chooses",
            lambda: _layer(
                2, 3, 4, 3, 1, torch.tensor([[3.0, 1.0, 0.5], [-9.0, -3.0, -1.0], [0.1, 0.1, 0.1]])
            ),
            "An empty queue must not raise an error.",
        ),
        Probe(
            "as wide as the model",
            lambda: _layer(3, 4, 4, 4, 2),
            "Square matrices hide a missing transpose.",
        ),
    ),
    misconceptions=(
        Misconception(
            "gate weights not normalised",
            lambda *given: _mixture(*given, normalise=False),
            "The k probabilities sum to less than 1. Divide them by their sum.",
        ),
        Misconception(
            "experts averaged",
            lambda *given: _mixture(*given, weigh=lambda g: torch.full_like(g, 1 / g.shape[-1])),
            "You give the k experts equal weight. Use the router's gate weights; without them the "
            "router would get no gradient either.",
        ),
        Misconception(
            "outputs added without gate weights",
            lambda *given: _mixture(*given, weigh=torch.ones_like),
            "Multiply each expert's output by its gate weight before you add.",
        ),
        Misconception(
            "the gate weights in reverse order",
            lambda *given: _mixture(*given, weigh=lambda g: g.flip(-1)),
            "The largest weight belongs to the best expert: column j of the gates goes with column "
            "j of the choices.",
        ),
        Misconception(
            "all experts, weighted by softmax",
            lambda x, router, gate, up, down, k: _mixture(x, router, gate, up, down, len(gate)),
            "This runs every expert for every token, so nothing is saved. Keep the k best.",
        ),
        Misconception(
            "the same experts for all tokens",
            lambda x, router, gate, up, down, k: _mixture(
                x,
                router,
                gate,
                up,
                down,
                k,
                pick=lambda s: (lambda c: (s[:, c], c.expand(len(s), -1)))(s.mean(0).topk(k)[1]),
            ),
            "You choose the k best experts of the whole batch. Every token chooses for itself: "
            "topk along the last axis.",
        ),
        Misconception(
            "gate and up exchanged",
            lambda *given: _mixture(*given, expert=lambda x, g, u, d: _expert(x, u, g, d)),
            "SiLU is applied to gate, not to up.",
        ),
        Misconception(
            "overwritten instead of added",
            _assigned,
            "y[token] = ... replaces what an earlier expert has added to this token. Add to it, "
            "for instance with index_add.",
        ),
        Misconception(
            "the router's gradient cut off",
            lambda *given: _mixture(*given, weigh=lambda g: g.detach()),
            "The values are right, but the router could not be trained: its gradient flows through "
            "the gate weights. Leave out detach().",
        ),
        Misconception(
            "softmax over the tokens",
            _over_tokens,
            "Your probabilities sum to 1 over the tokens, so other tokens change the gate weights. "
            "Each token is distributed over the experts: softmax along the last axis.",
        ),
    ),
    alternatives=(
        Alternative("token by token", _token_by_token),
        Alternative("all experts on all tokens, then gathered", _mixture),
        Alternative("as the hints have it", _as_hinted),
        Alternative("gate weights that are 0 for the rest", _by_full_gates),
    ),
    hints=(
        "gates, chosen = softmax(x @ router.T, -1).topk(k, -1), both (N, k); divide gates by their "
        "sum over the last axis, with keepdim=True. (experts.route does all of that.)",
        "Loop over the experts. `token, choice = (chosen == e).nonzero(as_tuple=True)` are the "
        "tokens that chose expert e, and whether it was their first or second choice.",
        "output = mlp.gated_ffn(x[token], gate[e], up[e], down[e]), of shape (tokens of e, C).",
        "y = y.index_add(0, token, gates[token, choice, None] * output), starting from "
        "torch.zeros_like(x).",
    ),
)


def _bias_by_loop(bias, chosen, rate):
    counts = [0] * len(bias)
    for expert in chosen.flatten().tolist():
        counts[expert] += 1
    fair = chosen.numel() / len(bias)
    moved = []
    for old, count in zip(bias.tolist(), counts, strict=True):
        moved.append(old + rate if count < fair else old - rate if count > fair else old)
    return bias.new_tensor(moved)


def _bias(bias, chosen, rate, step=torch.sign, direction=1.0, fair=None):
    load = torch.bincount(chosen.flatten(), minlength=len(bias)).to(bias.dtype)
    fair = load.mean() if fair is None else fair(load)
    return bias + direction * rate * step(fair - load)


def _in_place(bias, chosen, rate):
    bias += rate * torch.sign(
        chosen.numel() / len(bias)
        - torch.bincount(chosen.flatten(), minlength=len(bias)).to(bias.dtype)
    )
    return bias


BIAS_STEP = Exercise(
    id="mlp.bias_step",
    title="Balance without a loss",
    minutes=10,
    difficulty=2,
    statement=(
        "`bias` (E,) is added to the router's scores before the k best are chosen; `chosen` (N, k) "
        "are the choices of one batch. Return a new bias: `rate` higher for every expert that was "
        "chosen less often than the mean over all experts, `rate` lower for every expert that was "
        "chosen more often, unchanged at exactly the mean."
    ),
    solution=answers.bias_step,
    reference=_bias_by_loop,
    generator=generators.bias_steps,
    probes=(
        Probe(
            "all tokens to one expert",
            lambda: call(torch.zeros(3), torch.tensor([[1], [1], [1]]), 0.1),
            "The busy expert goes down, the two idle ones go up.",
        ),
        Probe(
            "perfect balance",
            lambda: call(torch.tensor([0.3, -0.2]), torch.tensor([[0], [1], [1], [0]]), 0.1),
            "Nothing changes.",
        ),
        Probe(
            "two choices each",
            lambda: call(uneven(4), torch.tensor([[0, 1], [0, 2], [0, 1]]), 0.01),
            "The mean is 6 / 4 = 1.5 choices. Expert 3 was never chosen, and counts.",
        ),
        Probe(
            "a last expert that was never chosen",
            lambda: call(torch.zeros(5), torch.tensor([[0, 1], [1, 2]]), 1.0),
            "torch.bincount needs minlength, or the last experts are missing.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the wrong direction",
            lambda bias, chosen, rate: _bias(bias, chosen, rate, direction=-1.0),
            "This favours the busiest experts. A busy expert's bias goes down.",
        ),
        Misconception(
            "a step in proportion to the load",
            lambda bias, chosen, rate: _bias(bias, chosen, rate, step=lambda gap: gap),
            "The step has a fixed size, rate; only its sign depends on the load: torch.sign.",
        ),
        Misconception(
            "compared with 1 / E",
            lambda bias, chosen, rate: _bias(bias, chosen, rate, fair=lambda load: 1 / len(load)),
            "You compare counts with a share. The mean count is N · k / E.",
        ),
        Misconception(
            "compared with tokens / E",
            lambda bias, chosen, rate: _bias(
                bias, chosen, rate, fair=lambda load: len(chosen) / len(load)
            ),
            "With k choices per token there are N · k choices, so the mean is N · k / E.",
        ),
        Misconception(
            "the old bias forgotten",
            lambda bias, chosen, rate: _bias(torch.zeros_like(bias), chosen, rate),
            "The bias accumulates from batch to batch: add the step to it.",
        ),
        Misconception(
            "only idle experts raised",
            lambda bias, chosen, rate: _bias(
                bias, chosen, rate, step=lambda gap: torch.sign(gap).clamp(min=0)
            ),
            "Busy experts are lowered as well.",
        ),
        Misconception(
            "the first choice only",
            lambda bias, chosen, rate: _bias(bias, chosen[:, :1], rate),
            "All k choices of a token are work for an expert. Count all of `chosen`.",
        ),
        Misconception(
            "the caller's bias changed",
            _in_place,
            "bias += ... changes the caller's tensor. Return a new one: bias + ...",
        ),
    ),
    alternatives=(
        Alternative("expert by expert", _bias_by_loop),
        Alternative("as the hints have it", _bias),
        Alternative(
            "with a one-hot sum",
            lambda bias, chosen, rate: (
                bias
                + rate
                * (
                    chosen.numel() - len(bias) * F.one_hot(chosen.flatten(), len(bias)).sum(0)
                ).sign()
            ),
        ),
    ),
    hints=(
        "load = torch.bincount(chosen.flatten(), minlength=len(bias)) counts the choices.",
        "The mean load is chosen.numel() / len(bias).",
        "bias + rate * torch.sign(mean - load)",
    ),
)

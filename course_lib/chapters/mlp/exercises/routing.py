"""Exercises on experts: the router, and the parameters of a mixture."""

import torch

from course_lib import experts
from course_lib.chapters.mlp.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _route_row(row, k, normalise):
    p = torch.softmax(row.double(), 0).tolist()
    best = sorted(range(len(p)), key=lambda e: -p[e])[:k]
    total = sum(p[e] for e in best) if normalise else 1.0
    return [p[e] / total for e in best], best


def _route_slowly(logits, k, normalise=True):
    rows = [_route_row(row, k, normalise) for row in logits]
    gates, chosen = zip(*rows, strict=True)
    return torch.tensor(gates, dtype=torch.float64).to(logits.dtype), torch.tensor(chosen)


def _routed(weights, k, normalise, largest=True):
    gates, chosen = weights.topk(k, dim=-1, largest=largest)
    return (gates / gates.sum(-1, keepdim=True) if normalise else gates), chosen


def _best_logits_only(logits, k, normalise=True):
    best, chosen = logits.topk(k, dim=-1)
    return torch.softmax(best, -1), chosen


def _row_by_row(logits, k, normalise=True):
    rows = []
    for row in torch.softmax(logits, -1):
        gates, chosen = row.sort(descending=True)
        rows.append((gates[:k] / gates[:k].sum() if normalise else gates[:k], chosen[:k]))
    return torch.stack([gates for gates, _ in rows]), torch.stack([chosen for _, chosen in rows])


def _naive(logits, k, normalise=True):
    e = logits.exp()
    return _routed(e / e.sum(-1, keepdim=True), k, normalise)


def _one_total(logits, k, normalise=True):
    gates, chosen = torch.softmax(logits, -1).topk(k, dim=-1)
    return (gates / gates.sum() if normalise else gates), chosen


def _softmax_twice(logits, k, normalise=True):
    gates, chosen = torch.softmax(logits, -1).topk(k, dim=-1)
    return (torch.softmax(gates, -1) if normalise else gates), chosen


ROUTE = Exercise(
    id="mlp.route",
    title="The router",
    minutes=8,
    difficulty=2,
    statement=(
        "From logits (N, E), return the pair (gates, chosen), both (N, k): softmax over the "
        "experts, then the k largest of each token, best first. With `normalise`, the gate weights "
        "of a token sum to 1; without it they are the softmax values. Gates keep the type of the "
        "logits."
    ),
    solution=experts.route,
    reference=_route_slowly,
    generator=generators.routers,
    same_dtype=True,
    probes=(
        Probe(
            "one token, two of three",
            lambda: call(torch.tensor([[2.0, 1.0, 0.1]]), 2),
            "Probabilities 0.659 and 0.242 become gates 0.731 and 0.269.",
        ),
        Probe(
            "the best is not the first",
            lambda: call(torch.tensor([[0.1, 1.0, 2.0, -1.0], [3.0, -2.0, 0.5, 1.5]]), 3),
            "`chosen` holds the numbers of the experts, best first.",
            gradient=True,
        ),
        Probe(
            "not normalised",
            lambda: call(uneven(3, 5), 2, normalise=False),
            "The gates are softmax values over all experts, and sum to less than 1.",
            gradient=True,
        ),
        Probe("one expert each", lambda: call(uneven(4, 3), 1), "A single normalised gate is 1."),
        Probe(
            "logits around 1000",
            lambda: call(torch.tensor([[1000.0, 1001.0, 999.0]]), 2),
            "Softmax must not overflow.",
        ),
        Probe(
            "half precision",
            lambda: call(torch.tensor([[2.0, 0.5, 3.0], [-1.0, 1.0, 0.0]]).bfloat16(), 2),
            "Gates keep the type of the logits.",
        ),
    ),
    misconceptions=(
        Misconception(
            "gates not renormalised",
            lambda logits, k, normalise=True: torch.softmax(logits, -1).topk(k),
            "The probabilities of the chosen experts sum to less than 1: divide them by their sum, "
            "or the layer's output shrinks.",
        ),
        Misconception(
            "normalised over all tokens",
            _one_total,
            "You divide by the sum over all tokens. The k gates of each token sum to 1: sum over "
            "the last axis, with keepdim=True.",
        ),
        Misconception(
            "softmax over the chosen only",
            _best_logits_only,
            "Softmax over the k best logits equals the normalised gates. But with normalise=False "
            "the gates are probabilities among all E experts: softmax first.",
        ),
        Misconception(
            "softmax over the tokens",
            lambda logits, k, normalise=True: _routed(torch.softmax(logits, 0), k, normalise),
            "Your softmax runs over tokens. Each token chooses among experts: dim=-1.",
        ),
        Misconception(
            "softmax a second time",
            _softmax_twice,
            "These are probabilities already. To make gates sum to 1, divide them by their sum; a "
            "second softmax makes them more even.",
        ),
        Misconception(
            "a sigmoid for each expert",
            lambda logits, k, normalise=True: _routed(torch.sigmoid(logits), k, normalise),
            "Some models apply a sigmoid to each score (DeepSeek-V3). Here a softmax runs over the "
            "experts of a token.",
        ),
        Misconception(
            "the worst experts",
            lambda logits, k, normalise=True: _routed(
                torch.softmax(logits, -1), k, normalise, largest=False
            ),
            "You take the k smallest probabilities.",
        ),
        Misconception(
            "logits divided by their sum",
            lambda logits, k, normalise=True: _routed(logits, k, normalise),
            "Logits may be negative. Apply softmax first.",
        ),
        Misconception(
            "nothing subtracted before exp",
            _naive,
            "exp overflows for large logits. Use torch.softmax, or subtract the largest.",
        ),
        Misconception(
            "the gradient cut off",
            lambda logits, k, normalise=True: _routed(
                torch.softmax(logits.detach(), -1), k, normalise
            ),
            "The gates are right, but the router could not be trained: its gradient flows through "
            "them. Only `chosen` has no gradient. Compute the gates from the logits themselves.",
        ),
    ),
    alternatives=(
        Alternative("token by token, sorted", _row_by_row),
        Alternative(
            "as the hints have it",
            lambda logits, k, normalise=True: _routed(torch.softmax(logits, -1), k, normalise),
        ),
        Alternative(
            "through the best logits",
            lambda logits, k, normalise=True: (
                _best_logits_only(logits, k)
                if normalise
                else tuple(torch.softmax(logits, -1).topk(k, dim=-1))
            ),
        ),
    ),
    hints=(
        "p = torch.softmax(logits, dim=-1): one probability for each expert, token by token.",
        "gates, chosen = p.topk(k, dim=-1) gives the values and the places of the k largest.",
        "If `normalise`, divide gates by gates.sum(-1, keepdim=True).",
    ),
)


def _count_by_shapes(width, hidden, num_experts, k, shared_hidden=None):
    expert = [(hidden, width), (hidden, width), (width, hidden)]
    shared = [] if shared_hidden is None else [(1, width)]
    if shared_hidden is not None:
        shared += [(shared_hidden, width), (shared_hidden, width), (width, shared_hidden)]
    always = [(num_experts, width), *shared]
    return tuple(
        sum(rows * columns for rows, columns in [*always, *(expert * times)])
        for times in (num_experts, k)
    )


def _count_of_layers(width, hidden, num_experts, k, shared_hidden=None):
    def linear(inputs, outputs):
        return torch.nn.Linear(inputs, outputs, bias=False)  # which draws random weights

    def gated(inner):
        return sizes(linear(width, inner), linear(width, inner), linear(inner, width))

    def sizes(*layers):
        return sum(parameter.numel() for each in layers for parameter in each.parameters())

    always = sizes(linear(width, num_experts))
    if shared_hidden is not None:
        always += gated(shared_hidden) + sizes(linear(width, 1))
    return always + num_experts * gated(hidden), always + k * gated(hidden)


def _count(router=True, matrices=3, shared_active=True, shared_gate=True, router_share=False):
    """Return a counter of parameters that forgets something."""

    def count(width, hidden, num_experts, k, shared_hidden=None):
        routing = num_experts * width if router else 0
        shared = 0
        if shared_hidden is not None:
            shared = matrices * width * shared_hidden + (width if shared_gate else 0)
        expert = matrices * width * hidden
        active = (k * width if router_share else routing) + k * expert
        total = routing + num_experts * expert + shared
        return total, active + (shared if shared_active else 0)

    return count


PARAMETERS = Exercise(
    id="mlp.expert_parameters",
    title="Total and active parameters",
    minutes=7,
    difficulty=2,
    statement=(
        "Return the pair (total, active) of one mixture: all its parameters, and those that one "
        "token is multiplied with. Experts are gated layers without biases; the router is a matrix "
        "(E, C). A shared expert, if there is one, is a gated layer with an additional gate (1, C)."
    ),
    solution=experts.expert_parameters,
    reference=_count_by_shapes,
    generator=generators.mixtures,
    probes=(
        Probe(
            "two experts, one active",
            lambda: call(2, 3, 2, 1),
            "An expert has 3 · 2 · 3 = 18, the router 4: 40 in total, 22 active.",
        ),
        Probe("three of eight", lambda: call(5, 7, 8, 3), "The router is used for every token."),
        Probe(
            "with a shared expert",
            lambda: call(5, 7, 8, 3, shared_hidden=11),
            "The shared expert and its gate count in both numbers.",
        ),
        Probe(
            "one layer of Qwen3-30B-A3B",
            lambda: call(2048, 768, 128, 8),
            "604.2 million in total, 38.0 million active.",
        ),
        Probe(
            "more than 2**33, and odd sizes",
            lambda: call(7169, 2049, 257, 9, shared_hidden=2049),
            "Larger than any number of 32 bits: count in Python's integers, not in tensors.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the router forgotten",
            _count(router=False),
            "The router has one row for each expert, E · C numbers; every token uses all of them.",
        ),
        Misconception(
            "two matrices instead of three",
            _count(matrices=2),
            "A gated expert has gate, up and down: 3 · C · F.",
        ),
        Misconception(
            "the shared expert not counted as active",
            _count(shared_active=False),
            "Every token uses the shared expert: it counts as active too.",
        ),
        Misconception(
            "the shared expert's gate forgotten",
            _count(shared_gate=False),
            "The shared expert has its own gate, one row of C numbers.",
        ),
        Misconception(
            "only k rows of the router",
            _count(router_share=True),
            "To find the k best, the router scores all E experts: all of its rows are active.",
        ),
        Misconception(
            "everything active",
            lambda width, hidden, num_experts, k, shared_hidden=None: _count()(
                width, hidden, num_experts, num_experts, shared_hidden
            ),
            "A token is multiplied with k experts only; the others are just in memory.",
        ),
        Misconception(
            "active as a fraction of the total",
            lambda width, hidden, num_experts, k, shared_hidden=None: (
                (total := _count()(width, hidden, num_experts, k, shared_hidden)[0]),
                total * k // num_experts,
            ),
            "k / E of the experts are active, but all of the router and of the shared expert.",
        ),
    ),
    alternatives=(
        Alternative("shape by shape", _count_by_shapes),
        Alternative("layers made and counted", _count_of_layers),
        Alternative("as the hints have it", _count()),
    ),
    hints=(
        "One expert: 3 · width · hidden. The router: num_experts · width.",
        "Total: router + num_experts experts. Active: router + k experts.",
        "A shared expert adds 3 · width · shared_hidden + width to both.",
    ),
)

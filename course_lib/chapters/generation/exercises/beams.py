"""The exercise on beam search: one step of the search, from K beams to the best extensions."""

import torch

from course_lib import generation
from course_lib.chapters.generation.exercises.generators import beam_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _sorted_all(scores, log_probabilities, count):
    rows = []
    for row, logs in zip(scores.tolist(), log_probabilities.tolist(), strict=True):
        every = [
            (score + log, parent, token)
            for parent, (score, each) in enumerate(zip(row, logs, strict=True))
            for token, log in enumerate(each)
        ]
        rows.append(sorted(every, reverse=True)[:count])
    best = torch.tensor([[each[0] for each in row] for row in rows], dtype=scores.dtype)
    return best, *(torch.tensor([[each[n] for each in row] for row in rows]) for n in (1, 2))


def _from_totals(total, count, divisor=None, largest=True):
    best, places = total.flatten(1).topk(count, largest=largest)
    divisor = total.shape[2] if divisor is None else divisor
    return best, places // divisor, places % divisor


def _added(scores, log_probabilities):
    return scores[:, :, None] + log_probabilities


def _one_of_each_beam(scores, log_probabilities, count):
    best, tokens = _added(scores, log_probabilities).max(-1)
    ordered = best.sort(-1, descending=True)
    return ordered.values, ordered.indices, tokens.gather(1, ordered.indices)


def _exchanged(*given):
    best, parents, tokens = _sorted_all(*given)
    return best, tokens, parents


def _flat_token(scores, log_probabilities, count):
    best, places = _added(scores, log_probabilities).flatten(1).topk(count)
    return best, places // log_probabilities.shape[2], places


def _of_the_best_beam(scores, log_probabilities, count):
    first = scores.argmax(-1, keepdim=True)
    only = torch.full_like(scores, float("-inf")).scatter(1, first, scores.amax(-1, keepdim=True))
    return _from_totals(_added(only, log_probabilities), count)


def _as_hinted(scores, log_probabilities, count):
    total = scores[:, :, None] + log_probabilities
    best, places = total.flatten(1).topk(count)
    vocabulary = total.shape[2]
    return best, places // vocabulary, places % vocabulary


def _in_two_stages(scores, log_probabilities, count):
    own = log_probabilities.topk(min(count, log_probabilities.shape[2]))
    total = scores.unsqueeze(-1) + own.values
    best, places = total.flatten(1).topk(count)
    return best, places // total.shape[2], own.indices.flatten(1).gather(1, places)


def _by_sorting(scores, log_probabilities, count):
    batch, beams, vocabulary = log_probabilities.shape
    total = (scores[..., None] + log_probabilities).reshape(batch, beams * vocabulary)
    order = total.argsort(-1, descending=True)[:, :count]
    pairs = torch.arange(beams * vocabulary, device=order.device)
    return total.gather(1, order), (pairs // vocabulary)[order], (pairs % vocabulary)[order]


def _best_last(scores, log_probabilities, count):
    return tuple(each.flip(-1) for each in _as_hinted(scores, log_probabilities, count))


def _through_probabilities(scores, log_probabilities, count):
    product = scores.exp()[:, :, None] * log_probabilities.exp()
    best, parents, tokens = _from_totals(product, count)
    return best.log(), parents, tokens


def _search(*rows, logs, count):
    return call(torch.tensor(rows), torch.tensor(logs), count)


BEAM_STEP = Exercise(
    id="generation.beam_step",
    title="One step of beam search",
    minutes=10,
    difficulty=2,
    statement=(
        "`scores` (B, K) holds log p of each of K beams so far, `log_probabilities` (B, K, V) the "
        "log-probability of each token after each beam. Return the `count` best of all K · V "
        "extensions of each row, best first, as (scores, parents, tokens), each (B, count): log p "
        "of the longer text, the beam that it extends, and the token. `count` may be larger than "
        "K or V, never larger than K · V."
    ),
    solution=generation.best_extensions,
    reference=_sorted_all,
    generator=beam_inputs,
    probes=(
        Probe(
            "one beam",
            lambda: _search([-2.0], logs=[[[-3.0, -0.5, -1.0, -4.0]]], count=2),
            "With a single beam the best extensions are its best tokens, 0.5 and 1 lower.",
        ),
        Probe(
            "two beams",
            lambda: _search(
                [-1.0, -2.0], logs=[[[-3.0, -0.5, -4.0], [-0.25, -6.0, -5.0]]], count=2
            ),
            "−1 − 0.5 = −1.5 and −2 − 0.25 = −2.25: each beam goes on.",
        ),
        Probe(
            "both from one beam",
            lambda: _search([-1.0, -9.0], logs=[[[-0.7, -3.0, -0.9], [-0.1, -4.0, -5.0]]], count=2),
            "The second beam is dropped: both of the best extensions come from the first.",
        ),
        Probe(
            "the lower beam overtakes",
            lambda: _search([-1.0, -1.5], logs=[[[-2.0, -2.2, -2.5], [-0.1, -3.0, -4.0]]], count=2),
            "The best extension comes from the second beam.",
        ),
        Probe(
            "more candidates than beams",
            lambda: _search([-1.0, -1.2], logs=[[[-2.0, -0.3, -2.5], [-0.4, -3.0, -1.7]]], count=5),
            "Any number can be asked for, up to K · V.",
        ),
        Probe(
            "a batch",
            lambda: call(-uneven(2, 3).exp(), -(uneven(2, 3, 5) * 2).exp(), 4),
            "Each row is a separate search.",
        ),
        Probe(
            "long texts",
            lambda: _search([-903.0, -901.0], logs=[[[-0.5, -4.0], [-3.0, -2.0]]], count=3),
            "exp(−900) is 0, even in float64. Stay with logarithms.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the best token of each beam",
            _one_of_each_beam,
            "You extend every beam by its own best token, so no beam is ever dropped: that is "
            "greedy decoding, K times. Compare all K · V extensions with each other.",
        ),
        Misconception(
            "the score so far left out",
            lambda scores, logs, count: _from_totals(logs, count),
            "You rank by the newest token alone. The score of a text is log p of all its tokens: "
            "add scores[:, :, None].",
        ),
        Misconception(
            "multiplied",
            lambda scores, logs, count: _from_totals(scores[:, :, None] * logs, count),
            "Probabilities are multiplied, their logarithms are added.",
        ),
        Misconception(
            "a probability added to a logarithm",
            lambda scores, logs, count: _from_totals(_added(scores, logs.exp()), count),
            "You add exp(log p) to log p. Keep logarithms and add them.",
        ),
        Misconception(
            "the worst kept",
            lambda scores, logs, count: _from_totals(_added(scores, logs), count, largest=False),
            "You keep the smallest sums. All of them are negative; the best is closest to 0.",
        ),
        Misconception(
            "divided by the number of beams",
            lambda scores, logs, count: _from_totals(
                _added(scores, logs), count, divisor=logs.shape[1]
            ),
            "After flatten each beam has V places in a row, so place // V is the beam and "
            "place % V the token. You divided by K.",
        ),
        Misconception(
            "parents and tokens exchanged",
            _exchanged,
            "The order is (scores, parents, tokens): place // V is the parent, place % V the "
            "token.",
        ),
        Misconception(
            "the flat place as the token",
            _flat_token,
            "The place counts through all beams. The token is place % V.",
        ),
        Misconception(
            "only the best beam extended",
            _of_the_best_beam,
            "You extend only the beam that is best so far. Another beam may overtake it with its "
            "next token.",
        ),
        Misconception(
            "the best last",
            _best_last,
            "These are the right extensions in ascending order. Return the best first: topk does "
            "so, and sort needs descending=True.",
        ),
        Misconception(
            "computed with probabilities",
            _through_probabilities,
            "The probability of a long text underflows to 0 and its logarithm is −inf. Add the "
            "logarithms; never take exp.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("in two stages", _in_two_stages),
        Alternative("by sorting", _by_sorting),
        Alternative("one by one", _sorted_all),
    ),
    hints=(
        "log p of every extension: total = scores[:, :, None] + log_probabilities, (B, K, V).",
        "best, places = total.flatten(1).topk(count): a place counts through K · V.",
        "Each beam has V places: its number is places // V, the token is places % V.",
    ),
)

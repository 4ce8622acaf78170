"""Exercises on the two ideas of Kneser and Ney: counting contexts, and discounting."""

from collections import Counter

import torch

from course_lib import ngrams
from course_lib.chapters.language_models.exercises.generators import counts_and_lower, ids_and_n
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _grams(ids, n):
    return [tuple(ids[start : start + n]) for start in range(len(ids) - n + 1)]


def _sets_of_predecessors(ids, n):
    before = {}
    for start in range(1, len(ids) - n + 1):
        before.setdefault(tuple(ids[start : start + n]), set()).add(ids[start - 1])
    return {gram: len(kinds) for gram, kinds in before.items()}


def _wrapped_to_the_end(ids, n):
    before = {}
    for start in range(len(ids) - n + 1):
        before.setdefault(tuple(ids[start : start + n]), set()).add(ids[start - 1])
    return {gram: len(kinds) for gram, kinds in before.items()}


def _start_as_a_token(ids, n):
    before = {}
    for start in range(len(ids) - n + 1):
        gram = tuple(ids[start : start + n])
        before.setdefault(gram, set()).add(ids[start - 1] if start else None)
    return {gram: len(kinds) for gram, kinds in before.items()}


def _run_by_run(ids, n):
    ends = [tuple(ids[i : i + n]) for i in range(1, len(ids) - n + 1)]
    return {gram: len({ids[i] for i, end in enumerate(ends) if end == gram}) for gram in ends}


def _start_counted(ids, n):
    kinds = Counter(gram[1:] for gram in set(_grams(ids, n + 1)))
    kinds[tuple(ids[:n])] += 1
    return kinds


CONTINUATION = Exercise(
    id="language_models.continuation",
    title="In how many contexts?",
    minutes=8,
    difficulty=2,
    statement=(
        "For each run of n tokens in the list `ids` that has a token before it, return how many "
        "different tokens occur right before it: a dict or Counter from tuples to counts."
    ),
    solution=ngrams.continuation_counts,
    reference=_sets_of_predecessors,
    generator=ids_and_n,
    probes=(
        Probe(
            "one context, three times",
            lambda: call([1, 2, 3, 1, 2, 4, 1, 2, 5], 1),
            "2 occurs three times, always after 1: that is one context.",
        ),
        Probe(
            "three contexts",
            lambda: call([1, 9, 2, 9, 3, 9], 1),
            "9 comes after 1, 2 and 3. The 1 at the start has nothing before it.",
        ),
        Probe("runs of two", lambda: call([0, 1, 2, 3, 1, 2, 0, 1, 2, 4], 2), "1 2 after 0 and 3."),
        Probe("one token repeated", lambda: call([7, 7, 7, 7], 1), "7 comes after 7: one context."),
        Probe(
            "the first run occurs again",
            lambda: call([5, 6, 5, 6], 2),
            "The start of the text is not a token and counts as no context.",
        ),
    ),
    misconceptions=(
        Misconception(
            "occurrences counted",
            lambda ids, n: Counter(_grams(ids, n)),
            "You count how often the run occurs. A word that is frequent but always follows the "
            "same word would look likely everywhere. Count different predecessors.",
        ),
        Misconception(
            "predecessors counted with repetition",
            lambda ids, n: Counter(_grams(ids[1:], n)),
            "You count each predecessor every time it occurs. Count different predecessors: take "
            "a set, or the keys of the longer counts.",
        ),
        Misconception(
            "successors counted",
            lambda ids, n: Counter(gram[:-1] for gram in set(_grams(ids, n + 1))),
            "You count what comes after the run. Ask what comes before it: drop the first token of "
            "each longer run, not the last.",
        ),
        Misconception(
            "the last token taken for the first one's predecessor",
            _wrapped_to_the_end,
            "For the run at the start, ids[start - 1] is ids[-1], the last token of the text. "
            "Nothing comes before the first run: begin at start = 1.",
        ),
        Misconception(
            "the last run forgotten",
            lambda ids, n: _sets_of_predecessors(ids[:-1], n),
            "`range` leaves out its end, so you miss the run at the end of the text: "
            "range(1, len(ids) - n + 1).",
        ),
        Misconception(
            "single tokens without their tuple",
            lambda ids, n: {
                gram[0] if n == 1 else gram: count
                for gram, count in _sets_of_predecessors(ids, n).items()
            },
            "For n = 1 your keys are bare ids. Use tuples for every n: (9,) is a run of one.",
        ),
        Misconception(
            "the start counted as a predecessor",
            _start_as_a_token,
            "For the first run you record None, or another mark, as the token before it. The "
            "beginning of the text is not a token: begin at start = 1.",
        ),
        Misconception(
            "the start counted as a context",
            _start_counted,
            "The beginning of the text is not a token of the vocabulary. Kneser and Ney count "
            "tokens only.",
        ),
    ),
    alternatives=(
        Alternative("sets of predecessors", _sets_of_predecessors),
        Alternative("one run after the other", _run_by_run),
        Alternative(
            "keys of the longer counts",
            lambda ids, n: Counter(gram[1:] for gram in Counter(_grams(ids, n + 1))),
        ),
    ),
    hints=(
        "A run with the token before it is a run of n + 1 tokens.",
        "Each different run of n + 1 tokens is one context of its last n tokens.",
        "Counter(longer[1:] for longer in ngrams.count_ngrams(ids, n + 1)): iterating over a "
        "Counter gives each key once.",
    ),
)


def _discounted_by_loops(counts, lower, discount):
    seen, total = sum(count > 0 for count in counts.tolist()), sum(counts.tolist())
    weight = discount * seen / total
    shares = [
        max(count - discount, 0.0) / total + weight * below
        for count, below in zip(counts.tolist(), lower.tolist(), strict=True)
    ]
    return counts.new_tensor(shares)


def _kept(counts, discount):
    return (counts - discount).clamp(min=0)


def _types(counts):
    return (counts > 0).sum()


def _as_hinted(counts, lower, discount):
    kept = (counts - discount).clamp(min=0)
    taken = discount * (counts > 0).sum()
    return (kept + taken * lower) / counts.sum()


def _in_float32(counts, lower, discount):
    return counts.float(), lower.float(), discount


def _by_relu(counts, lower, discount):
    shares = torch.relu(counts - discount) / counts.sum()
    return torch.lerp(torch.zeros_like(lower), lower, (1 - shares.sum()).item()) + shares


def _not_clamped(counts, lower, discount):
    return (counts - discount + discount * _types(counts) * lower) / counts.sum()


def _for_the_unseen_only(counts, lower, discount):
    freed = discount * _types(counts) * lower
    return torch.where(counts > 0, counts - discount, freed) / counts.sum()


def _linear(counts, lower, discount):
    return (1 - discount) * counts / counts.sum() + discount * lower


def _by_occurrences(counts, lower, discount):
    return _kept(counts, discount) / counts.sum() + discount * lower


def _double(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


DISCOUNTED = Exercise(
    id="language_models.kneser_ney",
    title="One level of Kneser-Ney",
    minutes=10,
    difficulty=3,
    statement=(
        "`counts` (V) says how often each token followed a context, `lower` (V) is the "
        "distribution of the shorter context. Take `discount` from each count that is not 0, "
        "spread the mass taken in proportion to `lower`, over seen and unseen tokens alike, and "
        "divide by the total of the counts, which is above 0."
    ),
    solution=ngrams.discounted,
    reference=_discounted_by_loops,
    generator=counts_and_lower,
    probes=(
        Probe(
            "the lower one is uniform",
            lambda: call(_double(3, 1, 0, 0), _double(0.25, 0.25, 0.25, 0.25), 0.5),
            "Two counts lose 0.5 each; that mass of 1 is spread over four tokens, 0.25 each, and "
            "the total is 4.",
        ),
        Probe(
            "the lower one prefers the unseen",
            lambda: call(_double(3, 1, 0, 0), _double(0.1, 0.1, 0.7, 0.1), 0.75),
            "Tokens never seen in this context get their share from the shorter context.",
        ),
        Probe(
            "all tokens seen",
            lambda: call(_double(5, 2, 3), _double(0.2, 0.5, 0.3), 0.4),
            "Seen tokens get a part of the discounted mass too.",
        ),
        Probe(
            "one token, seen often",
            lambda: call(_double(0, 8, 0, 0, 0), _double(0.1, 0.2, 0.3, 0.2, 0.2), 0.8),
            "One type loses one discount, however often it occurred.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the discounted mass is lost",
            lambda counts, lower, discount: _kept(counts, discount) / counts.sum(),
            "Your shares add up to less than 1. The mass taken from the counts must be spread "
            "over the vocabulary, in proportion to `lower`.",
        ),
        Misconception(
            "counts below zero",
            _not_clamped,
            "You take the discount from counts of 0 as well. They would become negative: "
            "clamp(min=0).",
        ),
        Misconception(
            "spread over the unseen only",
            _for_the_unseen_only,
            "You give the freed mass to unseen tokens only, without scaling it to what they need: "
            "the shares do not add up to 1. Kneser-Ney interpolates: every token gets its part.",
        ),
        Misconception(
            "spread evenly",
            lambda counts, lower, discount: (
                (_kept(counts, discount) + discount * _types(counts) / len(counts)) / counts.sum()
            ),
            "You spread the mass equally over all tokens. Spread it in proportion to `lower`, "
            "which says which tokens are likely.",
        ),
        Misconception(
            "interpolated with the discount as weight",
            _linear,
            "You mix the two distributions with fixed weights. A discount is a fixed amount: it "
            "hardly changes a count of 100 and takes most of a count of 1.",
        ),
        Misconception(
            "weighted by occurrences",
            _by_occurrences,
            "The freed mass is one discount for each different token seen, not for each "
            "occurrence: D · types / total, where you have D.",
        ),
        Misconception(
            "freed by the whole vocabulary",
            lambda counts, lower, discount: (
                (_kept(counts, discount) + discount * len(counts) * lower) / counts.sum()
            ),
            "You take a discount for every token of the vocabulary. Only those with a count above "
            "0 are discounted: (counts > 0).sum().",
        ),
    ),
    alternatives=(
        Alternative("token by token", _discounted_by_loops),
        Alternative("in float32", lambda *given: _as_hinted(*_in_float32(*given))),
        Alternative("by relu and count_nonzero", _by_relu),
        Alternative("as in the hints", _as_hinted),
    ),
    hints=(
        "What remains of each count? (counts - discount).clamp(min=0).",
        "How much mass was taken in total? discount times the number of counts above 0.",
        "(kept + taken * lower) / counts.sum().",
    ),
)

"""Ratings from games: who is better, if only pairs are compared?

    P(i beats j) = 1 / (1 + 10^((r_j − r_i) / 400))          both models

    Elo              after each game, r moves by K · (result − expectation): depends on the order
    Bradley–Terry    the r under which all games together are likeliest: does not

A maximum exists only if no group of players has won all its games against the rest; otherwise the
likeliest rating is infinite.

Taught in:        evaluation
Paper:            Bradley & Terry 1952, Biometrika 39; Elo 1978; Hunter 2004, Annals of
                  Statistics 32 (the iteration); Chiang et al. 2024, arXiv:2403.04132 (arenas)
Checked against:  logistic regression of scikit-learn; two players in closed form
Shapes:           none
"""

import math
from collections.abc import Iterable, Sequence

import torch

from course_lib.device import seeded
from course_lib.evaluation.intervals import Interval, quantiles, resamples

Game = tuple[str, str]  # the winner, then the loser
SCALE = 400 / math.log(10)
START = 1000.0


def expected_score(rating: float | int, other: float | int) -> float:
    """Return the probability that a player beats another."""
    return 1 / (1 + 10 ** ((other - rating) / 400))


def elo_ratings(
    games: Iterable[Game], k: float | int = 32.0, start: float | int = START
) -> dict[str, float]:
    """Return the ratings after these games, in this order."""
    ratings: dict[str, float] = {}
    for winner, loser in games:
        a, b = ratings.setdefault(winner, float(start)), ratings.setdefault(loser, float(start))
        gain = k * (1 - expected_score(a, b))
        ratings[winner], ratings[loser] = a + gain, b - gain
    return ratings


def bradley_terry(
    games: Sequence[Game], centre: float | int = START, tolerance: float = 1e-9
) -> dict[str, float]:
    """Return the likeliest ratings, on Elo's scale, with their mean at `centre`."""
    players = sorted({name for game in games for name in game})
    _check_games(games, players)
    wins = {name: sum(winner == name for winner, _ in games) for name in players}
    meetings: dict[frozenset[str], int] = {}
    for game in games:
        meetings[frozenset(game)] = meetings.get(frozenset(game), 0) + 1
    strength = dict.fromkeys(players, 1.0)
    for _ in range(10_000):
        before = dict(strength)
        for name in players:
            rivals = ((set(pair) - {name}, n) for pair, n in meetings.items() if name in pair)
            parts = (n / (strength[name] + strength[rival.pop()]) for rival, n in rivals)
            strength[name] = wins[name] / sum(parts)
        middle = math.exp(sum(map(math.log, strength.values())) / len(players))
        strength = {name: value / middle for name, value in strength.items()}
        if max(abs(strength[n] - before[n]) / strength[n] for n in players) < tolerance:
            break
    return {name: centre + SCALE * math.log(strength[name]) for name in players}


def rating_intervals(
    games: Sequence[Game], level: float = 0.95, times: int = 200, seed: int = 0
) -> dict[str, Interval]:
    """Return Bradley–Terry ratings with bootstrap intervals over the games.

    Resamples without a maximum are left out.
    """
    best, again = bradley_terry(games), list[dict[str, float]]()
    for row in resamples(len(games), times, seed).tolist():
        drawn = [games[i] for i in row]
        if has_maximum(drawn, list(best)):
            again.append(bradley_terry(drawn))
    if not again:
        raise ValueError(f"none of {times} resamples has a maximum; play more games.")
    return {
        name: Interval(value, *quantiles([each[name] for each in again], level))
        for name, value in best.items()
    }


def shuffled(games: Sequence[Game], seed: int) -> list[Game]:
    """Return the same games in a random order."""
    order = torch.randperm(len(games), generator=seeded(seed)).tolist()
    return [games[i] for i in order]


def has_maximum(games: Sequence[Game], players: Sequence[str]) -> bool:
    """Return whether the likelihood has a maximum: from each player, wins lead to every other."""
    beaten = {name: {loser for winner, loser in games if winner == name} for name in players}
    return all(_reached(beaten, name) == set(players) for name in players)


def _reached(beaten: dict[str, set[str]], start: str) -> set[str]:
    found, front = {start}, [start]
    while front:
        new = beaten[front.pop()] - found
        found |= new
        front += new
    return found


def _check_games(games: Sequence[Game], players: list[str]) -> None:
    if any(winner == loser for winner, loser in games):
        raise ValueError("a game needs two different players; one of them plays against itself.")
    if len(players) < 2 or not has_maximum(games, players):
        raise ValueError(
            "the likeliest ratings are infinite unless wins lead from each player to every other; "
            f"got {len(games)} games of {len(players)} players. Add games, such as a loss of the "
            "strongest."
        )

"""The exercises on HNSW: the walk through a layer, and the choice of neighbours."""

from course_lib.chapters.retrieval import answers
from course_lib.chapters.retrieval.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_lists(start, neighbours, distance, ef):
    seen, open_, kept = [start], [start], [start]
    while open_:
        here = min(open_, key=lambda i: distance[i])
        open_.remove(here)
        kept.sort(key=lambda i: distance[i])
        if len(kept) >= ef and distance[here] > distance[kept[ef - 1]]:
            return kept[:ef]
        for other in neighbours[here]:
            if other not in seen:
                seen.append(other)
                open_.append(other)
                kept.append(other)
    kept.sort(key=lambda i: distance[i])
    return kept[:ef]


def _by_heaps(start, neighbours, distance, ef):
    import heapq

    seen, todo, kept = {start}, [(distance[start], start)], [(-distance[start], start)]
    while todo:
        d, here = heapq.heappop(todo)
        if len(kept) == ef and d > -kept[0][0]:
            break
        for other in neighbours[here]:
            if other in seen:
                continue
            seen.add(other)
            if len(kept) < ef or distance[other] < -kept[0][0]:
                heapq.heappush(todo, (distance[other], other))
                heapq.heappush(kept, (-distance[other], other))
                if len(kept) > ef:
                    heapq.heappop(kept)
    return [i for _, i in sorted(kept, reverse=True)]


def _by_pool(start, neighbours, distance, ef):
    pool, visited, seen = [start], set(), {start}
    while True:
        left = [i for i in pool if i not in visited]
        if not left:
            return pool
        visited.add(left[0])
        new = [i for i in neighbours[left[0]] if i not in seen]
        seen.update(new)
        pool = sorted(pool + new, key=distance.__getitem__)[:ef]


def _by_sets(start, neighbours, distance, ef):
    kept, done = {start}, set()
    while kept - done:
        here = min(kept - done, key=distance.__getitem__)
        done.add(here)
        kept = set(sorted(kept | set(neighbours[here]), key=distance.__getitem__)[:ef])
    return sorted(kept, key=distance.__getitem__)


def _greedy(start, neighbours, distance, ef):
    return _by_pool(start, neighbours, distance, 1)


def _exact(start, neighbours, distance, ef):
    return sorted(distance, key=distance.__getitem__)[:ef]


def _one_hop(start, neighbours, distance, ef):
    return sorted({start, *neighbours[start]}, key=distance.__getitem__)[:ef]


def _early(start, neighbours, distance, ef):
    path, here = [start], start
    while True:
        better = [i for i in neighbours[here] if distance[i] < distance[here]]
        if not better:
            return sorted(path, key=distance.__getitem__)[:ef]
        here = min(better, key=distance.__getitem__)
        path.append(here)


def _without_start(start, neighbours, distance, ef):
    found = _by_pool(start, neighbours, distance, ef + 1)
    return [i for i in found if i != start][:ef]


def _as_met(start, neighbours, distance, ef):
    kept = _by_pool(start, neighbours, distance, ef)
    return sorted(kept)


def _first_worse(start, neighbours, distance, ef):
    """Stop as soon as the next one is worse than the best, not than the worst that is kept."""
    seen, todo, kept = {start}, [start], [start]
    while todo:
        here = min(todo, key=distance.__getitem__)
        todo.remove(here)
        if distance[here] > min(distance[i] for i in kept):
            break
        new = [i for i in neighbours[here] if i not in seen]
        seen.update(new)
        todo += new
        kept += new
    return sorted(kept, key=distance.__getitem__)[:ef]


CHAIN = {0: [1], 1: [0, 2], 2: [1, 3], 3: [2]}
STUCK = {0: [1, 2], 1: [0, 3], 2: [0, 4], 3: [1], 4: [2, 5], 5: [4]}
FAR = {0: 6.0, 1: 3.0, 2: 7.0, 3: 2.5, 4: 8.0, 5: 1.0}

WALK = Exercise(
    id="retrieval.walk",
    title="The walk through a layer",
    minutes=15,
    difficulty=3,
    statement=(
        "`neighbours` is a dict from each vector to the list of its neighbours; `distance` is a "
        "dict of their distances to the query, all different. Keep the best `ef` seen so far, "
        "`start` included. Visit them one by one, always the nearest that was not visited yet: all "
        "its neighbours have then been seen. Stop when all that are kept have been visited. Return "
        "a list of those kept, nearest first. ef is at least 1."
    ),
    solution=answers.walk,
    reference=_by_lists,
    generator=generators.walk,
    probes=(
        Probe(
            "downhill", lambda: call(0, CHAIN, {0: 4.0, 1: 3.0, 2: 2.0, 3: 1.0}, 1), "To the end."
        ),
        Probe("a local minimum", lambda: call(0, STUCK, FAR, 1), "5 is nearest and not found."),
        Probe("a wider view", lambda: call(0, STUCK, FAR, 3), "Still not: 4 is too far away."),
        Probe("wide enough", lambda: call(0, STUCK, FAR, 5), "Now the walk gets through to 5."),
        Probe("alone", lambda: call(0, {0: []}, {0: 2.0}, 3), "Fewer than ef exist."),
        Probe(
            "the start is best",
            lambda: call(3, CHAIN, {0: 4.0, 1: 3.0, 2: 2.0, 3: 1.0}, 2),
            "It counts too.",
        ),
        Probe(
            "numbers that do not rise",
            lambda: call(1, {1: [7], 7: [1, 4], 4: [7]}, {1: 3.0, 7: 2.0, 4: 1.0}, 3),
            "Sorted by distance.",
        ),
    ),
    misconceptions=(
        Misconception(
            "greedy",
            _greedy,
            "You keep one vector only. Keep the best `ef`, and go on from each of them.",
        ),
        Misconception(
            "stopped at the first minimum",
            _early,
            "You go downhill and stop where no neighbour is nearer. The other kept vectors are "
            "visited too.",
        ),
        Misconception(
            "compared with the best",
            _first_worse,
            "You stop when the next vector is farther than the best one. Stop when it is farther "
            "than the worst of `ef` that are kept.",
        ),
        Misconception(
            "everything compared",
            _exact,
            "That is exact search: it sees vectors that the walk never reaches.",
        ),
        Misconception(
            "one hop",
            _one_hop,
            "You look at the neighbours of the start only. Go on from those that are kept.",
        ),
        Misconception(
            "the start forgotten",
            _without_start,
            "The start is one of the vectors; it may be the nearest.",
        ),
        Misconception(
            "not sorted by distance", _as_met, "Return the nearest first: sort by distance."
        ),
    ),
    alternatives=(
        Alternative("two heaps", _by_heaps),
        Alternative("a sorted pool", _by_pool),
        Alternative("sets", _by_sets),
    ),
    hints=(
        "Keep a list `kept` (at first [start]), sorted by distance, and a set of those visited.",
        "While a kept vector is not visited: visit the nearest such one, add its unseen neighbours "
        "to `kept`, sort, and cut to ef.",
    ),
)


def _nested(to_new, between, limit):
    order, chosen = sorted(range(len(to_new)), key=lambda i: to_new[i]), []
    while order and len(chosen) < limit:
        candidate = order.pop(0)
        good = True
        for other in chosen:
            if between[candidate][other] < to_new[candidate]:
                good = False
        if good:
            chosen.append(candidate)
    return chosen


def _by_min(to_new, between, limit):
    chosen = []
    for d, i in sorted((d, i) for i, d in enumerate(to_new)):
        if min((between[i][j] for j in chosen), default=d) >= d:
            chosen.append(i)
    return chosen[:limit]


def _by_removal(to_new, between, limit):
    left, chosen = set(range(len(to_new))), []
    while left and len(chosen) < limit:
        best = min(left, key=lambda i: to_new[i])
        chosen.append(best)
        left = {i for i in left - {best} if between[i][best] >= to_new[i]}
    return chosen


def _by_all(to_new, between, limit):
    chosen = []
    for i in sorted(range(len(to_new)), key=to_new.__getitem__):
        if len(chosen) < limit and all(between[i][j] >= to_new[i] for j in chosen):
            chosen += [i]
    return chosen


def _nearest_only(to_new, between, limit):
    return sorted(range(len(to_new)), key=lambda i: to_new[i])[:limit]


def _last_only(to_new, between, limit):
    chosen = []
    for i in _nearest_only(to_new, between, len(to_new)):
        if len(chosen) < limit and (not chosen or between[i][chosen[-1]] >= to_new[i]):
            chosen.append(i)
    return chosen


def _in_order(to_new, between, limit):
    chosen = []
    for i in range(len(to_new)):
        if len(chosen) < limit and all(between[i][j] >= to_new[i] for j in chosen):
            chosen.append(i)
    return chosen


def _upside_down(to_new, between, limit):
    chosen = []
    for i in _nearest_only(to_new, between, len(to_new)):
        if len(chosen) < limit and all(between[i][j] < to_new[i] for j in chosen):
            chosen.append(i)
    return chosen


def _filled(to_new, between, limit):
    chosen = _by_removal(to_new, between, limit)
    rest = [i for i in _nearest_only(to_new, between, len(to_new)) if i not in chosen]
    return chosen + rest[: limit - len(chosen)]


def _all_candidates(to_new, between, limit):
    order = _nearest_only(to_new, between, len(to_new))
    kept = [
        i for place, i in enumerate(order) if all(between[i][j] >= to_new[i] for j in order[:place])
    ]
    return kept[:limit]


def _around(*points):
    """Return candidates around a new vector at 0, as points of the plane."""
    between = [[abs(a - b) for b in points] for a in points]
    return [abs(point) for point in points], between


NEIGHBOURS = Exercise(
    id="retrieval.neighbours",
    title="Neighbours in different directions",
    minutes=10,
    difficulty=2,
    statement=(
        "to_new[i] is the distance of candidate i to the new vector, between[i][j] that of two "
        "candidates. Go through the candidates, the nearest to the new vector first. Choose one "
        "unless it is nearer to a candidate already chosen than to the new vector. Return the "
        "numbers of at most `limit` chosen ones, in the order of choice. There may be no "
        "candidates; there are no ties."
    ),
    solution=answers.varied_neighbours,
    reference=_nested,
    generator=generators.neighbours,
    probes=(
        Probe("two directions", lambda: call(*_around(1, -2j), 2), "Both are chosen."),
        Probe("one direction", lambda: call(*_around(1, 2.5, -3), 2), "2.5 is reached through 1."),
        Probe("out of order", lambda: call(*_around(-3, 2.5, 1), 2), "The nearest comes first."),
        Probe("a limit", lambda: call(*_around(1, -1.5, 2j, -2.5j), 2), "Two are enough."),
        Probe(
            "fewer than the limit",
            lambda: call(*_around(1, 1.5, 2.2), 3),
            "One direction, one link.",
        ),
        Probe("none", lambda: call([], [], 3), "No candidates."),
        Probe(
            "in the direction of the first",
            lambda: call(*_around(1, -1.5, 1.9 + 0.4j, -3.1), 3),
            "The third is near the first chosen, not near the last.",
        ),
        Probe(
            "near one left out",
            lambda: call(*_around(1.2, 1.5 + 1.1j, 0.5 + 2.2j), 3),
            "The third is nearer to one that was left out: that does not count.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the nearest ones",
            _nearest_only,
            "You take the nearest. They may all lie in one direction, and no link leads elsewhere.",
        ),
        Misconception(
            "only the last compared",
            _last_only,
            "Compare a candidate with all that were chosen, not only with the last one.",
        ),
        Misconception(
            "not sorted", _in_order, "Go through the candidates by distance, the nearest first."
        ),
        Misconception(
            "the wrong way round",
            _upside_down,
            "You choose those that are near to a chosen one. These are the ones to leave out.",
        ),
        Misconception(
            "filled up",
            _filled,
            "You fill up with candidates that were left out. Fewer links are fine here.",
        ),
        Misconception(
            "compared with those left out",
            _all_candidates,
            "Only chosen candidates count: one that was left out has no link to walk through.",
        ),
    ),
    alternatives=(
        Alternative("the smallest distance", _by_min),
        Alternative("striking out", _by_removal),
        Alternative("all()", _by_all),
    ),
    hints=(
        "order = sorted(range(len(to_new)), key=lambda i: to_new[i]).",
        "Choose i if len(chosen) < limit and all(between[i][j] >= to_new[i] for j in chosen).",
    ),
)

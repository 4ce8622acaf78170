"""Generated inputs for the exercises of this chapter, one function for each exercise."""

import random

import torch

from course_lib.study.check.generated import random_tensor, torch_generator
from course_lib.study.check.spec import Call, call


def without_ties(rng: random.Random, *shape: int) -> torch.Tensor:
    """Return normal numbers in float64."""
    return torch.randn(shape, generator=torch_generator(rng), dtype=torch.float64)


def chunks(rng: random.Random) -> Call:
    """Return a number of words, often none or just enough, a size and an overlap."""
    size = rng.randint(1, 7)
    overlap = rng.randrange(size)
    step = size - overlap
    count = rng.choice((rng.randint(0, 25), size, size + step * rng.randint(0, 3)))
    return call(count, size, overlap)


def bm25(rng: random.Random) -> Call:
    """Return a query and texts over a few words, some of them empty or unknown."""
    texts = [rng.choices("abcd", k=rng.randint(0, 6)) for _ in range(rng.randint(1, 5))]
    texts[rng.randrange(len(texts))] += ["a"]
    query = rng.choices("abcde", k=rng.randint(0, 4))
    return call(query, texts, rng.choice((0.5, 1.2, 2.0)), rng.choice((0.0, 0.4, 0.75, 0.9)))


def pool(rng: random.Random) -> Call:
    """Return hidden states and a mask with gaps; sometimes a text has no token, padding is nan."""
    B, T, C = rng.randint(1, 3), rng.randint(1, 5), rng.randint(1, 4)
    hidden = random_tensor(rng, B, T, C, dtype=rng.choice((torch.float32, torch.float64)))
    mask = torch.tensor([[rng.random() < 0.6 for _ in range(T)] for _ in range(B)])
    if rng.random() < 0.4:
        hidden[~mask] = rng.choice((torch.nan, torch.inf, 100.0))
    return call(hidden, mask)


def info_nce(rng: random.Random) -> Call:
    """Return questions, their passages and a few passages more."""
    B, C = rng.randint(1, 4), rng.randint(1, 4)
    questions = random_tensor(rng, B, C, dtype=torch.float64)
    passages = random_tensor(rng, B + rng.randint(0, 3), C, dtype=torch.float64)
    return call(questions, passages, rng.choice((0.05, 0.3, 1.0, 2.0)))


def kmeans(rng: random.Random) -> Call:
    """Return points and centres, of which some may have no point."""
    N, K, D = rng.randint(1, 8), rng.randint(1, 4), rng.randint(1, 3)
    return call(without_ties(rng, N, D), 2 * without_ties(rng, K, D))


def ivf(rng: random.Random) -> Call:
    """Return vectors in cells, of which some may be empty."""
    N, K, D = rng.randint(1, 9), rng.randint(1, 4), rng.randint(1, 3)
    query, vectors, centres = (without_ties(rng, *s) for s in ((D,), (N, D), (K, D)))
    cells = torch.tensor([rng.randrange(K) for _ in range(N)])
    return call(query, vectors, cells, centres, rng.randint(1, K), rng.randint(1, N + 1))


def pq(rng: random.Random) -> Call:
    """Return a query, codebooks and codes."""
    M, E, width, N = rng.randint(1, 4), rng.randint(1, 5), rng.randint(1, 3), rng.randint(1, 6)
    books = random_tensor(rng, M, E, width, dtype=torch.float64)
    codes = torch.tensor([[rng.randrange(E) for _ in range(M)] for _ in range(N)])
    return call(random_tensor(rng, M * width, dtype=torch.float64), books, codes)


def walk(rng: random.Random) -> Call:
    """Return a graph with few links, so that walks get stuck, and distances without ties."""
    N = rng.randint(1, 9)
    places = rng.sample(range(1, 50), N)
    links: dict[int, list[int]] = {i: [] for i in range(N)}
    for i in range(1, N):
        for j in {rng.randrange(i) for _ in range(rng.randint(1, 2))}:
            links[i].append(j)
            links[j].append(i)
    for each in links.values():
        rng.shuffle(each)
    distance = {i: place / 2 for i, place in enumerate(places)}
    return call(rng.randrange(N), links, distance, rng.randint(1, 5))


def neighbours(rng: random.Random) -> Call:
    """Return points around a new one, as distances without ties."""
    N = rng.randint(0, 7)
    points = [complex(rng.gauss(0, 1), rng.gauss(0, 1)) for _ in range(N)]
    between = [[abs(a - b) for b in points] for a in points]
    return call([abs(p) for p in points], between, rng.randint(1, 4))


def rrf(rng: random.Random) -> Call:
    """Return rankings of a few items, in part different ones."""
    rankings = [rng.sample(range(7), rng.randint(0, 5)) for _ in range(rng.randint(1, 4))]
    return call(rankings, rng.choice((1, 10, 60)))


def ndcg(rng: random.Random) -> Call:
    """Return a ranking, what its items are worth, and how far it is looked at."""
    items = rng.sample("abcdefg", rng.randint(0, 6))
    gains = {item: rng.randint(0, 3) for item in rng.sample("abcdefg", rng.randint(1, 5))}
    gains[rng.choice(list(gains))] = 2
    return call(items, gains, rng.randint(1, 6))

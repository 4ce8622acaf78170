"""The pictures of this chapter with controls.

Taught in:        retrieval
Checked against:  the chapter's `figures` for the same values
Shapes:           none
"""

import functools

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.chapters.retrieval import figures
from course_lib.chapters.retrieval.figures import Hop
from course_lib.chapters.retrieval.measurements import stored
from course_lib.device import seeded
from course_lib.retrieval import BM25Index, HNSWIndex, ProductQuantizer, kmeans
from course_lib.study.display.explorer import Explorer, choice, log_slider, slider, step_slider
from course_lib.study.display.plotting import Number

TEXTS = {
    "copytree": "copy a directory tree recursively and return the destination directory",
    "copyfile": "copy data from one file to another file in the most efficient way",
    "rmtree": "recursively delete a directory tree",
    "copystat": "copy file metadata copy the permission bits copy the access time",
}
QUERIES = ("copy a directory tree", "copy", "delete a directory", "copy file metadata")


@functools.cache
def plane(count: int = 400) -> Float[Tensor, "N 2"]:
    """Return vectors of the plane in a few clusters."""
    source = seeded(1)
    middles = 2.2 * torch.randn(8, 2, generator=source)
    chosen = torch.randint(8, (count,), generator=source)
    return middles[chosen] + 0.6 * torch.randn(count, 2, generator=source)


def bm25_parts(query: str = QUERIES[0], k1: Number = 1.5, b: Number = 0.75) -> Explorer:
    """Change the query and the settings of BM25, and see what each word adds."""

    def figure(query: str, k1: Number, b: Number) -> Figure:
        index = BM25Index(float(k1), float(b))
        index.add(list(TEXTS.values()))
        return figures.bm25_parts({name: index.parts(query, i) for i, name in enumerate(TEXTS)})

    controls = {
        "query": choice("query", query, QUERIES),
        "k1": slider("k1", k1, 0.1, 3.0, 0.1),
        "b": slider("b", b, 0.0, 1.0, 0.05),
    }
    return Explorer(figure, controls, "What each word of a query adds to the score of a text.")


def cells(nprobe: int = 1, count: int = 12, x: Number = 0.4, y: Number = 0.4) -> Explorer:
    """Move the query over the cells of an inverted file, and probe more of them."""

    def figure(nprobe: int, count: int, x: Number, y: Number) -> Figure:
        query = torch.tensor([float(x), float(y)])
        return figures.cells(plane(), kmeans(plane(), count), query, min(nprobe, count))

    controls = {
        "nprobe": step_slider("nprobe", nprobe, 1, 12),
        "count": step_slider("cells", count, 2, 30),
        "x": slider("query, first", x, -4.0, 4.0, 0.1),
        "y": slider("query, second", y, -4.0, 4.0, 0.1),
    }
    return Explorer(figure, controls, "Only the vectors of the probed cells are compared.")


@functools.cache
def three_planes() -> Float[Tensor, "N 6"]:
    """Return vectors of three parts, each of which lies in the plane."""
    return torch.cat((plane(), plane().flip(0), plane().roll(7, 0)), dim=1)


@functools.cache
def quantizer(entries: int) -> ProductQuantizer:
    """Return codebooks of that many entries for each of the three parts."""
    return ProductQuantizer.train(three_planes(), 3, entries)


def codebook(entries: int = 16, part: int = 0) -> Explorer:
    """Choose how many entries the codebooks of a product quantiser have."""

    def figure(entries: int, part: int) -> Figure:
        return figures.codebook(three_planes(), quantizer(entries), part)

    controls = {
        "entries": step_slider("entries", entries, 2, 64),
        "part": step_slider("part", part, 0, 2),
    }
    return Explorer(figure, controls, "Each part of a vector is replaced by the nearest entry.")


@functools.cache
def graph() -> HNSWIndex:
    """Return a graph of vectors of the plane."""
    index = HNSWIndex(2, links=3, ef_construction=20)
    index.add(plane(150))
    return index


def walk(step: int = 13, ef: int = 4, x: Number = -1.5, y: Number = 2.4) -> Explorer:
    """Follow a search through the layers of an HNSW graph, hop by hop."""

    def figure(step: int, ef: int, x: Number, y: Number) -> Figure:
        index, query = graph(), torch.tensor([float(x), float(y)])
        index.ef, hops = ef, list[Hop]()
        index.search(query[None], 1, lambda *hop: hops.append(Hop(*hop)))
        return figures.walk(plane(150), index.layers, query, hops, min(step, len(hops)) - 1)

    controls = {
        "step": step_slider("hop", step, 1, 30),
        "ef": step_slider("ef", ef, 1, 20),
        "x": slider("query, first", x, -4.0, 4.0, 0.1),
        "y": slider("query, second", y, -4.0, 4.0, 0.1),
    }
    return Explorer(figure, controls, "A walk from neighbour to neighbour towards the query.")


def recall_in_time(milliseconds: Number = 0.1) -> Explorer:
    """Choose how long a search may take, and see what the stored searches find by then."""

    def figure(milliseconds: Number) -> Figure:
        return figures.within(stored("indexes")["rows"], milliseconds)

    controls = {"milliseconds": log_slider("milliseconds", milliseconds, 0.02, 5.0)}
    return Explorer(figure, controls, "What the stored searches find in the time that they have.")

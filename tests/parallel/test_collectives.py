"""Collectives by hand: sums in float64 at once, any number of ranks, bytes by the formulas."""

import pytest
import torch

from course_lib.parallel import (
    Traffic,
    collective_traffic,
    halving_all_reduce,
    pairwise_all_to_all,
    ring_all_gather,
    ring_all_reduce,
    ring_reduce_scatter,
    run_ranks,
    tree_all_reduce,
    tree_broadcast,
)

REDUCTIONS = {"ring": ring_all_reduce, "tree": tree_all_reduce, "halving": halving_all_reduce}


def tensors(ranks, *shape):
    rng = torch.Generator().manual_seed(ranks)
    return [torch.randn(shape, generator=rng) for _ in range(ranks)]


CASES = [(kind, ranks) for kind in REDUCTIONS for ranks in (1, 2, 4, 8)]
CASES += [("ring", 3), ("ring", 7), ("tree", 3), ("tree", 7)]  # halving needs a power of two


@pytest.mark.parametrize(("kind", "ranks"), CASES)
@pytest.mark.parametrize("op", ["sum", "max"])
def test_all_reduce(kind, ranks, op):
    given = tensors(ranks, 5, 3)  # 15 numbers: chunks differ in size, some are empty
    stack = torch.stack(given).double()
    wanted = stack.sum(0) if op == "sum" else stack.amax(0)
    found = run_ranks(lambda comm: REDUCTIONS[kind](comm, given[comm.rank], op), ranks)
    for each in found:
        torch.testing.assert_close(each.double(), wanted, atol=1e-5, rtol=1e-5)
        assert torch.equal(each, found[0])  # the same bits everywhere


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_uneven_chunks(ranks):
    given = tensors(ranks, 11, 2)

    def program(comm):
        chunks = given[comm.rank].tensor_split(comm.size)
        mine = ring_reduce_scatter(comm, chunks)
        return mine, ring_all_gather(comm, mine, [len(chunk) for chunk in chunks])

    wanted = sum(given).tensor_split(ranks)
    for rank, (mine, gathered) in enumerate(run_ranks(program, ranks)):
        torch.testing.assert_close(mine, wanted[rank])
        torch.testing.assert_close(torch.cat(gathered), sum(given))


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_all_to_all_transposes(ranks):
    def program(comm):
        chunks = [torch.full((to + 1, 2), 10.0 * comm.rank + to) for to in range(comm.size)]
        return pairwise_all_to_all(comm, chunks, [comm.rank + 1] * comm.size)

    for rank, found in enumerate(run_ranks(program, ranks)):
        assert [each.unique().tolist() for each in found] == [[10 * s + rank] for s in range(ranks)]
        assert all(each.shape == (rank + 1, 2) for each in found)


@pytest.mark.parametrize("source", [0, 2, 4])
def test_broadcast(source):
    given = tensors(5, 3)
    found = run_ranks(lambda comm: tree_broadcast(comm, given[comm.rank], source), 5)
    assert all(torch.equal(each, given[source]) for each in found)


def test_halving_needs_a_power_of_two():
    with pytest.raises(ValueError, match="got 3"):
        run_ranks(lambda comm: halving_all_reduce(comm, torch.ones(3)), 3)


@pytest.mark.parametrize("ranks", [2, 4, 8])
@pytest.mark.parametrize(("kind", "name"), [("ring", "all-reduce"), ("halving", "halving")])
def test_meters_show_what_the_formula_says(ranks, kind, name):
    def program(comm):
        REDUCTIONS[kind](comm, torch.ones(24))
        return Traffic(comm.meter.messages, comm.meter.bytes)

    assert set(run_ranks(program, ranks)) == {collective_traffic(name, 96, ranks)}


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("reduce-scatter", lambda comm, x: comm.reduce_scatter(x.chunk(comm.size))),
        ("all-gather", lambda comm, x: comm.all_gather(x.chunk(comm.size)[0])),
        ("all-to-all", lambda comm, x: comm.all_to_all(x.chunk(comm.size))),
        ("all-reduce", lambda comm, x: comm.all_reduce(x)),
    ],
)
def test_meters_of_the_communicator(name, call):
    def program(comm):
        call(comm, torch.ones(24))
        return Traffic(comm.meter.messages, comm.meter.bytes)

    assert set(run_ranks(program, 4)) == {collective_traffic(name, 96, 4)}


@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_uneven_rings_send_the_same_in_all(ranks):
    def program(comm):
        ring_all_reduce(comm, torch.ones(13))
        return comm.meter.bytes

    assert sum(run_ranks(program, ranks)) == 2 * (ranks - 1) * 13 * 4


def test_the_longest_path_of_a_tree():
    found = collective_traffic("tree", 100, 8)
    assert found == (6, 600)
    assert found.seconds(1.0, 100.0) == pytest.approx(12.0)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="'all'"):
        collective_traffic("all", 1, 2)
    with pytest.raises(ValueError, match="got 0"):
        collective_traffic("tree", 1, 0)
    with pytest.raises(ValueError, match="-1"):
        Traffic(1, 1).seconds(-1, 1)

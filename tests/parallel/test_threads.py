"""Simulated ranks: results, deadlocks, mismatched calls, failures, random numbers, meters."""

import time

import pytest
import torch

from course_lib.parallel import DeadlockError, MismatchError, mesh, run_ranks

X = torch.arange(3.0)


def test_each_rank_has_its_number_and_results_come_in_order():
    assert run_ranks(lambda comm: (comm.rank, comm.size), 3) == [(0, 3), (1, 3), (2, 3)]


def test_a_tensor_is_copied_on_its_way():
    def program(comm):
        if comm.rank == 0:
            x = X.clone()
            comm.post(x, 1)
            x.zero_()
            return None
        return comm.recv(X, 0)

    assert run_ranks(program, 2)[1].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (lambda comm: comm.send(X, 1 - comm.rank), "rank 0 waits in send until rank 1 receives"),
        (lambda comm: comm.recv(X, 1 - comm.rank), "rank 1 waits in recv for rank 0"),
        (lambda comm: comm.rank or comm.barrier(), "rank 1 has ended"),
        (lambda comm: comm.split([[0], [1]]).rank == comm.rank or comm.all_reduce(X), "all_reduce"),
    ],
)
def test_a_deadlock_is_found_and_says_who_waits_for_what(program, words):
    with pytest.raises(DeadlockError, match=words):
        run_ranks(program, 2)


def test_different_calls_are_named():
    def program(comm):
        return comm.all_reduce(X) if comm.rank else comm.all_gather(X)

    with pytest.raises(MismatchError, match=r"rank 0: all_gather.*rank 1: all_reduce"):
        run_ranks(program, 2)


@pytest.mark.parametrize("other", [torch.zeros(4), torch.zeros(3, dtype=torch.float64)])
def test_different_shapes_and_dtypes_are_named(other):
    with pytest.raises(MismatchError, match=str(other.dtype).removeprefix("torch.")):
        run_ranks(lambda comm: comm.all_reduce(other if comm.rank else X), 2)
    with pytest.raises(MismatchError, match="expects float32"):
        run_ranks(lambda comm: comm.recv(X, 0) if comm.rank else comm.send(other, 1), 2)


def test_the_error_of_a_rank_ends_all_and_names_it():
    def program(comm):
        if comm.rank == 1:
            raise KeyError("seven")
        return comm.all_reduce(X)

    with pytest.raises(KeyError, match="seven") as caught:
        run_ranks(program, 3)
    assert "rank 1 of 3" in caught.value.__notes__[0]


def test_a_rank_that_computes_for_ever_is_ended():
    def program(comm):
        while True:
            pass

    begin = time.monotonic()
    with pytest.raises(TimeoutError, match=r"0\.2 seconds"):
        run_ranks(program, 2, timeout=0.2)
    assert time.monotonic() - begin < 10


def test_each_rank_has_random_numbers_of_its_own():
    def program(comm):
        torch.manual_seed(comm.rank)
        first = torch.rand(1)
        comm.barrier()
        return torch.cat((first, torch.rand(1)))

    before = torch.get_rng_state()
    found = run_ranks(program, 2)
    assert torch.equal(before, torch.get_rng_state())
    for rank in range(2):
        torch.manual_seed(rank)
        assert torch.equal(found[rank], torch.rand(2))


def test_two_runs_happen_in_the_same_order():
    def order():
        seen = []

        def program(comm):
            for _ in range(3):
                seen.append(comm.rank)
                comm.all_reduce(X)

        run_ranks(program, 3)
        return seen

    assert order() == order()


def test_gradient_mode_is_that_of_the_caller():
    with torch.no_grad():
        assert run_ranks(lambda comm: torch.is_grad_enabled(), 2) == [False, False]


def test_a_mesh_has_a_group_along_each_axis():
    def program(comm):
        axes = mesh(comm, dp=2, tp=3)
        x = torch.tensor([float(comm.rank)])
        return [axes[name].all_reduce(x).item() for name in ("dp", "tp")]

    assert run_ranks(program, 6) == [[r % 3 * 2 + 3, 3 if r < 3 else 12] for r in range(6)]
    with pytest.raises(ValueError, match="dp=2 x tp=2 = 4"):
        run_ranks(lambda comm: mesh(comm, dp=2, tp=2), 3)


def test_two_groups_of_the_same_ranks_share_nothing():
    def program(comm):
        groups = [comm.split([[0, 1]]) for _ in range(2)]
        first = groups[comm.rank]  # rank 0 begins with one, rank 1 with the other
        return first.all_reduce(X)

    with pytest.raises(DeadlockError, match="rank 0 waits in all_reduce"):
        run_ranks(program, 2)


def test_nothing_is_left_after_a_run_of_many_calls():
    def program(comm):
        group = comm.split([[0, 1]])
        for _ in range(40):
            group.all_reduce(X)
            comm.all_gather(X)
        return len(comm.world.calls), sum(map(len, comm.world.mail.values()))

    assert run_ranks(program, 2)[1] == (0, 0)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="got 0"):
        run_ranks(lambda comm: None, 0)
    with pytest.raises(ValueError, match="got 2"):
        run_ranks(lambda comm: comm.send(X, 2), 2)
    with pytest.raises(ValueError, match=r"\[\[0\], \[0, 1\]\]"):
        run_ranks(lambda comm: comm.split([[0], [0, 1]]), 2)
    with pytest.raises(ValueError, match="got 3"):
        run_ranks(lambda comm: comm.reduce_scatter([X] * 3), 2)

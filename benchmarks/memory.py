"""Count the bytes that tensors take up, from what PyTorch's allocator on the CPU reports."""

from collections.abc import Iterable
from types import TracebackType

from torch import Tensor
from torch.profiler import ProfilerActivity, profile


def held_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of the memory under some tensors; what is shared counts once."""
    storages = {each.untyped_storage()._cdata: each.untyped_storage() for each in tensors}
    return sum(storage.nbytes() for storage in storages.values())


class Allocations:
    """Counts how much more memory is in use during a `with` block than at its start, at most.

    with Allocations() as memory:
        step()
    memory.most

    Memory that another thread frees is not reported and counts on; so measure one step at a time.
    """

    most = 0

    def __enter__(self) -> "Allocations":
        self._profile = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
        self._profile.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._profile.__exit__(kind, error, trace)
        found = self._profile.profiler
        assert found is not None
        assert found.kineto_results is not None
        events = [e for e in found.kineto_results.events() if e.name() == "[memory]"]
        in_use = 0
        for event in sorted(events, key=lambda e: e.start_ns()):
            in_use += event.nbytes()  # type: ignore[attr-defined]
            self.most = max(self.most, in_use)

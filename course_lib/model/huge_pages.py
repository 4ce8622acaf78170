"""Weights in memory of huge pages, which a processor reads faster.

Memory is handed out in pages, usually of 4096 bytes, and for each page that is read the processor
must find out where it lies. It remembers some thousand of them: enough for a few megabytes, not for
the weights of a model, which are read from the first to the last for every token. A page of 2 MB
takes the place of 512 small ones. Linux gives such pages to whoever asks for them; elsewhere, and
where it has none left, the pages are small and all else is the same.

Taught in:        none
Checked against:  the tensors themselves
"""

import mmap
from contextlib import suppress

import torch
from jaxtyping import Shaped
from torch import Tensor

HUGE = 1 << 21  # bytes of a huge page
LINE = 64  # bytes that are fetched from memory at once; every tensor begins with a line of its own


class HugePages:
    """Memory of a fixed size for copies of tensors, one after another."""

    def __init__(self, nbytes: int) -> None:
        whole = -(-nbytes // HUGE) * HUGE
        advice = getattr(mmap, "MADV_HUGEPAGE", None)
        if advice is None:
            self._memory, self._used = torch.empty(whole, dtype=torch.uint8), 0
            return
        pages = mmap.mmap(-1, whole + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError):  # of a kernel without huge pages
            pages.madvise(advice)
        self._memory = torch.frombuffer(pages, dtype=torch.uint8)  # keeps the pages alive
        self._used = -self._memory.data_ptr() % HUGE

    def copy(self, tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Return a copy in this memory, or the tensor itself if it is not contiguous on a CPU."""
        if tensor.device.type != "cpu" or not tensor.is_contiguous():
            return tensor
        end = self._used + tensor.nbytes
        if end > len(self._memory):
            raise ValueError(
                f"there are {len(self._memory) - self._used} bytes left; got a tensor of "
                f"{tensor.nbytes}. Add up `room_for` of all tensors first."
            )
        place = self._memory[self._used : end].view(tensor.dtype).view(tensor.shape)
        self._used = -(-end // LINE) * LINE
        return place.copy_(tensor)


def room_for(*tensors: Tensor) -> int:
    """Return the bytes that these tensors take in such memory, whichever comes first."""
    return sum(-(-each.nbytes // LINE) * LINE for each in tensors)

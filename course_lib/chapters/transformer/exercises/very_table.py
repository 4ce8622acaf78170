"""Checks what an answer does with the tensors of a file: it copies none, it does not keep a second
table as head, and it does not return the caller's own dictionary.

Results are compared by their values, which cannot tell a table from its copy. So the call runs
under a dispatch mode that sees every operation, and the caller's dictionary detects its return.
"""

from copy import deepcopy
from typing import Any, ClassVar

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from course_lib.study.check.probe_inputs import uneven


class CopiedError(ValueError):
    """A new tensor was made where the file's own tensor is required."""


class HandedBackError(ValueError):
    """The caller's dictionary was returned where a new one is required."""


class SecondTableError(ValueError):
    """The file's second table was kept where the embedding table itself is required."""


class VeryTable(TorchDispatchMode):
    """Raises if a tensor is made, or if the caller's own dictionary is returned."""

    on: ClassVar["VeryTable | None"] = None
    handed_back = kept_second = False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Say no to torch's guard against torch.compile, which would load all of that: seconds."""
        return False

    def __enter__(self) -> "VeryTable":
        VeryTable.on = self
        return super().__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        VeryTable.on = None
        super().__exit__(kind, error, trace)
        if kind is None and self.handed_back:
            raise HandedBackError(
                "the dictionary that was returned is the caller's own, so a change to one changes "
                "both. Make a new one with the same tensors: dict(tensors)."
            )
        if kind is None and self.kept_second:
            raise SecondTableError(
                "the head is the file's second table. A tied head is the table itself, one tensor "
                "under two names, also where the file holds the numbers twice."
            )

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run one operation; it may return views of existing tensors, and comparisons."""
        made = function(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and made.is_floating_point() and made.numel() > 1:
            given = {x.untyped_storage().data_ptr() for x in args if isinstance(x, Tensor)}
            name = function.overloadpacket.__name__
            if name == "lift_fresh" or made.untyped_storage().data_ptr() not in given:
                raise CopiedError(
                    f"{name} made a new tensor. A tied head is the table itself, one tensor under "
                    "two names: training changes both, and a copy would need as much memory "
                    "again. Store the same tensor under both names."
                )
        return made


class Held(dict):
    """A caller's dictionary that detects when it is returned."""

    callers = False

    def __deepcopy__(self, memo: dict) -> "Held":
        """Copy for a call; or note, under the mode, that the result is the caller's own."""
        if VeryTable.on is not None and self.callers:
            VeryTable.on.handed_back = True
        copied = Held({name: deepcopy(each, memo) for name, each in self.items()})
        copied.callers = True
        return copied

    def __copy__(self) -> dict:
        """Return an ordinary dictionary, as dict.copy does."""
        return dict(self)


class _SecondTable(Tensor):
    """A table under the head's name that detects when it is part of a result."""

    def __deepcopy__(self, memo: dict) -> "_SecondTable":
        """Copy for a call; or note, under the mode, that the result holds it."""
        if VeryTable.on is not None:
            VeryTable.on.kept_second = True
        return self.detach().as_subclass(Tensor).clone().as_subclass(_SecondTable)


def second_table(*shape: int) -> Tensor:
    """Return the same numbers as `uneven` does, in a tensor that must not be kept."""
    return uneven(*shape).as_subclass(_SecondTable)


Held.__name__ = "dict"  # so that feedback shows an ordinary dict

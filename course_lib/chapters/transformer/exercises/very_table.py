"""A watch over what an answer does with the tensors of a file: none is copied, and the caller keeps
the dictionary.

Results are compared by their values, which cannot tell a table from its copy. So the call runs
under a mode that sees every operation, and the dictionary of the caller tells when it comes back.
"""

from copy import deepcopy
from typing import Any, ClassVar

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class CopiedError(ValueError):
    """Somebody made a new tensor where the very one of the file is wanted."""


class HandedBackError(ValueError):
    """Somebody returned the dictionary of the caller where a new one is wanted."""


class VeryTable(TorchDispatchMode):
    """Stops whoever makes a tensor, or returns the caller's own dictionary."""

    on: ClassVar["VeryTable | None"] = None
    handed_back = False

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
                "the dictionary that was returned is the caller's own; whoever changes one "
                "changes both. Make a new one with the same tensors: dict(tensors)."
            )

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run one operation; only views of what is there, and comparisons, may come of it."""
        made = function(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and made.is_floating_point() and made.numel() > 1:
            given = {x.untyped_storage().data_ptr() for x in args if isinstance(x, Tensor)}
            name = function.overloadpacket.__name__
            if name == "lift_fresh" or made.untyped_storage().data_ptr() not in given:
                raise CopiedError(
                    f"{name} made a new tensor. A tied head is the "
                    "very table, one place in memory under two names: training changes both, and "
                    "a copy would cost as much again. Put the tensor itself under both names."
                )
        return made


class Held(dict):
    """The dictionary of a caller, who notices when it is handed back."""

    callers = False

    def __deepcopy__(self, memo: dict) -> "Held":
        """Copy for a call; or note, under the watch, that the result is the caller's own."""
        if VeryTable.on is not None and self.callers:
            VeryTable.on.handed_back = True
        copied = Held({name: deepcopy(each, memo) for name, each in self.items()})
        copied.callers = True
        return copied

    def __copy__(self) -> dict:
        """Return an ordinary dictionary, as dict.copy does."""
        return dict(self)


Held.__name__ = "dict"  # so that feedback shows it as what it is to a learner

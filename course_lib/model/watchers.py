"""Who watches what PyTorch computes, so that nothing is computed where they do not see it.

A compiled program is quick because PyTorch knows nothing of it: no operation is dispatched, so none
can be counted, changed, recorded for a gradient or traced. Whoever asks for one of these expects it
of every operation. The questions here take about a microsecond, and are asked at every token.

Taught in:        none
Checked against:  each watcher on a model of plain layers
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules import module
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext

_PLAIN = frozenset({Tensor, nn.Parameter})


def is_watched() -> bool:
    """Whether somebody counts, records or changes the operations of PyTorch.

    Then they must all take place: under `FlopCounterMode` and other modes of PyTorch, `autocast`,
    `vmap` and what else transforms functions, forward-mode gradients, tracing and compiling.
    """
    return bool(
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack()
        or (torch._C._len_torch_function_stack() and not _sets_device_alone())
        or torch.is_autocast_enabled("cpu")
        or torch._C._functorch.maybe_current_level() is not None
        or torch.autograd.forward_ad._current_level >= 0
        or torch._C._get_tracing_state() is not None
    )


def is_profiled() -> bool:
    """Whether PyTorch's profiler is recording."""
    return torch.autograd._profiler_enabled()


def hooks_every_module() -> bool:
    """Whether there are hooks that all modules call, as `register_module_forward_hook` adds."""
    return bool(module._has_any_global_hook())


def _sets_device_alone() -> bool:
    """Whether the only mode is that of `torch.set_default_device`, which changes no arithmetic."""
    return all(type(mode) is DeviceContext for mode in _get_current_function_mode_stack())


def are_plain(tensors: Iterable[Tensor]) -> bool:
    """Whether all are tensors of PyTorch itself, not of a class that computes differently."""
    return _PLAIN.issuperset(map(type, tensors))


def wants_gradient(tensors: Iterable[Tensor]) -> bool:
    """Whether autograd would record what is computed from these tensors."""
    return torch.is_grad_enabled() and any(each.requires_grad for each in tensors)

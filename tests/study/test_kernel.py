"""The classroom in a kernel leaves a core to other programs; elsewhere nothing is changed."""

import sys
from types import SimpleNamespace

import pytest

from course_lib import device, study


@pytest.mark.parametrize(
    ("shell", "calls"),
    [(SimpleNamespace(kernel="one"), 1), (SimpleNamespace(), 0), (None, 0)],
    ids=["kernel", "terminal", "no IPython"],
)
def test_only_a_kernel_leaves_a_core(monkeypatch, shell, calls):
    called = []
    monkeypatch.setattr(device, "leave_a_core", lambda: called.append(True))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    study._prepare_kernel()
    assert len(called) == calls


def test_without_ipython_nothing_is_done(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr(device, "leave_a_core", None)
    study._prepare_kernel()

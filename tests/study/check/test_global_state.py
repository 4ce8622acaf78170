import builtins
import os
import sys
import warnings

import pytest
import torch

from course_lib.study.check.global_state import GlobalState


@pytest.mark.parametrize(
    ("spoil", "named", "look"),
    [
        (
            lambda: setattr(torch.Tensor, "__add__", None),
            "replaced Tensor.__add__",
            lambda: "__add__" in vars(torch.Tensor) and torch.Tensor.__add__,
        ),
        (
            lambda: setattr(torch.Tensor, "exp", None),
            "replaced Tensor.exp",
            lambda: torch.Tensor.exp,
        ),
        (
            lambda: setattr(torch.nn, "Linear", None),
            "replaced torch.nn.Linear",
            lambda: torch.nn.Linear,
        ),
        (
            lambda: setattr(torch.linalg, "norm", None),
            "replaced torch.linalg.norm",
            lambda: torch.linalg.norm,
        ),
        (lambda: delattr(builtins, "print"), "replaced builtins.print", lambda: print),
        (
            lambda: setattr(torch, "get_default_dtype", None),
            "replaced torch.get_default_dtype",
            lambda: torch.get_default_dtype,
        ),
        (
            lambda: torch.set_default_device("meta"),
            "changed torch's default device",
            torch.get_default_device,
        ),
        (lambda: os.chdir("/"), "changed the working directory", os.getcwd),
        (
            lambda: os.environ.update(LEFT_BEHIND="1"),
            "changed the environment variables",
            lambda: os.environ.get("LEFT_BEHIND"),
        ),
        (
            lambda: sys.setrecursionlimit(4321),
            "changed Python's recursion limit",
            sys.getrecursionlimit,
        ),
        (lambda: warnings.simplefilter("ignore"), None, lambda: list(warnings.filters)),
        (lambda: None, None, lambda: None),
    ],
)
def test_what_was_changed_is_named_and_put_back(spoil, named, look):
    global_state, before = GlobalState(), look()
    spoil()
    assert global_state.restore() == named
    assert look() == before
    assert GlobalState().restore() is None


def test_a_folder_that_is_gone_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    global_state = GlobalState()
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert global_state.restore() == "changed the working directory"
    assert os.getcwd() == str(tmp_path)

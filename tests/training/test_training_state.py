"""A run saved and resumed: bit for bit, with any optimizer, and never half."""

import copy

import pytest
import torch
from torch import nn

from course_lib.device import seeded
from course_lib.training import AdamW, resume_training, save_training

OPTIMIZERS = {
    "ours": AdamW,
    "torch AdamW": torch.optim.AdamW,
    "torch SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
}


def begun(make=AdamW, width=4):
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(3, width), nn.Dropout(0.3), nn.Linear(width, 1))
    return model, make(model.parameters()), seeded(1)


def train(model, optimizer, generator, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 3, generator=generator)).square().mean().backward()
        optimizer.step()


def same(one, other):
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(p, q) for p, q in pairs)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_run_is_the_same_run(name, tmp_path):
    model, optimizer, generator = begun(OPTIMIZERS[name])
    model.eval()  # without dropout, all chance comes from the generator
    train(model, optimizer, generator, 3)
    save_training(tmp_path / "deep" / "state.pt", model, optimizer, 3, generator)
    train(model, optimizer, generator, 2)
    again, other, draws = begun(OPTIMIZERS[name])
    again.eval()
    train(again, other, draws, 1)
    assert resume_training(tmp_path / "deep" / "state.pt", again, other, draws) == 3
    assert not same(again, model)
    train(again, other, draws, 2)
    assert same(again, model)
    assert [each.name for each in (tmp_path / "deep").iterdir()] == ["state.pt"]


def test_the_global_generator_makes_dropout_go_on(tmp_path):
    model, optimizer, _ = begun()
    save_training(tmp_path / "state.pt", model, optimizer, 0, torch.default_generator)
    train(model, optimizer, torch.default_generator, 3)
    again, other, _ = begun()
    torch.manual_seed(99)
    resume_training(tmp_path / "state.pt", again, other, torch.default_generator)
    train(again, other, torch.default_generator, 3)
    assert same(again, model)


def test_the_three_parts_alone(tmp_path):
    model, optimizer, generator = begun()
    train(model, optimizer, generator, 2)
    save_training(str(tmp_path / "state.pt"), model, optimizer, 2)
    again, other, _ = begun()
    assert resume_training(str(tmp_path / "state.pt"), again, other) == 2
    assert same(again, model)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    model, optimizer, _ = begun()
    path = tmp_path / "state.pt"
    save_training(path, model, optimizer, 1)
    before = path.read_bytes()

    def half(_state, part):
        part.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="no space"):
        save_training(path, model, optimizer, 2)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def snapshot(model, optimizer, generator):
    state = (model.state_dict(), optimizer.state_dict(), generator.get_state())
    return str(copy.deepcopy(state))


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        (lambda: begun(width=6), "3 of a different shape, the first '0.weight'"),
        (lambda: (nn.Linear(3, 1), *begun()[1:]), "2 missing, 4 unexpected"),
        (lambda: begun(lambda p: AdamW([{"params": [q]} for q in p])), r"\[4\].*\[1, 1, 1, 1\]"),
        (lambda: begun(lambda p: AdamW(list(p)[::-1])), r"\(4, 3\) for a parameter of shape"),
    ],
)
def test_parts_that_do_not_fit_stay_as_they_are(parts, complaint, tmp_path):
    model, optimizer, generator = begun()
    train(model, optimizer, generator, 2)
    save_training(tmp_path / "state.pt", model, optimizer, 2, generator)
    others = parts()
    before = snapshot(*others)
    with pytest.raises(ValueError, match=complaint):
        resume_training(tmp_path / "state.pt", *others)
    assert snapshot(*others) == before


@pytest.mark.parametrize("saved", [True, False])
def test_a_generator_is_resumed_exactly_if_it_was_saved(saved, tmp_path):
    model, optimizer, generator = begun()
    with_it, without = {"generator": generator}, {}
    first, second = (with_it, without) if saved else (without, with_it)
    save_training(tmp_path / "state.pt", model, optimizer, 2, **first)
    with pytest.raises(ValueError, match="one was saved" if saved else "none was saved"):
        resume_training(tmp_path / "state.pt", model, optimizer, **second)


@pytest.mark.parametrize("content", [b"", b"not a state", b"PK\x03\x04 cut off"])
def test_files_of_other_kinds_are_named(content, tmp_path):
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"state\.pt.*delete"):
        resume_training(path, *begun())
    torch.save({"model": {}}, path)
    with pytest.raises(ValueError, match=r"state\.pt.*Delete"):
        resume_training(path, *begun())
    with pytest.raises(FileNotFoundError):
        resume_training(tmp_path / "nothing.pt", *begun())

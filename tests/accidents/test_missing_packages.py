"""Run All without a package: what needs it says what to install, all else works as ever.

One notebook for each package: 04 has the most explorers and a quiz, 12 compares most with
transformers, 10 has the kernels for Triton. Where a cell raised, `run_all` would not come back.
"""

SAYS_INSTALL = "pip install"


def test_without_transformers_only_what_compares_with_it_stands_still(machine):
    machine.lack("transformers")
    run = machine.run_all(machine.notebooks / "12_generation.ipynb")
    told = run.told("needs transformers, which is not installed. After `pip install transformers`")
    assert len(told) >= 2
    assert all("transformers" in source for source in told)
    waiting = run.told("which a cell above makes with transformers, and that is not installed.")
    assert len(waiting) >= 3
    assert len(told + waiting) < len(run.cells) / 10
    assert run.spoilt(SAYS_INSTALL) == []


def test_without_ipywidgets_pictures_and_quiz_stand_still(machine):
    machine.lack("ipywidgets", "anywidget")
    run = machine.run_all(machine.notebooks / "04_softmax.ipynb")
    pictures = [
        cell for cell in run.cells if "To move the controls, install" in machine.shown(cell)
    ]
    assert len(pictures) == sum("explorers." in cell.source for cell in run.stored) >= 8
    for cell in pictures:
        (output,) = cell.outputs
        assert "image/png" in output.data
        assert not any("widget" in kind for kind in output.data)
    (quiz,) = run.told("To answer here, install ipywidgets (pip install ipywidgets)")
    assert "quiz" in quiz
    assert run.spoilt(SAYS_INSTALL) == []


def test_without_triton_the_kernels_are_left_out(machine):
    machine.lack("triton")
    run = machine.run_all(machine.notebooks / "10_flash_attention.ipynb")
    told = run.told(
        "Triton is not installed, so the kernels cannot run here. On Linux: pip install"
    )
    assert len(told) >= 3
    assert all("trouble" in source for source in told)
    assert run.spoilt("Triton is not installed") == []

"""Run All without the packages that the course can do without.

Where a cell raised, `run_all` would not come back.
"""


def test_without_triton_the_kernels_are_left_out(machine):
    machine.lack("triton")
    run = machine.run_all(machine.notebooks / "10_flash_attention.ipynb")
    told = run.told(
        "Triton is not installed, so the kernels cannot run here. On Linux: pip install"
    )
    assert len(told) >= 3
    assert all("trouble" in source for source in told)
    assert run.spoilt("Triton is not installed") == []


WITHOUT_CONTROLS = (
    "from course_lib.study import explorers, quiz",
    "explorers.softmax.temperature()",
    "explorers.parameter_counting.icicle()",
    "import torch; explorers.attention.lines(torch.ones(1, 1, 2, 2) / 2, ['a', 'b'])",
    "explorers.multimodal.patches()",
    'quiz("softmax")',
)


def test_without_ipywidgets_pictures_and_questions_are_still_there(machine):
    machine.lack("ipywidgets", "anywidget")
    _, *cells = machine.run_cells(*WITHOUT_CONTROLS)
    forms = [cell.outputs[-1].get("data", {}) for cell in cells]
    wanted = [{"image/png", "text/plain"}] * 4 + [{"text/markdown", "text/plain"}]
    assert [set(form) for form in forms] == wanted, [machine.shown(cell) for cell in cells]
    told = [cell.source for cell in cells if "%pip install ipywidgets" in machine.shown(cell)]
    assert told == [cells[0].source], "it is said once"

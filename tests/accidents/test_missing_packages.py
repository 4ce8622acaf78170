"""Run All without the one package that the course can do without.

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

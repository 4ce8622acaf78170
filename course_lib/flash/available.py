"""Whether the kernels can run here, without importing Triton to find out.

Taught in:        flash_attention
Checked against:  an import of the kernels
"""

from importlib.util import find_spec


def kernel_trouble() -> str | None:
    """Return why the Triton kernels cannot be imported here, with a remedy; None if they can."""
    if find_spec("triton") is None:
        return (
            "Triton is not installed, so the kernels cannot run here. On Linux: "
            "pip install triton. It is not available for every platform; everything else in "
            "this chapter runs without it."
        )
    return None

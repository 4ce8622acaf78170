"""What an index costs: how many vectors a query is compared with, and how many bytes they take.

    cells of equal size: nprobe / cells of all vectors           codes: M bytes in place of 4 · D

Taught in:        retrieval
Checked against:  counted on an index with cells of equal size
"""


def compared_in_cells(vectors: int, cells: int, nprobe: int) -> float:
    """Return how many vectors are in the probed cells, if all cells have the same size."""
    if not 1 <= nprobe <= cells:
        raise ValueError(f"nprobe must be between 1 and the {cells} cells; got {nprobe}.")
    return vectors * nprobe / cells


def vector_bytes(vectors: int, width: int) -> int:
    """Return the bytes of vectors of float32 numbers."""
    return 4 * vectors * width


def code_bytes(vectors: int, parts: int) -> int:
    """Return the bytes of the codes of product quantisation, codebooks aside."""
    return vectors * parts

"""Which cells run before an explorer can be drawn."""

from course_lib.authoring.edition.slices import needed_cells

CELLS = [
    "import torch\nfrom course_lib.study import explorers, show",  # 0
    "x = torch.ones(2)",  # 1
    "y = x + 1",  # 2
    "show(y)",  # 3
    "for i in range(3):\n    x[i % 2] = i",  # 4
    "def double(z):\n    return z * factor",  # 5
    "factor = 2",  # 6
    "explorers.softmax.merge()",  # 7
    "explorers.softmax.merge(x)",  # 8
    "explorers.softmax.merge(double(1))",  # 9
    "x = 0",  # 10
]


def test_an_explorer_of_defaults_needs_the_imports_alone():
    assert needed_cells(CELLS, [7]) == [0, 7]


def test_what_makes_or_may_change_an_object_runs_before_it_is_used():
    assert needed_cells(CELLS, [8]) == [0, 1, 2, 4, 8]


def test_functions_bring_what_they_read():
    assert needed_cells(CELLS, [9]) == [0, 5, 6, 9]


def test_several_explorers_share_one_run():
    assert needed_cells(CELLS, [7, 9]) == [0, 5, 6, 7, 9]
    assert needed_cells(CELLS, []) == []

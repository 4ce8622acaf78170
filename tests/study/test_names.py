"""Which names a cell makes for others, and which it needs from others."""

import ast

import pytest

from course_lib.study.names import names_made, names_read


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("import a.b, c as d\nfrom e import f, g as h", {"a", "d", "f", "h"}),
        ("x, (y, *z) = 1, (2, 3)\nw: int = 1\nv += 1", {"x", "y", "z", "w", "v"}),
        ("for i in rows:\n    last = i\nwith open(p) as file:\n    pass", {"i", "last", "file"}),
        ("def f(a):\n    b = a\nclass C:\n    d = 1", {"f", "C"}),
        ("squares = [n * n for n in rows]\nfast = lambda k: k", {"squares", "fast"}),
        ("if (found := look()):\n    import torch", {"found", "torch"}),
        ("print(x)\nx.y = 1\nx[0] = 1", set()),
    ],
)
def test_names_that_a_cell_leaves_behind(source, made):
    assert names_made(ast.parse(source)) == made


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("print(x, y.z)", ["print", "x", "y"]),
        ("x = 1\nprint(x)", ["print"]),
        ("x = f(x)", ["f", "x"]),
        ("x += 1", ["x"]),
        ("for x in rows:\n    total = x\n    show(total)", ["rows", "show"]),
        ("[x for x in rows]", ["rows"]),
        ("key = lambda x: x + y", ["y"]),
        ("def f(x):\n    z = x\n    return z + other", ["other"]),
        ("try:\n    a()\nexcept b as problem:\n    print(problem)", ["a", "b", "print"]),
        ("@exercise('softmax.stable')\ndef mine(x):\n    ...", ["exercise"]),
        ("x.y = 1", ["x"]),
    ],
)
def test_names_that_a_cell_needs(source, read):
    assert sorted(names_read(ast.parse(source))) == sorted(read)

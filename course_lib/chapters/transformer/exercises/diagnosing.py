"""The exercise on a divergence report: which modules are at fault."""

import math

from course_lib.chapters.transformer import answers
from course_lib.chapters.transformer.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_loop(rows, tolerance):
    found = []
    for name, isolated, _ in rows:
        right = isolated <= tolerance
        inside = False
        for other, error, _ in rows:
            path, inner = name.split("."), other.split(".")
            if len(inner) > len(path) and inner[: len(path)] == path and not error <= tolerance:
                inside = True
        if not right and not inside:
            found.append(name)
    return found


def _faults(rows, tolerance, wrong=None, contains=None, which=1):
    wrong = wrong or (lambda size: not size <= tolerance)
    contains = contains or (lambda outer, inner: inner.startswith(outer + "."))
    names = [row[0] for row in rows if wrong(row[which])]
    return [name for name in names if not any(contains(name, each) for each in names)]


def _only_leaves(rows, tolerance):
    leaves = [row for row in rows if not any(each[0].startswith(row[0] + ".") for each in rows)]
    return _by_loop(leaves, tolerance)


def _from_the_innermost(rows, tolerance):
    """Go through the modules from the longest name to the shortest, and strike out containers."""
    wrong = {name for name, isolated, _ in rows if math.isnan(isolated) or isolated > tolerance}
    explained = set()
    for name in wrong:
        parts = name.split(".")
        explained |= {".".join(parts[:end]) for end in range(1, len(parts))}
    return [name for name, _, _ in rows if name in wrong - explained]


_GATE_AND_UP = [
    ("layers.2", 0.4, 0.4),
    ("layers.2.attn", 0.0, 1e-7),
    ("layers.2.mlp", 0.4, 0.4),
    ("layers.2.mlp.gate_proj", 0.5, 0.5),
    ("layers.2.mlp.up_proj", 0.5, 0.5),
    ("layers.2.mlp.down_proj", 0.0, 0.4),
    ("norm", 0.0, 0.3),
]

FAULTS = Exercise(
    id="transformer.faults",
    title="Which module is at fault?",
    minutes=10,
    difficulty=2,
    statement=(
        "`rows` are the (name, isolated, accumulated) errors of a model's modules. A module "
        "contains every module whose name continues its own after a dot. An error is wrong unless "
        "it is at most `tolerance`; nan is wrong. Return, in the order of the rows, the names of "
        "the modules that are wrong in isolation and contain no module that is wrong in isolation."
    ),
    solution=answers.at_fault,
    reference=_by_loop,
    generator=generators.module_errors,
    probes=(
        Probe(
            "all modules agree",
            lambda: call([("layers.0", 1e-7, 1e-7), ("norm", 0.0, 1e-7)], 1e-5),
            "Rounding is no fault: an empty list.",
        ),
        Probe(
            "one module",
            lambda: call([("layers.0", 0.0, 0.0), ("norm", 0.2, 0.2), ("head", 0.0, 0.2)], 1e-5),
            "The head is only affected: its isolated error is 0.",
        ),
        Probe(
            "gate and up exchanged",
            lambda: call(_GATE_AND_UP, 1e-5),
            "The layer and its MLP are wrong only because two matrices inside are.",
        ),
        Probe(
            "layers 1 and 10",
            lambda: call([("h.1", 0.3, 0.3), ("h.1.mlp", 0.0, 0.3), ("h.10", 0.2, 0.4)], 1e-5),
            "Layer 10 is not inside layer 1, although its name begins with the same characters.",
        ),
        Probe(
            "a module that returns nan",
            lambda: call([("attn", math.nan, math.nan), ("mlp", 0.0, math.nan)], 1e-5),
            "nan is not larger than any number, and still wrong.",
        ),
        Probe(
            "a module at fault whose contents are right",
            lambda: call(
                [("mlp.up", 0.0, 0.0), ("mlp.down", 0.0, 0.2), ("mlp", 0.2, 0.2), ("attn", 1, 1)],
                1e-5,
            ),
            "Both matrices are right, so the MLP itself combines them wrongly. It comes before "
            "attn, as in the rows.",
        ),
        Probe(
            "exactly at the tolerance",
            lambda: call([("attn", 1e-5, 0.1), ("mlp", 2e-5, 0.1)], 1e-5),
            "At most the tolerance counts as equal.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the accumulated error used",
            lambda rows, tolerance: _faults(rows, tolerance, which=2),
            "The accumulated error is large in everything after the fault. Use the isolated one, "
            "the second of the three values.",
        ),
        Misconception(
            "containers not removed",
            lambda rows, tolerance: _faults(rows, tolerance, contains=lambda *_: False),
            "A layer is wrong in isolation if anything inside it is. Keep only modules that "
            "contain no other wrong module.",
        ),
        Misconception(
            "contents removed instead of containers",
            lambda rows, tolerance: _faults(
                rows, tolerance, contains=lambda outer, inner: outer.startswith(inner + ".")
            ),
            "You kept the outermost modules. The innermost ones say where to look.",
        ),
        Misconception(
            "the dot forgotten",
            lambda rows, tolerance: _faults(
                rows,
                tolerance,
                contains=lambda outer, inner: inner != outer and inner.startswith(outer),
            ),
            "layers.10 begins with layers.1 but is not inside it. Compare with the dot: "
            "each.startswith(name + '.').",
        ),
        Misconception(
            "nan taken for equal",
            lambda rows, tolerance: _faults(rows, tolerance, wrong=lambda size: size > tolerance),
            "nan > tolerance is False. Ask for what is right, `error <= tolerance`, and negate it.",
        ),
        Misconception(
            "the tolerance itself counted as wrong",
            lambda rows, tolerance: _faults(
                rows, tolerance, wrong=lambda size: not size < tolerance
            ),
            "An error equal to the tolerance is accepted: <=.",
        ),
        Misconception(
            "only modules without contents",
            _only_leaves,
            "You drop every module that contains another one. A module whose contents are all "
            "right can be wrong itself, for example in how it adds them up. Drop it only if "
            "something inside is wrong too.",
        ),
        Misconception(
            "sorted by name",
            lambda rows, tolerance: sorted(_by_loop(rows, tolerance)),
            "The right modules, in the order of the alphabet. Keep the order of the rows, which "
            "is that of the computation: the first fault comes first.",
        ),
        Misconception(
            "the first wrong module only",
            lambda rows, tolerance: _by_loop(rows, tolerance)[:1],
            "There may be several, such as two exchanged matrices. Return all of them.",
        ),
    ),
    alternatives=(
        Alternative("path by path", _by_loop),
        Alternative("containers struck out", _from_the_innermost),
        Alternative("as the hints have it", _faults),
    ),
    hints=(
        "First the wrong ones: [name for name, isolated, _ in rows if not isolated <= tolerance].",
        "`each.startswith(name + '.')` is True for a module inside `name`.",
        "[name for name in wrong if not any(each.startswith(name + '.') for each in wrong)]",
    ),
)

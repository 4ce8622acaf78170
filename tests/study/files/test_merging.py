"""Every way in which the course and a learner can change the same notebook."""

import copy

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.study.files.merging import (
    UPDATE_TAG,
    Changes,
    merge_cells,
    merged_imports,
    source_of,
    without_outputs,
)


def code(name, text, outputs=(), count=None):
    return {
        "cell_type": "code",
        "id": name,
        "metadata": {},
        "source": text,
        "outputs": list(outputs),
        "execution_count": count,
    }


def prose(name, text):
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def stream(text):
    return {"output_type": "stream", "name": "stdout", "text": text}


FIRST = (prose("title", "# Softmax"), code("a", "a = 1"), code("b", "b = 2"))


class Course:
    """What is shipped now, what was shipped before, and the learner's cells."""

    def __init__(self, *cells):
        self.base = self.shipped = list(cells)
        self.cells = copy.deepcopy(self.base)

    def ship(self, *cells):
        self.shipped = list(cells)

    def update(self) -> Changes:
        self.cells, changes = merge_cells(self.base, self.shipped, self.cells)
        self.base = self.shipped
        notebook = {"cells": self.cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        nbformat.validate(nbformat.from_dict(copy.deepcopy(notebook)))
        return changes

    def edit(self, change):
        change(self.cells)

    def texts(self):
        return [source_of(cell) for cell in self.cells]


@pytest.fixture
def course():
    return Course(*FIRST)


def by_id(cells, name):
    return next(cell for cell in cells if cell["id"] == name)


def set_text(name, text):
    return lambda cells: by_id(cells, name).update(source=text)


def test_untouched_text_follows_the_course(course):
    course.ship(FIRST[0], code("a", "a = 10"), FIRST[2])
    changes = course.update()
    assert course.texts() == ["# Softmax", "a = 10", "b = 2"]
    assert changes.updated == ["a"]


def test_edited_text_stays_where_the_course_has_not_changed_it(course):
    course.edit(set_text("a", "a = my_own"))
    course.ship(FIRST[0], FIRST[1], code("b", "b = 20"))
    course.update()
    assert course.texts() == ["# Softmax", "a = my_own", "b = 20"]


def test_edited_by_both_keeps_the_learner_s_and_puts_the_course_s_after_it(course):
    course.edit(set_text("a", "a = my_own"))
    course.ship(FIRST[0], code("a", "a = 10"), FIRST[2])
    changes = course.update()
    title, mine, remark, last = course.cells
    assert (mine["id"], mine["source"]) == ("a", "a = my_own")
    assert remark["metadata"]["tags"] == [UPDATE_TAG]
    assert remark["cell_type"] == "markdown", "it must not run when all cells are run"
    assert "```python\na = 10\n```" in source_of(remark)
    assert last["id"] == "b"
    assert title["id"] == "title"
    assert "put after yours" in str(changes)
    assert not course.update(), "one remark is enough"


def test_a_later_text_replaces_an_untouched_remark_and_spares_an_edited_one(course):
    course.edit(set_text("a", "a = my_own"))
    for text in ("a = 10", "a = 11"):
        course.ship(FIRST[0], code("a", text), FIRST[2])
        course.update()
    assert len(course.texts()) == 4
    assert "a = 11" in course.texts()[2]
    course.edit(lambda cells: cells[2].update(source="my notes on a = 11"))
    course.ship(FIRST[0], code("a", "a = 12"), FIRST[2])
    course.update()
    assert "my notes on a = 11" in course.texts()
    assert sum("a = 12" in text for text in course.texts()) == 1


def test_code_with_fences_of_its_own_is_shown_whole(course):
    course.edit(set_text("a", "mine"))
    course.ship(FIRST[0], code("a", 's = """```\nx\n````"""'), FIRST[2])
    course.update()
    assert course.texts()[2].count("`````") == 2


def test_what_the_learner_deleted_stays_deleted(course):
    course.edit(lambda cells: cells.pop(1))
    course.ship(FIRST[0], code("a", "a = 10"), FIRST[2])
    course.update()
    assert course.texts() == ["# Softmax", "b = 2"]


def test_the_learner_s_own_cells_stay_in_place(course):
    course.edit(lambda cells: cells.insert(2, code("own", "print(a)")))
    course.ship(FIRST[0], code("a", "a = 10"), FIRST[2])
    course.update()
    assert course.texts() == ["# Softmax", "a = 10", "print(a)", "b = 2"]


def test_new_cells_come_after_their_predecessor(course):
    course.ship(
        prose("new-0", "zero"), *FIRST[:2], code("new-1", "one"), code("new-2", "2"), FIRST[2]
    )
    changes = course.update()
    assert course.texts() == ["zero", "# Softmax", "a = 1", "one", "2", "b = 2"]
    assert changes.added == ["new-0", "new-1", "new-2"]


def test_a_new_cell_does_not_part_a_cell_from_its_remark(course):
    course.edit(set_text("a", "a = my_own"))
    course.ship(FIRST[0], code("a", "a = 10"), code("new", "new = 1"), FIRST[2])
    course.update()
    assert course.texts()[1] == "a = my_own"
    assert "a = 10" in course.texts()[2]
    assert course.texts()[3:] == ["new = 1", "b = 2"]


def test_a_new_cell_finds_its_place_when_its_predecessor_was_deleted(course):
    course.edit(lambda cells: cells.pop(1))
    course.ship(*FIRST[:2], code("new", "new = 1"), FIRST[2])
    course.update()
    assert course.texts() == ["# Softmax", "new = 1", "b = 2"]


def test_cells_that_the_course_dropped_go_if_untouched_and_stay_if_edited(course):
    course.edit(set_text("b", "b = my_own"))
    course.ship(FIRST[0])
    changes = course.update()
    assert course.texts() == ["# Softmax", "b = my_own"]
    assert changes.removed == ["a"]


def test_cells_that_the_course_moved_are_moved_with_what_the_learner_put_after_them(course):
    course.edit(lambda cells: cells.insert(2, code("own", "print(a)")))
    course.ship(FIRST[0], FIRST[2], FIRST[1])
    course.update()
    assert course.texts() == ["# Softmax", "b = 2", "a = 1", "print(a)"]


def test_an_order_of_the_learner_s_own_is_kept(course):
    course.edit(lambda cells: cells.reverse())
    course.ship(*FIRST, code("c", "c = 3"))
    course.update()
    assert course.texts()[0] == "b = 2"
    assert course.texts()[-1] == "# Softmax"


def test_outputs_stay_with_unchanged_cells_and_go_with_changed_ones(course):
    ran = {"outputs": [stream("seen\n")], "execution_count": 7}
    course.edit(lambda cells: [cell.update(ran) for cell in cells[1:]])
    course.ship(FIRST[0], FIRST[1], code("b", "b = 20"))
    course.update()
    assert by_id(course.cells, "a")["outputs"] == [stream("seen\n")]
    assert by_id(course.cells, "a")["execution_count"] == 7
    assert by_id(course.cells, "b")["outputs"] == []
    assert by_id(course.cells, "b")["execution_count"] is None


def test_a_change_of_kind_counts_as_an_edit(course):
    course.edit(lambda cells: cells.__setitem__(1, prose("a", "a = 1")))
    course.ship(FIRST[0], code("a", "a = 10"), FIRST[2])
    course.update()
    assert by_id(course.cells, "a")["source"] == "a = 1"


def test_ids_that_an_editor_dropped_are_found_again_by_the_text(course):
    course.edit(lambda cells: [cell.pop("id") for cell in cells])
    course.ship(FIRST[0], code("a", "a = 10"), FIRST[2])
    course.update()
    assert course.texts() == ["# Softmax", "a = 10", "b = 2"]


def test_a_repeated_id_counts_as_the_learner_s_own_cell(course):
    course.edit(lambda cells: cells.append(code("a", "a = copied")))
    course.ship(FIRST[0], code("a", "a = 10"), FIRST[2])
    course.update()
    assert course.texts() == ["# Softmax", "a = 10", "b = 2", "a = copied"]
    assert len({cell["id"] for cell in course.cells}) == 4


def test_a_new_cell_with_an_id_the_learner_uses_loses_nothing(course):
    course.edit(lambda cells: cells.append(code("c", "mine")))
    course.ship(*FIRST, code("c", "theirs"))
    course.update()
    assert "mine" in course.texts()
    assert any("theirs" in text for text in course.texts())


# --- whatever both sides do -------------------------------------------------------------------

TEXT = st.text(alphabet="ab`\n #", max_size=6)
UPSTREAM = st.lists(
    st.tuples(st.sampled_from(["u1", "u2", "u3", "u4", "u5"]), TEXT),
    max_size=5,
    unique_by=lambda c: c[0],
)


def shipped_cells(pairs):
    return [code(name, f"course {name} {text}") for name, text in pairs]


@st.composite
def learner_edits(draw, cells, round_number):
    """Return the cells after random changes, and the words written."""
    result = []
    for place, cell in enumerate(copy.deepcopy(cells)):
        action = draw(st.sampled_from(["keep", "keep", "delete", "edit", "insert"]))
        words = f"mine {round_number} {place} {draw(TEXT)}"
        if action == "delete":
            continue
        result.append(cell)
        if action == "edit":
            cell["source"] = words
        elif action == "insert":
            name = draw(
                st.sampled_from([f"own-{round_number}-{place}", "u4", "u5", "", "u1-update"])
            )
            result.append(code(name, words))
    if draw(st.booleans()):
        result = draw(st.permutations(result))
    written = [source_of(c) for c in result if source_of(c).startswith("mine")]
    return result, written


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_nothing_that_the_learner_wrote_is_lost(data):
    base = shipped_cells(data.draw(UPSTREAM))
    mine = copy.deepcopy(base)
    for round_number in range(3):
        mine, written = data.draw(learner_edits(mine, round_number))
        theirs = shipped_cells(data.draw(UPSTREAM))
        merged, _ = merge_cells(base, theirs, mine)
        texts = [source_of(cell) for cell in merged]
        for words in written:
            assert texts.count(words) >= written.count(words)
        assert len({cell["id"] for cell in merged}) == len(merged)
        again, changes = merge_cells(theirs, theirs, merged)
        assert [source_of(cell) for cell in again] == texts
        assert not changes
        base, mine = theirs, merged


@settings(max_examples=150, deadline=None)
@given(UPSTREAM, UPSTREAM)
def test_an_untouched_notebook_becomes_exactly_the_new_one(before, after):
    base, theirs = shipped_cells(before), shipped_cells(after)
    merged, _ = merge_cells(base, theirs, copy.deepcopy(base))
    assert [(c["id"], c["source"]) for c in merged] == [(c["id"], c["source"]) for c in theirs]


def test_without_outputs_leaves_its_input_alone():
    ran = code("a", "a = 1", [stream("1\n")], 1)
    original = {"cells": [ran], "metadata": {"widgets": {"state": 1}}}
    clean = without_outputs(original)
    assert original["cells"][0]["outputs"]
    assert "widgets" in original["metadata"]
    assert clean == {"cells": [code("a", "a = 1")], "metadata": {}}


@pytest.mark.parametrize(
    ("theirs", "mine", "expected"),
    [
        ("import b\n\nd = f()", "import a\nimport mine", "import b\n\nd = f()\nimport mine"),
        ("import b\nprint(b)", "import a\nimport mine", None),
        ("d = f()", "import a\nimport mine", None),
        ("import b", "import a\nimport (", None),
    ],
)
def test_a_cell_of_imports_and_names_takes_the_learners_lines(theirs, mine, expected):
    assert merged_imports("import a", theirs, mine) == expected

"""The authors' text: cells, their ids, and ids that stay."""

import pytest

from course_lib.authoring.source import (
    FOLDED,
    derived_id,
    exercise_of,
    file_id,
    read_source,
    with_ids,
)

TEXT = """\
# %% [markdown]
# ## 2 · When the scores are large
# Nothing is said in between.

# %% id="softmax.stable" tags=["nbval-ignore-output"]
x = 1

# %%
import math
"""


def read(tmp_path, text):
    path = tmp_path / "04_softmax.py"
    path.write_text(text, encoding="utf-8")
    return read_source(path)


def ids(text):
    return [line.split('id="')[1].split('"')[0] for line in text.splitlines() if "id=" in line]


def test_every_cell_gets_an_id_and_given_ones_stay():
    done = with_ids(TEXT)
    assert ids(done) == ["2-when-the-scores-are-large", "softmax.stable", "imports"]
    assert '# %% id="softmax.stable" tags=["nbval-ignore-output"]\nx = 1' in done
    assert with_ids(done) == done


def test_nothing_but_the_markers_changes():
    before, after = TEXT.splitlines(), with_ids(TEXT).splitlines()
    assert len(before) == len(after)
    changed = [i for i, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    assert [before[i] for i in changed] == ["# %% [markdown]", "# %%"]


def test_a_cell_put_in_between_renames_nothing():
    done = with_ids(TEXT)
    place = done.index("# %% id=")
    longer = with_ids(done[:place] + "# %%\nimport os\n\n" + done[place:])
    assert ids(longer) == ["2-when-the-scores-are-large", "imports-2", "softmax.stable", "imports"]


def test_cells_that_say_the_same_get_different_ids():
    text = "# %% [markdown]\n# ### Play with it\n\n" * 3
    assert ids(with_ids(text)) == ["play-with-it", "play-with-it-2", "play-with-it-3"]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("# %% [markdown]\n# Some words, and a heading below.\n#\n# ## Why √d?\n", "why-d"),
        ("# %% [markdown]\n# One two three four five six seven\n", "one-two-three-four-five-six"),
        ("# %% [markdown]\n# 学习\n", "text"),
        ("# %%\n# a remark\n\ndef online_softmax(x):\n    ...\n", "online-softmax"),
        ('# %%\nreveal("softmax.stable")\n', "reveal-softmax-stable"),
        ('# %%\n@exercise("softmax.merge")\ndef merge(a, b):\n    ...\n', "softmax.merge"),
        ("# %%\n", "empty"),
    ],
)
def test_an_id_is_derived_from_what_the_cell_says(cell, expected):
    assert ids(with_ids(cell)) == [expected]


def test_dots_become_dashes_in_the_file(tmp_path):
    assert file_id("softmax.stable") == "softmax-stable"
    assert len(file_id("a" * 90)) == 64
    notebook = read(tmp_path, with_ids(TEXT))
    assert [cell.id for cell in notebook.cells][1] == "softmax-stable"


def test_cells_keep_kind_text_and_tags_and_nothing_else(tmp_path):
    notebook = read(tmp_path, with_ids(TEXT))
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code", "code"]
    assert notebook.cells[0].source.startswith("## 2 · When")
    assert [dict(cell.metadata) for cell in notebook.cells] == [
        {},
        {"tags": ["nbval-ignore-output"]},
        {},
    ]
    assert notebook.metadata.kernelspec.name == "python3"
    assert "version" not in notebook.metadata.language_info


@pytest.mark.parametrize(
    ("heading", "folded"),
    [("## Further: sinks", True), ("## 13 · Further · sinks", True), ("## Furthermore", False)],
)
def test_a_section_off_the_main_path_opens_folded(tmp_path, heading, folded):
    text = f"# %% [markdown]\n# {heading}\n# Words.\n\n# %%\n# ## Further, in code\n"
    cells = read(tmp_path, with_ids(text)).cells
    assert [FOLDED in cell.metadata for cell in cells] == [folded, False]


def test_an_id_given_twice_is_an_error_also_when_only_the_file_s_letters_agree():
    text = '# %% id="a-b"\n1\n\n# %% id="a.b"\n2\n'
    with pytest.raises(ValueError, match=r"'a\.b' twice"):
        with_ids(text)


def test_text_before_the_first_marker_is_an_error():
    with pytest.raises(ValueError, match=r"first.*\b2 cells"):
        with_ids("x = 1\n\n# %%\ny = 2\n")


def test_a_source_whose_ids_are_not_written_yet_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"'## 2 · When.*course build"):
        read(tmp_path, TEXT)


def test_an_exercise_is_known_by_its_decorator(tmp_path):
    cells = read(
        tmp_path,
        '# %% id="one"\n@exercise(\n    "a.b"\n)\ndef f(): ...\n\n'
        '# %% id="two"\nprint("@exercise(\'c.d\')")\n\n'
        '# %% [markdown] id="three"\n# write\n# @exercise("e.f")\n',
    ).cells
    assert [exercise_of(cell) for cell in cells] == ["a.b", None, None]
    assert derived_id(cells[0]) == "a.b"

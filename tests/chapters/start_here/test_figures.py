"""The map shows every chapter and the learner's progress; the tour shows one step of a model."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.patches import Wedge

from course_lib import SYLLABUS, Notebook
from course_lib.chapters.start_here import figures as start_here
from course_lib.study.display.plotting import figure_title, png_bytes


def chapters(count):
    return tuple(Notebook(i, f"c{i}", f"Chapter {i}", "Why?", 10 + i, ()) for i in range(count))


def words(ax):
    return [text.get_text() for text in ax.texts]


def test_every_chapter_of_the_course_is_on_the_map():
    (ax,) = start_here.course_map({}).axes
    for notebook in SYLLABUS:
        assert f"{notebook.number:02d}" in words(ax)
        assert any(notebook.title == text.replace("\n", " ") for text in words(ax))
        assert f"{notebook.minutes} min · no exercises" in words(ax)


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ({}, "The path through the course"),
        ({"c0": (0, 1), "c1": (0, 4)}, "5 exercises; the first are in 00 Chapter 0"),
        ({"c0": (1, 1), "c1": (2, 4)}, "3 of 5 exercises solved; continue with 01 Chapter 1"),
        ({"c0": (1, 1), "c1": (4, 4)}, "All 5 exercises solved"),
        ({"elsewhere": (1, 2)}, "The path through the course"),
    ],
)
def test_the_title_says_how_far_the_learner_is(done, said):
    assert figure_title(start_here.course_map(done, chapters(3))) == said


def test_the_ring_grows_with_the_exercises_passed():
    (ax,) = start_here.course_map({"c0": (1, 4), "c1": (4, 4), "c2": (0, 4)}, chapters(3)).axes
    arcs = [(w.theta1, w.theta2) for w in ax.patches if isinstance(w, Wedge) and w.theta2 != 360]
    assert arcs == [(-90, 0)], "a quarter of one ring; the others are full or empty"
    assert {"10 min · 1 of 4 solved", "11 min · 4 of 4 solved"} <= set(words(ax))


def test_nothing_is_said_of_solving_before_the_first_is_solved():
    (ax,) = start_here.course_map({"c0": (0, 1), "c1": (0, 4)}, chapters(3)).axes
    assert {"10 min · 1 exercise", "11 min · 4 exercises"} <= set(words(ax))
    assert not any("solved" in text for text in words(ax))


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 20))
def test_no_words_of_a_map_overlap_or_leave_it(count):
    titles = ["Embeddings and norms", "Softmax", "A title that needs more than a line"]
    notebooks = [Notebook(i, f"c{i}", titles[i % 3], "Why?", 120, ()) for i in range(count)]
    figure = start_here.course_map({f"c{i}": (7, 12) for i in range(count)}, notebooks)
    png_bytes(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert all(a.count_overlaps(boxes) == 1 for a in boxes), "each box meets only itself"
    rings = [w.get_window_extent() for w in figure.axes[0].patches if isinstance(w, Wedge)]
    assert all(ring.count_overlaps(boxes) == 1 for ring in rings), "a ring holds its number only"
    ground = figure.bbox
    assert all(ground.x0 <= b.x0 and b.x1 <= ground.x1 and ground.y0 <= b.y0 for b in boxes)


def test_more_passed_than_there_are_is_an_error():
    with pytest.raises(ValueError, match=r"\b5 of 4\b.*'softmax'"):
        start_here.course_map({"softmax": (5, 4)})


TOKENS, IDS = ("The", " cat", "\n"), (464, 3797, 198)
VECTORS = torch.arange(60.0).reshape(3, 20) - 30
LOGITS = torch.tensor([1.0, -torch.inf, 3.0, 0.5])
VOCABULARY = (" sat", " never", "$", "中")


def test_the_tour_shows_each_stage():
    figure = start_here.next_token_tour(TOKENS, IDS, VECTORS, LOGITS, VOCABULARY, drawn=0)
    text, ids, vectors, logits, shares = figure.axes
    assert words(text)[0] == "The cat\n"
    assert words(text)[-1] == "␣sat"
    assert words(ids) == ["The", "464", "␣cat", "3797", "↵", "198"]
    assert torch.equal(torch.tensor(vectors.images[0].get_array().data), VECTORS[:, :16].double())
    assert [label.get_text() for label in shares.get_yticklabels()] == ["\\$", "␣sat", "\\u4e2d"]
    assert [bar.get_width() for bar in logits.patches] == [3.0, 1.0, 0.5]
    expected = torch.softmax(LOGITS, -1)[[2, 0, 3]]
    assert [bar.get_width() for bar in shares.patches] == pytest.approx(expected.tolist())
    first, second, third = (bar.get_facecolor() for bar in shares.patches)
    assert first == third != second, "the drawn token stands out"
    share = format(expected[1].item(), ".2g")
    assert figure_title(figure) == (f"The next token is ␣sat; its probability was {share}")


def test_numbers_of_the_vectors_can_have_names():
    named = start_here.next_token_tour(
        TOKENS, IDS, VECTORS[:, :2], LOGITS, VOCABULARY, drawn=0, columns="ab"
    )
    labels = [label.get_text() for label in named.axes[2].get_xticklabels()]
    assert labels == ["a", "b"]
    assert "blue below 0, red above" in named.axes[2].get_xlabel()


def test_an_unlikely_draw_is_among_the_candidates_of_a_large_vocabulary():
    size = 1000
    names = [f"t{i}" for i in range(size)]
    falling = torch.linspace(5, -5, size, dtype=torch.float16)
    vectors = torch.zeros(1, 2)
    figure = start_here.next_token_tour(["a"], [1], vectors, falling, names, drawn=700, top=4)
    labels = [label.get_text() for label in figure.axes[4].get_yticklabels()]
    assert labels == ["t0", "t1", "t2", "t700"]


def test_a_long_text_shows_its_end():
    tokens = [f" {i}" for i in range(100)]
    figure = start_here.next_token_tour(
        tokens, list(range(100)), torch.zeros(100, 3), LOGITS, VOCABULARY, drawn=2
    )
    assert words(figure.axes[0])[0].startswith("…\n")
    assert words(figure.axes[0])[0].endswith("99")
    assert words(figure.axes[1])[-2:] == ["␣99", "99"]
    assert figure.axes[2].images[0].get_array().shape == (8, 3)


def test_the_tour_is_drawn_the_same_each_time():
    first, second = (
        start_here.next_token_tour(TOKENS, IDS, VECTORS, LOGITS, VOCABULARY, drawn=3)
        for _ in range(2)
    )
    assert png_bytes(first) == png_bytes(second)


def test_the_tour_refuses_stages_that_do_not_fit_together():
    with pytest.raises(ValueError, match=r"\b3 tokens, 2 ids.*\b3 vectors"):
        start_here.next_token_tour(TOKENS, IDS[:2], VECTORS, LOGITS, VOCABULARY, drawn=0)
    with pytest.raises(ValueError, match=r"\b0 tokens"):
        start_here.next_token_tour((), (), VECTORS[:0], LOGITS, VOCABULARY, drawn=0)
    with pytest.raises(ValueError, match=r"\b3 texts.*\b4 logits"):
        start_here.next_token_tour(TOKENS, IDS, VECTORS, LOGITS, VOCABULARY[:3], drawn=0)
    with pytest.raises(ValueError, match=r"\b0 to 3\b.*\b4\b"):
        start_here.next_token_tour(TOKENS, IDS, VECTORS, LOGITS, VOCABULARY, drawn=4)

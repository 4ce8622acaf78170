"""The world of drawings: areas by formula, the held-out pairs, captions and questions."""

import itertools
import math
import random

import pytest
import torch

from course_lib.device import seeded
from course_lib.vision import Thing, draw, random_scenes, scenes_of
from course_lib.vision.captions import (
    IMAGE,
    caption_ids,
    drawing_tokenizer,
    full_caption,
    list_caption,
    pair_caption,
)
from course_lib.vision.conversations import (
    Turn,
    caption_turns,
    conversation_example,
    drawn_questions,
    prompt_ids,
)
from course_lib.vision.pairing import PAIRINGS, paired_batch, pairing
from course_lib.vision.questions import KINDS, ask
from course_lib.vision.world import (
    ALL_PAIRS,
    COLOURS,
    NEVER,
    SEEN,
    SHAPES,
    SIZES,
    coverage,
)

AREAS = {
    "circle": lambda r: math.pi * r**2,
    "square": lambda r: (2 * 0.86 * r) ** 2,
    "cross": lambda r: 4 * (2 * r) * (0.34 * r) - (2 * 0.34 * r) ** 2,
    "ring": lambda r: math.pi * r**2 * (1 - 0.55**2),
    "diamond": lambda r: 2 * (1.05 * r) ** 2,
}


@pytest.mark.parametrize("name", AREAS)
def test_shapes_cover_their_area(name):
    shape = torch.full((1, 4), SHAPES.index(name))
    cover = coverage(shape, torch.full((1, 4), 6.5), torch.zeros(1, 4, 2))
    assert cover[0, 0].sum().item() == pytest.approx(AREAS[name](6.5), rel=0.04)


def test_a_triangle_points_up():
    shape = torch.full((1, 4), SHAPES.index("triangle"))
    rows = coverage(shape, torch.full((1, 4), 6.5), torch.zeros(1, 4, 2))[0, 0].sum(1)
    covered = rows[rows > 0]
    assert covered[0] < covered[-2]


def test_a_picture_shows_what_its_scene_says():
    for place, corner in enumerate(itertools.product((slice(0, 16), slice(16, 32)), repeat=2)):
        thing = Thing(colour=2, shape=1, size=1, place=place)
        [picture] = draw(scenes_of([[thing]]), seeded(0), steady=True)
        rows, columns = corner
        middle = picture[:, rows, columns][:, 8, 8]
        assert torch.allclose(middle, torch.tensor(COLOURS["blue"]))
        outside = picture.clone()
        outside[:, rows, columns] = 0.05
        assert torch.allclose(outside, torch.full_like(outside, 0.05))


def test_pictures_vary_and_stay_in_range():
    scenes = random_scenes(20, seeded(0))
    first, second = draw(scenes, seeded(1)), draw(scenes, seeded(2))
    assert first.min() >= 0
    assert first.max() <= 1
    assert not torch.equal(first, second)
    assert torch.equal(draw(scenes, seeded(1)), first)


def test_every_colour_and_every_shape_is_seen_and_no_pair_is_in_both():
    assert {colour for colour, _ in SEEN} == set(range(len(COLOURS)))
    assert {shape for _, shape in SEEN} == set(range(len(SHAPES)))
    assert set(SEEN).isdisjoint(NEVER)
    assert len(SEEN) + len(NEVER) == len(ALL_PAIRS) == 48
    assert {shape for _, shape in NEVER} == set(range(len(SHAPES)))


def test_random_scenes_keep_to_their_pairs():
    scenes = random_scenes(300, seeded(0), (2, 3), NEVER)
    for row in range(300):
        things = scenes.things(row)
        assert len(things) in (2, 3)
        assert all((thing.colour, thing.shape) in NEVER for thing in things)
    assert scenes.rows(torch.tensor([4])).things(0) == scenes.things(4)


def test_what_is_no_scene_is_an_error():
    with pytest.raises(ValueError, match=r"colour .* 8"):
        scenes_of([[Thing(8, 0, 0, 0)]])
    with pytest.raises(ValueError, match="two at 'top left'"):
        scenes_of([[Thing(1, 0, 0, 0), Thing(2, 0, 0, 0)]])
    with pytest.raises(ValueError, match="1 to 4"):
        random_scenes(1, seeded(0), (0, 2))


def test_captions_by_hand():
    red, orange = Thing(0, 0, 1, 0), Thing(5, 3, 0, 3)
    assert full_caption(red) == "a large red circle at the top left"
    assert list_caption([red]) == "a red circle"
    assert list_caption([red, orange]) == "a red circle and an orange cross"
    assert list_caption([red, red, orange]) == "a red circle, a red circle and an orange cross"
    with pytest.raises(ValueError, match="empty"):
        list_caption([])


def test_every_word_of_the_grammar_is_one_token():
    tokenizer = drawing_tokenizer()
    for pair in ALL_PAIRS:
        text = f"a drawing of {pair_caption(*pair)} at the bottom right"
        assert len(tokenizer.encode_ordinary(text)) == len(text.split())
        assert tokenizer.decode(tokenizer.encode_ordinary(text)) == text
    ids = caption_ids(["a red circle", "a circle"])
    assert ids.shape == (2, 4)
    assert ids[1, 2] == ids[1, 3] == ids[0, 3]
    with pytest.raises(ValueError, match=r"at most 3 tokens .* got 4"):
        caption_ids(["a red circle"], 3)


@pytest.mark.parametrize("kind", PAIRINGS)
def test_a_caption_fits_one_picture_of_its_group(kind):
    made = pairing(kind, random.Random(0), seeded(0))
    assert len(made.captions) == len(made.scenes)
    batch = paired_batch(kind, seeded(0))
    assert len(batch.pictures) == len(batch.ids) == len(made.captions)
    if kind in ("random", "list"):
        return  # these may repeat a caption
    for start in range(0, len(made.captions), made.group):
        group = made.captions[start : start + made.group]
        assert len(set(group)) == len(group) == made.group
    for row in range(len(made.scenes)):
        assert all((thing.colour, thing.shape) in SEEN for thing in made.scenes.things(row))


def test_a_batch_of_pairs_holds_each_seen_pair_once():
    made = pairing("pairs", random.Random(3), seeded(0))
    assert made.captions == [pair_caption(*pair) for pair in SEEN]
    with pytest.raises(ValueError, match="'triples'"):
        paired_batch("triples", seeded(0))


def _found_again(things, text):
    """Return the answer to a question, by the words of its text."""
    colour = next((c for c in COLOURS if f" {c} " in text.replace("?", " ")), None)
    shape = next((s for s in SHAPES if f" {s}?" in text), None)
    fits = [
        thing
        for thing in things
        if (colour is None or list(COLOURS)[thing.colour] == colour)
        and (shape is None or SHAPES[thing.shape] == shape)
    ]
    if text.startswith("How many"):
        return ("none", "one", "two", "three", "four")[len(fits)]
    if text.startswith("Is there"):
        return "yes" if fits else "no"
    [only] = fits
    words = {"What colour": list(COLOURS)[only.colour], "What shape": SHAPES[only.shape]}
    words |= {"What size": SIZES[only.size]}
    places = ("top left", "top right", "bottom left", "bottom right")
    return next((w for start, w in words.items() if text.startswith(start)), places[only.place])


@pytest.mark.parametrize("kind", KINDS)
def test_answers_follow_from_the_scene(kind):
    scenes = random_scenes(200, seeded(0), alike=0.3)
    rows, questions = drawn_questions(scenes, kind, random.Random(0))
    assert len(rows) == len(questions) > 50
    for row, question in zip(rows, questions, strict=True):
        assert question.answer == _found_again(scenes.things(row), question.text)


def test_questions_that_cannot_be_asked():
    twins = [Thing(0, 0, 0, 0), Thing(0, 0, 1, 1)]
    assert ask("colour", twins, random.Random(0)) is None
    with pytest.raises(ValueError, match="'weight'"):
        ask("weight", twins, random.Random(0))
    with pytest.raises(ValueError, match="empty"):
        ask("count", [], random.Random(0))


def test_a_conversation_is_the_chat_template_with_room_for_the_picture():
    tokenizer = drawing_tokenizer()
    example = conversation_example([Turn("Where is the red ring?", "top left")], 2)
    text = "<|im_start|>user\n<image><image>\nWhere is the red ring?<|im_end|>\n"
    text += "<|im_start|>assistant\ntop left<|im_end|>\n"
    assert tokenizer.decode(example.ids) == text
    trained = [token for token, label in zip(*example, strict=True) if label != -100]
    assert tokenizer.decode(trained) == "top left<|im_end|>"
    prompt = prompt_ids("Where is the red ring?", 2)
    assert prompt == example.ids[: len(prompt)]
    assert tokenizer.decode(prompt).endswith("assistant\n")
    assert example.ids.count(tokenizer.special_tokens[IMAGE]) == 2
    assert conversation_example([Turn("Hi", "yes")], 0).ids.count(prompt[3]) == 0
    with pytest.raises(ValueError, match="at least one turn"):
        conversation_example([], 2)


def test_a_description_names_all_of_each_thing_in_one_token_a_word():
    [turn] = caption_turns([Thing(0, 0, 1, 0), Thing(4, 5, 0, 3)])
    said = "a large red circle at the top left, a small purple diamond at the bottom right"
    assert turn.answer == said
    words = said.replace(",", " ,").split()
    assert len(drawing_tokenizer().encode_ordinary(said)) == len(words)

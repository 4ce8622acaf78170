"""The pictures of the tokenization chapter draw what the tokenizers do."""

import math

import pytest

from course_lib import corpus
from course_lib.chapters.tokenization import figures
from course_lib.chapters.tokenization.figures.merging import merge_history
from course_lib.chapters.tokenization.figures.strips import ROWS, clusters, pieces_of
from course_lib.study.display.plotting import figure_title, png_bytes
from course_lib.tokenization.byte_bpe import ByteBPE, encode_by_rank
from course_lib.tokenization.character_bpe import CharacterBPE
from course_lib.tokenization.cost import Length
from course_lib.tokenization.unigram import Unigram
from course_lib.tokenization.wordpiece import WordPiece

TEXT = "min tin tint mint mint mine the the then " * 3
BPE = ByteBPE.train([TEXT.replace(" ", "\n")], 285)
BYTES = ByteBPE.train(["a"], 256)
WORDPIECE = WordPiece.train([TEXT], 40)
UNIGRAM = Unigram.train([TEXT], 40)
SHARES = {"h": 0.1, "u": 0.2, "g": 0.3, "hu": 0.1, "ug": 0.25, "hug": 0.05}
LOGS = {piece: math.log(share) for piece, share in SHARES.items()}
SIZES = (256, 512, 1024)
LENGTHS = {
    "one": [Length(100, 90, 100), Length(60, 90, 100), Length(50, 90, 100)],
    "two": [Length(30, 10, 30), Length(30, 10, 30), Length(15, 10, 30)],
}


def words(ax):
    return "\n".join(text.get_text() for text in ax.texts)


@pytest.mark.parametrize(
    "text", ["mint", "", *corpus.SAMPLES.values(), "e\u0301 a\u0300x", "\t \n"]
)
def test_the_tokens_of_a_strip_are_those_of_the_tokenizer(text):
    pieces = pieces_of(BPE, text)
    assert [piece.number for piece in pieces] == BPE.encode(text)
    assert b"".join(piece.data for piece in pieces) == text.encode()
    found = list(clusters(pieces, text))
    assert [p.number for cluster in found for p in cluster.pieces] == BPE.encode(text)
    for cluster in found:
        if cluster.glyph:
            assert b"".join(piece.data for piece in cluster.pieces).decode() == cluster.glyph
        else:
            assert len(cluster.pieces) == 1
            assert not cluster.pieces[0].broken


def test_a_glyph_of_several_tokens_is_drawn_as_its_bytes_under_one_bracket():
    left, right = figures.two_tokenizers("a👩‍💻字", ("bytes", BYTES), ("bpe", BPE)).axes
    labels, ids, bracket = words(left).split("\n")
    assert labels.split() == ["a", *"👩‍💻字".encode().hex(" ").upper().split()]
    assert ids.split() == [str(i) for i in BYTES.encode("a👩‍💻字")]
    assert "U+1F469 U+200D +1" in bracket
    assert "U+5B57" in bracket
    assert bracket.count("└") == bracket.count("┘") == 2
    colours = [tuple(c) for c in left.collections[0].get_facecolors()]
    assert colours[0] not in colours[1:], "what is whole has another colour than a part"
    assert "bytes: 15 tokens for 15 bytes" in figure_title(right.figure)


def test_names_are_never_cut_short_and_no_letter_turns_the_row():
    (left, _) = figures.two_tokenizers("نا é", ("bytes", BYTES), ("bpe", BPE)).axes
    bracket = words(left).split("\n")[2]
    assert "U+0646" in bracket
    assert "U+0627" in bracket
    assert "é" in bracket
    third_box = left.collections[0].get_paths()[2].vertices[:, 0].min()
    assert abs(bracket.index("└", 1) - third_box) < 0.5, "each bracket begins below its first token"
    assert not any("\u0600" <= sign <= "\u06ff" for sign in words(left))


def test_ranks_scores_and_unknown_tokens_are_shown():
    left, right = figures.two_tokenizers("mint ☃", ("w", WORDPIECE), ("u", UNIGRAM)).axes
    assert "[UNK]" in words(left)
    assert "w: 2 tokens for 8 bytes, 1 of them unknown" in figure_title(left.figure)
    piece = next(p for p in pieces_of(UNIGRAM, "mint"))
    assert f"{UNIGRAM.pieces[piece.number][1]:.1f}" in words(right)
    merged = pieces_of(BPE, "in")[0]
    assert merged.note == "r0", "i n is the first merge"


def test_a_bpe_of_characters_shows_its_merges_and_what_it_does_not_know():
    vocabulary = {"<unk>": 0, "a": 1, "b": 2, "ab": 3}
    tokenizer = CharacterBPE(vocabulary, [("a", "b")], unknown="<unk>", byte_fallback=False)
    shown = [(piece.label, piece.note, piece.unknown) for piece in pieces_of(tokenizer, "aba☃")]
    assert shown == [("ab", "r0", False), ("a", "", False), ("<unk>", "", True)]


def test_dollars_and_blanks_are_signs_and_long_texts_end_with_a_count():
    left, _ = figures.two_tokenizers("$x$ \n", ("bytes", BYTES), ("bpe", BPE)).axes
    assert words(left).split("\n")[0].split() == ["$", "x", "$", "␣", "↵"]
    text = "字" * 200
    left, _ = figures.two_tokenizers(text, ("bytes", BYTES), ("bpe", BPE)).axes
    shown = sum(line.count("U+5B57") for line in words(left).split("\n"))
    assert 5 * ROWS <= shown < 200
    assert f"… and {600 - 3 * shown} more tokens" in words(left)


@pytest.mark.parametrize("word", ["mint", "tint", " then", "naïve", "x"])
def test_the_tree_replays_the_encoder(word):
    leaves, joins = merge_history(BPE, word)
    assert b"".join(BPE.tokens[leaf.token] for leaf in leaves) == word.encode()
    ranks = [join.joined.rank for join in joins]
    assert ranks == sorted(ranks), "in a trained table a later merge never has a lower rank"
    expected = encode_by_rank([leaf.token for leaf in leaves], BPE.merge_table)
    assert len(leaves) - len(joins) == len(expected) == len(BPE.encode(word))
    said = figure_title(figures.merge_tree(BPE, word))
    assert f"After {len(joins)} of {len(joins)} merges: {len(expected)} token" in said


def test_the_tree_goes_by_rank_and_not_from_the_left():
    ever = ByteBPE.train(["\n".join(["ever"] * 5 + ["he"] * 4)], 260)
    assert figure_title(figures.merge_tree(ever, "hers")).endswith("3 tokens, h er s")


def test_the_tree_stops_at_the_step():
    (ax,) = figures.merge_tree(BPE, "mint", 1).axes
    assert figure_title(ax.figure) == "After 1 of 3 merges: 3 tokens, m in t"
    assert words(ax) == "in r0"
    assert len(ax.lines) == 1
    (ax,) = figures.merge_tree(BPE, "mint").axes
    assert [text.get_weight() for text in ax.texts] == ["normal", "normal", "bold"]
    assert "0 of 3 merges: 4 tokens, m i n t" in figure_title(figures.merge_tree(BPE, "mint", 0))
    for wrong in ("", "x" * 25):
        with pytest.raises(ValueError, match=rf"\b1 to 24 bytes.* {len(wrong)}\b"):
            figures.merge_tree(BPE, wrong)


def test_the_lattice_shows_every_piece_and_the_best_path():
    (ax,) = figures.viterbi_lattice("hug", LOGS).axes
    shown = words(ax)
    for piece, score in LOGS.items():
        assert f"{piece} {score:.1f}".replace("-", "−") in shown
    total = 0.05 + 0.1 * 0.25 + 0.1 * 0.3 + 0.1 * 0.2 * 0.3
    assert figure_title(ax.figure) == (
        f"Of 4 segmentations of hug the best is hug: {0.05 / total:.0%} of the probability"
    )
    bold = [text.get_text() for text in ax.texts if text.get_weight() == "bold"]
    assert bold == ["hug −3.0"]
    assert len(ax.patches) == 6


def test_the_lattice_stops_at_a_position_and_lets_unknown_letters_through():
    (ax,) = figures.viterbi_lattice("hug", LOGS, 2).axes
    assert figure_title(ax.figure).startswith("Of 2 segmentations of hu the best is hu: 83%")
    (ax,) = figures.viterbi_lattice("x", LOGS).axes
    assert figure_title(ax.figure) == "x has one segmentation: x"
    assert "x −50.0" in words(ax)
    for wrong in ("", "h" * 13):
        with pytest.raises(ValueError, match=rf"\b1 to 12 characters.* {len(wrong)}\b"):
            figures.viterbi_lattice(wrong, LOGS)


def test_compression_draws_each_text_and_says_what_doubling_saved():
    (ax,) = figures.compression(SIZES, LENGTHS, "two", 1024).axes
    assert list(ax.lines[0].get_ydata()) == pytest.approx([1.0, 100 / 60, 2.0])
    assert list(ax.lines[1].get_ydata()) == pytest.approx([1.0, 1.0, 2.0])
    said = figure_title(ax.figure)
    assert said == "two, 1024 tokens: 2.00 bytes per token, 50% fewer tokens than with 512"
    assert "40% fewer tokens than with 256" in figure_title(
        figures.compression(SIZES, LENGTHS, "one", 512)
    )
    assert "fewer" not in figure_title(figures.compression(SIZES, LENGTHS, "one", 256))
    (shared,) = ax.texts
    assert shared.get_text() == "one, two", "curves that end together share one label"
    assert shared.get_position()[1] == pytest.approx(2.0)
    higher = {"one": LENGTHS["one"], "two": [*LENGTHS["one"][:2], Length(20, 100, 100)]}
    (ax,) = figures.compression(SIZES, higher, "two", 1024).axes
    assert [text.get_text() for text in ax.texts] == ["one", "two"]
    with pytest.raises(ValueError, match=r"one, two .* 256, 512, 1024.*'x' .*\b7\b"):
        figures.compression(SIZES, LENGTHS, "x", 7)


def test_fertility_compares_tokens_and_names_the_most_expensive():
    lengths = {
        "English": Length(10, 40, 40),
        "Hindi": Length(85, 40, 100),
        "code": Length(20, 50, 50),
    }
    left, right = figures.fertility(lengths, ("English", "Hindi"), "English").axes
    assert [bar.get_width() for bar in left.patches] == [1.0, 8.5]
    assert [bar.get_width() for bar in right.patches] == pytest.approx([4.0, 100 / 85, 2.5])
    said = figure_title(left.figure)
    assert "Hindi needs 8.5 times as many tokens as English" in said
    assert "A token covers 4.0 bytes of English, 1.2 of Hindi" in said
    single = {"English": Length(40, 40, 40), "Hindi": Length(100, 40, 100)}
    said = figure_title(figures.fertility(single, ("English", "Hindi"), "English"))
    assert "In every text a token covers 1.0 bytes" in said


DRAWINGS = {
    "two_tokenizers": lambda: figures.two_tokenizers("mint ☃ 字", ("a", BPE), ("b", WORDPIECE)),
    "merge_tree": lambda: figures.merge_tree(BPE, "mint"),
    "viterbi_lattice": lambda: figures.viterbi_lattice("hug", LOGS),
    "compression": lambda: figures.compression(SIZES, LENGTHS, "one", 512),
    "fertility": lambda: figures.fertility({"a": LENGTHS["one"][0]}, ("a",), "a"),
}


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_a_picture_drawn_twice_has_the_same_bytes_and_a_finding(name):
    figure = DRAWINGS[name]()
    assert png_bytes(figure) == png_bytes(DRAWINGS[name]())
    assert all(ax.get_title(loc="left") for ax in figure.axes)


def test_every_picture_is_covered_here():
    assert set(DRAWINGS) == set(figures.__all__)

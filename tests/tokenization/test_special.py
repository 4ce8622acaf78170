import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models

from course_lib.tokenization import special

NAMES = ["<a>", "<a>b", "<a", "ab>", "[x]", "."]


def reference_parts(text, names):
    """Return the parts that `tokenizers` finds: each character is a token, and so is each name."""
    characters = sorted(set(text) | {"?"})
    tokenizer = Tokenizer(models.Unigram([(c, -1.0) for c in characters], 0))
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in names])
    tokens = tokenizer.encode(text).tokens
    parts = []
    for token in tokens:
        if token not in names and parts and not parts[-1][1]:
            parts[-1] = (parts[-1][0] + token, False)
        else:
            parts.append((token, token in names))
    return parts


@settings(max_examples=200, deadline=None)
@given(st.text("<a>b[x]", max_size=30))
def test_parts_equal_the_reference(text):
    names = NAMES[:-1]
    assert special.split_on_special(text, names) == reference_parts(text, names)


@given(st.text("<a>b[x].", max_size=30), st.lists(st.sampled_from(NAMES), unique=True))
def test_parts_are_the_text(text, names):
    parts = special.split_on_special(text, names)
    assert "".join(part for part, _ in parts) == text
    assert all(part in names for part, is_special in parts if is_special)
    assert all(name not in part for part, is_special in parts if not is_special for name in names)


def test_parts_by_hand():
    split = special.split_on_special
    assert split("1<a>b2", ["<a>", "<a>b"]) == [("1", False), ("<a>b", True), ("2", False)]
    assert split("<a><a>", ["<a>"]) == [("<a>", True), ("<a>", True)]
    assert split("<a>", []) == [("<a>", False)]
    assert split("", ["<a>"]) == []
    assert split("a.b", ["."]) == [("a", False), (".", True), ("b", False)]  # not a pattern


@given(st.lists(st.text("<a>b[x].", max_size=6), max_size=10), st.sets(st.sampled_from(NAMES)))
def test_streamed_parts_equal_those_of_the_joined_text(chunks, names):
    joined = []
    for part, is_special in special.stream_split(chunks, names):
        if not is_special and joined and not joined[-1][1]:
            joined[-1] = (joined[-1][0] + part, False)
        elif part:
            joined.append((part, is_special))
    assert joined == special.split_on_special("".join(chunks), names)


def test_white_space_beside_a_name_by_hand():
    reaches = {"<l>": special.Reach(left=True), "<r>": special.Reach(right=True)}
    text = ["a ", " ", "<l>", " ", "b", "<r>", "\n", " c\u3000"]
    parts = [(part, part in reaches) for part in text]
    left = ["a", "<l>", " b", "<r>", "c", "\u3000"]
    assert list(special.without_reached(parts, reaches)) == [(p, p in reaches) for p in left]
    encode = special.encode_with_special
    ids = encode("".join(text), {"<l>": 0, "<r>": 1}, "all", lambda t: [len(t)], reaches=reaches)
    assert ids == [1, 0, 2, 1, 2]  # text is encoded as one piece


def test_allowed_names():
    ids = {"<s>": 0, "</s>": 1}
    assert special.choose_allowed(ids, "all") == ["<s>", "</s>"]
    assert special.choose_allowed(ids, "<s>") == ["<s>"]
    assert special.choose_allowed(ids, ()) == []
    encode = special.encode_with_special
    assert encode("a<s>b", ids, "all", lambda text: [len(text) + 10]) == [11, 0, 11]
    assert encode("a<s>b", ids, (), lambda text: [len(text) + 10]) == [15]


def test_hundreds_of_names_are_sorted_once_and_not_for_every_text():
    ids = {f"<|reserved_special_token_{i}|>": i for i in range(256)}
    special._finder.cache_clear()
    for text in ("a", "b<|reserved_special_token_10|>", ""):
        assert len(special.encode_with_special(text, ids, "all", lambda _: [0])) <= 2
    assert list(special.stream_split(["a"] * 50, ids))
    assert special._finder.cache_info().misses == 1


def test_errors_name_rule_value_and_remedy():
    with pytest.raises(
        ValueError, match=r"listed once, since it has one id; got '<s>' 3 times\. R"
    ):
        special.check_special(["<s>", "a", "<s>", "<s>"])
    with pytest.raises(ValueError, match=r"at least one character; got ''\. Remove it"):
        special.check_special(["<s>", ""])
    with pytest.raises(ValueError, match=r"got '<t>'\. Choose from \['<s>'\], or pass 'all'"):
        special.choose_allowed({"<s>": 0}, ["<s>", "<t>"])

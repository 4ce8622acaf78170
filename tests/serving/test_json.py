"""Output that fits a JSON Schema: the grammar, the mask over tokens, and the engine with both."""

import json
import random
import time

import jsonschema
import pytest
import torch

from course_lib.device import seeded
from course_lib.generation import Sampling, Stop, generate
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.serving import Engine, JsonMask, Request, TokenTree, any_object, schema_grammar

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 6},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"enum": ["a", "b", 3, None]}, "maxItems": 3},
        "mail": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
    },
    "required": ["name", "tags"],
}
TREE = {
    "type": "object",
    "properties": {
        "value": {"type": "boolean"},
        "children": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2},
    },
    "required": ["value"],
    "additionalProperties": False,
}
SCHEMAS = [
    PERSON,
    TREE,
    {"type": ["number", "null"]},
    {"type": "array", "items": {"type": "integer"}, "minItems": 2},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    {"type": "object", "additionalProperties": {"type": "integer"}},
    {"$ref": "#/$defs/pair", "$defs": {"pair": {"type": "array", "maxItems": 0}}},
    {"const": {"a": [1, "ä"]}},
]


def random_text(grammar, rng, limit=300):
    """Return a text that the grammar leads to, byte by byte; None if it gets too long."""
    state, text = grammar.start, b""
    while len(text) < limit:
        choices = sorted({byte for stack in state if stack for byte in stack[0]})
        if () in state and (not choices or rng.random() < 0.5):
            return text
        closing = [byte for byte in choices if byte in b'}]"' and rng.random() < 0.4]
        byte = rng.choice(closing or choices)
        text, state = text + bytes([byte]), grammar.advance(state, byte)
    return None


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_every_text_of_the_grammar_is_json_that_meets_the_schema(schema):
    grammar, rng = schema_grammar(schema), random.Random(0)
    texts = [random_text(grammar, rng) for _ in range(200)]
    found = [text for text in texts if text is not None]
    assert len(found) > 30
    for text in found:
        jsonschema.validate(json.loads(text.decode("utf-8")), schema)
        assert grammar.matches(text)


GOOD = {
    0: [
        {"name": "Ada", "tags": []},
        {"name": "Zoë", "age": -3, "tags": ["a", None], "mail": None},
        {"name": "日本", "tags": [3], "mail": "x@y"},
    ],
    1: [{"value": True}, {"value": False, "children": [{"value": True, "children": []}]}],
    2: [None, -1.5e-7, 0, 12.25],
    3: [[1, 2], [-1, 0, 5, 7]],
    5: [{}, {"x": 1, "é": -2}],
}


@pytest.mark.parametrize("number", GOOD)
def test_json_that_meets_the_schema_is_a_text_of_the_grammar(number):
    grammar = schema_grammar(SCHEMAS[number])
    for value in GOOD[number]:
        for separators in ((",", ":"), (", ", ": ")):
            text = json.dumps(value, ensure_ascii=False, separators=separators)
            assert grammar.matches(text.encode())
        assert grammar.matches(json.dumps(value).encode()) or "\\u" in json.dumps(value)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, '{"name": "Ada"}'),  # a required property is missing
        (0, '{"tags": [], "name": "Ada"}'),  # not in the order of the schema
        (0, '{"name": "", "tags": []}'),
        (0, '{"name": "Alexander", "tags": []}'),
        (0, '{"name": "A", "tags": ["a", "a", "a", "a"]}'),
        (0, '{"name": "A", "tags": ["c"]}'),
        (0, '{"name": "A", "age": 1.5, "tags": []}'),
        (0, '{"name": "A", "tags": [],}'),
        (1, '{"value": true, "more": 1}'),
        (2, "01"),
        (2, "1."),
        (2, ".5"),
        (2, "NaN"),
        (3, "[1]"),
        (5, '{"x": "1"}'),
        (0, '{"name": "\n", "tags": []}'),
    ],
)
def test_what_does_not_meet_the_schema_is_no_text_of_the_grammar(number, text):
    assert not schema_grammar(SCHEMAS[number]).matches(text.encode())


def test_bytes_that_are_not_utf8_are_no_text():
    grammar = schema_grammar({"type": "string"})
    for bad in (b'"\xff"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\x80"'):
        assert not grammar.matches(bad)
    for good in ("é", "€", "😀", "\u007e"):
        assert grammar.matches(f'"{good}"'.encode())


def test_any_object_is_any_json_object():
    grammar = any_object()
    value = {"a": [1, {"b": None}], "c": {"d": "e\\n"}, "f": -0.5}
    assert grammar.matches(json.dumps(value).encode())
    assert not grammar.matches(b"[1]")


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"type": "string", "pattern": "a+"}, "pattern"),
        ({"type": "integer", "minimum": 3}, "minimum"),
        ({"type": "text"}, "text"),
        ({"enum": []}, "at least one choice"),
        ({"type": "array", "minItems": 3, "maxItems": 1}, "3 is more than maxItems 1"),
        ({"type": "string", "maxLength": -1}, "-1"),
        ({"type": "object", "properties": {}, "required": ["x"]}, "'x'"),
        ({"$ref": "#/$defs/no"}, "#/\\$defs/no"),
        ({"type": "object", "properties": {"x": 3}}, "3"),
        ({"$ref": "#"}, "without an end"),
        (
            {"type": "object", "properties": {"x": {"$ref": "#"}}, "required": ["x"]},
            "without an end",
        ),
        (
            {"type": "object", "properties": {"x": {"type": "array", "items": {"format": "x"}}}},
            "None",
        ),
    ],
    ids=str,
)
def test_a_schema_that_cannot_be_met_or_is_not_understood_raises(schema, word):
    with pytest.raises(ValueError, match=word):
        schema_grammar(schema)


def test_a_large_schema_takes_no_time():
    schema = {"type": "string", "maxLength": 1000}
    for _ in range(6):
        schema = {"type": "array", "items": schema, "minItems": 900, "maxItems": 1000}
    begin = time.process_time()
    schema_grammar(schema)
    assert time.process_time() - begin < 2


def test_a_rule_that_leads_back_to_itself_is_followed_once():
    grammar = schema_grammar({"anyOf": [{"$ref": "#"}, {"type": "null"}]})
    assert grammar.matches(b"null")


@pytest.fixture(scope="module")
def tree():
    return TokenTree.of(course_tokenizer())


def test_the_mask_is_what_trying_every_token_gives(tree):
    mask = JsonMask(schema_grammar(PERSON), tree)
    state = mask.start
    for byte in b'{"name": "A", "tags": ["a", ':
        by_hand = sorted(t for t, data in tree.tokens.items() if mask.grammar.follow(state, data))
        assert sorted(mask.tokens(state)) == by_hand
        state = mask.grammar.advance(state, byte)


def test_a_stop_id_is_allowed_only_where_the_text_is_whole(tree):
    mask = JsonMask(schema_grammar({"type": "integer"}), tree)
    digits = mask.grammar.follow(mask.start, b"12")
    assert not mask.allowed(mask.start, (2047,), 2048)[2047]
    assert mask.allowed(digits, (2047,), 2048)[2047]
    assert not mask.complete(digits)
    assert mask.complete(mask.grammar.follow(mask.start, b"0"))


@pytest.mark.parametrize("schema", [PERSON, SCHEMAS[4]], ids=["person", "list"])
def test_the_engine_writes_json_that_meets_the_schema(schema, tree):
    mask, tokenizer, model = JsonMask(schema_grammar(schema), tree), course_tokenizer(), None
    model = course_model()
    engine = Engine(model, num_blocks=64, draft_tokens=2)
    prompt, stop = tuple(tokenizer.encode("person = ")), Stop((2047,))
    requests = [Request(prompt, 80, Sampling(), stop, seed=n, json=mask) for n in range(4)]
    plain = engine.add(Request(prompt, 20))
    jobs = [engine.add(request) for request in requests]
    engine.run()
    whole = [job for job in jobs if job.finish == "stop"]
    assert len(whole) >= 2
    for job in whole:
        ids = [token for token in job.new if token != 2047]
        jsonschema.validate(json.loads(tokenizer.decode(ids)), schema)
    assert plain.new == generate(model, torch.tensor([prompt]), 20)[0].tolist()


def test_the_engine_samples_as_a_processor_would(tree):
    mask, tokenizer, model = (
        JsonMask(schema_grammar(PERSON), tree),
        course_tokenizer(),
        course_model(),
    )
    prompt = tokenizer.encode("person = ")

    def only_json(logits, ids):
        state = mask.start
        for token in ids[0, len(prompt) :].tolist():
            state = mask.after(state, token)
        return logits.masked_fill(~mask.allowed(state, (), logits.shape[1]), -torch.inf)

    job = Engine(model, num_blocks=64).add(
        Request(tuple(prompt), 30, Sampling(), seed=3, json=mask)
    )
    engine = Engine(model, num_blocks=64)
    job = engine.add(job.request)
    engine.run()
    sampling = Sampling(more=(only_json,))
    ids = torch.tensor([prompt])
    alone = generate(model, ids, len(job.new), sampling, generator=seeded(3))[0].tolist()
    assert job.new == alone


def test_other_tokenizers_raise():
    with pytest.raises(ValueError, match="byte-level"):
        TokenTree.of("words")

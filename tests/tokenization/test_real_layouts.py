"""Layouts of well-known files, with small models in place of theirs: read as `tokenizers` does."""

import json
import random
from itertools import pairwise

import pytest
from tokenizers import Tokenizer

from course_lib.tokenization import huggingface
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.chat_template import ChatTemplate, encode_conversation
from tests.tokenization.charsmaps import charsmap
from tests.tokenization.layout_steps import DEEPSEEK
from tests.tokenization.layouts import model_texts

TEXTS = [
    "Translate <extra_id_0> into  German <extra_id_1>.",
    "a<mask>b  <mask>\t c <mask>",
    "\u00a0<mask>\u3000 ﬁne ① e\u0301 <extra_id_1>\n\n<extra_id_0>",
    "<|user|>\n  Hi <|end|>\n<|assistant|> \n",
    "<｜begin▁of▁sentence｜>x = 12345 + 中文か<｜User｜> def f():\n\treturn 1<think>\n",
    "  two  spaces  ",
    "",
]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}
DEEPSEEK_LAST = BYTE_LEVEL | {"add_prefix_space": False, "use_regex": False}
OLD_METASPACE = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
PREPEND = [
    {"type": "Prepend", "prepend": "▁"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
]
JOIN = [
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    {"type": "ByteFallback"},
    {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
]


def sequence(kind, steps):
    return {"type": "Sequence", kind: steps}


def split(pattern):
    pattern = {"Regex": pattern}
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


def unigram(normalizer, pre_tokenizer, decoder, **strips):
    """Return a layout with the special tokens of T5 and XLM-R; `strips` are flags of some."""
    model = json.loads(model_texts()["unigram"])
    names = ["<mask>", "<extra_id_1>", "<extra_id_0>"]
    size = len(model["vocab"])
    model["vocab"] += [[name, 0.0] for name in names]
    steps = {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "decoder": decoder}
    added = [(name, size + i, strips.get(name[1:5], ())) for i, name in enumerate(names)]
    return steps | {"added_tokens": [token("<unk>", 0), *(token(*each) for each in added)],
                    "model": model}  # fmt: skip


def token(name, i, flags=(), **others):
    found = {"id": i, "content": name, "special": True, "normalized": False, "single_word": False}
    return found | {flag: flag in flags for flag in ("lstrip", "rstrip")} | others


def precompiled():
    return {"type": "Precompiled", "precompiled_charsmap": charsmap(random.Random(3))}


def t5():
    """T5 as it was published: added tokens that leave the white space beside them."""
    steps = [{"type": "WhitespaceSplit"}, OLD_METASPACE]
    return unigram(precompiled(), sequence("pretokenizers", steps), OLD_METASPACE)


def t5_saved_again():
    """T5 as newer versions of transformers write it."""
    spaces = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}
    strip = {"type": "Strip", "strip_left": False, "strip_right": True}
    normalizer = sequence("normalizers", [precompiled(), strip, spaces])
    return unigram(normalizer, METASPACE, METASPACE, extr=("lstrip", "rstrip"))


def xlm_roberta():
    steps = [{"type": "WhitespaceSplit"}, METASPACE]
    pre_tokenizer = sequence("pretokenizers", steps)
    return unigram(precompiled(), pre_tokenizer, METASPACE, mask=("lstrip",))


def phi_3():
    """Llama 2's layout with roles that take the white space after them."""
    model = json.loads(model_texts()["character"])
    size = len(model["vocab"])
    names = ["<|user|>", "<|assistant|>", "<|end|>"]
    roles = [token(name, size + i, ("rstrip",)) for i, name in enumerate(names)]
    return {
        "normalizer": sequence("normalizers", PREPEND), "pre_tokenizer": None,
        "decoder": sequence("decoders", JOIN), "model": model,
        "added_tokens": [token("<unk>", model["vocab"]["<unk>"]), *roles],
    }  # fmt: skip


def roberta():
    """GPT-2's layout with RoBERTa's `<mask>`, and a role that takes white space as Phi-4's do."""
    model = json.loads(model_texts()["byte"])
    size = len(model["vocab"])
    added = [token("<mask>", size, ("lstrip",)), token("<|end|>", size + 1, ("lstrip", "rstrip"))]
    return {
        "normalizer": None, "model": model, "decoder": BYTE_LEVEL,
        "pre_tokenizer": BYTE_LEVEL | {"add_prefix_space": False}, "added_tokens": added,
    }  # fmt: skip


def mpnet():
    """BERT's layout with RoBERTa's `<mask>`."""
    model = json.loads(model_texts()["wordpiece"])
    known = [token(name, model["vocab"][name]) for name in ("[UNK]", "[SEP]")]
    names = {"strip_accents": None, "clean_text": True, "handle_chinese_chars": True}
    return {
        "normalizer": {"type": "BertNormalizer", "lowercase": True, **names}, "model": model,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "added_tokens": [*known, token("<mask>", len(model["vocab"]), ("lstrip",))],
    }  # fmt: skip


def deepseek(*steps):
    """DeepSeek's layouts: a sequence of no normalizers, and tokens that are normalized by it."""
    model = json.loads(model_texts()["byte"])
    size = len(model["vocab"])
    names = ["<｜begin▁of▁sentence｜>", "<｜User｜>", "<think>"]
    added = [token(name, size + i, normalized=i > 0, special=i < 1) for i, name in enumerate(names)]
    return {
        "normalizer": sequence("normalizers", []), "model": model, "added_tokens": added,
        "pre_tokenizer": sequence("pretokenizers", [*steps, DEEPSEEK_LAST]), "decoder": BYTE_LEVEL,
    }  # fmt: skip


HAN = "[一-龥぀-ゟ゠-ヿ]+"
CODER = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"]
LAYOUTS = {
    "T5": t5,
    "T5, saved again": t5_saved_again,
    "XLM-R": xlm_roberta,
    "Phi-3": phi_3,
    "RoBERTa": roberta,
    "MPNet": mpnet,
    "DeepSeek-V3": lambda: deepseek(split(r"\p{N}{1,3}"), split(HAN), split(DEEPSEEK)),
    "DeepSeek Coder": lambda: deepseek(
        *map(split, CODER), {"type": "Digits", "individual_digits": True}
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_ids_are_those_of_tokenizers(name):
    content = {"version": "1.0", "post_processor": None} | LAYOUTS[name]()
    theirs = Tokenizer.from_str(json.dumps(content))
    ours = huggingface.from_json(content)
    again = huggingface.from_json(json.loads(json.dumps(huggingface.to_json(ours))))
    for text in TEXTS:
        expected = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text, "all") == expected, text
        assert again.encode(text, "all") == expected, text
        assert ours.decode(expected) == theirs.decode(expected, skip_special_tokens=False)


def test_a_stream_and_a_saved_file_leave_out_the_same_white_space(tmp_path):
    ours = huggingface.from_json(roberta())
    ours.save(tmp_path / "saved.json")
    again = ByteBPE.load(tmp_path / "saved.json")
    assert again.reaches == ours.reaches == {"<mask>": (True, False), "<|end|>": (True, True)}
    generator = random.Random(0)
    pieces = ["<mask>", "<|end|>", " ", "\n\t", "\u3000", "a  b", "<mas"]
    for _ in range(60):
        text = "".join(generator.choices(pieces, k=8))
        cuts = sorted(generator.choices(range(len(text) + 1), k=4))
        chunks = [text[a:b] for a, b in pairwise([0, *cuts, len(text)])]
        for allowed in ("all", ["<mask>"], ()):
            expected = ours.encode(text, allowed)
            assert list(ours.encode_iterable(chunks, allowed)) == expected, (text, chunks)
            assert again.encode(text, allowed) == expected


@pytest.mark.parametrize("name", ["Phi-3", "Mistral"])
def test_a_conversation_has_the_ids_of_its_text(name):
    content = {"version": "1.0", "post_processor": None} | phi_3()
    if name == "Mistral":  # a ▁ is put before the text, and not after a special token
        content |= {"normalizer": None}
        content |= {"pre_tokenizer": METASPACE | {"prepend_scheme": "first", "split": False}}
    theirs = Tokenizer.from_str(json.dumps(content))
    template = ChatTemplate(
        "Talk:{% for m in messages %}<|user|>\n{{ m.content }} <|end|>\n{% endfor %}<|assistant|>"
    )
    messages = [{"role": "user", "content": said} for said in ("  Hi there", "x = 1\n")]
    ids = encode_conversation(
        huggingface.from_json(content), template, messages, protected=["<|user|>"]
    )
    assert ids == theirs.encode(template.render(messages), add_special_tokens=False).ids


def test_tokens_that_take_white_space_do_so_on_their_side_only():
    ours = huggingface.from_json(phi_3())
    end = ours.special_tokens["<|end|>"]
    one, other = ours.encode("a <|end|> \n b", "all"), ours.encode("a <|end|>b", "all")
    assert one == other
    assert one != ours.encode("a<|end|>b", "all")
    assert end in one


def test_a_name_with_a_space_at_its_end_is_refused_beside_such_tokens():
    content = phi_3()
    content["added_tokens"].append(token(" x", len(content["model"]["vocab"]) + 3))
    with pytest.raises(ValueError, match=r"free of white space.*'<\|user\|>'.*got ' x'"):
        huggingface.from_json(content)

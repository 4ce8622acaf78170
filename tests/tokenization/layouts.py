"""Layouts of `tokenizer.json` made at random, and strings on which tokenizers tend to differ."""

import json
from functools import cache

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from course_lib import corpus
from course_lib.tokenization import huggingface, patterns, unicode_tables
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.metaspace import BYTE_PIECES
from course_lib.tokenization.unigram import Unigram
from course_lib.tokenization.wordpiece import WordPiece
from tests.tokenization.charsmaps import charsmap

CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+"
)
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
KIMI = r"[\p{Han}]+|[^\r\n\p{L}]?[\p{L}&&[^\p{Han}]]+|\p{N}{1,3}|\s+"
PATTERNS = [
    *(patterns.GPT2_PATTERN, patterns.GPT4_PATTERN, patterns.QWEN_PATTERN, CL100K, O200K, BLOOM),
    *(
        DEEPSEEK,
        KIMI,
        r"\p{N}{1,3}",
        "[一-龥぀-ゟ゠-ヿ]+",
        r"\d",
        r"\d{1,3}(?=(?:\d{3})*\b)",
        r"\h+",
    ),
    *(r"^\s+|\s+$", "(?m:a.)", r"\A.|.\z", r"\s\Z", "x*", "(?=[A-Z])", "(?i:ss|a)", "(?i:[sk]|ta)"),
    *(r"a{2}?|b{1,2}+", r"(a)\1", r"\w+|[^\w\s]+", "(?<=a)b", r"\bA", r"\R", "a{,2}|{", " "),
    *(r"\p{Ll}+|\p{Lo}", r"[^\S\n]+", "(?>a|ab)b", r"\u0041|\x42", r"\P{L}", "(?s:.)", "(?i)ab"),
    *("[[:alpha:]]+", r"[\h_]+", "[a-c-]+", "(?~ab)", "a++b|a", "[^a[bc]]", r"\w&&\d", "a*?b"),
]
BEHAVIORS = ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
NAMES = ["<s>", "</s>", "<unk>", "<mask>", "a", "the", "ab", "b<", "é", "<|x|>", " x", "[SEP]"]
LETTERS = (
    "aabbcthes ABX  \n\r\t'lrvSDM012.,!?_-▁<>|s/\0\x1c\x85\u00a0\u200b\u3000éßſſK\u0301\u0323ﬁ①ÅΣςİ"
    "中文字²\u200d½😀👍🏽\ufffd\u0378\u0558\u20c1\u1df6\u0890\u08e2\u1734\u0295か\u3099가\u0958ﷺ"
)
LATER = [
    letter
    for letter in map(chr, [*range(0xD800), *range(0xE000, 0x20000)])
    if unicode_tables.LATER_IN_NORMAL_FORMS.match(letter)
    or unicode_tables.LATER_MARKS.match(letter)
]


@cache
def model_texts():
    """Return a model of each kind, as JSON."""
    text = corpus.train_text(20_000) + "\n".join(corpus.SAMPLES.values())
    byte_level = huggingface.to_json(ByteBPE.train([text], 700))["model"]
    wordpiece = huggingface.to_json(WordPiece.train([text], 700))["model"]
    unigram = huggingface.to_json(Unigram.train([text[-4000:]], 450))["model"]
    characters = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    characters.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", *BYTE_PIECES]
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=special, show_progress=False)
    characters.train_from_iterator([text], trainer)
    character = json.loads(characters.to_str())["model"]
    made = {"byte": byte_level, "wordpiece": wordpiece, "unigram": unigram, "character": character}
    return {kind: json.dumps(model) for kind, model in made.items()}


def split(generator):
    pattern = {"Regex": generator.choice(PATTERNS)}
    if generator.random() < 0.05:
        pattern = {"String": " "}
    behavior = generator.choice(["Isolated", *BEHAVIORS])
    invert = generator.random() < 0.3
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def metaspace(generator):
    scheme = generator.choice(["always", "always", "first", "never"])
    cut = generator.random() < 0.7
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": cut}


def any_pre_tokenizer(generator):
    flag = generator.random() < 0.5
    byte_level = {"type": "ByteLevel", "add_prefix_space": flag, "trim_offsets": True}
    return generator.choice(
        [
            None,
            split(generator),
            metaspace(generator),
            byte_level | {"use_regex": True},
            {"type": "Digits", "individual_digits": flag},
            {"type": "Punctuation", "behavior": "Isolated"},
            *({"type": name} for name in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer")),
        ]
    )


def pre_tokenizer(generator, kind):
    """Return a pre-tokenizer, mostly one that the kind of model is used with."""
    if generator.random() < 0.1:
        return any_pre_tokenizer(generator)
    if kind == "wordpiece":
        return {"type": "BertPreTokenizer"}
    if kind == "byte":
        last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
        last["use_regex"] = generator.random() < 0.3
        digits = {"type": "Digits", "individual_digits": generator.random() < 0.5}
        before = [split(generator) for _ in range(generator.choice([0, 1, 1, 1, 2, 3]))]
        before += [digits] if generator.random() < 0.1 else []
        return {"type": "Sequence", "pretokenizers": [*before, last]} if before else last
    if kind == "character" and generator.random() < 0.5:
        return None
    if generator.random() < 0.3:
        steps = [{"type": "WhitespaceSplit"}, metaspace(generator)]
        return {"type": "Sequence", "pretokenizers": steps}
    return metaspace(generator)


def any_normalizer(generator):
    flags = {name: generator.random() < 0.5 for name in ("strip_left", "strip_right")}
    bert = {name: generator.random() < 0.8 for name in ("clean_text", "handle_chinese_chars")}
    bert |= {"strip_accents": generator.choice([None, True, False])}
    bert |= {"lowercase": generator.random() < 0.5}
    names = ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt")
    return generator.choice(
        [
            *({"type": name} for name in names),
            {"type": "Strip", **flags},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": generator.choice(" ▁")},
            {"type": "Replace", "pattern": {"Regex": generator.choice(PATTERNS)}, "content": "\\1"},
            {"type": "Prepend", "prepend": "▁"},
            {"type": "BertNormalizer", **bert},
            {"type": "Precompiled", "precompiled_charsmap": charsmap(generator)},
        ]
    )


def normalizer(generator, kind):
    if kind == "wordpiece" and generator.random() < 0.9:
        found = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True}
        return {**found, "strip_accents": None, "lowercase": generator.random() < 0.7}
    if kind == "byte" and generator.random() < 0.9:
        return generator.choice([None, {"type": generator.choice(["NFC", "NFD", "NFKC", "NFKD"])}])
    if kind == "character" and generator.random() < 0.5:
        replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
        steps = [{"type": "Prepend", "prepend": "▁"}, replace]
        return {"type": "Sequence", "normalizers": steps}
    steps = [any_normalizer(generator) for _ in range(generator.choice([0, 0, 1, 2, 3]))]
    return {"type": "Sequence", "normalizers": steps} if steps else None


def decoder(generator, kind):
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}
    byte_level["use_regex"] = True
    joined = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]
    wordpiece = {"type": "WordPiece", "prefix": "##", "cleanup": generator.random() < 0.5}
    fallback = {"type": "Sequence", "decoders": joined[: generator.choice([3, 4, 4])]}
    spaces = metaspace(generator)
    every = [None, byte_level, wordpiece, fallback, spaces, {"type": "Fuse"}]
    fitting = {"byte": byte_level, "wordpiece": wordpiece, "unigram": spaces, "character": fallback}
    return fitting[kind] if generator.random() < 0.8 else generator.choice(every)


def added(generator, kind, vocab):
    """Return added tokens; most are found in the text as they are written."""
    names = vocab if isinstance(vocab, dict) else {piece: i for i, (piece, _) in enumerate(vocab)}
    chosen = generator.sample(NAMES, generator.choice([0, 1, 1, 2, 3]))
    if kind in ("unigram", "wordpiece"):  # names that the model knows are found in the text
        known = [name for name in ("<unk>", "[UNK]", "[CLS]") if name in names]
        chosen = [name for name in chosen if name not in known] + known
    tokens, size = [], len(names)
    for name in chosen:
        i = names.get(name, size)
        size += i == size
        i += generator.random() < 0.03
        token = {"id": i, "content": name, "special": True}
        token |= {flag: generator.random() < 0.2 for flag in ("lstrip", "rstrip")}
        token["single_word"] = generator.random() < 0.03
        tokens.append(token | {"normalized": generator.random() < 0.05})
    return tokens


def layout(generator):
    """Return the content of a tokenizer.json, which may be one that nobody would write."""
    kind = generator.choice(["byte", "byte", "character", "unigram", "wordpiece"])
    model = json.loads(model_texts()[kind])
    if kind == "byte":
        model["ignore_merges"] = generator.random() < 0.3
        if generator.random() < 0.3:
            model["merges"] = [" ".join(merge) for merge in model["merges"]]
    if kind == "character":
        model["byte_fallback"] = generator.random() < 0.8
        model["fuse_unk"] = generator.random() < 0.8
    if kind == "wordpiece" and generator.random() < 0.2:
        model["max_input_chars_per_word"] = 3
    truncation = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    return {
        "version": "1.0",
        "truncation": truncation if generator.random() < 0.2 else None,
        "padding": None,
        "added_tokens": added(generator, kind, model["vocab"]),
        "normalizer": normalizer(generator, kind),
        "pre_tokenizer": pre_tokenizer(generator, kind),
        "post_processor": None,
        "decoder": decoder(generator, kind),
        "model": model,
    }


def strings(generator, content):
    """Return strings that steer the layout: its added tokens, spaces, accents, rare letters."""
    names = [token["content"] for token in content["added_tokens"]]
    words = ["the ", "return self.", " it's", "I'LL", "  ", "cafe\u0301", "2024", *names, *names]
    made = [generator.choice(list(corpus.SAMPLES.values()))[:60], ""]
    for _ in range(8):
        parts = [
            generator.choice(words) if generator.random() < 0.25 else generator.choice(LETTERS)
            for _ in range(generator.randrange(1, 24))
        ]
        if generator.random() < 0.4:
            parts.append(generator.choice(LATER))
        if generator.random() < 0.3:
            parts.append(chr(generator.choice([*range(0xD800), *range(0xE000, 0x20000)])))
        generator.shuffle(parts)
        made.append("".join(parts))
    return made

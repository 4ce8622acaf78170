"""Steps of a `tokenizer.json` made at random: normalizers, pre-tokenizers, processors, decoders."""

from course_lib.tokenization import patterns
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


def any_pre_tokenizer(generator, depth=0):
    flag = generator.random() < 0.5
    byte_level = {"type": "ByteLevel", "add_prefix_space": flag, "trim_offsets": True}
    behavior = generator.choice(BEHAVIORS)
    made = [
        None,
        split(generator),
        metaspace(generator),
        metaspace(generator) | {"replacement": generator.choice("_▁x")},
        byte_level | {"use_regex": generator.random() < 0.5},
        {"type": "Digits", "individual_digits": flag},
        {"type": "Punctuation", "behavior": behavior},
        {"type": "CharDelimiterSplit", "delimiter": generator.choice("x ▁")},
        {"type": "FixedLength", "length": generator.randrange(1, 6)},
        *({"type": name} for name in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer")),
        {"type": "UnicodeScripts"},
    ]
    if depth < 2:
        steps = [any_pre_tokenizer(generator, depth + 1) for _ in range(generator.randrange(4))]
        made.append({"type": "Sequence", "pretokenizers": list(filter(None, steps))})
    return generator.choice(made)


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
        before += [any_pre_tokenizer(generator)] if generator.random() < 0.05 else []
        before = list(filter(None, before))
        return {"type": "Sequence", "pretokenizers": [*before, last]} if before else last
    if kind == "character" and generator.random() < 0.5:
        return None
    if generator.random() < 0.3:
        steps = [{"type": "WhitespaceSplit"}, metaspace(generator)]
        return {"type": "Sequence", "pretokenizers": steps}
    return metaspace(generator)


def any_normalizer(generator, depth=0):
    flags = {name: generator.random() < 0.5 for name in ("strip_left", "strip_right")}
    bert = {name: generator.random() < 0.8 for name in ("clean_text", "handle_chinese_chars")}
    bert |= {"strip_accents": generator.choice([None, True, False])}
    bert |= {"lowercase": generator.random() < 0.5}
    names = ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel")
    made = [
        *({"type": name} for name in names),
        {"type": "Strip", **flags},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": generator.choice(" ▁")},
        {"type": "Replace", "pattern": {"Regex": generator.choice(PATTERNS)}, "content": "\\1"},
        {
            "type": "Replace",
            "pattern": {"String": generator.choice(["a", "th", ""])},
            "content": "",
        },
        {"type": "Prepend", "prepend": generator.choice("▁▁xé")},
        {"type": "BertNormalizer", **bert},
        {"type": "Precompiled", "precompiled_charsmap": charsmap(generator)},
    ]
    if depth < 2:
        steps = [any_normalizer(generator, depth + 1) for _ in range(generator.randrange(4))]
        made.append({"type": "Sequence", "normalizers": steps})
    return generator.choice(made)


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
    fitting = {"byte": byte_level, "wordpiece": wordpiece, "unigram": spaces, "character": fallback}
    if generator.random() < 0.8:
        return fitting[kind]
    strip = {"type": "Strip", "content": " ", "start": generator.randrange(3), "stop": 0}
    every = [None, byte_level, wordpiece, fallback, spaces, strip, *joined]
    every += [{"type": "CTC", "pad_token": "<s>", "word_delimiter_token": "|", "cleanup": True}]
    every += [{"type": "BPEDecoder", "suffix": generator.choice(["", "</w>"])}]
    every += [metaspace(generator) | {"replacement": "_"}, wordpiece | {"prefix": ""}]
    every += [{"type": "Sequence", "decoders": generator.sample(every[1:], generator.randrange(4))}]
    return generator.choice(every)


def processor(generator):
    """Return a post-processor, which adds tokens only where it is asked to."""
    flags = {name: generator.random() < 0.5 for name in ("add_prefix_space", "trim_offsets")}
    ends = {"sep": ["</s>", 1], "cls": ["<s>", 0]}
    text = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
    start = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    listed = {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}
    template = {"single": [start, text[0]], "pair": [start, *text], "special_tokens": listed}
    made = [
        {"type": "ByteLevel", **flags, "use_regex": True},
        {"type": "RobertaProcessing", **ends, **flags},
        {"type": "BertProcessing", **ends},
        {"type": "TemplateProcessing", **template},
    ]
    made.append({"type": "Sequence", "processors": generator.sample(made, 2)})
    return generator.choice([None, None, None, *made])

"""Layouts of `tokenizer.json` made at random, and strings on which tokenizers tend to differ."""

import json
from functools import cache

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from course_lib import corpus
from course_lib.tokenization import huggingface, unicode_tables
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.metaspace import BYTE_PIECES
from course_lib.tokenization.unigram import Unigram
from course_lib.tokenization.wordpiece import WordPiece
from tests.tokenization.layout_models import change_model
from tests.tokenization.layout_steps import decoder, normalizer, pre_tokenizer, processor

NAMES = [
    "<s>",
    "</s>",
    "<unk>",
    "<mask>",
    "a",
    "the",
    "ab",
    "b<",
    "é",
    "<|x|>",
    " x",
    "[SEP]",
    "zqx",
]
LETTERS = (
    "aabbcthes ABX  \n\r\t'lrvSDM012.,!?_-▁<>|s/\0\x1c\x85\u00a0\u200b\u3000éßſſK\u0301\u0323ﬁ①ÅΣςİ"
    "中文字²\u200d½😀👍🏽\ufffd\u0378\u0558\u20c1\u1df6\u0890\u08e2\u1734\u0295か\u3099가\u0958ﷺ"
)
CLUSTERS = [
    *(
        "👩\u200d👩\u200d👧\u200d👦",
        "🏴\U000e0067\U000e0062\U000e007f",
        "🇩🇪🇫",
        "1\ufe0f\u20e3",
        "❤️\u200d🔥",
    ),
    *("\u1112\u1161\u11ab", "\uac00\u11a8", "שׁלום", "العَرَبِيَّة", "ภาษาไทย", "क्षि", "ΟΔΟΣ", "ςΣ"),
    *(
        "a\u0323\u0307",
        "\u0344",
        "ǅ",
        "ŉǰΐ",
        "ẞSS",
        "ႠᎠꭰ",
        "\u00ad",
        "\ufeff",
        "\u2028\u180e",
        "\u202eabc\u202c",
    ),
    *(
        "\ue000",
        "\uffff\U0010ffff",
        "\r\n\r",
        "\x7f\x80\x9f",
        "𝐀𝟙",
        "㍿",
        "Å",
        "\u115f\u1160\u3164",
    ),
    *("zqx", "ZQX aZqx", "＜unk＞", "＜ｓ＞"),
    *("don't do not 're n't .", " ' ", "##s", "▁▁a", "<0x41>", "<0xE5>", "Ġthe", "</w>"),
]
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
        token["special"] = generator.random() < 0.8
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
    if generator.random() < 0.25:
        change_model(generator, kind, model)
    truncation = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    padding = {"strategy": {"Fixed": 9}, "direction": "Left", "pad_to_multiple_of": None}
    padding |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "<s>"}
    return {
        "version": "1.0",
        "truncation": truncation if generator.random() < 0.2 else None,
        "padding": padding if generator.random() < 0.2 else None,
        "added_tokens": added(generator, kind, model["vocab"]),
        "normalizer": normalizer(generator, kind),
        "pre_tokenizer": pre_tokenizer(generator, kind),
        "post_processor": processor(generator),
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
        if generator.random() < 0.4:
            parts += generator.sample(CLUSTERS, 2)
        if generator.random() < 0.1:
            parts.append(long_word(generator))
        generator.shuffle(parts)
        made.append("".join(parts))
    return made


def long_word(generator):
    """Return letters or one character many times, without a space."""
    letters = generator.choice(["aab", "etaoinshr", "1", " ", "가\u0301", "中é", "▁a", "\n\r"])
    return "".join(generator.choices(letters, k=generator.choice([33, 101, 300])))

"""Read and write the WordPiece kind of `tokenizer.json`, which is BERT's.

Taught in:        tokenization
Checked against:  `tokenizers.Tokenizer.from_file`, in both directions
"""

from course_lib.tokenization.added_tokens import Json, added_tokens, check_ids, reaches_of, refusal
from course_lib.tokenization.wordpiece import CONTINUES, WordPiece, bert_normalize, bert_split


def read_wordpiece(content: Json) -> WordPiece:
    """Return the tokenizer of a file whose model is WordPiece."""
    model, normalizer = content["model"], content.get("normalizer") or {}
    if model.get("continuing_subword_prefix", CONTINUES) != CONTINUES:
        raise refusal("model.continuing_subword_prefix", model["continuing_subword_prefix"], "##")
    if (content.get("pre_tokenizer") or {}).get("type") != "BertPreTokenizer":
        raise refusal("pre_tokenizer", content.get("pre_tokenizer"), "BertPreTokenizer")
    lowercase = bool(normalizer.get("lowercase"))
    if (
        normalizer.get("type") != "BertNormalizer"
        or not (normalizer.get("clean_text") and normalizer.get("handle_chinese_chars"))
        or normalizer.get("strip_accents") not in (None, lowercase)
    ):
        wanted = "a BertNormalizer that cleans, separates ideographs, and strips what it lowers"
        raise refusal("normalizer", normalizer, wanted)
    special = added_tokens(content)
    check_ids(special, model["vocab"])
    decoder = content.get("decoder") or {"type": "WordPiece"}
    if decoder["type"] != "WordPiece" or decoder.get("prefix", CONTINUES) != CONTINUES:
        raise refusal("decoder", decoder, f"WordPiece with {CONTINUES}")
    for name in special.keys() - model["vocab"].keys():
        if len(bert_split(bert_normalize(name.removeprefix(CONTINUES), lowercase))) == 1:
            wanted = "in the model's vocab, or no word, since a word of the text may read like it"
            raise refusal("the content of an added token", name, wanted)
    limit = model.get("max_input_chars_per_word", 100)
    vocabulary = {**model["vocab"], **special}
    tidy, reaches = bool(decoder.get("cleanup")), reaches_of(content)
    return WordPiece(vocabulary, list(special), model["unk_token"], lowercase, limit, tidy, reaches)


def write_wordpiece(tokenizer: WordPiece) -> Json:
    """Return the parts of a `tokenizer.json` that describe a WordPiece tokenizer."""
    return {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": tokenizer.lowercase,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": CONTINUES, "cleanup": tokenizer.cleanup},
        "model": {
            "type": "WordPiece",
            "unk_token": tokenizer.unknown,
            "continuing_subword_prefix": CONTINUES,
            "max_input_chars_per_word": tokenizer.max_characters,
            "vocab": tokenizer.vocabulary,
        },
    }

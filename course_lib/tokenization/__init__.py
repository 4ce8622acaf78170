"""From text to integers and back: the subword tokenizers that language models use.

    patterns      cut text into words before anything is counted
    word_cache    words seen before need not be encoded again
    word_counts   count these words, in one process or in several
    bpe_training  learn merges from counts of neighbouring pieces
    pair_counts   keep these counts up to date, and find the largest
    long_words    the same inside one long word
    byte_bpe      byte-level BPE: encode by merge rank, decode any bytes
    normalization one spelling for letters that Unicode can spell in two ways
    unicode_tables    what `tokenizers` does not know yet
    wordpiece     greedy longest match, as in BERT
    segmentation  all ways to cut a word: the best, the sum, a random one
    unigram_training  probabilities by expectation maximization, and pruning
    unigram       the most probable segmentation, as in SentencePiece
    metaspace     spaces as letters
    character_bpe BPE on characters, with bytes for the rest
    special       tokens that are not text
    chat          a conversation as one sequence
    cost          how much text a token covers, and what none covers
    huggingface   read and write `tokenizer.json`: bpe_file, sentencepiece_file, wordpiece_file
    oniguruma     its patterns, in Python's dialect
    byte_characters   its way to write bytes
    added_tokens  its special tokens
    normalizer    its normalizers, of which `precompiled` is one
    vocab_files   read `vocab.json` with `merges.txt`, and the ranks of `tiktoken`

Taught in:        tokenization
"""

from course_lib.tokenization.bpe_training import (
    GPT2_BYTE_ORDER,
    NUMERIC_BYTE_ORDER,
    Pair,
    TieRule,
    count_pairs,
    count_words,
    merge,
    train_merges,
)
from course_lib.tokenization.byte_bpe import (
    ByteBPE,
    MergeTable,
    encode_by_rank,
    encode_long,
)
from course_lib.tokenization.byte_characters import (
    bytes_to_characters,
    characters_to_bytes,
)
from course_lib.tokenization.character_bpe import CharacterBPE
from course_lib.tokenization.chat import (
    CHATML_TEMPLATE,
    Message,
    chatml_parts,
    encode_chat,
    render_chatml,
)
from course_lib.tokenization.cost import (
    Length,
    characters_that_fit,
    length,
    out_of_vocabulary,
    truncate,
)
from course_lib.tokenization.huggingface import (
    Tokenizer,
    from_json,
    load_tokenizer_json,
    save_tokenizer_json,
    to_json,
)
from course_lib.tokenization.metaspace import Metaspace, PieceJoiner
from course_lib.tokenization.normalization import (
    normalize,
    stream_normalize,
)
from course_lib.tokenization.normalizer import Normalizer
from course_lib.tokenization.pair_counts import PairCounts
from course_lib.tokenization.patterns import (
    GPT2_PATTERN,
    GPT4_PATTERN,
    QWEN_PATTERN,
    Split,
    compile_pattern,
    pre_split,
    stream_pre_split,
)
from course_lib.tokenization.segmentation import (
    lattice,
    sample_segmentation,
    viterbi,
)
from course_lib.tokenization.special import (
    encode_with_special,
    split_on_special,
    stream_split,
)
from course_lib.tokenization.unigram import Unigram
from course_lib.tokenization.unigram_training import (
    expected_counts,
    prune,
    reestimate,
    seed_pieces,
)
from course_lib.tokenization.vocab_files import (
    load_tiktoken,
    load_vocab_merges,
    load_vocab_merges_folder,
    merges_from_ranks,
    read_ranks,
)
from course_lib.tokenization.wordpiece import (
    WordPiece,
    bert_normalize,
    bert_split,
    pair_score,
    wordpiece_encode,
)

__all__ = [
    "CHATML_TEMPLATE",
    "GPT2_BYTE_ORDER",
    "GPT2_PATTERN",
    "GPT4_PATTERN",
    "NUMERIC_BYTE_ORDER",
    "QWEN_PATTERN",
    "ByteBPE",
    "CharacterBPE",
    "Length",
    "MergeTable",
    "Message",
    "Metaspace",
    "Normalizer",
    "Pair",
    "PairCounts",
    "PieceJoiner",
    "Split",
    "TieRule",
    "Tokenizer",
    "Unigram",
    "WordPiece",
    "bert_normalize",
    "bert_split",
    "bytes_to_characters",
    "characters_that_fit",
    "characters_to_bytes",
    "chatml_parts",
    "compile_pattern",
    "count_pairs",
    "count_words",
    "encode_by_rank",
    "encode_chat",
    "encode_long",
    "encode_with_special",
    "expected_counts",
    "from_json",
    "lattice",
    "length",
    "load_tiktoken",
    "load_tokenizer_json",
    "load_vocab_merges",
    "load_vocab_merges_folder",
    "merge",
    "merges_from_ranks",
    "normalize",
    "out_of_vocabulary",
    "pair_score",
    "pre_split",
    "prune",
    "read_ranks",
    "reestimate",
    "render_chatml",
    "sample_segmentation",
    "save_tokenizer_json",
    "seed_pieces",
    "split_on_special",
    "stream_normalize",
    "stream_pre_split",
    "stream_split",
    "to_json",
    "train_merges",
    "truncate",
    "viterbi",
    "wordpiece_encode",
]

"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "tokenization",
        "train byte-level BPE, the tokenizer of GPT, Llama 3 and Qwen, and learn the same merges "
        "as Hugging Face's `tokenizers`",
        exercises="count_pairs merge train_bpe count_changes",
        questions="pair_count training bug_merge",
    ),
    ability(
        "tokenization",
        "encode a text by merge rank, and decode any sequence of tokens, also while it arrives",
        exercises="encode_by_rank decode stream_decode",
        questions="utf8 no_unknown rank digits half_character",
    ),
    ability(
        "tokenization",
        "explain WordPiece and Unigram, the two other common tokenizers, and compute what they do",
        exercises="wordpiece viterbi expected_counts",
        questions="wordpiece_score all_or_nothing ways share best_way",
    ),
    ability(
        "tokenization",
        "keep special tokens apart from text, frame a conversation, and say where prompt "
        "injection begins",
        exercises="split_on_special chatml",
        questions="injection bug_special template",
    ),
    ability(
        "tokenization",
        "measure what a vocabulary costs, and refute common claims about tokens",
        questions="window vocabulary",
    ),
)

"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "evaluation",
        "give any metric an interval, and say whether one model is better than another on the same "
        "items",
        exercises="bootstrap",
        questions="needed bootstrap_unit paired repeat elo",
    ),
    ability(
        "evaluation",
        "build perplexity over windows, BLEU, ROUGE-L, a greedy match of vectors, ECE, MinHash, "
        "and say what each of them does not measure",
        exercises="windows bleu rouge_l greedy_match ece minhash",
        questions="windows_count tokenizers normalisation bleu_short rouge_hand meaning bug_ece "
        "minhash_error",
    ),
    ability(
        "evaluation",
        "measure bias, refusals, memorised text and watermarks, with the errors of both kinds",
        exercises="watermark",
        questions="judge base_rate refusal exposure_value copies watermark_length",
    ),
)

"""Evaluation: how good is a model, is it safe, and how sure are we?

Small files, in the order in which the notebook reads them:

    intervals         Wilson, bootstrap: how far a measured number may be off
    comparisons       two models on the same items: paired bootstrap, sign flips, McNemar
    perplexity        a long text in windows that overlap
    choices           multiple choice by log-likelihood, three normalisations
    matching          exact match and the F1 of words
    bleu, chrf, rouge, greedy_match        a text beside a reference
    ratings, judges   Elo and Bradley–Terry; position bias
    calibration       ECE and its bins
    contamination     n-grams and MinHash
    harness, results, tasks, sandbox       `course evaluate FOLDER --task NAME`
    bias, classification, text_classifier, request_texts, refusals, canaries, watermark     safety
    canary_training   the recipe `canaries`; import it by name

    print(wilson_interval(right=41, count=50))

Taught in:        evaluation
"""

from course_lib.evaluation.bias import counterfactual_gaps
from course_lib.evaluation.bleu import bleu, bleu_from, bleu_terms, words_13a
from course_lib.evaluation.calibration import (
    brier_score,
    calibration_bins,
    expected_calibration_error,
)
from course_lib.evaluation.canaries import (
    Canary,
    canary_exposure,
    code_log_probabilities,
    draw_canaries,
    exposure,
    plant,
)
from course_lib.evaluation.choices import (
    NORMALISATIONS,
    ScoredChoice,
    continuation_log_probabilities,
    picked,
    score_choices,
)
from course_lib.evaluation.chrf import chrf
from course_lib.evaluation.classification import (
    auc,
    auc_interval,
    average_precision,
    confusion,
    precision_at_rate,
    roc_curve,
    threshold_for,
)
from course_lib.evaluation.comparisons import mcnemar, paired_difference, sign_flip_p
from course_lib.evaluation.contamination import (
    candidate_pairs,
    candidate_probability,
    hash_functions,
    jaccard,
    minhash,
    ngram_overlap,
    ngrams,
    shingles,
    signature_similarity,
)
from course_lib.evaluation.greedy_match import greedy_match
from course_lib.evaluation.intervals import (
    Interval,
    bootstrap,
    bootstrap_mean,
    items_needed,
    percentile_interval,
    resamples,
    weighted_mean,
    wilson_interval,
)
from course_lib.evaluation.judges import cohen_kappa, judge_pairs, judge_report, likelihood_judge
from course_lib.evaluation.matching import exact_match, normalised, word_f1
from course_lib.evaluation.perplexity import (
    perplexity,
    scoring_windows,
    sliding_losses,
    text_bits,
)
from course_lib.evaluation.ratings import (
    bradley_terry,
    elo_ratings,
    expected_score,
    rating_intervals,
    shuffled,
)
from course_lib.evaluation.request_texts import disguised, draw_requests
from course_lib.evaluation.rouge import rouge_l, rouge_l_of_words, rouge_lsum
from course_lib.evaluation.sandbox import passes
from course_lib.evaluation.text_classifier import TextClassifier, train_classifier
from course_lib.evaluation.watermark import (
    Watermark,
    replace_tokens,
    tokens_needed,
    watermark_z,
    z_to_p,
)

__all__ = [
    "NORMALISATIONS",
    "Canary",
    "Interval",
    "ScoredChoice",
    "TextClassifier",
    "Watermark",
    "auc",
    "auc_interval",
    "average_precision",
    "bleu",
    "bleu_from",
    "bleu_terms",
    "bootstrap",
    "bootstrap_mean",
    "bradley_terry",
    "brier_score",
    "calibration_bins",
    "canary_exposure",
    "candidate_pairs",
    "candidate_probability",
    "chrf",
    "code_log_probabilities",
    "cohen_kappa",
    "confusion",
    "continuation_log_probabilities",
    "counterfactual_gaps",
    "disguised",
    "draw_canaries",
    "draw_requests",
    "elo_ratings",
    "exact_match",
    "expected_calibration_error",
    "expected_score",
    "exposure",
    "greedy_match",
    "hash_functions",
    "items_needed",
    "jaccard",
    "judge_pairs",
    "judge_report",
    "likelihood_judge",
    "mcnemar",
    "minhash",
    "ngram_overlap",
    "ngrams",
    "normalised",
    "paired_difference",
    "passes",
    "percentile_interval",
    "perplexity",
    "picked",
    "plant",
    "precision_at_rate",
    "rating_intervals",
    "replace_tokens",
    "resamples",
    "roc_curve",
    "rouge_l",
    "rouge_l_of_words",
    "rouge_lsum",
    "score_choices",
    "scoring_windows",
    "shingles",
    "shuffled",
    "sign_flip_p",
    "signature_similarity",
    "sliding_losses",
    "text_bits",
    "threshold_for",
    "tokens_needed",
    "train_classifier",
    "watermark_z",
    "weighted_mean",
    "wilson_interval",
    "word_f1",
    "words_13a",
    "z_to_p",
]

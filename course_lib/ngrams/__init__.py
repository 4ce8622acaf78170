"""Language models by counting, and what every language model has in common.

counts       n-grams of a text, and how quickly they become sparse
smoothing    add-k and Kneser-Ney: from counts to distributions with room for the unseen
text         the chain rule for a whole text, and sampling a text from a model
objectives   causal, masked and prefix modeling: what is visible, what is predicted
"""

from course_lib.ngrams.counts import Sparsity, continuation_counts, count_ngrams, sparsity
from course_lib.ngrams.objectives import Task, causal_task, masked_task, prefix_task
from course_lib.ngrams.smoothing import AddK, KneserNey, add_k, discounted, estimated_discount
from course_lib.ngrams.text import NextToken, log_probabilities, sample, uniform

__all__ = [
    "AddK",
    "KneserNey",
    "NextToken",
    "Sparsity",
    "Task",
    "add_k",
    "causal_task",
    "continuation_counts",
    "count_ngrams",
    "discounted",
    "estimated_discount",
    "log_probabilities",
    "masked_task",
    "prefix_task",
    "sample",
    "sparsity",
    "uniform",
]

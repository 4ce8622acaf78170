"""The pictures of this chapter: tokens of a text, merges of a word, the lattice, and the price.

Taught in:        tokenization
Checked against:  `tokenizers`, and all segmentations of short words, read back from the pictures
"""

from course_lib.chapters.tokenization.figures.lattice import viterbi_lattice
from course_lib.chapters.tokenization.figures.merging import merge_tree
from course_lib.chapters.tokenization.figures.price import compression, fertility
from course_lib.chapters.tokenization.figures.strips import two_tokenizers

__all__ = ["compression", "fertility", "merge_tree", "two_tokenizers", "viterbi_lattice"]

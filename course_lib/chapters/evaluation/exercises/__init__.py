"""The exercises of this chapter, in the order of the notebook."""

from course_lib.chapters.evaluation.exercises.bleu import BLEU
from course_lib.chapters.evaluation.exercises.bootstrap import BOOTSTRAP
from course_lib.chapters.evaluation.exercises.ece import ECE
from course_lib.chapters.evaluation.exercises.greedy import GREEDY
from course_lib.chapters.evaluation.exercises.minhash import MINHASH
from course_lib.chapters.evaluation.exercises.rouge import ROUGE_L
from course_lib.chapters.evaluation.exercises.watermark import WATERMARK
from course_lib.chapters.evaluation.exercises.windows import WINDOWS

EXERCISES = (BOOTSTRAP, WINDOWS, BLEU, ROUGE_L, GREEDY, ECE, MINHASH, WATERMARK)

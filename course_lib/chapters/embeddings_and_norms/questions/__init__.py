"""The questions of 03 embeddings_and_norms."""

from course_lib.chapters.embeddings_and_norms.questions.norms import NORMS
from course_lib.chapters.embeddings_and_norms.questions.stream import STREAM
from course_lib.chapters.embeddings_and_norms.questions.tables import TABLES

QUESTIONS = (*TABLES, *NORMS, *STREAM)

"""The exercises of this chapter, in the order of the notebook."""

from course_lib.chapters.retrieval.exercises.chunks import CHUNKS
from course_lib.chapters.retrieval.exercises.codes import PQ
from course_lib.chapters.retrieval.exercises.contrastive import INFO_NCE
from course_lib.chapters.retrieval.exercises.graphs import NEIGHBOURS, WALK
from course_lib.chapters.retrieval.exercises.lists import BM25
from course_lib.chapters.retrieval.exercises.pooling import POOL
from course_lib.chapters.retrieval.exercises.rankings import NDCG, RRF
from course_lib.chapters.retrieval.exercises.vectors import IVF, KMEANS

EXERCISES = (CHUNKS, BM25, POOL, INFO_NCE, KMEANS, IVF, PQ, WALK, NEIGHBOURS, RRF, NDCG)

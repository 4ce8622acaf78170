"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "retrieval",
        "cut documents into passages, score them by BM25, and explain each part of the formula",
        exercises="chunks bm25",
        questions="chunk_count bm25_parts",
    ),
    ability(
        "retrieval",
        "make text vectors by pooling, train them with a contrastive loss, and say which negatives "
        "help and which do harm",
        exercises="pool info_nce",
        questions="padding temperature false_negative",
    ),
    ability(
        "retrieval",
        "build IVF, PQ and HNSW, and predict what each costs in time, memory and recall",
        exercises="kmeans ivf pq walk neighbours",
        questions="nprobe scanned bytes adc ef",
    ),
    ability(
        "retrieval",
        "fuse rankings, judge them by recall, MRR and nDCG, and check an answer's citations",
        exercises="rrf ndcg",
        questions="weight ndcg_rank cross_encoder pipeline bug_rank",
    ),
)

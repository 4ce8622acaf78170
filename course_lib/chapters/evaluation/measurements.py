"""What takes minutes to measure, or needs packages that a learner may not have, and the results.

`python -m course_lib.chapters.evaluation.measurements` repeats all of it, or what is named.

    peers   scores of sacrebleu, rouge-score and bert-score on a few pairs of texts
    seeds   the recipes `canaries` and `assistant-refusal` with several seeds, without the models

Taught in:        evaluation
Checked against:  the packages themselves, in the tests; the stored models' logs
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course_lib.atomic_write import write_whole_text
from course_lib.evaluation import bleu, chrf, rouge_l, rouge_lsum
from course_lib.evaluation.canary_training import CanaryRun
from course_lib.evaluation.refusals import REFUSAL_STAGE, RefusalRun
from course_lib.retrieval.encoder import minilm_folder

DATA = Path(__file__).parent / "data"
CANARY_SEEDS, REFUSAL_SEEDS = (0, 1), (0, 1, 2)
PAIRS = (
    ("the cat sat on the mat", "the cat sat on the mat"),
    ("the cat sat", "the cat sat"),
    ("on the mat sat the cat", "the cat sat on the mat"),
    ("The cat, they say, sat on a mat.", "They say that the cat sat on the mat."),
    ("the the the the the the", "the cat sat on the mat"),
    ("the dog ran\nthe cat sat", "the cat sat\nthe dog ran"),
)
MEANING_REFERENCE = "The new model answers most questions correctly."
MEANING = {
    "equal": MEANING_REFERENCE,
    "paraphrase": "Nearly all of the queries are solved by the recent system.",
    "negation": "The new model does not answer most questions correctly.",
    "shuffled": "answers correctly. model most new questions The",
    "unrelated": "A wooden boat crossed the lake in the evening.",
}
OURS: dict[str, Callable[[str, str], float]] = {
    "BLEU": lambda hypothesis, reference: bleu([hypothesis], [[reference]]),
    "chrF": lambda hypothesis, reference: chrf([hypothesis], [reference]),
    "ROUGE-L": rouge_l,
    "ROUGE-Lsum": rouge_lsum,
}
"""Our own metrics by the names of the peers' columns."""


def measure_peers() -> dict[str, Any]:
    """Return what sacrebleu, rouge-score and bert-score say; they must be installed."""
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL", "rougeLsum"])
    pairs = []
    for hypothesis, reference in PAIRS:
        found = scorer.score(reference, hypothesis)
        scores = {
            "BLEU": sacrebleu.corpus_bleu([hypothesis], [[reference]]).score,
            "chrF": sacrebleu.corpus_chrf([hypothesis], [[reference]]).score,
            "ROUGE-L": found["rougeL"].fmeasure,
            "ROUGE-Lsum": found["rougeLsum"].fmeasure,
        }
        pairs.append({"hypothesis": hypothesis, "reference": reference, "scores": scores})
    matched = bert_scores(list(MEANING.values()), MEANING_REFERENCE)
    candidates = {
        kind: [text, round(f1, 4)]
        for (kind, text), f1 in zip(MEANING.items(), matched, strict=True)
    }
    return {
        "pairs": pairs,
        "BERTScore": {"reference": MEANING_REFERENCE, "candidates": candidates},
    }


def bert_scores(candidates: list[str], reference: str) -> list[float]:
    """Return bert-score's F1 with the encoder all-MiniLM-L6-v2 and its six layers."""
    from bert_score import score

    found: list[float] = score(
        candidates,
        [reference] * len(candidates),
        model_type=str(minilm_folder()),
        num_layers=6,
    )[2].tolist()
    return found


def measure_seeds(folder: Path | None = None) -> dict[str, Any]:
    """Return exposures and refusal rates of both recipes for each seed; runs are kept in `folder`.

    A run that is there already is read, or resumed.
    """
    with tempfile.TemporaryDirectory() as made:
        place = folder or Path(made)
        found: dict[str, Any] = {"exposures": {}, "refusals": {}}
        for seed in CANARY_SEEDS:
            canaries = CanaryRun(place / f"canary{seed}", seed)
            canaries.go_on()
            found["exposures"][str(seed)] = canaries.records[-1]["exposures"]
        for seed in REFUSAL_SEEDS:
            refusals = RefusalRun(REFUSAL_STAGE, place / f"refusal{seed}", seed)
            refusals.go_on()
            found["refusals"][str(seed)] = refusals.records[-1]["refusals"]
    return found


def peers() -> dict[str, Any]:
    """Return the stored scores of the peers."""
    return _stored("peers")


def seeds() -> dict[str, Any]:
    """Return the stored results of several seeds."""
    return _stored("seeds")


def _stored(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return found


MEASUREMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "peers": measure_peers,
    "seeds": measure_seeds,
}


def main(names: list[str]) -> None:
    """Repeat what is named, or everything, and store it."""
    for name in names or list(MEASUREMENTS):
        text = json.dumps(MEASUREMENTS[name](), indent=1, ensure_ascii=False) + "\n"
        write_whole_text(DATA / f"{name}.json", text)


if __name__ == "__main__":
    main(sys.argv[1:])

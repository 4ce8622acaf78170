"""Log-likelihoods of answers beside lm-evaluation-harness, on the same items and checkpoint."""

import pytest
import transformers

from course_lib.evaluation import score_choices
from course_lib.evaluation.harness import find_task
from course_lib.pretrained import FOLDER, course_model, course_tokenizer

WHY = "lm-eval is an optional reference, too large for the test extra: pip install 'lm-eval[hf]'"


def items():
    """Return contexts and answers: next lines, and short ones after blanks or none."""
    found = []
    for item in find_task("next_line").items(6, 0):
        context, answers, _ = item.content
        # lm-eval gives every kind of space at the end of a context to the answer, so do it here.
        found.append((context.rstrip("\n"), [f"\n{answer}" for answer in answers]))
    found.append(("def read(", ["self", " banana boat", ") -> None:"]))
    found.append(("import ", ["os", "sys and a longer line\n"]))
    found.append(("x = 1" + "\nx = 1" * 129, ["\nprint(x)", "\ny = x + 1"]))  # too long to be read
    return found


def test_scores_equal_those_of_the_harness():
    huggingface = pytest.importorskip("lm_eval.models.huggingface", reason=WHY)
    instance = pytest.importorskip("lm_eval.api.instance", reason=WHY)
    model, tokenizer = course_model(), course_tokenizer()
    theirs = huggingface.HFLM(
        pretrained=transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype="float32"),
        tokenizer=transformers.AutoTokenizer.from_pretrained(FOLDER),
        max_length=model.config.max_position_embeddings,
        prefix_token_id=0,  # for an empty context, of which there is none here
        batch_size=4,
    )
    pairs = [(context, answer) for context, answers in items() for answer in answers]
    requests = [
        instance.Instance("loglikelihood", doc={}, arguments=pair, idx=number)
        for number, pair in enumerate(pairs)
    ]
    expected = [total for total, _ in theirs.loglikelihood(requests, disable_tqdm=True)]
    found = [
        each.total
        for context, answers in items()
        for each in score_choices(model, tokenizer, context, answers)
    ]
    assert found == pytest.approx(expected, abs=1e-3)

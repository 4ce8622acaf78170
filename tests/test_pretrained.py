"""The shipped model: it loads everywhere, and it keeps what its card promises."""

import re
import subprocess
import sys

import pytest
import torch

from course_lib.ngrams import log_probabilities
from course_lib.pretrained import FOLDER, course_model, course_tokenizer, training_log
from course_lib.study.exhibits import scoreboard
from course_lib.training.evaluation import probe_repeats
from course_lib.training.recipes import COURSE_MODEL, SEPARATOR

TEXT = "class Reader:\n    def __init__(self, path):\n        self.path = path\n"


@pytest.fixture(scope="module")
def bits():
    """Return how many bits the model needs for a byte of the scoreboard's text."""
    return scoreboard.course_model_row().bits


@pytest.fixture(scope="module")
def probe():
    """Return what the model's heads do on ids that repeat."""
    return probe_repeats(course_model())


def test_transformers_loads_the_folder_with_the_same_ids_and_logits():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ids = course_tokenizer().encode_ordinary(TEXT)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    assert tokenizer(TEXT)["input_ids"] == ids
    assert tokenizer.decode(ids) == course_tokenizer().decode(ids) == TEXT
    theirs = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
    row = torch.tensor([ids])
    with torch.no_grad():
        expected = theirs(row).logits
    torch.testing.assert_close(course_model()(row).logits, expected, rtol=0, atol=1e-4)
    assert theirs.config.eos_token_id == course_tokenizer().special_tokens[SEPARATOR]


def test_the_files_are_small_and_hold_half_precision():
    from safetensors import safe_open

    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 12e6
    with safe_open(FOLDER / "model.safetensors", "pt") as tensors:
        kinds = {tensors.get_tensor(name).dtype for name in tensors.keys()}  # noqa: SIM118
    assert kinds == {torch.float16}


def test_the_shape_is_that_of_the_recipe():
    assert course_model().config == COURSE_MODEL.config()
    assert course_tokenizer().vocab_size == COURSE_MODEL.vocab_size
    assert training_log()[-1]["step"] == COURSE_MODEL.plan.steps


def test_heads_look_back_and_look_up(probe):
    assert probe.previous.max() >= 0.6
    assert probe.induction.max() >= 0.7
    assert probe.loss < 0.3


def test_the_log_shows_the_cliff():
    log = [each for each in training_log() if each["step"] > 0]
    before = [each for each in log if each["induction"] < 0.1]
    after = [each for each in log if each["induction"] > 0.7]
    assert before[-1]["repeat loss"] > 6
    assert after[0]["step"] - before[-1]["step"] <= 400
    assert log[-1]["repeat loss"] < 0.3


def test_text_costs_less_than_counting_and_compressing(bits):
    trigram = scoreboard.counting_models()["Kneser-Ney trigram"]
    counted = log_probabilities(trigram, scoreboard.text().encode())
    assert bits < scoreboard.model_row("trigram", counted).bits - 0.5
    assert bits < min(row.bits for row in scoreboard.compressor_rows("lzma")) - 0.2


def test_the_card_says_what_is_measured(bits, probe):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    said = {name: float(value) for name, value in re.findall(r"\| (.+?) \| (\d+\.\d+)", card)}
    assert said["best previous-token score"] == pytest.approx(probe.previous.max().item(), abs=0.01)
    assert said["best induction score"] == pytest.approx(probe.induction.max().item(), abs=0.01)
    # Another version of Python has other held-out text.
    assert said[COURSE_MODEL.name] == pytest.approx(bits, rel=0.1)
    assert f"{COURSE_MODEL.plan.steps:,} of" in card
    assert f"up to {COURSE_MODEL.plan.peak}" in card


def test_loading_imports_nothing_heavy():
    code = (
        "import sys, torch\nfrom course_lib.pretrained import course_model, course_tokenizer\n"
        "course_model(), course_tokenizer()\nprint(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(out.stdout.split())
    assert not {"transformers", "tokenizers", "matplotlib", "triton", "pandas"} & loaded

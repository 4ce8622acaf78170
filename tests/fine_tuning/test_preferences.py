"""Every loss against float64 written out by hand, and against trl where it is installed."""

import math
from types import SimpleNamespace

import pytest
import torch

from course_lib.device import seeded
from course_lib.fine_tuning.labels import IGNORED
from course_lib.fine_tuning.preferences import (
    dpo_loss,
    ipo_loss,
    kto_loss,
    preference_margin,
    sequence_log_probability,
    simpo_loss,
)

PAIRS = [(-3.0, -8.0, -4.0, -7.0), (-6.0, -2.0, -5.5, -9.0), (-700.0, -1.0, -2.0, -600.0)]


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def minus_log_sigmoid(x):
    return math.log1p(math.exp(-x)) if x >= 0 else -x + math.log1p(math.exp(x))


def columns(dtype=torch.float64):
    return torch.tensor(PAIRS, dtype=dtype).unbind(1)


def margins():
    return [(c - rc) - (r - rr) for c, r, rc, rr in PAIRS]


@pytest.mark.parametrize("beta", [0.05, 0.1, 1.0])
def test_dpo_and_ipo_by_hand(beta):
    expected = sum(minus_log_sigmoid(beta * m) for m in margins()) / len(PAIRS)
    assert dpo_loss(*columns(), beta=beta).item() == pytest.approx(expected, rel=1e-12)
    expected = sum((m - 1 / (2 * beta)) ** 2 for m in margins()) / len(PAIRS)
    assert ipo_loss(*columns(), beta=beta).item() == pytest.approx(expected, rel=1e-12)


def test_simpo_and_kto_by_hand():
    c, r, rc, _ = columns()
    expected = sum(minus_log_sigmoid(2 * (a - b) - 0.5) for a, b, *_ in PAIRS) / len(PAIRS)
    assert simpo_loss(c, r, beta=2.0, gamma=0.5).item() == pytest.approx(expected, rel=1e-12)
    good, kl, beta = [True, False, True], 0.7, 0.3
    expected = 0.0
    for (a, _, b, _), is_good in zip(PAIRS, good, strict=True):
        gain = beta * (a - b - kl)
        expected += (1 - sigmoid(gain)) * 2.0 if is_good else (1 - sigmoid(-gain)) * 0.5
    found = kto_loss(
        c, rc, torch.tensor(good), torch.tensor(kl, dtype=torch.float64), beta, (2.0, 0.5)
    )
    assert found.item() == pytest.approx(expected / 3, rel=1e-12)
    negative = kto_loss(c, rc, torch.tensor(good), torch.tensor(-1.0).double(), beta)
    none = kto_loss(c, rc, torch.tensor(good), torch.tensor(0.0).double(), beta)
    assert negative == none  # an estimate below zero counts as zero


def test_at_the_start_the_loss_is_log_2_and_its_gradient_half_of_beta():
    c, r, *_ = columns()
    c = c.requires_grad_()
    loss = dpo_loss(c, r, c.detach(), r, beta=0.4)
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    torch.testing.assert_close(c.grad, torch.full_like(c, -0.4 / 2 / len(PAIRS)).detach())


def test_no_gradient_flows_through_the_estimate_of_the_kl():
    c, r, rc, _ = columns()
    kl = (c - r).mean().requires_grad_()
    loss = kto_loss(c.requires_grad_(), rc, torch.tensor([True, False, True]), kl)
    loss.backward()
    assert c.grad.abs().max() > 0
    assert kl.grad is None


def test_what_both_answers_share_cancels():
    """So masking the prompt does not change DPO's summed loss."""
    c, r, rc, rr = columns()
    shared, reference_shared = -5.0, -4.0
    moved = dpo_loss(c + shared, r + shared, rc + reference_shared, rr + reference_shared)
    torch.testing.assert_close(moved, dpo_loss(c, r, rc, rr))


def test_sequence_log_probability_by_hand():
    logits = torch.randn(2, 5, 6, generator=seeded(1), dtype=torch.float64)
    labels = torch.tensor([[IGNORED, IGNORED, 4, 2, IGNORED], [3, 1, IGNORED, IGNORED, 5]])
    log_p = torch.log_softmax(logits, -1)
    expected = [log_p[0, 1, 4] + log_p[0, 2, 2], log_p[1, 0, 1] + log_p[1, 3, 5]]
    found = sequence_log_probability(logits, labels)
    torch.testing.assert_close(found, torch.stack(expected))
    mean = sequence_log_probability(logits, labels, mean=True)
    torch.testing.assert_close(mean, torch.stack(expected) / 2)


def test_against_the_loss_of_transformers(theirs, ids):
    labels = ids.clone()
    labels[:, :3] = IGNORED
    with torch.no_grad():
        output = theirs(ids, labels=labels)
        total = sequence_log_probability(output.logits, labels).sum()
    torch.testing.assert_close(-total / (3 * 4), output.loss)


def test_mistakes_are_named():
    for loss in (dpo_loss, ipo_loss):
        with pytest.raises(ValueError, match="β must be greater than 0; got 0"):
            loss(*columns(), beta=0.0)
    with pytest.raises(ValueError, match="none in row 1"):
        sequence_log_probability(torch.zeros(2, 2, 3), torch.tensor([[1, 1], [1, IGNORED]]))


@pytest.mark.filterwarnings("ignore")
class TestAgainstTrl:
    """trl's own code, on the same models and the same pairs."""

    @pytest.fixture(scope="class", autouse=True)
    def _installed(self):
        pytest.importorskip("trl", reason="trl is optional: install llm-insides[references]")

    @pytest.mark.parametrize(("kind", "loss"), [("sigmoid", dpo_loss), ("ipo", ipo_loss)])
    def test_dpo_trainer(self, tokenizer, tmp_path, kind, loss):
        from datasets import Dataset
        from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM
        from trl import DPOConfig, DPOTrainer

        from course_lib.checkpoint import save_tokenizer

        save_tokenizer(tokenizer, tmp_path / "tokenizer")
        reader = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
        reader.eos_token, reader.pad_token = "<|im_end|>", "<|endoftext|>"
        sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
        heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8}
        config = Qwen3Config(vocab_size=tokenizer.vocab_size, **sizes, **heads)
        torch.manual_seed(0)
        models = [Qwen3ForCausalLM(config).eval() for _ in range(2)]
        rows = {"prompt": ["1+2=", "7+"], "chosen": ["3.", "1=8."], "rejected": ["No!", "oh"]}
        trainer = DPOTrainer(
            model=models[0],
            ref_model=models[1],
            args=DPOConfig(str(tmp_path), use_cpu=True, beta=0.3, loss_type=kind, report_to=[]),
            train_dataset=Dataset.from_dict(rows),
            processing_class=reader,
        )
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(2)])
        expected = trainer.compute_loss(trainer.model.eval(), dict(batch)).item()
        labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, IGNORED)
        with torch.no_grad():
            parts = [
                sequence_log_probability(
                    model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits,
                    labels,
                    mean=kind == "ipo",
                )
                for model in (trainer.model, trainer.ref_model)
            ]
        (c, r), (rc, rr) = (part.chunk(2) for part in parts)
        assert loss(c, r, rc, rr, beta=0.3).item() == pytest.approx(expected, abs=1e-6)

    def test_simpo(self):
        from trl.experimental.cpo import CPOTrainer

        c, r, *_ = columns(torch.float32)
        settings = SimpleNamespace(
            loss_type="simpo", alpha=0.0, beta=2.0, simpo_gamma=0.5, label_smoothing=0.0,
            accelerator=SimpleNamespace(device="cpu"),
        )  # fmt: skip
        expected = CPOTrainer.cpo_loss(settings, c, r)[0].mean()
        torch.testing.assert_close(simpo_loss(c, r, beta=2.0, gamma=0.5), expected)


def test_the_margin_is_a_difference_of_gains():
    torch.testing.assert_close(
        preference_margin(*columns()), torch.tensor(margins(), dtype=torch.float64)
    )

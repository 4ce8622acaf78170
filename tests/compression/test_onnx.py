"""The exported graph in onnxruntime beside the model itself, with and without its cache."""

import copy

import pytest
import torch

from course_lib import compression
from course_lib.compression import Scheme
from course_lib.compression.onnx_graph import OnnxDecoder, export_onnx
from course_lib.model import ModelConfig, build_model
from course_lib.pretrained import course_tokenizer

WHY = "onnx and onnxruntime are optional: pip install llm-insides[export]"
pytest.importorskip("onnx", reason=WHY)
pytest.importorskip("onnxruntime", reason=WHY)


def test_the_course_model_gives_the_same_logits(course, tmp_path):
    exported = OnnxDecoder(export_onnx(course, tmp_path / "model.onnx"))
    ids = torch.tensor([course_tokenizer().encode("def main():\n    return os.path")])
    wanted = course(ids).logits
    torch.testing.assert_close(exported.read(ids), wanted, atol=1e-3, rtol=1e-4)
    exported.forget()
    pieces = [exported.read(part) for part in ids.split((5, 1, ids.shape[1] - 6), dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), wanted, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_other_families_and_batches(family, tmp_path):
    config = ModelConfig(
        vocab_size=40, hidden_size=24, intermediate_size=36, num_hidden_layers=2,
        num_attention_heads=6, num_key_value_heads=2, head_dim=4, max_position_embeddings=32,
        model_type=family, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config).eval()
        for parameter in model.parameters():
            parameter.data += torch.randn(parameter.shape) / 4
        ids = torch.randint(0, 40, (3, 7))
    exported = OnnxDecoder(export_onnx(model, tmp_path / "model.onnx"))
    with torch.no_grad():
        torch.testing.assert_close(exported.read(ids), model(ids).logits, atol=1e-4, rtol=1e-4)


def test_a_packed_model_is_exported_with_its_weights(small, ids, tmp_path):
    statistics = compression.calibrate(small, ids)
    packed = compression.quantise_model(
        copy.deepcopy(small), Scheme(4, 8), "awq", statistics, embedding=True
    )
    exported = OnnxDecoder(export_onnx(packed, tmp_path / "model.onnx"))
    torch.testing.assert_close(exported.read(ids), packed(ids).logits, atol=1e-3, rtol=1e-3)


def test_what_the_graph_cannot_say_is_named(tmp_path):
    config = ModelConfig(
        vocab_size=9, hidden_size=8, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, head_dim=4, max_position_embeddings=8,
        model_type="gpt2",
    )  # fmt: skip
    with pytest.raises(ValueError, match="gpt2"):
        export_onnx(build_model(config), tmp_path / "model.onnx")

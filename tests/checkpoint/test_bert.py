"""A folder with a BERT becomes our encoder, with the numbers of transformers, or an error."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from course_lib.checkpoint import bert_name, load_config, load_model
from course_lib.device import seeded
from course_lib.families import EncoderOnly, FamilyConfig

SIZES = {  # no two alike, but for a test of its own
    "vocab_size": 101,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 33,
    "type_vocab_size": 3,
}
IDS = torch.randint(101, (2, 17), generator=seeded(0))
SEGMENTS = (torch.arange(17) // 7).expand(2, 17)
PADDING = torch.ones(2, 17, dtype=torch.bool)
PADDING[0, 12:] = False


def their_model(kind="BertModel", **changes):
    config = transformers.BertConfig(**{**SIZES, **changes}, attn_implementation="eager")
    model = getattr(transformers, kind)(config).eval()
    for number, weight in enumerate(model.parameters()):
        weight.data += 0.1 * torch.randn(weight.shape, generator=seeded(number))
    return model


def rewrite(folder, change):
    """Let `change` return other tensors for those of a folder."""
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file(change(tensors), path, metadata={"format": "pt"})


@pytest.fixture
def folder(tmp_path):
    their_model().save_pretrained(tmp_path)
    return tmp_path


def agree(ours, theirs):
    """Compare the vectors of all real tokens, with padding and three kinds of segment."""
    with torch.no_grad():
        expected = theirs(
            IDS, attention_mask=PADDING.long(), token_type_ids=SEGMENTS
        ).last_hidden_state
        found = ours.encode(IDS, PADDING, SEGMENTS)
    torch.testing.assert_close(found[PADDING], expected[PADDING], rtol=0, atol=1e-5)
    assert (ours.encode(IDS, PADDING)[PADDING] - expected[PADDING]).abs().max() > 1e-2


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"layer_norm_eps": 1e-2, "hidden_act": "relu", "add_pooling_layer": False},
        {"intermediate_size": 48},  # square: no shape tells that a matrix is stored transposed
    ],
)
def test_vectors_are_those_of_transformers(changes, tmp_path):
    pooler = changes.pop("add_pooling_layer", True) if changes else True
    theirs = their_model(**changes)
    if not pooler:
        theirs.pooler = None
    theirs.save_pretrained(tmp_path)
    held = load_file(tmp_path / "model.safetensors")
    assert ("pooler.dense.weight" in held) == pooler
    ours = load_model(tmp_path)
    assert isinstance(ours, EncoderOnly)
    assert not ours.training
    agree(ours, theirs)


@torch.no_grad()
def test_with_a_head_the_scores_are_those_of_transformers(tmp_path):
    theirs = their_model("BertForMaskedLM")
    theirs.save_pretrained(tmp_path)
    assert "bert.embeddings.word_embeddings.weight" in load_file(tmp_path / "model.safetensors")
    ours = load_model(tmp_path)
    expected = theirs(IDS, attention_mask=PADDING.long(), token_type_ids=SEGMENTS).logits
    found = ours(IDS, PADDING, SEGMENTS)
    torch.testing.assert_close(found[PADDING], expected[PADDING], rtol=0, atol=1e-5)
    assert ours.lm_head.weight is ours.tokens.weight


def test_files_of_the_pretraining_and_of_older_days(tmp_path):
    """Beside the head stands the guess about the next text; norms had gamma and beta."""
    theirs = their_model("BertForPreTraining")
    theirs.save_pretrained(tmp_path)

    def older(tensors):
        names = {
            name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            )
            for name in tensors
        }
        assert sum(name.endswith(".gamma") for name in names.values()) == 8
        assert any(name.startswith("cls.seq_relationship") for name in names)
        extra = {"bert.embeddings.position_ids": torch.arange(33)[None]}
        return {names[name]: tensor for name, tensor in tensors.items()} | extra

    rewrite(tmp_path, older)
    ours = load_model(tmp_path)
    assert ours.has_head
    agree(ours, theirs.bert)


def test_an_encoder_without_a_head_does_not_invent_one(folder):
    ours = load_model(folder)
    with pytest.raises(ValueError, match=r"need a head.*`encode`"):
        ours(IDS)
    assert not any(name.startswith(("lm_head", "head_")) for name in ours.state_dict())


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float64])
def test_number_types(dtype, folder):
    ours = load_model(folder, dtype=dtype)
    assert {weight.dtype for weight in ours.parameters()} == {dtype or torch.float32}
    assert ours.encode(IDS).dtype == (dtype or torch.float32)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"position_embedding_type": "relative_key"}, "absolute.*got 'relative_key'"),
        ({"is_decoder": True}, "is_decoder must be False.*got True"),
        ({"hidden_act": "swoosh"}, "hidden_act must be one of"),
        ({"hidden_size": None}, "hidden_size must be a whole number; got None"),
        ({"num_attention_heads": 5}, "multiple of num_attention_heads.*48 and 5"),
        ({"model_type": "roberta"}, "'bert'.*got 'roberta'.*with transformers"),
        ({"num_hidden_layers": 2}, r"encoder\.layer\.2\.\S+ .*without a place in bert"),
        ({"num_hidden_layers": 4}, r"encoder\.layer\.3\.\S+ .*missing"),
        ({"vocab_size": 99}, r"word_embeddings\.weight.*\(101, 48\) instead of \(99, 48\)"),
    ],
)
def test_a_config_that_does_not_fit_names_what_is_wrong(keys, message, folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))
    with pytest.raises(ValueError, match=message):
        load_model(folder)


def test_tensors_of_another_task_are_an_error(tmp_path):
    their_model("BertForQuestionAnswering").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"qa_outputs\.\w+.*without a place in bert"):
        load_model(tmp_path)


def test_a_decoder_is_what_load_config_describes(folder):
    with pytest.raises(ValueError, match=r"or 'bert' for `load_model`; got 'bert'"):
        load_config(folder)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json .*Pass the folder that holds it"):
        load_model(tmp_path)


def test_names_are_those_of_bert():
    config = FamilyConfig(101, 48, 72, 3, 6, max_position_embeddings=33, type_vocab_size=3)
    bert = their_model("BertForMaskedLM").state_dict()
    names = [bert_name(name) for name in EncoderOnly(config).state_dict()]
    assert len(set(names)) == len(names)
    assert set(names) <= set(bert)
    left = set(bert) - set(names)
    assert left == {"cls.predictions.bias"}  # their decoder's bias under another name
    assert bert_name("layers.2.mlp.c_proj.bias") == "bert.encoder.layer.2.output.dense.bias"

"""Encoder-only next to BERT, encoder-decoder next to PyTorch's own, and who reads whom."""

from dataclasses import replace

import pytest
import torch
import transformers
from torch import nn

from course_lib.device import seeded
from course_lib.families import (
    EncoderDecoder,
    EncoderOnly,
    FamilyConfig,
    family_mask,
    hide_tokens,
    shift_right,
)

CONFIG = FamilyConfig(101, 48, 72, 3, 6, max_position_embeddings=33)
ORIGINAL = replace(CONFIG, hidden_act="relu", norm_eps=1e-5)
IDS = torch.randint(101, (2, 17), generator=seeded(0))
SOURCE = torch.randint(101, (2, 11), generator=seeded(1))
PADDING = torch.ones(2, 17, dtype=torch.bool)
PADDING[0, 12:] = False
BERT_NAMES = {
    "tokens.": "bert.embeddings.word_embeddings.",
    "positions.": "bert.embeddings.position_embeddings.",
    "segments.": "bert.embeddings.token_type_embeddings.",
    "embedding_norm.": "bert.embeddings.LayerNorm.",
    "layers.": "bert.encoder.layer.",
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "self_attn.o_proj": "attention.output.dense",
    "self_attn_norm": "attention.output.LayerNorm",
    "mlp.c_fc": "intermediate.dense",
    "mlp.c_proj": "output.dense",
    "mlp_norm": "output.LayerNorm",
    "head_dense": "cls.predictions.transform.dense",
    "head_norm": "cls.predictions.transform.LayerNorm",
    "lm_head": "cls.predictions.decoder",
}


def stirred(model):
    """Move every parameter, since ones and zeros would hide much."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def their_name(name):
    for mine, theirs in BERT_NAMES.items():
        name = name.replace(mine, theirs)
    return name


@pytest.fixture
def bert():
    config = transformers.BertConfig(
        vocab_size=101,
        hidden_size=48,
        intermediate_size=72,
        num_hidden_layers=3,
        num_attention_heads=6,
        max_position_embeddings=33,
        attn_implementation="eager",
    )
    reference, model = stirred(transformers.BertForMaskedLM(config)), EncoderOnly(CONFIG).eval()
    state = reference.state_dict()
    for name, parameter in model.named_parameters():
        weight = state[their_name(name)]
        parameter.data = weight.T if ".mlp." in name and weight.ndim == 2 else weight
    return reference, model


@pytest.mark.parametrize("segments", [None, (torch.arange(17) > 6).long().expand(2, 17)])
def test_bert(bert, segments):
    reference, model = bert
    expected = reference(IDS, attention_mask=PADDING.long(), token_type_ids=segments).logits
    found = model(IDS, PADDING, segments)
    torch.testing.assert_close(found[PADDING], expected[PADDING], rtol=0, atol=1e-5)
    expected[PADDING].square().mean().backward()
    found[PADDING].square().mean().backward()
    for name in ("tokens.weight", "layers.0.self_attn.k_proj.weight"):
        mine, other = model.get_parameter(name), reference.get_parameter(their_name(name))
        torch.testing.assert_close(mine.grad, other.grad, rtol=0, atol=1e-4)


def copy_attention(theirs, mine):
    parts = zip(theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True)
    for layer, (weight, bias) in zip((mine.q_proj, mine.k_proj, mine.v_proj), parts, strict=True):
        layer.weight.data, layer.bias.data = weight, bias
    mine.o_proj.load_state_dict(theirs.out_proj.state_dict())


def copy_layer(theirs, mine):
    copy_attention(theirs.self_attn, mine.self_attn)
    norms = [mine.self_attn_norm, mine.mlp_norm]
    if hasattr(theirs, "multihead_attn"):
        copy_attention(theirs.multihead_attn, mine.cross_attn)
        norms.insert(1, mine.cross_attn_norm)
    for i, norm in enumerate(norms, start=1):
        norm.load_state_dict(getattr(theirs, f"norm{i}").state_dict())
    for linear, other in ((mine.mlp.c_fc, theirs.linear1), (mine.mlp.c_proj, theirs.linear2)):
        linear.weight.data, linear.bias.data = other.weight.T, other.bias


@pytest.fixture(params=["post", "pre"])
def transformer(request):
    """Return PyTorch's whole Transformer and ours, with the same weights."""
    pre = request.param == "pre"
    shape = {"dropout": 0.0, "batch_first": True, "norm_first": pre}
    if pre:
        reference = nn.Transformer(48, 6, 3, 3, 72, **shape)
    else:  # without the last norms that PyTorch adds and the Transformer of 2017 has not
        layer = nn.TransformerEncoderLayer(48, 6, 72, **shape)
        encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(48, 6, 72, **shape), 3)
        reference = nn.Transformer(
            48, 6, custom_encoder=encoder, custom_decoder=decoder, batch_first=True
        )
    reference = stirred(reference)
    model = stirred(EncoderDecoder(replace(ORIGINAL, arrangement=request.param)))
    for name in ("encoder", "decoder"):
        theirs = getattr(reference, name)
        for layer, mine in zip(theirs.layers, getattr(model, name), strict=True):
            copy_layer(layer, mine)
        if pre:
            getattr(model, f"{name}_norm").load_state_dict(theirs.norm.state_dict())
    return reference, model


def expected_logits(reference, model, source, target, padding):
    """Return what PyTorch's Transformer makes of our embeddings, which it has none of."""
    future = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
    y = reference(
        model.embed(source),
        model.embed(target),
        tgt_mask=future,
        src_key_padding_mask=~padding,
        memory_key_padding_mask=~padding,
    )
    return y @ model.tokens.weight.T


@pytest.mark.filterwarnings("ignore:.*enable_nested_tensor:UserWarning")
def test_pytorchs_transformer(transformer):
    reference, model = transformer
    assert sum(p.numel() for p in reference.parameters()) + 101 * 48 == sum(
        p.numel() for p in model.parameters()
    )
    padding = PADDING[:, -11:]
    expected = expected_logits(reference, model, SOURCE, IDS, padding)
    torch.testing.assert_close(model(SOURCE, IDS, padding), expected, rtol=0, atol=1e-5)
    table, gradients = model.tokens.weight, []
    for logits in (expected, model(SOURCE, IDS, padding)):
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), IDS.flatten())
        gradients += torch.autograd.grad(loss, table)
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-4)
    assert gradients[0].abs().max() > 1e-3


@pytest.mark.filterwarnings("ignore:.*enable_nested_tensor:UserWarning")
@torch.no_grad()
def test_greedy_translation_of_64_tokens(transformer):
    reference, model = transformer
    padding, start = PADDING[:, -11:], IDS[:, :1]

    def translation(logits_of):
        text = start
        for _ in range(64):
            text = torch.cat((text, logits_of(text)[:, -1].argmax(-1, keepdim=True)), 1)
        return text

    encoded = model.encode(SOURCE, padding)
    found = translation(lambda text: model.decode(text, encoded, padding))
    expected = translation(lambda text: expected_logits(reference, model, SOURCE, text, padding))
    assert found.tolist() == expected.tolist()
    assert len(found.unique()) > 2


def changed_places(run, ids, place):
    """Return at which places the output moves when one token is exchanged."""
    other = ids.clone()
    other[:, place] = (other[:, place] + 1) % 101
    return (run(ids) - run(other)).abs().amax((0, 2)) > 1e-6


@torch.no_grad()
def test_who_reads_whom():
    encoder, both = stirred(EncoderOnly(CONFIG)), stirred(EncoderDecoder(ORIGINAL))
    assert changed_places(encoder, IDS, 9).all()
    assert (
        changed_places(lambda ids: both(SOURCE, ids), IDS, 9).tolist() == [False] * 9 + [True] * 8
    )
    assert changed_places(lambda ids: both(ids, IDS), SOURCE, 10).all()


@torch.no_grad()
def test_padding_is_not_read():
    encoder = stirred(EncoderOnly(CONFIG))
    alone = encoder(IDS[:1, :12])
    torch.testing.assert_close(encoder(IDS, PADDING)[:1, :12], alone, rtol=0, atol=1e-5)
    assert (encoder(IDS)[:1, :12] - alone).abs().max() > 1e-3


def test_hidden_tokens():
    ids = torch.randint(5, 1000, (50, 1000), generator=seeded(0))
    found = hide_tokens(ids, mask_id=3, vocab_size=1000, generator=seeded(1))
    assert torch.equal(found.ids[~found.chosen], ids[~found.chosen])
    assert found.chosen.float().mean().item() == pytest.approx(0.15, abs=0.005)
    inside, before = found.ids[found.chosen], ids[found.chosen]
    assert (inside == 3).float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert (inside == before).float().mean().item() == pytest.approx(0.1, abs=0.02)
    again = hide_tokens(ids, mask_id=3, vocab_size=1000, generator=seeded(1))
    assert torch.equal(again.ids, found.ids)


def test_shift_right_by_hand():
    target = torch.tensor([[5, 6, 7], [8, 9, 1]])
    assert shift_right(target, 0).tolist() == [[0, 5, 6], [0, 8, 9]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_number_types(dtype):
    assert EncoderOnly(CONFIG).to(dtype)(IDS).dtype == dtype
    assert EncoderDecoder(ORIGINAL).to(dtype)(SOURCE, IDS).dtype == dtype


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: replace(CONFIG, num_attention_heads=5), r"multiple.*\b48 and 5\b"),
        (lambda: replace(CONFIG, arrangement="between"), "'pre'.*'post'.*'between'"),
        (lambda: hide_tokens(IDS, 3, 101, seeded(0), share=1.5), r"\b0 and 1\b.*\b1\.5\b"),
        (lambda: EncoderOnly(CONFIG)(IDS.repeat(1, 2)), r"positions 0 to 32\b"),
        (lambda: EncoderOnly(CONFIG, head=False)(IDS), "`encode`"),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- who reads whom -------------------------------------------------------------------------------


def test_family_masks_by_hand():
    assert family_mask("encoder-only", 1, 2).int().tolist() == [[1, 1, 1]] * 3
    assert family_mask("decoder-only", 1, 2).int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert family_mask("encoder-decoder", 2, 2).int().tolist() == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [1, 1, 1, 1],
    ]


def moved_outputs(model, tokens, run):
    """Return which outputs change (rows) when each token of the text changes (columns)."""
    text = torch.arange(3, 3 + tokens)[None]
    before = run(model, text)
    columns = []
    for place in range(tokens):
        changed = text.clone()
        changed[0, place] = 77
        columns.append((run(model, changed) - before).abs().amax(-1)[0] > 1e-6)
    return torch.stack(columns, dim=1)


def test_models_read_as_their_family_says():
    with torch.no_grad():
        encoder = stirred(EncoderOnly(CONFIG).eval())
        read = moved_outputs(encoder, 5, lambda model, ids: model.encode(ids))
        assert torch.equal(read, family_mask("encoder-only", 2, 3))

        both = stirred(EncoderDecoder(ORIGINAL).eval())
        read = moved_outputs(both, 5, lambda model, ids: model(ids[:, :2], ids[:, 2:]))
        assert torch.equal(read, family_mask("encoder-decoder", 2, 3)[2:])


def test_family_mask_names_the_three():
    with pytest.raises(ValueError, match=r"encoder-only, encoder-decoder, decoder-only.*'BERT'"):
        family_mask("BERT", 1, 1)
    with pytest.raises(ValueError, match=r"\b0 and 3\b"):
        family_mask("encoder-only", 0, 3)

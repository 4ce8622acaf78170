"""CLIP and LLaVA beside the classes of transformers: equal numbers, files in both directions."""

import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Qwen3Config,
)

from course_lib.device import seeded, seeded_draws
from course_lib.vision import clip_loss, splice
from course_lib.vision.files import load_clip, load_llava, save_clip, save_llava

VISION = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "image_size": 12,
    "patch_size": 4,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 28,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 40,
    "max_position_embeddings": 9,
    "bos_token_id": 38,
    "eos_token_id": 39,
}
IMAGE = 50


def _rough(model):
    """Return the model with all weights large enough that every part matters."""
    rng = seeded(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=rng))
    return model.eval()


def _clip(act="quick_gelu"):
    with seeded_draws(0):
        config = CLIPConfig(
            text_config=TEXT | {"hidden_act": act},
            vision_config=VISION | {"hidden_act": act},
            projection_dim=10,
        )
        return _rough(CLIPModel(config))


def _llava(layer=-2, tie=True):
    with seeded_draws(0):
        text = Qwen3Config(
            vocab_size=60,
            hidden_size=20,
            intermediate_size=36,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=6,
            tie_word_embeddings=tie,
            max_position_embeddings=64,
        )
        config = LlavaConfig(
            vision_config=CLIPVisionConfig(**VISION),
            text_config=text,
            image_token_index=IMAGE,
            vision_feature_layer=layer,
            tie_word_embeddings=tie,
        )
        return _rough(LlavaForConditionalGeneration(config))


PICTURES = torch.rand(2, 3, 12, 12, generator=seeded(3))
CAPTIONS = torch.tensor([[38, 4, 7, 39, 39, 39], [38, 5, 39, 39, 39, 39]])
CHAT = torch.tensor([[3, *[IMAGE] * 9, 8, 9], [*[IMAGE] * 9, 5, 6, 7]])


@pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
def test_clip_has_the_logits_and_the_loss_of_transformers(tmp_path, act):
    theirs = _clip(act)
    theirs.save_pretrained(tmp_path)
    ours = load_clip(tmp_path)
    expected = theirs(input_ids=CAPTIONS, pixel_values=PICTURES, return_loss=True)
    logits = ours(PICTURES, CAPTIONS)
    torch.testing.assert_close(logits, expected.logits_per_image, atol=1e-4, rtol=1e-4)
    loss = clip_loss(
        ours.picture_vectors(PICTURES), ours.text_vectors(CAPTIONS), ours.logit_scale.exp()
    )
    torch.testing.assert_close(loss, expected.loss)
    loss.backward()
    expected.loss.backward()
    gradients = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name].grad, atol=1e-4, rtol=1e-3)


def test_the_attention_of_clip_is_that_of_transformers(tmp_path):
    theirs = _clip()
    theirs.save_pretrained(tmp_path)
    theirs.vision_model.config._attn_implementation = "eager"
    expected = theirs.vision_model(PICTURES, output_attentions=True, output_hidden_states=True)
    ours = load_clip(tmp_path).vision_model(PICTURES, weigh=True)
    for mine, other in zip(ours.attentions, expected.attentions, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)
    for mine, other in zip(ours.hidden, expected.hidden_states, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)


def test_transformers_reads_a_clip_of_ours(tmp_path):
    _clip().save_pretrained(tmp_path / "theirs")
    ours = load_clip(tmp_path / "theirs")
    save_clip(ours, tmp_path / "ours")
    theirs = CLIPModel.from_pretrained(tmp_path / "ours").eval()
    expected = theirs(input_ids=CAPTIONS, pixel_values=PICTURES).logits_per_image
    torch.testing.assert_close(ours(PICTURES, CAPTIONS), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("layer", "tie"), [(-2, True), (-1, False)])
def test_llava_has_the_logits_of_transformers(tmp_path, layer, tie):
    theirs = _llava(layer, tie)
    theirs.save_pretrained(tmp_path)
    ours = load_llava(tmp_path)
    expected = theirs(input_ids=CHAT, pixel_values=PICTURES).logits
    torch.testing.assert_close(ours(CHAT, PICTURES).logits, expected, atol=1e-4, rtol=1e-4)
    patches = ours.patches(PICTURES)
    again = ours(CHAT, patches=patches).logits
    assert torch.equal(again, ours(CHAT, PICTURES).logits)
    words = ours.language_model.model.embed_tokens(CHAT)
    spliced = splice(words, CHAT, ours.multi_modal_projector(patches), IMAGE)
    by_hand = theirs(inputs_embeds=spliced, input_ids=None).logits
    torch.testing.assert_close(again, by_hand, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("tie", [True, False])
def test_transformers_reads_a_llava_of_ours(tmp_path, tie):
    _llava(tie=tie).save_pretrained(tmp_path / "theirs")
    ours = load_llava(tmp_path / "theirs")
    save_llava(ours, tmp_path / "ours")
    theirs = LlavaForConditionalGeneration.from_pretrained(tmp_path / "ours").eval()
    expected = theirs(input_ids=CHAT, pixel_values=PICTURES).logits
    torch.testing.assert_close(ours(CHAT, PICTURES).logits, expected, atol=1e-4, rtol=1e-4)


def test_a_file_of_a_different_kind_is_named(tmp_path):
    _clip().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'llava'; got 'clip'"):
        load_llava(tmp_path)

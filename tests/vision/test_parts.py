"""The parts of a model that sees, beside torch, transformers and values worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from course_lib import vision
from course_lib.device import seeded
from course_lib.vision.encoder import EncoderConfig


def _random(*shape, seed=0):
    return torch.randn(shape, generator=seeded(seed))


def test_patches_are_those_of_unfold_and_come_back():
    pictures = _random(2, 3, 6, 9)
    patches = vision.patchify(pictures, 3)
    assert torch.equal(patches, F.unfold(pictures, 3, stride=3).transpose(1, 2))
    assert torch.equal(vision.unpatchify(patches, 3, 6, 9), pictures)
    by_hand = vision.patchify(torch.arange(16.0).view(1, 1, 4, 4), 2)
    assert by_hand[0, 0].tolist() == [0, 1, 4, 5]


def test_pictures_that_do_not_fit():
    with pytest.raises(ValueError, match="5 x 4 pixels and patches of 2"):
        vision.patchify(torch.zeros(1, 3, 5, 4), 2)
    with pytest.raises(ValueError, match=r"4 patches .* got 3"):
        vision.unpatchify(torch.zeros(1, 3, 12), 2, 4, 4)
    model = vision.VisionModel(vision.VisionConfig(8, 8, 1, 2, image_size=8, patch_size=4))
    with pytest.raises(ValueError, match="RGB"):
        model(torch.zeros(2, 1, 8, 8))
    with pytest.raises(ValueError, match="8 x 8 pixels; got 16 x 8"):
        model(torch.zeros(2, 3, 16, 8))
    with pytest.raises(ValueError, match=r"torch.uint8. .*/ 255"):
        model(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="5; got 3"):
        vision.embed_patches(
            torch.zeros(1, 3, 4, 4), torch.zeros(2, 3, 2, 2), torch.zeros(2), torch.zeros(3, 2)
        )


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="9 and 2"):
        EncoderConfig(9, 8, 1, 2)
    with pytest.raises(ValueError, match="'relu'"):
        EncoderConfig(8, 8, 1, 2, hidden_act="relu")
    with pytest.raises(ValueError, match="30 and 8"):
        vision.VisionConfig(8, 8, 1, 2, image_size=30, patch_size=8)


def test_the_clip_loss_of_equal_vectors_is_log_b():
    same = torch.ones(5, 3)
    assert vision.clip_loss(same, same, 7.0).item() == pytest.approx(math.log(5))


def test_siglip_is_that_of_transformers():
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    config = SiglipConfig(
        text_config=sizes | {"num_attention_heads": 2, "vocab_size": 9, "projection_size": 8},
        vision_config=sizes | {"num_attention_heads": 2, "image_size": 8, "patch_size": 4},
    )
    model = SiglipModel(config).eval()
    output = model(
        input_ids=torch.tensor([[1, 2], [3, 4], [5, 6]]),
        pixel_values=_random(3, 3, 8, 8),
        return_loss=True,
    )
    ours = vision.siglip_loss(
        output.image_embeds, output.text_embeds, model.logit_scale.exp()[0], model.logit_bias[0]
    )
    torch.testing.assert_close(ours, output.loss)


def test_zero_shot_by_hand():
    prompts = torch.tensor([[[3.0, 0.0], [0.0, 5.0]], [[0.0, -1.0], [0.0, -2.0]]])
    cosines = vision.zero_shot(torch.tensor([[2.0, 0.0]]), prompts)
    assert cosines[0].tolist() == pytest.approx([math.sqrt(0.5), 0.0], abs=1e-6)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_pixel_shuffle_is_that_of_idefics3(side):
    from transformers.models.idefics3.modeling_idefics3 import Idefics3Connector

    patches = _random(2, 36, 5)
    expected = Idefics3Connector.pixel_shuffle(None, patches, side)
    assert torch.equal(vision.pixel_shuffle(patches, side), expected)


def test_patches_that_are_no_square_grid():
    with pytest.raises(ValueError, match="17 patches"):
        vision.pixel_shuffle(torch.zeros(1, 17, 2), 2)
    with pytest.raises(ValueError, match="blocks of 3 x 3"):
        vision.pixel_shuffle(torch.zeros(1, 16, 2), 3)


def test_more_placeholders_than_visual_tokens():
    embedded, ids = torch.zeros(1, 4, 2), torch.tensor([[9, 9, 9, 1]])
    with pytest.raises(ValueError, match="3 placeholders and 2 visual tokens of 1 pictures"):
        vision.splice(embedded, ids, torch.zeros(1, 2, 2), 9)
    with pytest.raises(ValueError, match="got 0"):
        vision.expand_example([9], [9], 9, 0)
    with pytest.raises(ValueError, match="2 ids and 1 labels"):
        vision.expand_example([9, 1], [9], 9, 1)


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (1, 5), (4, 3)])
def test_mrope_is_that_of_qwen2_vl(rows, columns):
    from types import SimpleNamespace

    from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel

    kinds = torch.tensor([[0] * 3 + [1] * (rows * columns) + [0] * 2])
    merged = SimpleNamespace(vision_config=SimpleNamespace(spatial_merge_size=1))
    model = SimpleNamespace(config=merged)
    model.get_vision_position_ids = Qwen2VLModel.get_vision_position_ids.__get__(model)
    grid = torch.tensor([[1, rows, columns]])
    theirs, _ = Qwen2VLModel.get_rope_index(model, torch.ones_like(kinds), kinds, grid)
    assert torch.equal(vision.mrope_positions([3, (rows, columns), 2]), theirs[:, 0])


def test_an_empty_segment_is_an_error():
    with pytest.raises(ValueError, match=r"\(0, 2\)"):
        vision.mrope_positions([(0, 2)])


def test_the_tokens_of_known_models():
    assert vision.picture_tokens(336, 336, 336, 14) == 576  # LLaVA-1.5
    assert vision.picture_tokens(672, 672, 336, 14) == 5 * 576  # LLaVA-NeXT, with its thumbnail
    assert vision.tile_grid(1000, 700, 336) == (3, 3)
    with pytest.raises(ValueError, match="tile of 100"):
        vision.picture_tokens(100, 100, 100, 14)
    with pytest.raises(ValueError, match="0 x 5"):
        vision.tile_grid(0, 5, 2)


def test_a_spectrogram_is_that_of_stft():
    samples = _random(500)
    window = torch.hann_window(64)
    expected = torch.stft(samples, 64, 16, window=window, center=False, return_complex=True)
    ours = vision.spectrogram(samples, 64, 16)
    torch.testing.assert_close(ours, (expected.abs() ** 2 + 1e-6).log(), atol=1e-3, rtol=1e-3)
    levels = vision.spectrogram(vision.tone([250.0], 1.0, 2000), 64, 64)
    assert (levels.argmax(0) == 8).all()  # 250 of 2000 per second, in steps of 2000 / 64
    with pytest.raises(ValueError, match="9 samples, a window of 64"):
        vision.spectrogram(samples[:9], 64, 16)
    with pytest.raises(ValueError, match="one pitch"):
        vision.tone([], 1.0, 100)


def test_what_learns_in_each_stage():
    names = ["vision_tower.a", "multi_modal_projector.b", "language_model.c"]
    assert vision.learning_names(names, "projector") == names[1:2]
    assert vision.learning_names(names, "answers") == names[1:]
    with pytest.raises(ValueError, match="'both'"):
        vision.learning_names(names, "both")

"""RoPE's rotation, against transformers in both layouts and against complex numbers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPTNeoXConfig, Qwen3Config
from transformers.models.gpt_neox import modeling_gpt_neox as gpt_neox
from transformers.models.gptj import modeling_gptj as gptj
from transformers.models.qwen3 import modeling_qwen3 as qwen3

from course_lib.attention import attention_weights
from course_lib.rope import (
    apply_rope,
    halves_to_neighbours,
    neighbours_to_halves,
    rope_angles,
    rope_frequencies,
    rotate_halves,
    rotate_neighbours,
    turn_to_positions,
)

B, H, T, C, D = 2, 3, 5, 7, 8
ROTATE = {"halves": rotate_halves, "neighbours": rotate_neighbours}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def cos_sin(positions: torch.Tensor, head_dim: int = D, base: float = 10_000.0):
    angles = rope_angles(positions, head_dim, base).double()
    return angles.cos(), angles.sin()


def test_angles_by_hand():
    # Head width 4: planes turn by 1 and by 10 000 ** -(2/4) = 1/100 per token.
    angles = rope_angles(torch.tensor([0, 1, 3]), 4)
    expected = torch.tensor([[0.0, 0.0], [1.0, 0.01], [3.0, 0.03]])
    assert torch.allclose(angles, expected, atol=1e-7)
    assert rope_frequencies(4, 100.0).tolist() == pytest.approx([1, 0.1])
    assert rope_angles(torch.zeros(2, 3, dtype=torch.int64), 10).shape == (2, 3, 5)


def test_a_quarter_turn_by_hand():
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    cos, sin = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])  # plane 0 turns, plane 1 not
    assert rotate_halves(x, cos, sin).tolist() == [[-3, 2, 1, 4]]  # plane 0 is features 0 and 2
    assert rotate_neighbours(x, cos, sin).tolist() == [[-2, 1, 3, 4]]  # plane 0 is features 0, 1


def test_halves_agree_with_qwen3():
    config = Qwen3Config(head_dim=D, max_position_embeddings=4000)
    config.rope_parameters = {"rope_type": "default", "rope_theta": 1e6}
    positions = torch.tensor([[0, 1, 2, 3, 4], [3000, 17, 5, 3999, 8]])
    q, k = normal(B, H, T, D).float(), normal(B, 2, T, D, seed=1).float()
    cos, sin = qwen3.Qwen3RotaryEmbedding(config)(q, positions)
    theirs = qwen3.apply_rotary_pos_emb(q, k, cos, sin)
    angles = rope_angles(positions, D, 1e6)
    for x, reference in zip((q, k), theirs, strict=True):
        ours = apply_rope(x, angles.cos(), angles.sin())
        assert (ours - reference).abs().max() < 1e-6


def test_neighbours_agree_with_gptj():
    x = normal(B, H, T, D).float()
    table = gptj.create_sinusoidal_positions(T, D)  # (T, D): sines, then cosines
    sin, cos = table.expand(B, T, D).chunk(2, dim=-1)
    theirs = gptj.apply_rotary_pos_emb(x.transpose(1, 2), sin, cos).transpose(1, 2)
    angles = rope_angles(torch.arange(T), D)
    ours = apply_rope(x, angles.cos(), angles.sin(), layout="neighbours")
    assert (ours - theirs).abs().max() < 1e-6
    assert (apply_rope(x, angles.cos(), angles.sin()) - theirs).abs().max() > 0.1


def test_neighbours_are_a_complex_product():
    x, positions = normal(B, H, T, D), torch.tensor([0, 5, 1, 900, 31])
    speed = 10_000.0 ** (-torch.arange(0, D, 2, dtype=torch.float64) / D)
    turn = torch.polar(torch.ones(T, D // 2).double(), positions[:, None] * speed)
    product = torch.view_as_complex(x.view(B, H, T, D // 2, 2)) * turn
    reference = torch.view_as_real(product).flatten(-2)
    angles = positions[:, None] * speed
    assert (rotate_neighbours(x, angles.cos(), angles.sin()) - reference).abs().max() < 1e-12
    single = rope_angles(positions, D)
    ours = apply_rope(x.float(), single.cos(), single.sin(), "neighbours")
    assert (ours - reference).abs().max() < 1e-3  # 900 radians in float32 keep four digits


def test_partial_rotation_agrees_with_gpt_neox():
    config = GPTNeoXConfig(hidden_size=3 * 20, num_attention_heads=3, max_position_embeddings=64)
    config.rope_parameters = {
        "rope_type": "default",
        "rope_theta": 5e3,
        "partial_rotary_factor": 0.4,
    }
    q, k = normal(B, H, T, 20).float(), normal(B, H, T, 20, seed=1).float()
    positions = torch.arange(T)[None]
    cos, sin = gpt_neox.GPTNeoXRotaryEmbedding(config)(q, positions)
    theirs, _ = gpt_neox.apply_rotary_pos_emb(q, k, cos, sin)
    angles = rope_angles(torch.arange(T), 8, 5e3)  # 0.4 * 20
    ours = apply_rope(q, angles.cos(), angles.sin())
    assert (ours - theirs).abs().max() < 1e-6
    assert torch.equal(ours[..., 8:], q[..., 8:])
    assert (ours[:, :, 1:, :8] - q[:, :, 1:, :8]).abs().min() > 0


@pytest.mark.parametrize("layout", ROTATE)
def test_gradients_are_those_of_a_rotation(layout):
    x = normal(B, H, T, D).requires_grad_()
    direction = normal(B, H, T, D, seed=1)
    cos, sin = cos_sin(torch.arange(T))
    (apply_rope(x, cos, sin, layout) * direction).sum().backward()
    back = apply_rope(direction, cos, -sin, layout)  # a rotation's transpose turns backwards
    assert (x.grad - back).abs().max() < 1e-12


@pytest.mark.parametrize("layout", ROTATE)
@given(m=st.integers(0, 3000), n=st.integers(0, 3000), shift=st.integers(0, 3000))
def test_scores_depend_on_distance_only(layout, m, n, shift):
    q, k = normal(1, 1, 1, D), normal(1, 1, 1, D, seed=1)

    def score(query_position: int, key_position: int) -> float:
        speed = 10_000.0 ** (-torch.arange(0, D, 2, dtype=torch.float64) / D)
        turned = [
            ROTATE[layout](x, (position * speed).cos()[None], (position * speed).sin()[None])
            for x, position in ((q, query_position), (k, key_position))
        ]
        return (turned[0] * turned[1]).sum().item()

    assert score(m, n) == pytest.approx(score(m + shift, n + shift), abs=1e-9)


def test_scores_do_depend_on_distance_and_lengths_stay():
    q, k = normal(1, 1, 1, D), normal(1, 1, 1, D, seed=1)
    at = {t: apply_rope(q, *cos_sin(torch.tensor([t]))) for t in (0, 7)}
    assert abs((at[0] * k).sum() - (at[7] * k).sum()) > 0.1
    assert at[7].norm().item() == pytest.approx(q.norm().item())
    # negative control: -sin in both rows is no rotation, and lengths change
    cos, sin = cos_sin(torch.tensor([7]))
    a, b = q.chunk(2, dim=-1)
    wrong = torch.cat((a * cos - b * sin, -a * sin + b * cos), dim=-1)
    assert abs(wrong.norm().item() - q.norm().item()) > 0.1


def test_converted_weights_by_hand():
    weight = torch.arange(8.0)[:, None].repeat(1, 2)  # two heads of width 4
    assert neighbours_to_halves(weight, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert halves_to_neighbours(weight, 2)[:, 1].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    six = torch.arange(6.0)  # one head of width 6; a bias has no columns
    assert neighbours_to_halves(six, 1).tolist() == [0, 2, 4, 1, 3, 5]
    assert halves_to_neighbours(six, 1).tolist() == [0, 3, 1, 4, 2, 5]


def test_converted_weights_make_the_same_model():
    x = normal(B, T, C)
    wq, wk = normal(2 * H * D, C, seed=1), normal(H * D, C, seed=2)
    cos, sin = cos_sin(torch.arange(T))

    def weights(wq: torch.Tensor, wk: torch.Tensor, layout: str) -> torch.Tensor:
        q, k = ((x @ w.T).view(B, T, -1, D).transpose(1, 2) for w in (wq, wk))
        return attention_weights(apply_rope(q, cos, sin, layout), apply_rope(k, cos, sin, layout))

    original = weights(wq, wk, "neighbours")
    converted = (neighbours_to_halves(wq, 2 * H), neighbours_to_halves(wk, H))
    assert (weights(*converted, "halves") - original).abs().max() < 1e-12
    back = (halves_to_neighbours(converted[0], 2 * H), halves_to_neighbours(converted[1], H))
    assert torch.equal(back[0], wq)
    assert torch.equal(back[1], wk)
    # negative controls: mixed layouts, one side converted, the wrong direction
    assert (weights(wq, wk, "halves") - original).abs().max() > 0.1
    assert (weights(converted[0], wk, "halves") - original).abs().max() > 0.1
    wrong = (halves_to_neighbours(wq, 2 * H), halves_to_neighbours(wk, H))
    assert (weights(*wrong, "halves") - original).abs().max() > 0.1


def test_positions_of_a_batch_differ_by_row():
    x = normal(B, H, T, D)
    positions = torch.tensor([[0, 0, 0, 1, 2], [4, 5, 6, 7, 8]])
    together = apply_rope(x, *cos_sin(positions))
    for row in range(B):
        alone = apply_rope(x[row : row + 1], *cos_sin(positions[row]))
        assert torch.equal(together[row : row + 1], alone)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_number_types(dtype):
    x = normal(B, H, T, D).to(dtype)
    angles = rope_angles(torch.arange(T), D)
    assert angles.dtype == torch.float32
    turned = apply_rope(x, angles.cos(), angles.sin())
    exact = apply_rope(x.double(), angles.cos().double(), angles.sin().double())
    assert turned.dtype == dtype
    assert (turned - exact).abs().max() < 8 * torch.finfo(dtype).eps


def test_far_positions_stay_rotations():
    angles = rope_angles(torch.tensor([0, 10**6]), 64, 1e6)
    assert angles[1, 0].item() == 10**6
    x = torch.ones(1, 1, 2, 64)
    turned = apply_rope(x, angles.cos(), angles.sin())
    assert torch.allclose(turned.norm(dim=-1), torch.tensor(8.0))
    assert math.isclose(angles[1, -1].item(), 10**6 * 1e6 ** (-62 / 64), rel_tol=1e-5)


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"even.*\b7\b"):
        rope_angles(torch.arange(3), 7)
    with pytest.raises(ValueError, match=r"even.*\b0\b"):
        rope_frequencies(0)
    x = normal(B, H, T, 4)
    with pytest.raises(ValueError, match=r"\b4 planes.*\b8\b.*\b4\b"):
        apply_rope(x, *cos_sin(torch.arange(T), 8))
    with pytest.raises(ValueError, match=r"\b9 rows.*\b3 heads"):
        neighbours_to_halves(normal(9, 2), 3)
    with pytest.raises(ValueError, match=r"\b12 rows.*\b0 heads"):
        halves_to_neighbours(normal(12, 2), 0)


# All of RoPE in one step


def test_rotated_to_a_position_by_hand():
    turned = turn_to_positions(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    torch.testing.assert_close(turned, torch.tensor([[math.cos(1), math.sin(1)]]))


@pytest.mark.parametrize("base", [10_000.0, 1e6])
def test_rotated_to_positions_as_transformers_does(base):
    config = Qwen3Config(head_dim=D, rope_parameters={"rope_type": "default", "rope_theta": base})
    positions = torch.tensor([0, 1, 5, 6, 40])
    x = normal(B, H, T, D).float()
    cos, sin = qwen3.Qwen3RotaryEmbedding(config)(x, positions[None])
    expected, _ = qwen3.apply_rotary_pos_emb(x, x, cos, sin)
    torch.testing.assert_close(turn_to_positions(x, positions, base), expected)


def test_scores_of_rotated_vectors_depend_on_distances_only():
    q, k = normal(1, T, D), normal(1, T, D, seed=1)
    near, far = torch.arange(T), torch.arange(T) + 100
    here = turn_to_positions(q, near) @ turn_to_positions(k, near).mT
    there = turn_to_positions(q, far) @ turn_to_positions(k, far).mT
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-4)
    moved_alone = turn_to_positions(q, far) @ turn_to_positions(k, near).mT
    assert (moved_alone - here).abs().max() > 0.1


def test_turning_keeps_the_type():
    x = normal(T, D).bfloat16()
    turned = turn_to_positions(x, torch.arange(T))
    assert turned.dtype == torch.bfloat16
    torch.testing.assert_close(turned[0], x[0])

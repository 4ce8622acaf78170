"""Multi-head attention: several small attentions in parallel, each with its own projections.

One softmax gives one average. With H heads a token can read from H places at once: the results of
the projections are cut into heads, each head attends separately, and a last projection mixes them.

    q = split_heads(x @ Wq.T)    k, v likewise, with G <= H heads
    output = merge_heads(attention(q, k, v)) @ Wo.T

Taught in:        attention
Paper:            Vaswani et al. 2017, arXiv:1706.03762;
                  Henry et al. 2020, arXiv:2010.04245 (QK-norm)
Checked against:  torch.nn.MultiheadAttention, transformers' Qwen3Attention
Shapes:           B batch, T query tokens, S key tokens, C model width, H query heads, G key/value
                  heads, D head width
"""

from collections.abc import Callable

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from course_lib.attention.cache import KVCache
from course_lib.attention.masks import causal_mask
from course_lib.attention.scaled_dot_product import attention_weights, mix_values, torch_attention
from course_lib.norms import RMSNorm


def split_heads(x: Float[Tensor, "B T width"], num_heads: int) -> Float[Tensor, "B H T D"]:
    """Cut each token's vector into one piece per head; the heads become an axis of their own."""
    batch, tokens, width = x.shape
    if num_heads < 1 or width % num_heads:
        raise ValueError(
            "the width must be a multiple of the number of heads; "
            f"got width {width} and {num_heads} heads. The width here is heads times head_dim."
        )
    return x.view(batch, tokens, num_heads, width // num_heads).transpose(1, 2)


def merge_heads(x: Float[Tensor, "B H T D"]) -> Float[Tensor, "B T width"]:
    """Put the heads' pieces of each token back side by side: the inverse of split_heads."""
    batch, heads, tokens, head_dim = x.shape
    return x.transpose(1, 2).reshape(batch, tokens, heads * head_dim)


class MultiHeadAttention(nn.Module):
    """Self- and cross-attention with any number of key/value heads.

    The parameters have the names of Hugging Face's Qwen3. `qk_norm` normalises each head's queries
    and keys before they are multiplied, so that scores do not grow with the size of the vectors.
    """

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        num_key_value_heads: int | None = None,
        head_dim: int | None = None,
        *,
        qkv_bias: bool = False,
        output_bias: bool = False,
        qk_norm: bool = False,
        rms_norm_eps: float = 1e-6,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        self.num_heads = num_attention_heads
        self.num_key_value_heads = num_key_value_heads or num_attention_heads
        self.head_dim = head_dim or _even_share(hidden_size, num_attention_heads)
        _check_groups(self.num_heads, self.num_key_value_heads)
        self.scale = scale  # None: 1 / sqrt(head_dim)
        self.fused = False  # True: the weights are not materialised unless requested
        width, kv_width = (
            heads * self.head_dim for heads in (self.num_heads, self.num_key_value_heads)
        )
        self.q_proj = nn.Linear(hidden_size, width, bias=qkv_bias)
        self.k_proj = nn.Linear(hidden_size, kv_width, bias=qkv_bias)
        self.v_proj = nn.Linear(hidden_size, kv_width, bias=qkv_bias)
        self.o_proj = nn.Linear(width, hidden_size, bias=output_bias)
        self.q_norm = RMSNorm(self.head_dim, rms_norm_eps) if qk_norm else nn.Identity()
        self.k_norm = RMSNorm(self.head_dim, rms_norm_eps) if qk_norm else nn.Identity()

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        mask: Shaped[Tensor, "..."] | None = None,
        *,
        context: Float[Tensor, "B N C"] | None = None,
        bias: Float[Tensor, "..."] | None = None,
        rotate: Callable[[Tensor], Tensor] | None = None,
        cache: KVCache | None = None,
        return_weights: bool = False,
        causal: bool = False,
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B H T S"] | None]:
        """Return the attention output for the tokens of `x`, and the weights if requested.

        With `context`, keys and values come from its tokens instead of `x` (cross-attention).
        `rotate` is applied to queries and keys; with a `cache` the keys are those of all tokens so
        far. `causal` promises that `mask` is the causal one of a whole text, which is faster; the
        mask may be left out then.
        """
        source = x if context is None else context
        q = self.q_norm(split_heads(self.q_proj(x), self.num_heads))
        k = self.k_norm(split_heads(self.k_proj(source), self.num_key_value_heads))
        v = split_heads(self.v_proj(source), self.num_key_value_heads)
        if rotate is not None:
            q, k = rotate(q), rotate(k)
        if cache is not None:
            k, v = cache.append(k, v)
        if self.fused and bias is None and not return_weights:
            read = torch_attention(q, k, v, mask, causal=causal, scale=self.scale)
            weights = None
        else:
            if causal and mask is None:
                mask = causal_mask(q.shape[2], device=q.device)
            weights = attention_weights(q, k, mask, bias=bias, scale=self.scale)
            read = mix_values(weights, v)
        output: Tensor = self.o_proj(merge_heads(read))
        return output, weights if return_weights else None


def _even_share(hidden_size: int, num_heads: int) -> int:
    if num_heads < 1 or hidden_size % num_heads:
        raise ValueError(
            "without head_dim the heads share the hidden size, which must be a multiple of their "
            f"number; got hidden_size {hidden_size} and {num_heads} heads. Pass head_dim, as "
            "Qwen3 does, or change one of the two."
        )
    return hidden_size // num_heads


def _check_groups(num_heads: int, num_key_value_heads: int) -> None:
    if num_key_value_heads < 1 or num_heads % num_key_value_heads:
        raise ValueError(
            "the number of query heads must be a multiple of the number of key/value heads; "
            f"got {num_heads} and {num_key_value_heads}. Take a divisor of {num_heads}: 1 for "
            f"multi-query, {num_heads} for multi-head attention."
        )

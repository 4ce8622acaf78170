"""A KV cache in few bits: for long texts and many users it outweighs the model.

Each key and each value of a head is a row with a scale of its own, quantised when it is written:
into one contiguous memory for a batch (`QuantisedKVCache`), or into the blocks of a paged cache
that many requests share (`QuantisedPool`).

Attention reads real numbers, so all of them are unpacked at each step: memory is saved, not time.

    bytes per token and layer = 2 · G · (D · bits / 8 + bytes of a scale)

Taught in:        compression
Paper:            Liu et al. 2024, arXiv:2402.02750 (KIVI); Hooper et al. 2024, arXiv:2401.18079
Checked against:  a KVCache that is given keys and values after a round trip; the paged one beside
                  the contiguous one, token for token
Shapes:           B batch, G key/value heads, T new tokens, S all tokens so far, D head width
"""

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.attention import KVCache
from course_lib.compression.integers import absmax_quantise, dequantise, largest_code
from course_lib.compression.packing import pack, packed_bytes, unpack
from course_lib.model import DecoderLM
from course_lib.serving.pools import MakePool, Pool, Shape, blocks_of


class _Rows:
    """Packed rows, such as one key of a head each, with one scale for each row."""

    def __init__(
        self, shape: tuple[int, ...], bits: int, device: torch.device | str | None
    ) -> None:
        *lead, width = shape
        self.bits, self.width = bits, width
        size = packed_bytes(width, bits)
        self.packed = torch.zeros(*lead, size, dtype=torch.uint8, device=device)
        self.scale = torch.ones(*lead, 1, dtype=torch.bfloat16, device=device)

    def quantised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows as they are stored: packed codes and scales."""
        largest = largest_code(self.bits)
        _, scale = absmax_quantise(x.float(), self.bits)
        rough = scale.to(torch.bfloat16)
        codes = (x.float() / rough.float()).round().clamp(-largest, largest)
        return pack((codes + largest + 1).to(torch.uint8), self.bits), rough

    def real(self, packed: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
        """Return stored rows as real numbers."""
        codes = unpack(packed, self.bits, self.width)
        centred = codes.to(torch.int16) - (largest_code(self.bits) + 1)
        return dequantise(centred, scale.float()).to(dtype)

    def write(self, x: Tensor, start: int) -> None:
        """Quantise new rows and put them at their places along the tokens' axis."""
        packed, scale = self.quantised(x)
        self.packed.narrow(2, start, x.shape[2]).copy_(packed)
        self.scale.narrow(2, start, x.shape[2]).copy_(scale)

    def read(self, length: int, dtype: torch.dtype) -> Tensor:
        """Return the rows of the first `length` tokens as real numbers."""
        return self.real(self.packed.narrow(2, 0, length), self.scale.narrow(2, 0, length), dtype)

    @property
    def nbytes(self) -> int:
        """The memory that was set aside."""
        return self.packed.nbytes + self.scale.nbytes


class QuantisedKVCache(KVCache):
    """A `KVCache` whose keys and values take `bits` bits each; generation uses it as usual."""

    def __init__(
        self,
        batch: int,
        num_key_value_heads: int,
        capacity: int,
        head_dim: int,
        *,
        bits: int = 8,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        shape = (batch, num_key_value_heads, capacity, head_dim)
        super().__init__(*shape, dtype=dtype, device="meta")  # for its checks; it takes no memory
        self._written = (_Rows(shape, bits, device), _Rows(shape, bits, device))
        self._dtype = dtype

    @property
    def nbytes(self) -> int:
        """The memory allocated, used or not."""
        return sum(each.nbytes for each in self._written)

    @property
    def keys(self) -> Float[Tensor, "B G S D"]:
        """The keys written so far, unpacked."""
        return self._written[0].read(self.length, self._dtype)

    @property
    def values(self) -> Float[Tensor, "B G S D"]:
        """The values written so far, unpacked."""
        return self._written[1].read(self.length, self._dtype)

    def next_positions(self, tokens: int) -> Int[Tensor, " T"]:
        """Return the positions that the next `tokens` tokens will have."""
        place = self._written[0].packed.device
        return torch.arange(self.length, self.length + tokens, device=place)

    def append(
        self, k: Float[Tensor, "B G T D"], v: Float[Tensor, "B G T D"]
    ) -> tuple[Float[Tensor, "B G S D"], Float[Tensor, "B G S D"]]:
        """Quantise and write the keys and values of new tokens; return all of them, unpacked."""
        self._check_fits(k, v)
        for rows, new in zip(self._written, (k, v), strict=True):
            rows.write(new.detach(), self.length)
        self.length += k.shape[2]
        return self.keys, self.values

    def next_place(self) -> tuple[Float[Tensor, "B G N D"], Float[Tensor, "B G N D"]]:
        """Raise an error: a compiled step would write real numbers into the memory itself."""
        raise ValueError(
            "a compiled step writes into a cache of real numbers; got a quantised one. Generate "
            "without compiling, or with a KVCache."
        )

    def select_rows(self, rows: Int[Tensor, " B"]) -> None:
        """Let row i of the batch continue what row `rows[i]` has written."""
        for each in self._written:
            each.packed, each.scale = each.packed[rows], each.scale[rows]


def quantised_caches(
    model: DecoderLM, batch: int, capacity: int, *, bits: int = 8
) -> list[KVCache]:
    """Return an empty quantised cache for each layer of a model."""
    config, weight = model.config, next(model.parameters())
    shape = (batch, config.num_key_value_heads, capacity, config.head_dim)
    return [
        QuantisedKVCache(*shape, bits=bits, dtype=weight.dtype, device=weight.device)
        for _ in model.blocks
    ]


def use_quantised_cache(model: DecoderLM, bits: int) -> DecoderLM:
    """Let generation with this model keep keys and values in few bits."""
    largest_code(bits)  # raises an error for a number of bits that cannot be
    model.make_cache = partial(quantised_caches, model, bits=bits)  # type: ignore[method-assign]
    return model


class QuantisedPool(Pool):
    """A paged `Pool` of packed rows; `make_pool=quantised_pool(8)` gives it to an engine."""

    def __init__(
        self, shape: Shape, dtype: torch.dtype, device: torch.device, *, bits: int = 8
    ) -> None:
        self.rows, self.dtype = _Rows(shape, bits, device), dtype

    @property
    def nbytes(self) -> int:
        """The memory of all blocks, used or not."""
        return self.rows.nbytes

    def write(self, places: Int[Tensor, " N"], new: Float[Tensor, "N KV D"]) -> None:
        """Quantise keys and values of new tokens, and write them at their places."""
        rows = self.rows
        for kept, each in zip((rows.packed, rows.scale), rows.quantised(new), strict=True):
            kept.flatten(0, 1).index_copy_(0, places, each)

    def gather(self, tables: Int[Tensor, "B blocks"]) -> Float[Tensor, "B blocks size KV D"]:
        """Return the blocks of some tables, unpacked."""
        packed, scale = blocks_of(self.rows.packed, tables), blocks_of(self.rows.scale, tables)
        return self.rows.real(packed, scale, self.dtype)

    def copy_blocks(self, sources: Int[Tensor, " P"], targets: Int[Tensor, " P"]) -> None:
        """Copy codes and scales from the blocks `sources` to the blocks `targets`."""
        for kept in (self.rows.packed, self.rows.scale):
            kept[targets] = kept[sources]


def quantised_pool(bits: int = 8) -> MakePool:
    """Return what makes the pools of an engine or a `PagedRunner` in this number of bits."""
    largest_code(bits)  # raises an error for a number of bits that cannot be
    return partial(QuantisedPool, bits=bits)

"""Names for blocks of a prompt: each hash depends on the block and on everything before it.

The keys and values of a token depend on all tokens before it. So a block of the cache may be used
again only where the *whole* prefix is the same, not merely its own tokens.

    hash[i] = H(hash[i - 1], tokens of block i)            full blocks only

Two prompts with the same first k blocks have the same first k hashes, and comparing them takes k
comparisons of one number.

Taught in:        serving
Paper:            Kwon et al. 2023, arXiv:2309.06180; Zheng et al. 2023, arXiv:2312.07104
Checked against:  comparing the prefixes themselves
Shapes:           none
"""

import hashlib
from array import array
from collections.abc import Callable, Sequence

# Takes the hash of the block before, or b"" for the first, and the block's tokens.
HashBlock = Callable[[bytes, Sequence[int]], bytes]


def hash_block(parent: bytes, tokens: Sequence[int]) -> bytes:
    """Return the hash of a block of tokens that follows the block with the hash `parent`."""
    return hashlib.blake2b(array("q", tokens).tobytes(), digest_size=16, key=parent).digest()


def block_hashes(
    ids: Sequence[int], block_size: int, hash_one: HashBlock = hash_block
) -> list[bytes]:
    """Return the chained hash of each full block of `ids`; a last, incomplete block has none."""
    if block_size < 1:
        raise ValueError(f"a block holds at least one token; got {block_size}. Typically 16.")
    hashes, parent = [], b""
    for start in range(0, len(ids) - block_size + 1, block_size):
        parent = hash_one(parent, ids[start : start + block_size])
        hashes.append(parent)
    return hashes

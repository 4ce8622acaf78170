"""The assistant's tokenizer: one token for each byte, and one for each name of a role.

With no merges, every digit is a token of its own, so that a sum can be written column by column.
The names of the roles are whole words of the vocabulary, which costs a turn three tokens instead of
a dozen. It is an ordinary byte-level BPE, so `transformers` reads its file.

    <|im_start|> user \\n W h a t ...          six tokens around each turn

Taught in:        fine_tuning
Checked against:  `transformers.AutoTokenizer`
"""

from functools import cache

from course_lib.tokenization.bpe_training import GPT2_BYTE_ORDER
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.chat import END, START

END_OF_TEXT = "<|endoftext|>"
ROLES = ("system", "user", "assistant")


@cache
def role_tokenizer() -> ByteBPE:
    """Return the tokenizer; all callers share this one."""
    pieces = [bytes([byte]) for byte in GPT2_BYTE_ORDER] + [role.encode() for role in ROLES]
    special = {name: len(pieces) + i for i, name in enumerate((END_OF_TEXT, START, END))}
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    return ByteBPE(vocabulary, (), special, ignore_merges=True)

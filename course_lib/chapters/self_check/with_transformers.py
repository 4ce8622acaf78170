"""Text generation as most programs do it: a folder or a name, `transformers`, and `generate`.

A few library calls do what the chapters built by hand. What remains is what the library cannot
know: the side of the padding, the number of tokens to add, and where the new ones start.

Taught in:        self_check
Checked against:  the course's own model and greedy loop, token by token
Shapes:           B texts, T tokens of the longest one
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def load(folder: str | Path) -> tuple[Any, Any]:
    """Return the model and the tokenizer in `folder`, or those of that name on the hub.

    A tokenizer without a padding token gets the end-of-text token; any token would do, since the
    attention mask hides it.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    talks = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
        tokenizer = AutoTokenizer.from_pretrained(folder)
    finally:
        if talks:
            logging.enable_progress_bar()
    if tokenizer.pad_token is None:
        tokenizer.pad_token_id = model.config.eos_token_id
    return model.eval(), tokenizer


def continue_texts(model: Any, tokenizer: Any, texts: Sequence[str], new_tokens: int) -> list[str]:
    """Return the greedy continuation of each text.

    Each has at most `new_tokens` tokens, fewer if the model ends the text; prompts are left out.
    """
    # The next token is predicted from the last column, so short rows are padded on the left.
    batch = tokenizer(list(texts), padding=True, padding_side="left", return_tensors="pt")
    written = model.generate(  # (B, T and at most new_tokens more)
        input_ids=batch.input_ids.to(model.device),
        attention_mask=batch.attention_mask.to(model.device),
        max_new_tokens=new_tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
    )
    new = written[:, batch.input_ids.shape[1] :]
    return list(tokenizer.batch_decode(new, skip_special_tokens=True))

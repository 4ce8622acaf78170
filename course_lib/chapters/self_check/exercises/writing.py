"""The exercise on text generation with `transformers`, with the course's own model."""

from functools import cache

import torch

from course_lib import pretrained
from course_lib.chapters.self_check import with_transformers
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


@cache
def _course_model():
    return with_transformers.load(pretrained.FOLDER)


def _given(texts, new_tokens):
    return call(*_course_model(), texts, new_tokens)


def _one_by_one(model, tokenizer, texts, new_tokens):
    """Continue each text separately, without `generate`, without a cache and without padding."""
    written = []
    for text in texts:
        prompt, new = tokenizer(text).input_ids, []
        with torch.no_grad():
            while len(new) < new_tokens and model.config.eos_token_id not in new:
                ids = torch.tensor([prompt + new], device=model.device)
                new.append(int(model(ids).logits[0, -1].argmax()))
        written.append(tokenizer.decode(new, skip_special_tokens=True))
    return written


def _batch(tokenizer, texts, side="left"):
    return tokenizer(list(texts), padding=True, padding_side=side, return_tensors="pt")


def _written(model, tokenizer, batch, new_tokens, mask=True):
    return model.generate(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask if mask else torch.ones_like(batch.input_ids),
        max_new_tokens=new_tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
    )


def _decoded(tokenizer, ids):
    return tokenizer.batch_decode(ids, skip_special_tokens=True)


def _with_prompt(model, tokenizer, texts, new_tokens):
    return _decoded(tokenizer, _written(model, tokenizer, _batch(tokenizer, texts), new_tokens))


def _continued(model, tokenizer, texts, new_tokens, side="left", mask=True):
    batch = _batch(tokenizer, texts, side)
    written = _written(model, tokenizer, batch, new_tokens, mask)
    return _decoded(tokenizer, written[:, batch.input_ids.shape[1] :])


def _last_token_only(model, tokenizer, texts, new_tokens):
    batch = _batch(tokenizer, texts)
    batch = type(batch)({name: values[:, -1:] for name, values in batch.items()})
    return _decoded(tokenizer, _written(model, tokenizer, batch, new_tokens)[:, 1:])


def _as_ids(model, tokenizer, texts, new_tokens):
    batch = _batch(tokenizer, texts)
    written = _written(model, tokenizer, batch, new_tokens)
    return written[:, batch.input_ids.shape[1] :].tolist()


def _past_the_end(model, tokenizer, texts, new_tokens):
    batch = _batch(tokenizer, texts)
    written = model.generate(
        **batch, max_new_tokens=new_tokens, min_new_tokens=new_tokens, do_sample=False
    )
    return _decoded(tokenizer, written[:, batch.input_ids.shape[1] :])


def _cut_by_characters(model, tokenizer, texts, new_tokens):
    whole = _with_prompt(model, tokenizer, texts, new_tokens)
    return [text[len(prompt) :] for text, prompt in zip(whole, texts, strict=True)]


def _special_tokens_left(model, tokenizer, texts, new_tokens):
    batch = _batch(tokenizer, texts)
    written = _written(model, tokenizer, batch, new_tokens)
    return tokenizer.batch_decode(written[:, batch.input_ids.shape[1] :])


def _side_set_once(model, tokenizer, texts, new_tokens):
    tokenizer.padding_side = "left"
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    written = model.generate(**batch, max_new_tokens=new_tokens, do_sample=False)
    new = written[:, batch["input_ids"].shape[1] :]
    return [tokenizer.decode(row, skip_special_tokens=True) for row in new]


def _text_by_text(model, tokenizer, texts, new_tokens):
    return [_continued(model, tokenizer, [text], new_tokens)[0] for text in texts]


CONTINUE = Exercise(
    id="self_check.continue_texts",
    title="Text generation with transformers",
    minutes=12,
    difficulty=2,
    statement=(
        "`model` and `tokenizer` are those of transformers. Continue each of `texts` greedily by "
        "`new_tokens` tokens, fewer where the model ends the text. Return a list of the new texts, "
        "without the prompts and without special tokens."
    ),
    solution=with_transformers.continue_texts,
    reference=_one_by_one,
    probes=(
        Probe(
            "one text, one token",
            lambda: _given(["def main("], 1),
            "The most likely next token, as text.",
        ),
        Probe(
            "one text, four tokens",
            lambda: _given(["Return the number of"], 4),
            "Each new token is predicted from all tokens before it.",
        ),
        Probe(
            "the same text twice",
            lambda: _given(["for name in", "for name in"], 3),
            "Rows of equal length need no padding. Two texts, two results.",
        ),
        Probe(
            "a short text beside a long one",
            lambda: _given(["import", "If the file does not exist, an exception is raised and"], 4),
            "Rows are padded on the left, and the padding must be masked.",
        ),
        Probe(
            "three texts of different lengths",
            lambda: _given(["class Test", "x = [1, 2, 3]\nfor i in", "The"], 5),
            "The new tokens of all rows start at the same column, after the longest prompt.",
        ),
        Probe(
            "one text ends early",
            lambda: _given(["if __name__ == '__main__':\n    main()\n", "import"], 4),
            "The first text is complete: the model generates its end token, and nothing after it.",
        ),
        Probe(
            "a special token in the prompt",
            lambda: _given(["<|endoftext|>def main("], 3),
            "The prompt starts with a token that the decoded text does not contain.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the prompt returned too",
            _with_prompt,
            "`generate` returns the prompt and the new tokens. Cut it off by its length in "
            "tokens: written[:, batch.input_ids.shape[1]:].",
        ),
        Misconception(
            "padded on the right",
            lambda *given: _continued(*given, side="right"),
            "The tokenizer pads on the right by default, so the next token is predicted from "
            'padding. Pass padding_side="left".',
        ),
        Misconception(
            "padding read as text",
            lambda *given: _continued(*given, mask=False),
            "`generate` got no attention mask, or one with ones only, so the padding is read as "
            "the beginning of short texts. Pass attention_mask=batch.attention_mask.",
        ),
        Misconception(
            "only the last token of the prompt",
            _last_token_only,
            "You pass only the last token. That is enough for a step with a filled cache, but here "
            "nothing has been read yet: pass the whole prompt.",
        ),
        Misconception(
            "one token short",
            lambda model, tokenizer, texts, new_tokens: _continued(
                model, tokenizer, texts, max(new_tokens - 1, 1)
            ),
            "One token is missing at the end. max_new_tokens counts the new tokens, without the "
            "prompt.",
        ),
        Misconception(
            "only the first text",
            lambda *given: _continued(*given)[:1],
            "You return the continuation of the first text only. batch_decode returns one text per "
            "row.",
        ),
        Misconception(
            "ids instead of text",
            _as_ids,
            "These are token ids. tokenizer.batch_decode converts rows of ids to texts.",
        ),
        Misconception(
            "the prompt cut off by characters",
            _cut_by_characters,
            "You decode everything and cut off as many characters as the prompt has. But a decoded "
            "prompt may be shorter than its text, since special tokens are left out. Cut off "
            "tokens, before decoding: written[:, batch.input_ids.shape[1]:].",
        ),
        Misconception(
            "generated past the end",
            _past_the_end,
            "With min_new_tokens the model cannot end a text, so it continues after the end. Use "
            "max_new_tokens alone.",
        ),
        Misconception(
            "special tokens left in",
            _special_tokens_left,
            "A text that ends early is padded with special tokens, and you decode these as well. "
            "Pass skip_special_tokens=True.",
        ),
    ),
    alternatives=(
        Alternative("text by text", _text_by_text),
        Alternative("without generate", _one_by_one),
        Alternative("the side set on the tokenizer", _side_set_once),
    ),
    hints=(
        "Notebook `generation` has padding and masks in a batch; here it takes three calls: "
        "tokenizer(texts, …), model.generate(…), tokenizer.batch_decode(…).",
        'tokenizer(texts, padding=True, padding_side="left", return_tensors="pt") gives input_ids '
        "and attention_mask; pass both to generate.",
        "generate(…, max_new_tokens=new_tokens, do_sample=False) returns prompt and new tokens: "
        "cut at input_ids.shape[1]. skip_special_tokens=True leaves out padding and end tokens.",
    ),
)

"""The exercise on writing with `transformers`, on the course's own model."""

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
    """Write without `generate`, without a cache and without padding, each text by itself."""
    written = []
    for text in texts:
        prompt, new = tokenizer(text).input_ids, []
        with torch.no_grad():
            while len(new) < new_tokens and model.config.eos_token_id not in new:
                new.append(int(model(torch.tensor([prompt + new])).logits[0, -1].argmax()))
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
        "`model` and `tokenizer` are those of transformers. Write `new_tokens` tokens behind each "
        "of `texts`, always the likeliest one, fewer where the model ends the text before. Return "
        "a list of the new texts, without the prompts and without special tokens."
    ),
    solution=with_transformers.continue_texts,
    reference=_one_by_one,
    probes=(
        Probe(
            "one text, one token",
            lambda: _given(["def main("], 1),
            "The likeliest next token, as text.",
        ),
        Probe(
            "one text, four tokens",
            lambda: _given(["Return the number of"], 4),
            "Each token is written with all before it in view.",
        ),
        Probe(
            "the same text twice",
            lambda: _given(["for name in", "for name in"], 3),
            "Rows of equal length need no padding. Two texts, two results.",
        ),
        Probe(
            "a short text beside a long one",
            lambda: _given(["import", "If the file does not exist, an exception is raised and"], 4),
            "Rows are filled up on the left, and what fills them up must not be read.",
        ),
        Probe(
            "three texts of different lengths",
            lambda: _given(["class Test", "x = [1, 2, 3]\nfor i in", "The"], 5),
            "The new tokens of all rows begin at the same column, behind the longest prompt.",
        ),
        Probe(
            "one text ends early",
            lambda: _given(["if __name__ == '__main__':\n    main()\n", "import"], 4),
            "The first text is complete: the model writes its end token, and nothing after that.",
        ),
        Probe(
            "a special token in the prompt",
            lambda: _given(["<|endoftext|>def main("], 3),
            "The prompt begins with a token that the decoded text does not show.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the prompt returned too",
            _with_prompt,
            "`generate` returns the prompt with what follows it. Cut it off by its length in "
            "tokens: written[:, batch.input_ids.shape[1]:].",
        ),
        Misconception(
            "filled up on the right",
            lambda *given: _continued(*given, side="right"),
            "The tokenizer fills up short rows behind their end unless told otherwise, so the next "
            'token is asked of padding. Say padding_side="left".',
        ),
        Misconception(
            "padding read as text",
            lambda *given: _continued(*given, mask=False),
            "`generate` got no attention mask, or one of ones only, so short texts begin with "
            "tokens that nobody wrote. Pass attention_mask=batch.attention_mask.",
        ),
        Misconception(
            "only the last token of the prompt",
            _last_token_only,
            "You pass the last token alone. That is enough for a step with a cache, but here "
            "nothing was read before: pass the whole prompt.",
        ),
        Misconception(
            "one token short",
            lambda model, tokenizer, texts, new_tokens: _continued(
                model, tokenizer, texts, max(new_tokens - 1, 1)
            ),
            "One token is missing at the end. max_new_tokens counts what is written, without the "
            "prompt.",
        ),
        Misconception(
            "only the first text",
            lambda *given: _continued(*given)[:1],
            "You return what follows the first text. batch_decode gives one text for each row.",
        ),
        Misconception(
            "ids in place of text",
            _as_ids,
            "These are token ids. tokenizer.batch_decode turns rows of them into texts.",
        ),
        Misconception(
            "the prompt cut off by characters",
            _cut_by_characters,
            "You decode everything and cut off as many characters as the prompt has. A decoded "
            "prompt need not be as long as the text it came from: special tokens are left out. Cut "
            "off tokens, before decoding: written[:, batch.input_ids.shape[1]:].",
        ),
        Misconception(
            "written past the end",
            _past_the_end,
            "With min_new_tokens the model may not end a text, so it writes on behind the end. "
            "max_new_tokens alone is the limit.",
        ),
        Misconception(
            "special tokens left in",
            _special_tokens_left,
            "A text that ends early is filled up with special tokens, and you decode these as "
            "well. Say skip_special_tokens=True.",
        ),
    ),
    alternatives=(
        Alternative("text by text", _text_by_text),
        Alternative("without generate", _one_by_one),
        Alternative("the side set on the tokenizer", _side_set_once),
    ),
    hints=(
        "Three calls: tokenizer(texts, …), model.generate(…), tokenizer.batch_decode(…).",
        'tokenizer(texts, padding=True, padding_side="left", return_tensors="pt") gives input_ids '
        "and attention_mask; generate wants both.",
        "generate(…, max_new_tokens=new_tokens, do_sample=False) returns prompt and new tokens: "
        "cut at input_ids.shape[1]. skip_special_tokens=True leaves out padding and end tokens.",
    ),
)

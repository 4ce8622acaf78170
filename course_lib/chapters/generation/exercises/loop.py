"""The exercise that assembles a generate loop: prefill, sample, decode, with one cache."""

import torch

from course_lib import generation
from course_lib.chapters.generation import answers
from course_lib.chapters.generation.exercises.generators import loop_inputs
from course_lib.chapters.generation.toys import counted_model, each_token_once
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _sample(logits, u):
    ends = logits.softmax(-1).cumsum(-1)
    return (ends <= u[:, None]).sum(-1, keepdim=True).clamp(max=logits.shape[-1] - 1)


def _rereading(model, ids, uniform):
    text = ids
    for u in uniform.unbind(1):
        text = torch.cat((text, _sample(model(text).logits[:, -1], u)), dim=1)
    return text[:, ids.shape[1] :]


def _reference(model, ids, uniform):
    return _rereading(model.model, ids, uniform)  # the passes of the model itself are not counted


def _loop(model, ids, uniform, choose=_sample, place=-1, unread=lambda text, ids: text[:, -1:]):
    cache = model.make_cache(len(ids), ids.shape[1] + uniform.shape[1])
    new, text = ids, ids
    for u in uniform.unbind(1):
        text = torch.cat((text, choose(model(new, cache=cache).logits[:, place], u)), dim=1)
        new = unread(text, ids)
    return text[:, ids.shape[1] :]


def _all_again(model, ids, uniform):
    return _loop(model, ids, uniform, unread=lambda text, ids: text)


def _prompt_again(model, ids, uniform):
    return _loop(model, ids, uniform, unread=lambda text, ids: ids[:, -1:])


def _forgetful(model, ids, uniform):
    text = ids
    for step, u in enumerate(uniform.unbind(1)):
        logits = model(text if step == 0 else text[:, -1:]).logits[:, -1]
        text = torch.cat((text, _sample(logits, u)), dim=1)
    return text[:, ids.shape[1] :]


def _last_read_twice(model, ids, uniform):
    cache = model.make_cache(len(ids), ids.shape[1] + uniform.shape[1])
    model(ids, cache=cache)
    text = ids
    for u in uniform.unbind(1):
        logits = model(text[:, -1:], cache=cache).logits[:, -1]
        text = torch.cat((text, _sample(logits, u)), dim=1)
    return text[:, ids.shape[1] :]


def _one_number(model, ids, uniform):
    return _loop(model, ids, uniform[:, :1].expand_as(uniform))


def _greedy(model, ids, uniform):
    return _loop(model, ids, uniform, choose=lambda logits, u: logits.argmax(-1, keepdim=True))


def _logits_as_probabilities(model, ids, uniform):
    return _loop(model, ids, uniform, choose=lambda z, u: generation.draw(z, u)[:, None])


def _first_place(model, ids, uniform):
    return _loop(model, ids, uniform, place=0)


def _with_prompt(model, ids, uniform):
    return torch.cat((ids, _loop(model, ids, uniform)), dim=1)


def _as_hinted(model, ids, uniform):
    new_tokens = uniform.shape[1]
    cache = model.make_cache(ids.shape[0], ids.shape[1] + new_tokens)
    unread, found = ids, []
    for step in range(new_tokens):
        logits = model(unread, cache=cache).logits[:, -1]
        token = generation.draw(logits.softmax(-1), uniform[:, step])
        found.append(token)
        unread = token[:, None]
    return torch.stack(found, dim=1)


def _prefill_first(model, ids, uniform):
    (batch, prompt), new = ids.shape, uniform.shape[1]
    cache = model.make_cache(batch, prompt + new)
    logits = model(ids, cache=cache).logits[:, -1]
    found = torch.empty(batch, new, dtype=torch.long, device=ids.device)
    for step in range(new):
        found[:, step] = generation.draw(logits.softmax(-1), uniform[:, step])
        logits = model(found[:, step, None], cache=cache).logits[:, -1]
    return found


def _with_reader(model, ids, uniform):
    reader = generation.Reader(model, len(ids), ids.shape[1] + uniform.shape[1] - 1)
    tokens = [ids]
    for u in uniform.unbind(1):
        tokens.append(generation.draw(reader.read(tokens[-1]).softmax(-1), u)[:, None])
    return torch.cat(tokens[1:], dim=1)


def _given(ids, uniform, seed=0):
    return call(counted_model(seed), torch.tensor(ids), torch.tensor(uniform).double())


LOOP = Exercise(
    id="generation.loop",
    title="A generate loop with a cache",
    minutes=15,
    difficulty=3,
    statement=(
        "Sample N tokens after each prompt of `ids` (B, T) and return them (B, N), without the "
        "prompt. Step i samples from the softmax of the last logits with the numbers "
        "`uniform[:, i]`; `uniform` is (B, N). `model.make_cache(B, capacity)` makes an empty "
        "cache, and `model(new_ids, cache=cache).logits` (B, tokens, V) reads new ids after those "
        "in the cache and appends them to it. Read each token once. You may use "
        "`generation.draw(probabilities, numbers)`."
    ),
    solution=answers.sample_tokens,
    reference=_reference,
    generator=loop_inputs,
    watch=each_token_once,
    probes=(
        Probe(
            "one token",
            lambda: _given([[3, 1, 4]], [[0.4]]),
            "A single pass over the prompt; the logits of its last token count.",
        ),
        Probe(
            "four tokens",
            lambda: _given([[3, 1, 4]], [[0.4, 0.9, 0.1, 0.6]]),
            "After the prompt each pass reads one token, the newest.",
        ),
        Probe(
            "a prompt of one token",
            lambda: _given([[5]], [[0.2, 0.7, 0.5]]),
            "Here prefill looks like decode.",
        ),
        Probe(
            "two texts",
            lambda: _given([[3, 1, 4, 2], [6, 0, 2, 5]], [[0.3, 0.8, 0.5], [0.9, 0.2, 0.6]]),
            "Each row has its own numbers and its own text; the cache holds both.",
        ),
        Probe(
            "many tokens after a short prompt",
            lambda: _given([[2, 6]], [[0.1, 0.3, 0.5, 0.7, 0.9, 0.2, 0.4]], seed=1),
            "Seven steps: what was read in the first must still be there in the last.",
        ),
    ),
    misconceptions=(
        Misconception(
            "no cache",
            _rereading,
            "The tokens are right, but every pass reads the whole text again. Make one cache "
            "before the loop, pass it to every call, and read only the newest token after the "
            "prompt.",
        ),
        Misconception(
            "the whole text into the cache again",
            _all_again,
            "The cache already holds the earlier tokens. You append them again at later "
            "positions, until it is full. After the first pass, pass only the newest token.",
        ),
        Misconception(
            "the newest token never read",
            _prompt_again,
            "Every pass after the first reads the last token of the prompt. Read the token that "
            "was just sampled.",
        ),
        Misconception(
            "no memory after the prompt",
            _forgetful,
            "Your later passes see a single token and nothing before it: they have no cache, or a "
            "new, empty one each time. Make one cache before the loop and use it in every pass.",
        ),
        Misconception(
            "the last prompt token read twice",
            _last_read_twice,
            "You read the whole prompt, and then its last token once more. The first pass already "
            "gives the logits for the first new token: sample from them.",
        ),
        Misconception(
            "one number for all steps",
            _one_number,
            "You use the first column of `uniform` in every step. Step i has uniform[:, i].",
        ),
        Misconception(
            "greedy",
            _greedy,
            "You take the most likely token; the numbers in `uniform` have no effect. Sample: "
            "generation.draw(probabilities, uniform[:, i]).",
        ),
        Misconception(
            "no softmax",
            _logits_as_probabilities,
            "You sample from the logits. They are no probabilities: take their softmax first.",
        ),
        Misconception(
            "the logits after the first token",
            _first_place,
            "Position 0 of the logits predicts the second token of the prompt. The next token "
            "comes from the last position: logits[:, -1].",
        ),
        Misconception(
            "the prompt returned too",
            _with_prompt,
            "The result should hold only the N new tokens of each row, (B, N).",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("prefill before the loop", _prefill_first),
        Alternative("with the library's Reader", _with_reader),
        Alternative("slices of the text", _loop),
    ),
    hints=(
        "Before the loop: cache = model.make_cache(B, T + N), and unread = ids.",
        "In each step: logits = model(unread, cache=cache).logits[:, -1], then sample a token "
        "(B,) with generation.draw(logits.softmax(-1), uniform[:, step]).",
        "Collect the token, and set unread = token[:, None] so that the next pass reads only it. "
        "At the end: torch.stack(found, dim=1).",
    ),
)

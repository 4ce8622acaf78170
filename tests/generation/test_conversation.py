"""Several turns on one cache: the same answers as when everything is read again."""

import contextlib

import pytest
import torch

import course_lib
from course_lib.checkpoint import save_model, save_tokenizer
from course_lib.generation import GREEDY, Sampling
from course_lib.generation.conversation import Conversation, RememberingModel
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.chat import CHATML_TEMPLATE
from course_lib.tokenization.chat_template import ChatTemplate

QUESTIONS = ("no one?", "naïve", "what")
LONG = {"vocab_size": 300, "max_position_embeddings": 400}


@pytest.fixture
def model(tiny, tmp_path):
    """Return a maker of chat models of the tiny families."""
    special = ("<|end|>", "<|im_start|>", "<|im_end|>")
    tokenizer = ByteBPE.train(
        ["no one knows what no one can know. naïve cafés. " * 5], 300, special
    )

    def make(name="qwen3", **changes):
        save_model(tiny(name, **{**LONG, **changes}), tmp_path)
        save_tokenizer(tokenizer, tmp_path)
        loaded = course_lib.load(tmp_path, device="cpu")
        loaded.chat_template = ChatTemplate(CHATML_TEMPLATE)
        return loaded

    return make


def counted(conversation):
    """Let the model under a conversation note how many tokens each pass reads."""
    passes = []
    inner = conversation.reader.model

    def noting(ids, *given, **named):
        passes.append(ids.shape[1])
        return inner(ids, *given, **named)

    noting.make_cache = inner.make_cache
    conversation.reader.model = noting
    return passes


def test_answers_are_those_without_memory(model, family):
    talk = Conversation(model(family), GREEDY)
    history = []
    for question in QUESTIONS:
        history.append({"role": "user", "content": question})
        expected = "".join(talk.model.chat(history, 12))
        assert "".join(talk.say(question, 12)) == expected
        history.append({"role": "assistant", "content": expected})
        assert talk.messages == history


def test_nothing_is_read_twice(model):
    talk = Conversation(model(), GREEDY)
    passes = counted(talk)
    for question in QUESTIONS:
        before, passes[:] = list(talk.reader.read), []
        messages = [*talk.messages, {"role": "user", "content": question}]
        asked = talk.model.chat_ids(messages)
        "".join(talk.say(question, 5))
        kept = next(
            (i for i, (a, b) in enumerate(zip(before, asked, strict=False)) if a != b), len(before)
        )
        assert passes == [len(asked) - kept, 1, 1, 1, 1]
    assert kept > 20


def test_the_cache_grows_and_keeps_what_it_holds(model):
    talk = Conversation(model(), GREEDY)
    "".join(talk.say("no", 2))
    small = talk.reader.cache[0].capacity
    question = "what no one can know " * 12
    expected = "".join(talk.model.chat([*talk.messages, {"role": "user", "content": question}], 12))
    passes = counted(talk)
    assert "".join(talk.say(question, 12)) == expected
    assert talk.reader.cache[0].capacity > small
    assert passes[0] < len(talk.model.chat_ids(talk.messages[:3])) - 10


def test_the_same_text_again_reads_one_token(model):
    remembering = RememberingModel(model().model)
    ids = torch.tensor([[5, 9, 2, 7]])
    with torch.inference_mode():
        cache = remembering.make_cache(1, 5)
        first = remembering(ids, cache=cache, last_only=True).logits[:, -1]
        cache = remembering.make_cache(1, 5)
        again = remembering(ids, cache=cache, last_only=True).logits
    assert again.shape[1] == 1
    torch.testing.assert_close(again[:, -1], first)
    assert remembering.read == [5, 9, 2, 7]


def test_an_interrupted_pass_leaves_no_trace(model):
    talk = Conversation(model(), GREEDY)
    "".join(talk.say(QUESTIONS[0], 8))
    handle = talk.model.model.blocks[1].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        "".join(talk.say(QUESTIONS[1], 8))
    handle.remove()
    history = list(talk.messages)
    assert len(history) == 2  # a question without any answer is forgotten
    expected = "".join(talk.model.chat([*history, {"role": "user", "content": "what"}], 8))
    assert "".join(talk.say("what", 8)) == expected


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_stopped_answer_is_remembered_as_far_as_it_went(model):
    talk = Conversation(model(), GREEDY)
    with contextlib.closing(talk.say("no one", 30)) as pieces:
        shown = next(pieces) + next(pieces)
    assert talk.messages[-1] == {"role": "assistant", "content": shown}
    expected = "".join(talk.model.chat([*talk.messages, {"role": "user", "content": "what"}], 8))
    assert "".join(talk.say("what", 8)) == expected


def test_a_keys_rotation_that_moves_is_never_kept(model):
    assert isinstance(Conversation(model(), GREEDY).reader, RememberingModel)
    moving = model("qwen3 longrope")
    assert Conversation(moving, GREEDY).reader is moving.model


def test_reset_forgets(model):
    talk = Conversation(model(), GREEDY)
    first = "".join(talk.say("no one", 8))
    "".join(talk.say("what", 8))
    talk.reset()
    assert talk.messages == []
    assert "".join(talk.say("no one", 8)) == first


def test_one_seed_repeats_the_whole_conversation(model):
    def answers(seed):
        talk = Conversation(loaded, Sampling(1.5), seed)
        return ["".join(talk.say("no one", 8)) for _ in range(2)]

    loaded = model()
    assert answers(1) == answers(1) != answers(2)


def test_a_full_context_is_told_and_changes_nothing(model):
    talk = Conversation(model(max_position_embeddings=60), GREEDY)
    "".join(talk.say("no", 4))
    history = list(talk.messages)
    with pytest.raises(ValueError, match="context length of 60"):
        "".join(talk.say("know " * 60, 4))
    assert talk.messages == history
    assert "".join(talk.continue_text("no one", 4)) == talk.model.generate("no one", 4)


def test_a_conversation_is_one_row(model):
    with pytest.raises(ValueError, match="batch of 2"):
        RememberingModel(model().model).make_cache(2, 8)

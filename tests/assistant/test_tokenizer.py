from transformers import AutoTokenizer

from course_lib.assistant.arithmetic import Question, conversation
from course_lib.assistant.tokenizer import END_OF_TEXT, ROLES, role_tokenizer
from course_lib.checkpoint import load_tokenizer, save_tokenizer
from course_lib.tokenization import encode_chat, render_chatml


def test_digits_are_tokens_and_a_turn_costs_six_tokens():
    tokenizer = role_tokenizer()
    text = str(Question(347, 496))
    assert len(tokenizer.encode_ordinary(text)) == len(text)
    ids = encode_chat(tokenizer, conversation(Question(347, 496)))
    assert len(ids) == len(text) + 5
    assert tokenizer.vocab_size == 256 + len(ROLES) + 3
    assert END_OF_TEXT in tokenizer.special_tokens


def test_only_a_whole_word_is_a_role():
    tokenizer = role_tokenizer()
    assert len(tokenizer.encode_ordinary("user")) == 1
    assert len(tokenizer.encode_ordinary("users")) == 5
    assert len(tokenizer.encode_ordinary("a user")) == 6


def test_transformers_and_the_course_read_the_file_alike(tmp_path):
    tokenizer = role_tokenizer()
    save_tokenizer(tokenizer, tmp_path)
    theirs, again = AutoTokenizer.from_pretrained(tmp_path), load_tokenizer(tmp_path)
    text = render_chatml(conversation(Question(1, 2), "é 12 user\nassistant"), True)
    ids = tokenizer.encode(text, allowed_special="all")
    assert theirs(text)["input_ids"] == again.encode(text, allowed_special="all") == ids
    assert tokenizer.decode(ids) == text

"""Text in, text out: beside transformers on the same folder, for every family."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BertConfig

import course_lib
from course_lib.checkpoint import save_tokenizer
from course_lib.generation import Sampling
from course_lib.model import DecoderLM
from course_lib.pretrained import FOLDER, course_model
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.chat import CHATML_TEMPLATE
from course_lib.tokenization.chat_template import ChatTemplate
from course_lib.tokenization.unigram import Unigram

SPECIAL = ("<|end|>", "<|im_start|>", "<|im_end|>", "<|begin|>")
V = 300
N = 24
PROMPTS = ["no one knows", "naïve cafés, naïve", "what"]


@pytest.fixture(scope="module")
def tokenizer():
    return ByteBPE.train(["no one knows what no one can know. naïve cafés. " * 5], V, SPECIAL)


@pytest.fixture
def folder(tmp_path, tiny_reference, tokenizer):
    """Return a maker of checkpoints, written by transformers but for the tokenizer."""

    def make(name="qwen3", **files):
        torch.manual_seed(0)
        heads = {"num_key_value_heads": 6, "head_dim": 8} if name == "gpt2" else {}
        tiny_reference(name, vocab_size=V, **heads).save_pretrained(tmp_path)
        save_tokenizer(tokenizer, tmp_path)
        (tmp_path / "generation_config.json").unlink()
        for file, content in files.items():
            write(tmp_path, f"{file}.json", content)
        return tmp_path

    return make


def write(folder, file, changes):
    """Change a JSON file, or make it."""
    path = folder / file
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**old, **changes}), encoding="utf-8")


def their_writer(folder):
    """Return what transformers writes after a prompt, as a function from text to text."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def write(prompt):
        given = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        new = model.generate(**given, max_new_tokens=N, pad_token_id=0)
        new = new[0, given["input_ids"].shape[1] :]
        return tokenizer.decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    return write


def theirs(folder, prompt):
    return their_writer(folder)(prompt)


def loaded(folder):
    return course_lib.load(folder, device="cpu")


class TestGreedy:
    def test_every_family_writes_what_transformers_writes(self, folder, family):
        path = folder(family)
        model = loaded(path)
        expected = [*map(their_writer(path), PROMPTS)]
        assert [model.generate(prompt, N) for prompt in PROMPTS] == expected
        assert model.generate(PROMPTS, N) == expected
        assert len(set(expected)) == 3

    def test_pieces_are_the_text(self, folder):
        model = loaded(folder())
        pieces = list(model.stream(PROMPTS[1], N))
        assert "".join(pieces) == model.generate(PROMPTS[1], N)
        assert len(pieces) > 5
        assert all(pieces)

    def test_the_parts_are_there(self, folder):
        model = loaded(folder())
        assert isinstance(model.model, DecoderLM)
        assert model.config.vocab_size == V
        assert repr(model) == "<TextModel: qwen3 on cpu, torch.float32>"
        assert model.tokenizer.encode("no") == model.prompt_ids("no")

    def test_special_tokens_in_a_prompt_are_special(self, folder, tokenizer):
        path = folder()
        prompt = "<|im_start|>user\nno<|im_end|>"
        model = loaded(path)
        assert model.prompt_ids(prompt).count(tokenizer.special_tokens["<|im_end|>"]) == 1
        assert model.generate(prompt, N) == theirs(path, prompt)

    def test_what_goes_in_front_of_a_prompt(self, folder, tokenizer):
        path, begin = folder(), tokenizer.special_tokens["<|begin|>"]
        template = {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<|begin|>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {
                "<|begin|>": {"id": "<|begin|>", "ids": [begin], "tokens": ["<|begin|>"]}
            },
        }
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
        for step in (template, {"type": "Sequence", "processors": [level, template]}):
            plain = loaded(path).generate("no", N)
            write(path, "tokenizer.json", {"post_processor": step})
            model = loaded(path)
            assert model.prompt_ids("no") == [begin, *tokenizer.encode("no")]
            assert model.generate("no", N) == theirs(path, "no") != plain
            write(path, "tokenizer.json", {"post_processor": None})

    def test_spaces_of_a_unigram_tokenizer_stay(self, folder):
        path = folder()
        save_tokenizer(Unigram.train(["one can know what no one knows. " * 5], 60), path)
        model = loaded(path)
        ids = model.tokenizer.encode("no one")
        text = model.generate("no one", N)
        written = [int(i) for i in continuation(model.model, ids, N)]
        known = [i for i in written if i in model.tokenizer.tokens]
        hidden = set(model.tokenizer.special_tokens.values())
        whole = model.tokenizer.decode([*ids, *(i for i in known if i not in hidden)])
        assert "no one" + text == whole
        assert "".join(model.stream("no one", N)) == text
        assert model.generate(["no one", "what"], N)[0] == text


def continuation(model, ids, count):
    from course_lib.generation import generate

    return generate(model, torch.tensor([ids]), count)[0]


class TestDefaults:
    def test_ends_come_from_the_generation_config(self, folder, tokenizer):
        path = folder()
        free = [int(i) for i in continuation(loaded(path).model, tokenizer.encode("no"), N)]
        hidden = tokenizer.special_tokens.values()
        first = next(i for i in range(3, N) if free[i] not in free[:i])
        later = next(i for i in range(first + 2, N) if free[i] not in free[:i])
        expected = tokenizer.decode(i for i in free[:first] if i not in hidden)
        for ends in (free[first], [free[later], free[first]]):
            write(path, "generation_config.json", {"eos_token_id": ends})
            assert loaded(path).generate("no", N) == expected
            # transformers keeps the end, and shows it where it is no special token, as here
            assert theirs(path, "no") == tokenizer.decode(
                i for i in free[: first + 1] if i not in hidden
            )
        write(path, "generation_config.json", {"eos_token_id": None})
        write(path, "config.json", {"eos_token_id": free[first]})
        assert loaded(path).generate("no", N) == expected
        (path / "generation_config.json").unlink()
        assert loaded(path).generate("no", N) == expected

    def test_the_last_resort_is_the_tokenizer(self, folder, tokenizer):
        path = folder(tokenizer_config={"eos_token": "<|im_end|>", "bos_token": "<|begin|>"})
        model = loaded(path)
        assert model.defaults.stop_ids == (tokenizer.special_tokens["<|im_end|>"],)
        assert model.prompt_ids("") == [tokenizer.special_tokens["<|begin|>"]]

    @pytest.mark.parametrize(
        ("settings", "sampling"),
        [
            ({}, Sampling(0.0)),
            ({"do_sample": False, "temperature": 0.6, "top_k": 9}, Sampling(0.0)),
            ({"repetition_penalty": 1.3}, Sampling(0.0, repetition_penalty=1.3)),
            ({"do_sample": True}, Sampling(1.0, top_k=50)),
            (
                {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.1},
                Sampling(0.6, 20, 0.95, 0.1),
            ),
            ({"do_sample": True, "top_k": 0, "top_p": 1}, Sampling(1.0, None, 1.0)),
            ({"do_sample": True, "top_k": None, "temperature": None}, Sampling(1.0)),
        ],
    )
    def test_sampling_comes_from_the_generation_config(self, folder, settings, sampling):
        assert loaded(folder(generation_config=settings)).defaults.sampling == sampling

    def test_a_penalty_is_that_of_transformers(self, folder):
        path = folder()
        free = theirs(path, "no")
        write(path, "generation_config.json", {"repetition_penalty": 1.8})
        assert loaded(path).generate("no", N) == theirs(path, "no") != free

    def test_a_call_changes_what_it_names(self, folder):
        settings = {"do_sample": True, "temperature": 0.6, "top_k": 20, "max_new_tokens": 3}
        model = loaded(folder(generation_config=settings))
        assert model.sampling(temperature=0.9) == Sampling(0.9, top_k=20)
        assert model.sampling(temperature=0.0, top_k=None) == Sampling(0.0)
        assert model.generate("no", seed=1) == model.generate("no", 3, seed=1)
        assert model.room([1]) == 3
        assert model.room([1], 4) == 4
        with pytest.raises(TypeError, match="temprature"):
            model.generate("no", temprature=0.5)

    def test_a_filter_alone_turns_sampling_on(self, folder):
        model = loaded(folder())
        assert model.sampling(top_p=0.9) == Sampling(1.0, top_p=0.9)
        assert model.sampling(repetition_penalty=1.1).is_greedy

    def test_what_is_not_done_here_is_said(self, folder):
        path = folder(generation_config={"num_beams": 4, "no_repeat_ngram_size": 0})
        with pytest.warns(UserWarning, match="num_beams=4") as told:
            loaded(path)
        assert "ngram" not in str(told[0].message)

    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"eos_token_id": "</s>"}, "</s>"),
            ({"eos_token_id": [1, True]}, "True"),
            ({"do_sample": True, "temperature": -1}, "-1"),
            ({"do_sample": True, "top_p": "much"}, "generation_config.json"),
        ],
    )
    def test_nonsense_is_an_error(self, folder, settings, named):
        path = folder(generation_config=settings)
        with pytest.raises(ValueError, match=named):
            loaded(path)


class TestSampled:
    def test_a_seed_repeats_a_text(self, folder):
        model = loaded(folder())
        first = model.generate("no", N, temperature=1.5, seed=1)
        assert first == model.generate("no", N, temperature=1.5, seed=1)
        assert first == "".join(model.stream("no", N, temperature=1.5, seed=1))
        assert first != model.generate("no", N, temperature=1.5, seed=2)
        several = model.generate(["no", "no"], N, temperature=1.5, seed=1)
        assert several == model.generate(["no", "no"], N, temperature=1.5, seed=1)
        assert several[0] != several[1]


class TestStopStrings:
    def test_the_text_ends_before_them(self):
        model = course_lib.load(device="cpu")
        free = model.generate("import os\n\ndef ", 40)
        assert free.count('"""') >= 1
        expected = free[: free.index('"""')]
        prompts = ["import os\n\ndef ", "class A:"]
        assert model.generate(prompts[0], 40, stop='"""') == expected
        assert "".join(model.stream(prompts[0], 40, stop=["never", '"""'])) == expected
        assert model.generate(prompts, 40, stop=['"""'])[0] == expected

    def test_an_empty_one_is_an_error(self):
        with pytest.raises(ValueError, match="stop string"):
            course_lib.load(device="cpu").generate("no", stop="")


class TestRoom:
    def test_a_text_ends_where_the_context_is_full(self, folder, tokenizer):
        model = loaded(folder())
        limit = model.config.max_position_embeddings
        prompt = "no one knows " * 9
        ids = model.prompt_ids(prompt)
        assert model.room(ids, 1000) == limit - len(ids)
        assert model.room(ids, 2) == 2
        assert len(list(model.stream(prompt, 1000))) <= limit - len(ids)
        with pytest.raises(ValueError, match=f"context length of {limit} tokens; got {limit}"):
            model.room([1] * limit)

    @pytest.mark.parametrize("prompt", ["", ["no", ""]])
    def test_an_empty_prompt_needs_a_first_token(self, folder, prompt):
        path = folder()
        with pytest.raises(ValueError, match="bos_token_id"):
            loaded(path).generate(prompt, 2)
        write(path, "config.json", {"bos_token_id": 7})
        model = loaded(path)
        assert model.prompt_ids("") == [7]
        assert model.generate(prompt, 2) is not None

    def test_no_prompts_and_no_tokens(self, folder):
        model = loaded(folder())
        assert model.generate([]) == []
        with pytest.raises(ValueError, match="got 0"):
            model.generate("no", 0)


class TestChat:
    MESSAGES = ({"role": "user", "content": "no one knows"},)

    def test_the_answer_is_that_of_transformers(self, folder):
        path = folder(tokenizer_config={"chat_template": CHATML_TEMPLATE})
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(path)
        given = tokenizer.apply_chat_template(
            list(self.MESSAGES), add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        new = model.generate(**given, max_new_tokens=N, pad_token_id=0)
        expected = tokenizer.decode(new[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
        assert "".join(loaded(path).chat(self.MESSAGES, N)) == expected

    def test_tools_and_variables_reach_the_template(self, folder):
        source = "{{ messages[0].content }}{{ mood }}{% if tools %}{{ tools[0].name }}{% endif %}"
        model = loaded(folder(tokenizer_config={"chat_template": source}))
        ids = model.chat_ids(self.MESSAGES, [{"name": "clock"}], {"mood": "calm"})
        assert model.tokenizer.decode(ids) == "no one knowscalmclock"
        tools, variables = [{"name": "clock"}], {"mood": "calm"}
        pieces = model.chat(self.MESSAGES, N, tools=tools, variables=variables)
        assert "".join(pieces) == model.generate("no one knowscalmclock", N)

    def test_without_a_template_the_remedy_works(self, folder):
        model = loaded(folder())
        with pytest.raises(ValueError, match="chat_template"):
            model.chat(self.MESSAGES)
        model.chat_template = ChatTemplate(CHATML_TEMPLATE)
        assert "".join(model.chat(self.MESSAGES, 5))


class TestLoading:
    def test_without_a_name_it_is_the_courses_own(self):
        model = course_lib.load(device="cpu")
        assert model.model.lm_head.weight.dtype == torch.float32  # stored as float16
        ids = torch.arange(20)[None]
        torch.testing.assert_close(model.model(ids).logits, course_model()(ids).logits)
        assert model.chat_template is None
        assert model.defaults.stop_ids == (2047,)

    def test_the_number_type_is_the_files_or_the_callers(self, folder):
        path = folder()
        assert loaded(path).model.lm_head.weight.dtype == torch.float32
        half = course_lib.load(path, dtype=torch.bfloat16, device="cpu")
        assert half.model.lm_head.weight.dtype == torch.bfloat16
        assert half.generate("no", 3)
        asked = course_lib.load(FOLDER, dtype=torch.float16, device="cpu")
        assert asked.model.lm_head.weight.dtype == torch.float16

    @pytest.mark.parametrize(
        ("missing", "named"),
        [
            ("config.json", "config.json"),
            ("model.safetensors", "model.safetensors"),
            ("tokenizer.json", "tokenizer.json"),
        ],
    )
    def test_what_is_missing_is_named(self, tmp_path, missing, named):
        copy = tmp_path / "model"
        shutil.copytree(FOLDER, copy)
        (copy / missing).unlink()
        with pytest.raises(ValueError, match=named) as told:
            course_lib.load(copy)
        assert str(copy) in str(told.value)

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"model_type": "mamba"}, "'mamba'"),
            ({"model_type": None}, "None"),
            (BertConfig().to_dict(), "'bert'"),
            ({"hidden_size": "wide"}, "hidden_size"),
        ],
    )
    def test_an_unknown_decoder_is_an_error(self, folder, changes, named):
        path = folder()
        write(path, "config.json", changes)
        with pytest.raises(ValueError, match=named):
            loaded(path)

    @pytest.mark.parametrize(
        ("file", "text"),
        [("generation_config.json", "{"), ("tokenizer_config.json", "[]"), ("config.json", "no")],
    )
    def test_a_broken_file_is_named(self, folder, file, text):
        path = folder()
        (path / file).write_text(text)
        with pytest.raises(ValueError, match=file):
            loaded(path)

    def test_what_is_not_there(self, tmp_path):
        with pytest.raises(ValueError, match="nowhere"):
            course_lib.load(tmp_path / "nowhere")
        with pytest.raises(ValueError, match="nobody/nothing"):
            course_lib.load("nobody/nothing", download=False)

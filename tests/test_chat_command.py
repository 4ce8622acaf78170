"""`course chat`: at a terminal, through a pipe, and when the answer is stopped."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import course_lib
from course_lib import cli
from course_lib.chat_command import show
from course_lib.checkpoint import save_model, save_tokenizer
from course_lib.compression import use_quantised_cache
from course_lib.generation.decoding import text_pieces
from course_lib.model import ModelConfig, build_model
from course_lib.pretrained import FOLDER
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.chat import CHATML_TEMPLATE

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "COURSE_DEVICE": "cpu",
    "PYTHONIOENCODING": "utf-8",
}
needs_terminal = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")


def piped(text, *options, **more):
    """Run `course chat` with this input; return the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "course_lib", "chat", *options],
        input=text,
        capture_output=True,
        encoding="utf-8",
        env={**ENVIRONMENT, **more},
    )


@pytest.fixture
def inside(monkeypatch, capsys):
    """Return `piped`, quicker, in this process: status, output and what else was told."""
    monkeypatch.setenv("COURSE_DEVICE", "cpu")

    def run(text, *options):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        status = cli.main(["chat", *options])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


class Terminal:
    """`course chat` behind a pseudo-terminal."""

    def __init__(self, *options, kind="xterm"):
        import pty

        self.main, child = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "course_lib", "chat", *options],
            stdin=child,
            stdout=child,
            stderr=child,
            env={**ENVIRONMENT, "TERM": kind},
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        os.close(child)
        self.seen = ""

    def until(self, pattern, limit=90):
        """Read until the pattern is there; return what came up to its end."""
        import select

        end = time.monotonic() + limit
        while (found := re.search(pattern, self.seen)) is None:
            ready, _, _ = select.select([self.main], [], [], 1.0)
            if ready:
                self.seen += self.read()
            assert time.monotonic() < end, self.seen
        text, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return text

    def comes(self, pattern, limit):
        """Say whether the pattern comes within so many seconds."""
        try:
            self.until(pattern, limit)
        except AssertionError:
            return False
        return True

    def read(self):
        try:
            return os.read(self.main, 65536).decode("utf-8", errors="replace")
        except OSError:  # the other end is closed
            return "\n<closed>"

    def type(self, text):
        os.write(self.main, text.encode())

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.main)


def take_terminal():
    """Make the pseudo-terminal the one whose Ctrl-C reaches this process."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal():
    opened = []

    def start(*options, **more):
        opened.append(Terminal(*options, **more))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """Return the folder of a chat model whose answers are long."""
    import torch

    folder = tmp_path_factory.mktemp("endless")
    special = ("<|end|>", "<|im_start|>", "<|im_end|>")
    tokenizer = ByteBPE.train(["no one knows what no one can know. " * 5], 290, special)
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=290,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=200_000,
    )
    save_model(build_model(config), folder)
    save_tokenizer(tokenizer, folder)
    told = {"chat_template": CHATML_TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    (folder / "generation_config.json").write_text('{"max_new_tokens": 25}', encoding="utf-8")
    return folder


class TestPipe:
    def test_the_answer_alone_goes_to_the_output(self):
        done = piped("import os\n", "--temperature", "0", "--max-new-tokens", "12")
        expected = course_lib.load(device="cpu").generate("import os", 12)
        assert done.stdout == expected + "\n"
        assert done.returncode == 0
        assert "base model" in done.stderr.splitlines()[0]

    def test_lines_are_turns_and_commands_work(self, endless, inside):
        text = "no one\n\n/reset\nno one\n/nonsense\n/help\n/quit\nnever read\n"
        status, out, told = inside(text, str(endless), "--max-new-tokens", "3")
        model = course_lib.load(endless, device="cpu")
        answer = "".join(model.chat([{"role": "user", "content": "no one"}], 3))
        assert out == f"{answer}\n{answer}\n"
        assert "/nonsense" in told
        assert "Ctrl-C" in told
        assert str(endless) in told.splitlines()[0]
        assert status == 0

    def test_sampling_options_and_a_seed(self, inside):
        options = ["--max-new-tokens", "8", "--top-p", "0.95", "--top-k", "100", "--temperature"]
        first, again, other = (
            inside("import", *options, "1.2", "--seed", seed)[1] for seed in ("1", "1", "2")
        )
        assert first == again != other
        model = course_lib.load(device="cpu")
        settings = {"temperature": 1.2, "top_p": 0.95, "top_k": 100}
        assert first == model.generate("import", 8, seed=1, **settings) + "\n"

    def test_keys_and_values_may_be_kept_in_few_bits(self, inside, monkeypatch):
        kept = []
        monkeypatch.setattr(
            "course_lib.chat_command.use_quantised_cache",
            lambda model, bits: kept.append(bits) or use_quantised_cache(model, bits),
        )
        options = ["--temperature", "0.0", "--max-new-tokens", "8", "--cache-bits", "4"]
        status, out, _ = inside("import", *options)
        model = course_lib.load(device="cpu")
        use_quantised_cache(model.model, 4)
        assert (status, kept) == (0, [4])
        assert out == model.generate("import", 8) + "\n"

    def test_a_base_model_is_sampled_unless_told_otherwise(self, inside):
        status, out, _ = inside("import", "--max-new-tokens", "8", "--seed", "3")
        model = course_lib.load(device="cpu")
        assert status == 0
        assert out == model.generate("import", 8, seed=3, temperature=0.8, top_p=0.9) + "\n"

    @pytest.mark.parametrize(
        ("text", "options", "told"),
        [
            ("x", ["/no/where"], "/no/where"),
            ("x", ["--temperature", "-1"], "got -1"),
            ("x", ["--max-new-tokens", "0"], "got 0"),
            ("word " * 400, [], "context length of 256"),
        ],
    )
    def test_what_is_wrong_is_reported(self, inside, text, options, told):
        status, out, err = inside(text, *options)
        assert status == 1
        assert told in err
        assert out == ""

    def test_bytes_that_are_no_text_and_a_narrow_encoding(self):
        done = subprocess.run(
            [sys.executable, "-m", "course_lib", "chat", "--max-new-tokens", "2"],
            input=b"caf\xe9 \xff\n",
            capture_output=True,
            env={**ENVIRONMENT, "PYTHONIOENCODING": "ascii"},
        )
        assert done.returncode == 0, done.stderr


@needs_terminal
class TestTerminal:
    @pytest.mark.parametrize("kind", ["xterm", "dumb"])
    def test_ctrl_c_stops_the_answer_and_ctrl_d_the_conversation(self, terminal, endless, kind):
        talk = terminal(str(endless), "--max-new-tokens", "100000", kind=kind)
        talk.until("> ")
        talk.type("no one\n")
        talk.until(r"no one\r\n(.|\n){200}")  # it is writing
        talk.type("\x03")
        talk.until(r"\(stopped\)\r\n(.|\n)*?> ")
        for _ in range(10):  # nothing is being written; a key may come before it is waited for
            talk.type("\x03")
            if talk.comes(r"Ctrl-D(.|\n)*?> ", 5):
                break
        talk.type("/reset\n")
        talk.until(r"new conversation(.|\n)*?> ")
        talk.type("\x04")
        talk.until("<closed>")
        assert talk.process.wait(30) == 0

    def test_quit_and_what_is_wrong(self, terminal):
        talk = terminal("--max-new-tokens", "4")
        assert "continues" in talk.until("> ")
        talk.type("word " * 400 + "\n")
        talk.until(r"context length of 256(.|\n)*?> ")
        talk.type("/quit\n")
        talk.until("<closed>")
        assert talk.process.wait(30) == 0  # a mistake was told, and the person went on


class Noting(io.StringIO):
    """Output that keeps each write and each flush."""

    def __init__(self):
        super().__init__()
        self.written = []

    def write(self, text):
        self.written += [text] if text else []
        return len(text)

    def flush(self):
        self.written.append(None)


def test_no_character_is_cut_and_none_is_obeyed(monkeypatch):
    tokenizer = ByteBPE.train(["x"], 256)
    ids = tokenizer.encode("aé\x1b[31m日\n")
    assert len(ids) > len("aé\x1b[31m日\n")
    for terminal, shown in ((True, "aé\\x1b[31m日\n\n"), (False, "aé\x1b[31m日\n\n")):
        out = Noting()
        monkeypatch.setattr("sys.stdout", out)
        show(text_pieces(ids, tokenizer.decode), terminal)
        assert "".join(each for each in out.written if each) == shown
        assert out.written[:4] == ["a", None, "é", None]  # each at once


def test_importing_costs_no_torch_and_the_command_is_there():
    code = "import sys, course_lib; assert 'load' in dir(course_lib); print('torch' in sys.modules)"
    run = {"capture_output": True, "text": True, "check": True, "env": ENVIRONMENT}
    assert subprocess.run([sys.executable, "-c", code], **run).stdout == "False\n"
    assert "chat" in cli.COMMANDS
    with pytest.raises(AttributeError, match="loud"):
        course_lib.loud  # noqa: B018


class TestReadme:
    @pytest.fixture
    def lines(self):
        text = (ROOT / "README.md").read_text(encoding="utf-8")
        (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        return block

    def test_the_lines_run(self, lines, endless, capsys):
        assert len([line for line in lines.splitlines() if line.strip()]) == 5
        assert lines.count('"Qwen/Qwen3-0.6B"') == 1
        exec(lines.replace('"Qwen/Qwen3-0.6B"', repr(str(endless))), {})
        model = course_lib.load(endless)
        printed = capsys.readouterr().out
        completion = model.generate("The capital of France is", max_new_tokens=20)
        answer = "".join(model.chat([{"role": "user", "content": "Hello"}]))
        assert printed == f"{completion}\n{answer}"


def test_a_copy_of_the_courses_model_is_a_checkpoint(tmp_path, inside):
    copy = tmp_path / "mein Modell"
    shutil.copytree(FOLDER, copy)
    _, out, _ = inside("import os", str(copy), "--temperature", "0", "--max-new-tokens", "3")
    assert out == course_lib.load(copy, device="cpu").generate("import os", 3) + "\n"

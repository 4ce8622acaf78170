"""llama.cpp as a contestant: a model as a GGUF file, and a process that runs it when asked.

    ENV/bin/python benchmarks/llama_cpp_peer.py FILE.gguf THREADS    what `LlamaCpp` starts

llama-cpp-python lives in an environment of its own, since nothing else here needs it:

    python -m venv ENV; ENV/bin/pip install llama-cpp-python

The process reads one request a line and answers with one line when the work is done. It imports
nothing of the course. Keys and values are kept in float16, llama.cpp's default.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any, TextIO

KINDS = ("Q8_0", "F16")
ROWS = 8  # sequences that the context has room for
CONTEXT = 1024  # tokens of each of them
ERROR = 4  # the level of such messages in ggml.h


def write_gguf(model: Any, path: Path, kind: str) -> None:
    """Write a Qwen3 of the course as llama.cpp reads it: matrices in this kind, norms in float32.

    There is no tokenizer in the file: llama.cpp is given ids.
    """
    import gguf

    writer = gguf.GGUFWriter(path, "qwen3")
    _write_settings(writer, model.config)
    stored = gguf.GGMLQuantizationType[kind]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, model.config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue  # llama.cpp takes the embedding
        theirs = names.get_name(name, try_suffixes=(".weight",))
        whole = tensor.float().contiguous().numpy()
        matrix = tensor.ndim == 2
        data = gguf.quants.quantize(whole, stored) if matrix else whole
        writer.add_tensor(theirs, data, raw_dtype=stored if matrix else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_settings(writer: Any, config: Any) -> None:
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("none")


class LlamaCpp:
    """A process of llama.cpp that has loaded a file and waits for requests."""

    def __init__(self, python: str, file: Path, threads: int) -> None:
        self.file = file
        command = [python, __file__, str(file), str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            self._answer("loaded")
        except RuntimeError:
            self.close()
            raise

    def prefill(self, tokens: int) -> None:
        """Read a text of this many tokens, after an empty cache."""
        self._ask(f"prefill {tokens}")

    def start(self, rows: int, tokens: int) -> None:
        """Fill the cache of each row with this many tokens."""
        self._ask(f"start {rows} {tokens}")

    def decode(self, rows: int, tokens: int, new: int) -> None:
        """Generate `new` tokens greedily in each row, after `tokens` that are in the cache."""
        self._ask(f"decode {rows} {tokens} {new}")

    def logits(self, ids: list[int]) -> list[float]:
        """Return the logits after the last of these ids."""
        return [float(each) for each in self._ask(f"logits {' '.join(map(str, ids))}").split()]

    def close(self) -> None:
        """End the process."""
        self._process.communicate("")

    def _ask(self, request: str) -> str:
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(request + "\n")
        stdin.flush()
        return self._answer(request.split()[0])

    def _answer(self, wanted: str) -> str:
        stdout = self._process.stdout
        assert stdout is not None
        word, _, rest = stdout.readline().strip().partition(" ")
        if word != wanted:
            raise RuntimeError(f"llama.cpp must answer {wanted!r}; got {word!r} {rest!r}.")
        return rest


class Context:
    """llama.cpp's model and cache, inside its own process."""

    def __init__(self, file: str, threads: int) -> None:
        import llama_cpp

        self.lib: Any = llama_cpp
        self._log = llama_cpp.llama_log_callback(_only_errors)
        llama_cpp.llama_log_set(self._log, None)
        llama_cpp.llama_backend_init()
        model = llama_cpp.llama_model_load_from_file(
            file.encode(), llama_cpp.llama_model_default_params()
        )
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max = ROWS * CONTEXT, ROWS
        settings.n_batch = settings.n_ubatch = 512
        settings.n_threads = settings.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(model, settings)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        self.batch = llama_cpp.llama_batch_init(512, 0, 1)

    def clear(self, row: int, after: int) -> None:
        """Forget what a row holds after its first tokens, `after` of them."""
        self.lib.llama_memory_seq_rm(self.memory, row, after, -1)

    def read(self, entries: list[tuple[int, int, int, bool]]) -> None:
        """Read tokens, each with its position, its row, and whether its logits are wanted."""
        batch = self.batch
        batch.n_tokens = len(entries)
        for place, (token, position, row, wanted) in enumerate(entries):
            batch.token[place], batch.pos[place] = token, position
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, row
            batch.logits[place] = wanted
        if self.lib.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode has failed")

    def row_logits(self, place: int) -> Any:
        import numpy

        found = self.lib.llama_get_logits_ith(self.context, place)
        return numpy.ctypeslib.as_array(found, (self.vocabulary,))

    def text(self, ids: list[int], row: int = 0) -> None:
        """Let a row hold these ids and nothing else."""
        self.clear(row, 0)
        last = len(ids) - 1
        self.read([(token, place, row, place == last) for place, token in enumerate(ids)])

    def decode(self, rows: int, tokens: int, new: int) -> None:
        chosen = [1] * rows
        for row in range(rows):
            self.clear(row, tokens)
        for position in range(tokens, tokens + new):
            self.read([(token, position, row, True) for row, token in enumerate(chosen)])
            chosen = [int(self.row_logits(row).argmax()) for row in range(rows)]


def _only_errors(level: int, text: bytes, _data: Any) -> None:
    """Write what llama.cpp reports if it is an error; it describes each tensor otherwise."""
    if level == ERROR:
        sys.stderr.write(text.decode(errors="replace"))


def serve(file: str, threads: int, requests: TextIO) -> None:
    """Answer requests until there are no more."""
    context = Context(file, threads)
    print("loaded", flush=True)
    for line in requests:
        what, *given = line.split()
        numbers, answer = [int(each) for each in given], ""
        if what == "prefill":
            context.text([place % context.vocabulary for place in range(numbers[0])])
        elif what == "start":
            for row in range(numbers[0]):
                context.text(
                    [(row + place) % context.vocabulary for place in range(numbers[1])], row
                )
        elif what == "decode":
            context.decode(*numbers)
        elif what == "logits":
            context.text(numbers)
            answer = " ".join(f"{each:.5f}" for each in context.row_logits(-1))
        print(what, answer, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.stdin)

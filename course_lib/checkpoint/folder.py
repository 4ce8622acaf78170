"""Where the files of a checkpoint are: a folder here, or a name on the hub.

Without being asked to, nothing here uses the network: a hub name means what was downloaded before.

Taught in:        transformer
"""

import json
import re
from pathlib import Path
from typing import Any

from course_lib.atomic_write import write_whole, write_whole_text
from course_lib.tokenization import huggingface, vocab_files
from course_lib.tokenization.bert_vocabulary import load_wordpiece
from course_lib.tokenization.huggingface import Tokenizer

TOKENIZER, TOKENIZER_WORDS = "tokenizer.json", "tokenizer_config.json"
VOCABULARY = "vocab.txt"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_WANTED = (
    *("config.json", "generation_config.json", "tokenizer*", "chat_template*"),
    *("model*.safetensors*", VOCABULARY),
)
_OLDER = (vocab_files.VOCAB, vocab_files.MERGES, "added_tokens.json")


def local_folder(source: str | Path, download: bool = False) -> Path:
    """Return the folder of a checkpoint, given the folder or its name on the hub.

    `download` allows to fetch what is not on this machine yet.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or not _HUB_NAME.fullmatch(str(source)):
        raise ValueError(
            "a checkpoint is a folder with config.json and model.safetensors, or a hub name "
            f"such as 'Qwen/Qwen3-0.6B'; got {str(source)!r}, which is neither. Check the path."
        )
    import huggingface_hub  # needed for hub names alone

    try:
        found = huggingface_hub.snapshot_download(
            str(source), allow_patterns=[*_WANTED, *_OLDER], local_files_only=not download
        )
    except (OSError, ValueError) as error:
        remedy = (
            "Check the name and the connection"
            if download
            else "Pass download=True on a machine with a network"
        )
        raise ValueError(
            f"a hub name must be on this machine already, or be reachable; got {str(source)!r} "
            f"and {type(error).__name__}. {remedy}, or copy the files here by hand and pass their "
            "folder."
        ) from error
    return Path(found)


def load_tokenizer(source: str | Path, download: bool = False) -> Tokenizer:
    """Return the tokenizer of a checkpoint, from tokenizer.json or from a BERT's vocab.txt."""
    folder = local_folder(source, download)
    path = folder / TOKENIZER
    if not path.is_file() and (folder / VOCABULARY).is_file():
        return load_wordpiece(folder / VOCABULARY, _tokenizer_settings(folder))
    if not path.is_file():
        if (folder / vocab_files.VOCAB).is_file() and (folder / vocab_files.MERGES).is_file():
            return vocab_files.load_vocab_merges_folder(folder)
        raise ValueError(
            f"a checkpoint's tokenizer is read from {TOKENIZER}, from {vocab_files.VOCAB} and "
            f"{vocab_files.MERGES}, or from the {VOCABULARY} of a BERT; got a folder without them, "
            f"{str(folder)!r}. Write it with transformers: "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...)."
        )
    return huggingface.load_tokenizer_json(path)


def _tokenizer_settings(folder: Path) -> dict[str, Any]:
    path = folder / TOKENIZER_WORDS
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{TOKENIZER_WORDS} must be an object in JSON; got {str(path)!r} and "
            f"{type(error).__name__}: {error}. Fetch the file again."
        ) from error


def save_tokenizer(tokenizer: Tokenizer, folder: str | Path) -> None:
    """Write what `transformers.AutoTokenizer` needs to load the tokenizer."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / TOKENIZER, lambda path: huggingface.save_tokenizer_json(tokenizer, path))
    words = json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}, indent=2) + "\n"
    write_whole_text(folder / TOKENIZER_WORDS, words)

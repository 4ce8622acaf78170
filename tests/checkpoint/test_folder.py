"""Folders, hub names and tokenizers."""

import huggingface_hub
import pytest
import transformers

from course_lib.checkpoint import load_model, load_tokenizer, local_folder, save_tokenizer
from course_lib.tokenization.byte_bpe import ByteBPE


def test_hub_names(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"which is neither\. Check the path"):
        local_folder(tmp_path / "nowhere")
    asked = {}

    def found(name, **settings):
        asked.update(settings, name=name)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", found)
    assert local_folder("someone/model") == tmp_path
    assert asked["local_files_only"]
    assert (asked["name"], "config.json" in asked["allow_patterns"]) == ("someone/model", True)
    local_folder("someone/model", download=True)
    assert not asked["local_files_only"]


def test_a_hub_name_without_a_network_says_what_to_do():
    with pytest.raises(ValueError, match="Pass download=True on a machine with a network, or copy"):
        load_model("nobody-has/this-model-here")


def test_tokenizer_for_us_and_for_transformers(tmp_path):
    tokenizer = ByteBPE.train(["low lower lowest new newer"] * 3, 270)
    save_tokenizer(tokenizer, tmp_path)
    text = "a newer, lower law"
    expected = tokenizer.encode(text)
    assert load_tokenizer(tmp_path).encode(text) == expected
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.encode(text, add_special_tokens=False) == expected
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(
        ValueError, match=r"tokenizer\.json.*vocab\.json.*merges\.txt.*vocab\.txt.*got"
    ):
        load_tokenizer(tmp_path)

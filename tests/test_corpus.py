import hashlib
import json
import unicodedata
from pydoc_data.topics import topics

import pytest

from course_lib import corpus


def long_lines(text):
    return {line.strip() for line in text.splitlines() if len(line) > 40}


def test_documents_are_verbatim_named_and_in_order():
    documents = corpus.documentation()
    assert [d.name for d in documents] == sorted(d.name for d in documents)
    assert all(d.text == topics[d.name.removeprefix("topic/")] for d in documents)


def test_sources_and_docstrings_are_those_of_the_running_library():
    sources = {d.name: d.text for d in corpus.library_sources()}
    docstrings = {d.name: d.text for d in corpus.docstrings()}
    with open(json.decoder.__file__, encoding="utf-8") as file:
        assert sources["source/json/decoder.py"] == file.read()
    assert "source/test/__init__.py" not in sources
    assert docstrings["docstrings/json/__init__.py"].startswith(json.__doc__.strip()[:200])
    assert "def loads" not in docstrings["docstrings/json/__init__.py"]


def test_split_is_by_hash_of_the_name():
    for name in ("topic/if", "topic/types", "source/abc.py"):
        first_byte = int(hashlib.sha256(name.encode()).hexdigest()[:2], 16)
        assert corpus.is_held_out(name) == (first_byte < 26)
    share = sum(corpus.is_held_out(f"document {i}") for i in range(4000)) / 4000
    assert 0.08 < share < 0.13


@pytest.mark.parametrize("source", sorted(corpus.SOURCES))
def test_every_document_is_on_one_side(source):
    train, held_out = corpus.train_text(source=source), corpus.held_out_text(source=source)
    for document in corpus.SOURCES[source]():
        inside, outside = (
            (held_out, train) if corpus.is_held_out(document.name) else (train, held_out)
        )
        assert document.text in inside
        assert document.text not in outside or len(document.text) < 1000
    assert train
    assert held_out


def test_no_held_out_topic_is_an_excerpt_of_the_training_text():
    seen = long_lines(corpus.train_text())
    shares = [
        len(long_lines(d.text) & seen) / len(long_lines(d.text))
        for d in corpus.documentation()
        if corpus.is_held_out(d.name)
    ]
    assert max(shares) < 0.5
    assert long_lines(topics["function"]) <= long_lines(topics["compound"])  # why it is needed


def test_size_limit_takes_the_beginning():
    assert corpus.train_text(1000) == corpus.train_text()[:1000]
    assert len(corpus.held_out_text(1)) == 1
    assert corpus.train_text(10**9) == corpus.train_text()


def test_samples_are_in_the_scripts_they_name():
    scripts = {"Chinese": "CJK", "Arabic": "ARABIC", "Hindi": "DEVANAGARI", "German": "LATIN"}
    for name, script in scripts.items():
        letters = [c for c in corpus.SAMPLES[name] if c.isalpha()]
        share = sum(unicodedata.name(c).startswith(script) for c in letters) / len(letters)
        assert share > 0.9
    compile(corpus.SAMPLES["code"], "sample", "exec")


def test_errors_name_rule_value_and_remedy():
    with pytest.raises(ValueError, match=r"documentation, docstrings, sources.*'web'"):
        corpus.train_text(source="web")
    with pytest.raises(ValueError, match=r"\b1\b.*\b0\b"):
        corpus.held_out_text(0)

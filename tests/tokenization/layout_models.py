"""Models of a `tokenizer.json` with something that a trained one does not have."""


def change_model(generator, kind, model):
    """Change one thing in a model of a kind."""
    vocab = model["vocab"]
    changes = _FIELDS[kind]
    if kind == "unigram":
        changes = [*changes, _change_pieces]
    else:
        changes = [*changes, *[_change_vocabulary] * 3]
    if "merges" in model:
        changes += [_change_merges] * 2
    change = generator.choice(changes)
    if isinstance(change, tuple):
        field, *values = change
        model[field] = generator.choice(values)
    else:
        change(generator, model, vocab)


_BPE = [
    ("unk_token", "<unk>", "a", "", "<absent>", None),
    ("fuse_unk", True, False),
    ("byte_fallback", True, False),
    ("continuing_subword_prefix", "", "##", "a"),
    ("end_of_word_suffix", "", "</w>"),
    ("dropout", 0.0, 0.5),
    ("ignore_merges", True, False),
]
_FIELDS = {
    "byte": _BPE,
    "character": _BPE,
    "unigram": [("unk_id", 0, 5, None, 10_000), ("byte_fallback", True)],
    "wordpiece": [
        ("continuing_subword_prefix", "", "@@", "a"),
        ("unk_token", "a", "<absent>", "[CLS]"),
        ("max_input_chars_per_word", 0, 1, 40),
        ("type", "WordLevel"),
    ],
}


def _change_vocabulary(generator, model, vocab):
    names, ids = list(vocab), list(vocab.values())
    change = generator.randrange(6)
    if change == 0:
        generator.shuffle(ids)
        vocab.update(zip(names, ids, strict=True))
    elif change == 1:
        del vocab[generator.choice(names)]
    elif change == 2:
        vocab[generator.choice(names)] += 1000  # leaves a hole
    elif change == 3:
        vocab[generator.choice(names)] = generator.choice(ids)  # two tokens share an id
    elif change == 4:
        vocab[generator.choice(["", "\0", "zqx", "▁▁▁▁", "##", "a b"])] = len(vocab)
    else:
        model["vocab"] = dict(generator.sample(list(vocab.items()), len(vocab)))


def _change_merges(generator, model, _vocab):
    merges = model["merges"]
    change = generator.randrange(4)
    if change == 0:
        generator.shuffle(merges)
    elif change == 1:
        merges += generator.sample(merges, 5)
    elif change == 2:
        del merges[generator.randrange(len(merges)) :]
    else:
        merges[generator.randrange(len(merges))] = generator.choice(["a b", ["a", "zz"], "a b c"])


def _change_pieces(generator, model, vocab):
    change = generator.randrange(6)
    if change == 0:  # many paths are equally good
        vocab[1:] = [[piece, float(round(score))] for piece, score in vocab[1:]]
    elif change == 1:
        vocab.append(list(generator.choice(vocab)))
    elif change == 2:
        vocab.append([generator.choice(["", "\0", "the" * 9, "<0x41>", "▁▁▁", "a b"]), -3.0])
    elif change == 3:
        vocab[generator.randrange(1, len(vocab))][1] = generator.choice([0.0, 3.5, -1e9, 1e-320])
    elif change == 4:
        vocab += [[f"<0x{byte:02X}>", -9.0] for byte in range(generator.choice([255, 256]))]
        model["byte_fallback"] = True
    else:
        generator.shuffle(vocab)

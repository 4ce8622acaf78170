"""Byte-level BPE: the tokenizer of GPT-2, GPT-4, Llama 3 and Qwen.

Every text is bytes in UTF-8, and there are 256 bytes. A tokenizer that starts from bytes therefore
has no unknown character in any script, and undoing it is joining bytes. Encoding replays the
training: among all neighbours in a word, join the pair that was learned first, until no neighbours
form a learned pair.

    "hug"   h u g  →  h ug  (rank 0: u g)  →  hug  (rank 3: h ug)

Taught in:        tokenization
Paper:            Sennrich et al. 2016, arXiv:1508.07909; Radford et al. 2019 (GPT-2)
Checked against:  `tokenizers` (merges and ids), `tiktoken` built from the same ranks
"""

import heapq
import json
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import chain, groupby, pairwise
from operator import itemgetter
from pathlib import Path

from course_lib.tokenization.bpe_training import (
    GPT2_BYTE_ORDER,
    Pair,
    TieRule,
    count_words,
    train_merges,
)
from course_lib.tokenization.normalization import check_form, normalize, stream_normalize
from course_lib.tokenization.patterns import (
    GPT2_PATTERN,
    PreSplitter,
    Split,
)
from course_lib.tokenization.special import (
    Reach,
    check_own_ids,
    check_special,
    choose_allowed,
    encode_with_special,
    stream_split,
    utf8_bytes,
    without_reached,
)
from course_lib.tokenization.word_cache import WordCache

MergeTable = Mapping[Pair, tuple[int, int]]  # pair of ids -> (rank, id of the merged token)

LONG_WORD = 32  # bytes; from here on a heap finds the next merge faster than a scan
NO_MERGE = (sys.maxsize, -1)  # ranks after every merge
_FORMAT = "course_lib byte-level BPE 1"


def encode_by_rank(ids: Sequence[int], merges: MergeTable) -> list[int]:
    """Return the ids of a word after all merges: the pair learned first is always merged first.

    Among equal pairs the leftmost comes first. A merge changes only the pairs beside it.
    """
    merged = list(ids)
    found = [merges.get(pair, NO_MERGE) for pair in pairwise(merged)]
    while found and (best := min(found)) != NO_MERGE:
        i = found.index(best)
        merged[i : i + 2] = [best[1]]
        del found[i]
        for j in (i - 1, i):
            if 0 <= j < len(found):
                found[j] = merges.get((merged[j], merged[j + 1]), NO_MERGE)
    return merged


def encode_long(ids: Sequence[int], merges: MergeTable) -> list[int]:
    """Return the same as `encode_by_rank` for a word of n bytes in time n log n instead of n².

    Neighbours are linked. For each pair the places where it stands are collected, and a heap gives
    the next pair: places are many and pairs few. A place whose token or the one after it has
    meanwhile been merged with something else is out of date and is passed over.
    """
    tokens = [*ids, -1]  # a merge leaves -1 where its right token was
    after, before = list(range(1, len(tokens) + 1)), list(range(-1, len(tokens) - 1))
    waiting: dict[Pair, list[int]] = defaultdict(list)  # pair -> where it stands
    for place, pair in enumerate(pairwise(ids)):
        waiting[pair].append(place)
    heap = [(found[0], pair, found[1]) for pair in waiting if (found := merges.get(pair))]
    heapq.heapify(heap)
    find, push = merges.get, heapq.heappush  # this loop takes nearly all the time
    while heap:
        rank, pair, new = heapq.heappop(heap)
        places = sorted(waiting.pop(pair))
        for done, left in enumerate(places, 1):
            if tokens[left] != pair[0] or tokens[right := after[left]] != pair[1]:
                continue
            tokens[left], tokens[right] = new, -1
            start, end = before[left], after[right]
            after[left], before[end] = end, left
            if found := find(arisen := (tokens[start], new)):
                if arisen not in waiting:
                    push(heap, (found[0], arisen, found[1]))
                waiting[arisen].append(start)
            if found := find(arisen := (new, tokens[end])):
                if arisen not in waiting:
                    push(heap, (found[0], arisen, found[1]))
                waiting[arisen].append(left)
            if heap and heap[0][0] < rank:  # a merge of the new token is listed before its own
                waiting[pair] = places[done:]
                push(heap, (rank, pair, new))
                break
    return [token for token in tokens if token >= 0]


def join_bytes(ids: Iterable[int], tokens: Mapping[int, bytes]) -> bytes:
    """Return the bytes of the tokens, one after another."""
    try:
        return b"".join([tokens[token] for token in ids])
    except KeyError as error:
        raise ValueError(
            f"every id must be one of the tokenizer's {len(tokens)} tokens; got {error.args[0]}. "
            "Check that the ids come from this tokenizer."
        ) from None


def decode(ids: Iterable[int], tokens: Mapping[int, bytes]) -> str:
    """Return the text of the ids; bytes that are not UTF-8 become the replacement character.

    The bytes are joined before they are read as text: one character may need several tokens.
    """
    return join_bytes(ids, tokens).decode("utf-8", errors="replace")


class ByteBPE:
    """A byte-level BPE tokenizer: a vocabulary, merges in the order learned, special tokens.

    The merges are pairs of tokens, or the table of their ids where these are looked up already.
    """

    def __init__(
        self,
        vocabulary: Mapping[bytes, int],
        merges: Iterable[tuple[bytes, bytes]] | MergeTable,
        special_tokens: Mapping[str, int] | None = None,
        pattern: str | Sequence[Split] = GPT2_PATTERN,
        normalization: str | None = None,
        ignore_merges: bool = False,
        reaches: Mapping[str, Reach] | None = None,
    ) -> None:
        self.vocabulary = dict(vocabulary)
        self.special_tokens, self.reaches = dict(special_tokens or {}), dict(reaches or {})
        self.pattern, self.normalization = pattern, normalization
        self.ignore_merges = ignore_merges  # a whole word in the vocabulary needs no merges
        check_form(normalization)
        check_special(self.special_tokens)
        self.tokens = {i: token for token, i in self.vocabulary.items()}
        self.tokens |= {i: name.encode() for name, i in self.special_tokens.items()}
        self._check_vocabulary()
        if isinstance(merges, Mapping):
            self.merge_table = merges  # what encoding looks pairs up in
        else:
            self.merges = list(merges)
            self.merge_table = self._rank_merges()
        self._pre_split = PreSplitter(pattern)
        self._byte_ids = [self.vocabulary[bytes([byte])] for byte in range(256)]
        self._cache = WordCache(self._encode_word)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = (),
        pattern: str = GPT2_PATTERN,
        ties: TieRule = "smallest_ids",
        byte_order: bytes = GPT2_BYTE_ORDER,
        processes: int = 1,
    ) -> "ByteBPE":
        """Learn a tokenizer of at most `vocab_size` tokens; the special ones get the last ids.

        The texts are cut at the special tokens. Which of several equally frequent pairs is merged
        first is decided by `ties`; the bytes get the ids 0 to 255 in `byte_order`. The words of
        long texts can be counted in several `processes`, and the merges are the same.
        """
        check_special(special_tokens)
        if vocab_size < 256 + len(special_tokens):
            raise ValueError(
                f"vocab_size must be at least 256 + {len(special_tokens)}, one token for each byte "
                f"and special token; got {vocab_size}. Pass a larger vocab_size."
            )
        words = count_words(texts, pattern, special_tokens, processes)
        if not words:
            raise ValueError(
                "the corpus must contain text besides special tokens to learn merges from; got 0 "
                "characters. Pass a list of non-empty strings."
            )
        num_merges = vocab_size - 256 - len(special_tokens)
        tokens = [bytes([byte]) for byte in byte_order]
        merges = []
        for left, right in train_merges(words, num_merges, ties, byte_order):
            merges.append((tokens[left], tokens[right]))
            tokens.append(tokens[left] + tokens[right])
        special = {name: len(tokens) + i for i, name in enumerate(special_tokens)}
        return cls({token: i for i, token in enumerate(tokens)}, merges, special, pattern)

    @cached_property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """The two tokens of each merge, in the order learned."""
        return [(self.tokens[left], self.tokens[right]) for left, right in self.merge_table]

    @property
    def vocab_size(self) -> int:
        """How many rows an embedding table for this tokenizer needs."""
        return max(self.tokens) + 1

    def encode_ordinary(self, text: str) -> list[int]:
        """Return the ids of the text, in which no special token is recognised."""
        words = self._pre_split(normalize(text, self.normalization))
        return list(chain.from_iterable(map(self._cache.__getitem__, words)))

    def encode(self, text: str, allowed_special: Collection[str] | str = ()) -> list[int]:
        """Return the ids of the text; only allowed special tokens are more than their letters."""
        encode, special = self.encode_ordinary, self.special_tokens
        return encode_with_special(text, special, allowed_special, encode, reaches=self.reaches)

    def encode_iterable(
        self, chunks: Iterable[str], allowed_special: Collection[str] | str = ()
    ) -> Iterator[int]:
        """Yield the ids that `encode` gives for the joined chunks, without joining them."""
        names = choose_allowed(self.special_tokens, allowed_special)
        found = stream_split(chunks, names)
        found = without_reached(found, self.reaches) if self.reaches else found
        for is_special, parts in groupby(found, key=itemgetter(1)):
            texts = (text for text, _ in parts)
            if is_special:
                yield from (self.special_tokens[name] for name in texts)
                continue
            for word in self._pre_split.stream(stream_normalize(texts, self.normalization)):
                yield from self._cache[word]

    def encode_bytes(self, data: bytes) -> list[int]:
        """Return ids that decode to exactly these bytes, whether or not they are UTF-8."""
        words = self._pre_split(data.decode("utf-8", errors="surrogateescape"))
        pieces = (word.encode("utf-8", errors="surrogateescape") for word in words)
        return list(chain.from_iterable(map(self._encode_piece, pieces)))

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of the ids."""
        return join_bytes(ids, self.tokens)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; bytes that are not UTF-8 become the replacement character."""
        return decode(ids, self.tokens)

    def save(self, path: Path | str) -> None:
        """Write the tokenizer as JSON in which a byte is a character from U+0000 to U+00FF."""
        steps = self.pattern if isinstance(self.pattern, str) else list(map(asdict, self.pattern))
        content = {
            "format": _FORMAT,
            "pattern": steps,
            "normalization": self.normalization,
            "ignore_merges": self.ignore_merges,
            "special_tokens": self.special_tokens,
            "reaches": self.reaches,
            "vocabulary": {token.decode("latin-1"): i for token, i in self.vocabulary.items()},
            "merges": list(self.merge_table),
        }
        Path(path).write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> "ByteBPE":
        """Read a tokenizer that `save` has written."""
        content = json.loads(Path(path).read_text("utf-8"))
        if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
            raise ValueError(
                f"the file must have been written by ByteBPE.save; got {str(path)!r}. "
                "Read a tokenizer.json with load_tokenizer_json of course_lib.tokenization."
            )
        vocabulary = {token.encode("latin-1"): i for token, i in content["vocabulary"].items()}
        tokens = {i: token for token, i in vocabulary.items()}
        merges = [(tokens[left], tokens[right]) for left, right in content["merges"]]
        if not isinstance(content["pattern"], str):
            content["pattern"] = [Split(**fields) for fields in content["pattern"]]
        reaches = {name: Reach(*sides) for name, sides in content.get("reaches", {}).items()}
        return cls(**content | {"vocabulary": vocabulary, "merges": merges, "reaches": reaches})

    def _encode_word(self, word: str) -> list[int]:
        return self._encode_piece(utf8_bytes(word))

    def _encode_piece(self, piece: bytes) -> list[int]:
        if self.ignore_merges and piece in self.vocabulary:
            return [self.vocabulary[piece]]
        ids = [self._byte_ids[byte] for byte in piece]
        return (encode_by_rank if len(ids) < LONG_WORD else encode_long)(ids, self.merge_table)

    def _check_vocabulary(self) -> None:
        if missing := [byte for byte in range(256) if bytes([byte]) not in self.vocabulary]:
            raise ValueError(
                f"a byte-level vocabulary must hold all 256 bytes; got one without {len(missing)} "
                f"of them, such as {missing[0]:#04x}. Train with the full byte alphabet."
            )
        special = {name.encode(): i for name, i in self.special_tokens.items()}
        check_own_ids(self.tokens, self.vocabulary, special)

    def _rank_merges(self) -> dict[Pair, tuple[int, int]]:
        vocabulary = self.vocabulary
        try:
            return {
                (vocabulary[left], vocabulary[right]): (rank, vocabulary[left + right])
                for rank, (left, right) in enumerate(self.merges)
            }
        except KeyError as error:
            unknown = error.args[0]
        left, right = next(p for p in self.merges if unknown in (*p, p[0] + p[1]))
        raise ValueError(
            f"a merge joins two tokens of the vocabulary into a third; got {left!r} + "
            f"{right!r}, where {unknown!r} has no id. Add it, or remove the merge."
        )

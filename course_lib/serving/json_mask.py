"""Which tokens keep the text on the way to valid JSON: a mask over the vocabulary.

The grammar knows bytes, the model writes tokens of several bytes. A token is allowed if the grammar
allows all its bytes, one after another. Tokens with the same beginning are checked together: they
are stored in a tree, and a branch is left as soon as its byte is forbidden. The masks are kept,
since a text returns to the same states again and again.

Taught in:        serving
Paper:            Willard and Louf 2023, arXiv:2307.09702
Checked against:  trying every token on its own
Shapes:           V vocabulary
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from course_lib.serving.json_grammar import Grammar
from course_lib.serving.json_grammar import State as JsonState
from course_lib.tokenization.byte_bpe import ByteBPE


class TokenTree:
    """The tokens of a vocabulary by their bytes; tokens with a common beginning share a path."""

    def __init__(self, tokens: Mapping[int, bytes]) -> None:
        self.tokens = dict(tokens)
        self.root: dict[Any, Any] = {}
        for token, data in tokens.items():
            node = self.root
            for byte in data:
                node = node.setdefault(byte, {})
            node.setdefault(None, []).append(token)  # the tokens that end here

    @classmethod
    def of(cls, tokenizer: Any) -> "TokenTree":
        """Return the tree of a byte-level tokenizer; special tokens are not part of a text."""
        if not isinstance(tokenizer, ByteBPE):
            raise ValueError(
                "JSON output needs a byte-level tokenizer, whose tokens are known byte for byte; "
                f"got {type(tokenizer).__name__}. Ask for plain text."
            )
        special = set(tokenizer.special_tokens.values())
        return cls({i: data for i, data in tokenizer.tokens.items() if i not in special})


class JsonMask:
    """A grammar applied to the tokens of a vocabulary."""

    def __init__(self, grammar: Grammar, tree: TokenTree) -> None:
        self.grammar, self.tree = grammar, tree
        self._allowed: dict[JsonState, list[int]] = {}

    @property
    def start(self) -> JsonState:
        """The state before anything is written."""
        return self.grammar.start

    def after(self, state: JsonState, token: int) -> JsonState:
        """Return the state after one more token."""
        return self.grammar.follow(state, self.tree.tokens[token])

    def complete(self, state: JsonState) -> bool:
        """Return whether the text is whole and nothing can follow."""
        return state == frozenset({()})

    def tokens(self, state: JsonState) -> list[int]:
        """Return the tokens that may come next."""
        if state not in self._allowed:
            found: list[int] = []
            self._walk(self.tree.root, state, found)
            self._allowed[state] = found
        return self._allowed[state]

    def allowed(
        self, state: JsonState, stop_ids: tuple[int, ...], vocabulary: int
    ) -> Bool[Tensor, " V"]:
        """Return True for each token that may come next; a stop id may where the text is whole."""
        mask = torch.zeros(vocabulary, dtype=torch.bool)
        mask[self.tokens(state)] = True
        for each in stop_ids:
            mask[each] = () in state
        return mask

    def _walk(self, node: dict[Any, Any], state: JsonState, found: list[int]) -> None:
        found += node.get(None, ())
        for byte, below in node.items():
            if byte is not None:
                after = self.grammar.advance(state, byte)
                if after:
                    self._walk(below, after, found)

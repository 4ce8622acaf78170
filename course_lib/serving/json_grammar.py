"""A grammar over bytes, and the machine that says which byte may come next.

A JSON Schema describes a set of texts: objects inside arrays inside objects. No finite list of
states can count open brackets, so the machine keeps a stack of what is still to come. A symbol of a
rule is a set of bytes or the name of another rule; the state is the set of all stacks that fit what
was written so far.

    expand    replace a rule's name on top by each of its alternatives, until bytes are on top
    advance   keep the stacks whose top allows the byte, without it; expand them again
    complete  an empty stack: everything has been written

Taught in:        serving
Paper:            Willard and Louf 2023, arXiv:2307.09702 (masks from automata);
                  Dong et al. 2024, "XGrammar", arXiv:2411.15100
Checked against:  Python's json module, jsonschema
Shapes:           none
"""

from collections.abc import Iterable, Mapping, Sequence

Bytes = frozenset[int]
Symbol = Bytes | str
Stack = tuple[Symbol, ...]  # what is still to come, the next symbol first
State = frozenset[Stack]
Rules = dict[str, list[Stack]]


def literal(text: str | bytes) -> Stack:
    """Return the symbols that match exactly this text."""
    data = text.encode("utf-8") if isinstance(text, str) else text
    return tuple(frozenset((byte,)) for byte in data)


def one_of(*ranges: str | tuple[int, int]) -> Bytes:
    """Return the set of these characters, and of the bytes from the first to the last of a pair."""
    found: set[int] = set()
    for each in ranges:
        found |= set(each.encode()) if isinstance(each, str) else set(range(each[0], each[1] + 1))
    return frozenset(found)


class Grammar:
    """Rules, and the stack machine that follows them byte by byte."""

    def __init__(self, rules: Mapping[str, Sequence[Stack]], first: str) -> None:
        self.rules, self.first = rules, first
        self._expanded: dict[Stack, State] = {}
        if first not in _productive(rules):
            raise ValueError(
                "no text can meet this schema, since it contains itself without an end. Give the "
                "part that refers back to itself another choice, with anyOf or as optional."
            )
        self.start = self.expand((first,))

    def expand(self, stack: Stack) -> State:
        """Return the stacks that this one stands for, each with bytes on top, or empty."""
        if stack in self._expanded:
            return self._expanded[stack]
        done, seen, open_stacks = set(), {stack}, [stack]
        while open_stacks:
            top = open_stacks.pop()
            if not top or not isinstance(top[0], str):
                done.add(top)
                continue
            for alternative in self.rules[top[0]]:
                longer = alternative + top[1:]
                if longer not in seen:  # a rule may lead back to itself
                    seen.add(longer)
                    open_stacks.append(longer)
        self._expanded[stack] = frozenset(done)
        return self._expanded[stack]

    def advance(self, state: State, byte: int) -> State:
        """Return the state after one more byte; an empty one if it may not come here."""
        found: set[Stack] = set()
        for stack in state:
            if stack and byte in stack[0]:
                found |= self.expand(stack[1:])
        return frozenset(found)

    def follow(self, state: State, data: Iterable[int]) -> State:
        """Return the state after these bytes."""
        for byte in data:
            state = self.advance(state, byte)
        return state

    def matches(self, data: bytes) -> bool:
        """Return whether the grammar describes exactly this text."""
        return () in self.follow(self.start, data)


def _productive(rules: Mapping[str, Sequence[Stack]]) -> set[str]:
    """Return the rules that some finite text meets."""
    good: set[str] = set()
    before = -1
    while len(good) != before:
        before = len(good)
        for name, alternatives in rules.items():  # parts mostly come before what they are part of
            if name not in good and any(_all_in(good, each) for each in alternatives):
                good.add(name)
    return good


def _all_in(good: set[str], symbols: Stack) -> bool:
    return all(symbol in good if isinstance(symbol, str) else symbol for symbol in symbols)

r"""Two dialects of regular expressions: what a pattern of `tokenizer.json` means in Python.

`tokenizers` reads patterns with Oniguruma, in Ruby's syntax; this library reads them with `regex`.
Both accept the same text and some of it means different things:

    p{1,3}+    Oniguruma: one or more times p{1,3}       regex: p{1,3}, possessive
    $   ^      at every line                             at the ends of the text
    \h         a hexadecimal digit                       horizontal white space
    (?m:.)     every character                           multi-line ^ and $

So a pattern is read token by token. What means the same stays as it is, what has another spelling
is respelled, and the result means the same in both dialects. All else raises an error.

Taught in:        tokenization
Checked against:  `tokenizers.pre_tokenizers.Split`, on patterns and strings made at random
"""

import re

CLASSES = re.findall(
    r"\w+",
    "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pd Pc Ps Pe Po Pi Pf S Sc Sm So Sk Z Zs C Cc Cf "
    "Han Hiragana Katakana Hangul Arabic Cyrillic Greek Latin Thai Hebrew Devanagari",
)
_EVERY, _HEX = r"[\s\S]", "0-9A-Fa-f"
_RESPELLED = {
    "^": rf"(?<![^\n])(?={_EVERY})",
    "$": r"(?![^\n])",
    r"\z": rf"(?!{_EVERY})",
    r"\Z": rf"(?=\n?(?!{_EVERY}))",
    r"\h": f"[{_HEX}]",
    r"\H": f"[^{_HEX}]",
    r"\e": r"\x1b",
}
_TOKEN = re.compile(
    r"(?P<property>\\[pP]\{(?P<name>\w+)\})|(?P<code>\\u[0-9A-Fa-f]{4}|\\x[0-7][0-9A-Fa-f])"
    r"|(?P<escape>\\.)|(?P<open>\((?:\?(?:<[=!]|[:=!>]|[im]:))?(?!\?))|(?P<close>\))|(?P<set>\[)"
    r"|(?P<times>[*+?][+?]?|\{(?:\d+,?\d*|,\d+)\}[+?]?)|(?P<other>.)",
    re.DOTALL,
)
_SAME = {"\\" + letter for letter in "sSdDnrtfva"}
_ANCHORS = ("|", "^", "$", r"\A", r"\z", r"\Z")
# Ignoring case is the same for these; `ss` and others would also match one letter, such as `ß`.
_ANY_CASE = re.compile(
    r"(?:(?!s[st]|f[fil])['’a-z]|\||(?<![^|'’])\[[a-z]+\](?=\||\Z))*", re.IGNORECASE
)


def common_pattern(pattern: str) -> str:
    """Return the pattern of a `tokenizer.json` so that it means the same in both dialects."""
    return _Reader(pattern).read()


class _Reader:
    """Reads a pattern from left to right; a group is an atom of the group around it."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at = pattern, 0
        self.groups: list[tuple[str, list[str]]] = [("", [])]  # how each began, and its atoms
        self.repeatable = False  # whether the last atom may be followed by a quantifier

    def read(self) -> str:
        while self.at < len(self.pattern):
            token = _TOKEN.match(self.pattern, self.at)
            if token is None:
                raise self.refusal(self.pattern[self.at :])
            self.at = token.end()
            kind = str(token.lastgroup)
            if token["property"]:
                kind = "property"
            getattr(self, f"_{kind}")(token.group())
        if len(self.groups) > 1:
            raise self.refusal("a group without an end")
        return "".join(self.groups[0][1])

    def refusal(self, part: str) -> ValueError:
        return ValueError(
            f"a pattern in tokenizer.json must mean the same to Oniguruma, which `tokenizers` "
            f"uses, and to Python's `regex`; got {part!r} in {self.pattern!r:.200}, which has no "
            "translation here. Use `tokenizers` for this file."
        )

    def _add(self, atom: str, repeatable: bool = True) -> None:
        self.groups[-1][1].append(atom)
        self.repeatable = repeatable

    def _property(self, token: str) -> None:
        self._add(self._known_property(token))

    def _known_property(self, token: str) -> str:
        if token[3:-1] not in CLASSES:
            raise self.refusal(token)
        return token

    def _code(self, token: str) -> None:
        self._add(token)

    def _escape(self, token: str) -> None:
        if token in _RESPELLED or token == r"\A":
            self._add(_RESPELLED.get(token, token), token not in _ANCHORS)
        elif token in _SAME or not token[1].isalnum():
            self._add(token)
        else:
            raise self.refusal(token)

    def _open(self, token: str) -> None:
        self.groups.append((token, []))
        self.repeatable = False

    def _close(self, token: str) -> None:
        opening, atoms = self.groups.pop()
        if not self.groups:
            raise self.refusal(token)
        body = "".join(atoms)
        if opening == "(?i:" and not _ANY_CASE.fullmatch(body):
            raise self.refusal(f"(?i:{body})")
        opening = "(?:" if opening == "(?m:" else opening
        self._add(f"{opening}{body})", opening in ("(", "(?:", "(?>", "(?i:"))

    def _times(self, token: str) -> None:
        if not self.repeatable:
            raise self.refusal(token)
        atoms = self.groups[-1][1]
        if token[0] == "{" and token[-1] == "+":
            atoms[-1] = f"(?:{atoms[-1]}{token[:-1]})+"
        elif token[0] == "{" and token[-1] == "?" and "," not in token:
            raise self.refusal(token)
        else:
            atoms[-1] += token
        self.repeatable = False

    def _other(self, token: str) -> None:
        if token == "." and any(opening == "(?m:" for opening, _ in self.groups):
            token = _EVERY
        elif token in "{}]\\":
            token = "\\" + token
        self._add(_RESPELLED.get(token, token), token not in _ANCHORS)

    def _set(self, token: str) -> None:
        negated = self.pattern.startswith("^", self.at)
        self.at += negated
        self._add(f"[{'^' * negated}{self._members()}]")

    def _members(self) -> str:
        """Return what stands between brackets, without brackets inside: they make a union."""
        members: list[str] = []
        while not self.pattern.startswith("]", self.at):
            if self.pattern.startswith(("[^", "[:", "&&"), self.at) or self.at >= len(self.pattern):
                raise self.refusal(self.pattern[self.at : self.at + 2] or "a set without an end")
            if self.pattern[self.at] == "[":
                self.at += 1
                members.append(self._members())
                continue
            members.append(self._member())
            if re.compile(r"-[^\]]").match(self.pattern, self.at):
                self.at += 1
                last = self._member()
                if max(map(_spelled, (members[-1], last))) > 1:
                    raise self.refusal(f"{members[-1]}-{last}")
                members[-1] += f"-{last}"
        if not members:
            raise self.refusal("[]")
        self.at += 1
        return "".join(members)

    def _member(self) -> str:
        token = _TOKEN.match(self.pattern, self.at)
        if token is None:
            raise self.refusal(self.pattern[self.at :])
        text = token.group()
        if token["property"]:
            text = self._known_property(text)
        elif token["escape"]:
            inside = {r"\h": _HEX, r"\b": r"\x08", r"\e": r"\x1b"}
            if text not in inside and text not in _SAME and text[1].isalnum():
                raise self.refusal(text)
        elif not token["code"]:
            text = text[0]
        self.at += len(text)
        if token["escape"]:
            return inside.get(text, text)
        return "\\" + text if text in ("-", "|", "&", "~", "[", "^") else text


def _spelled(member: str) -> int:
    """Return 1 for a member of a set that is one character, and 2 for a class or a range."""
    return 1 if re.fullmatch(r"[^\\]|\\[^\w]|\\[nrtfva]|\\u\w{4}|\\x\w\w", member) else 2

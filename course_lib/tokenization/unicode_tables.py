"""What `tokenizers` does not know yet: letters that Unicode has added since its tables were made.

Each new version of Unicode gives a meaning to code points that had none. A tokenizer's ids depend
on the version, and `tokenizers` uses several: Unicode 8 for the categories in BERT's steps, 9 for
normal forms, 16 for patterns, 17 for clusters of a letter with its accents. Python and `regex` come
with others, from 14 upwards. The code points listed here are those for which a newer table says
something that an older one does not; they are treated as the older one treats them, so that ids do
not depend on the version of Python.

Taught in:        tokenization
Checked against:  `tokenizers`, code point by code point
"""

import re

# A range is written first-last, in hexadecimal.
_PATTERNS = """
    558 58b-58c 5c8-5c9 88f b53-b54 c5c cdc 1acf-1af0 208f 209d-209f 20c1-20c4 2b96 2e60-2e63
    a7ce-a7cf a7d2 a7d4 a7dd a7e2 a7f1 ab6c-ab6d fbc3-fbd2 fd90-fd91 fdc8-fdce 107bb-107bf
    10940-10959 10ec5-10ec7 10ec9-10eee 10ef0-10efb 11b0a 11b60-11b67 11db0-11ddb 11de0-11de9
    11df0-11df1 1246f 12475-1247f 12550-12686 16ea0-16eb8 16ebb-16ed3 16ff2-16ff6 187f8-187ff
    18cd6-18cda 18d09-18d20 18d80-18df2 18e00-19191 191a0-191d2 1b123-1b128 1b168 1ccfa-1ccfc
    1ceba-1ced0 1ced2-1ced4 1cedd-1cefd 1d127-1d128 1d1eb-1d1ff 1d250-1d281 1d6a6 1db00-1db1c
    1df1f-1df24 1df2b-1df81 1df90-1df96 1dfcd-1dfff 1e6c0-1e6de 1e6e0-1e6f5 1e6fe-1e6ff 1f1ae
    1f6d8-1f6d9 1f777-1f77a 1f7da-1f7db 1f7f1-1f7ff 1f8d0-1f8d8 1fa54-1fa57 1fa8a-1fa8e 1fac8
    1facc-1facd 1fadd 1faea-1faeb 1faef 1faf9-1fafa 1fbfa 2b73a-2b73f 2b81e 2cea2-2cead
    323b0-33479 3d000-3fc3f
"""
_NORMAL_FORMS = """
    558 58b-58c 5c8-5c9 7fd 897-89f 8ca-8d3 9fe c3c d3b-d3c eba 1715 1abf-1af0 1df6-1dfa
    209d-209f 32ff a7f1-a7f4 a82c ab69 105c0-105ff 10781-10785 10787-107b0 107b2-107bf
    10d24-10d27 10d69-10d6d 10eab-10eac 10ecb-10ecf 10ef0-10efb 10efd-10eff 10f46-10f50
    10f82-10f85 11070 1133b 11380-113ff 1145e 11839-1183a 11900-1195f 119e0 11a34 11a47 11a99
    11d42 11d44-11d45 11d97 11f41-11f42 16100-1613f 16d40-16d7f 16ff0-16ff1 1b123-1b126
    1ccd6-1ccf9 1d127-1d128 1d250-1d252 1d25b-1d25c 1d25f 1d280-1d281 1d6a6 1df95 1dfcd-1dfff
    1e030-1e06d 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef 1e6e3 1e6e6
    1e6ee-1e6ef 1e6f5 1f16c 1fbf0-1fbf9
"""
_MARKS = """
    5c8-5c9 7fd 897-89f 8ca-8e1 9fe afa-aff b53-b55 c04 c3c d00 d3b-d3c d81 eba ece 180f
    1885-1886 1abf-1af0 1df6-1dfb a82c a8c5 a8ff a9bd 10d24-10d27 10d69-10d6d 10eab-10eac
    10ecb-10ecf 10ef0-10eff 10f46-10f50 10f82-10f85 11070 11073-11074 110c2 111c9 111cf 1123e
    11241 1133b 113bb-113c0 113ce 113d0 113d2 113e1-113e2 11438-1143f 11442-11444 11446 1145e
    1182f-11837 11839-1183a 1193b-1193c 1193e 11943 119d4-119d7 119da-119db 119e0 11a01-11a0a
    11a33-11a38 11a3b-11a3e 11a47 11a51-11a56 11a59-11a5b 11a8a-11a96 11a98-11a99 11b60
    11b62-11b64 11b66 11c30-11c36 11c38-11c3d 11c3f 11c92-11ca7 11caa-11cb0 11cb2-11cb3
    11cb5-11cb6 11d31-11d36 11d3a 11d3c-11d3d 11d3f-11d45 11d47 11d90-11d91 11d95 11d97 11df0
    11ef3-11ef4 11f00-11f01 11f36-11f3a 11f40 11f42 11f5a 13440 13447-13455 1611e-16129
    1612d-1612f 16f4f 16fe4 1cf00-1cf2d 1cf30-1cf46 1d127-1d128 1d25b-1d25c 1e000-1e006
    1e008-1e018 1e01b-1e021 1e023-1e024 1e026-1e02a 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef
    1e4ec-1e4ef 1e5ee-1e5ef 1e6e3 1e6e6 1e6ee-1e6ef 1e6f5 1e944-1e94a
"""
_PUNCTUATION = """
    61d 9fd a76 c77 c84 1b4e-1b4f 1b7d-1b7f 2e43-2e4f 2e52-2e5d 2e60-2e63 10d6e 10ead 10ed0
    10f55-10f59 10f86-10f89 113d4-113d5 113d7-113d8 1144b-1144f 1145a-1145b 1145d 11660-1166c
    116b9 1183b 11944-11946 119e2 11a3f-11a46 11a9a-11a9c 11a9e-11aa2 11b00-11b09 11be1
    11c41-11c45 11c70-11c71 11ef7-11ef8 11f43-11f4f 11fff 12ff1-12ff2 16d6d-16d6f 16e97-16e9a
    16fe2 1e5ff 1e95e-1e95f
"""
_CLUSTERS = """
    5c8-5c9 b53-b54 1ade-1adf 1aec-1af0 10ecb-10ecf 10ef0-10ef9 11df0 1d127-1d128 1d250-1d252
    1d25b-1d25c 1d25f 1d280-1d281
"""
_CONTROLS = "890-891 8e2 110cd 13430-1343f"


def _members(ranges: str) -> str:
    """Return the inside of a set of a regular expression."""
    ends = (entry.split("-") for entry in ranges.split())
    return "".join(f"\\U{first[0]:0>8}-\\U{first[-1]:0>8}" for first in ends)


LATER_IN_PATTERNS = re.compile(f"[{_members(_PATTERNS)}]")
LATER_IN_NORMAL_FORMS = re.compile(f"([{_members(_NORMAL_FORMS)}])")
LATER_IN_CLUSTERS, LATER_MARKS, LATER_PUNCTUATION, LATER_CONTROLS = (
    re.compile(f"[{_members(ranges)}]") for ranges in (_CLUSTERS, _MARKS, _PUNCTUATION, _CONTROLS)
)
FORMER_MARKS, FORMER_PUNCTUATION = "\u1734\U0001171e", "\u166d\U000111c9"
# The other way round: capitals that Python learns of only in its version for Unicode 16 or later.
_NEW_LOWER = {
    **{capital: capital + 1 for capital in (0x1C89, 0xA7CC, 0xA7CE, 0xA7D2, 0xA7D4, 0xA7DA)},
    **{capital: capital + 0x20 for capital in range(0x10D50, 0x10D66)},
    **{capital: capital + 0x1B for capital in range(0x16EA0, 0x16EB9)},
    **{0xA7CB: 0x264, 0xA7DC: 0x19B},
}
NEW_LOWER = {chr(capital): chr(small) for capital, small in _NEW_LOWER.items()}
UNASSIGNED = "\u0378"
# What Rust calls white space: without U+001C to U+001F, which Python counts as well.
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


def as_known(text: str) -> str:
    """Return the text with letters that patterns do not know replaced by an unassigned one."""
    return text if text.isascii() else _RARE.sub(_run_as_known, text)


def _run_as_known(match: re.Match[str]) -> str:
    return LATER_IN_PATTERNS.sub(UNASSIGNED, match[0]).replace("\u0295", "\u0250")  # was lower case


_RARE = re.compile("[\u0295-\U0010ffff]+")  # one range is searched much faster than many


def lower(character: str) -> str:
    """Return the character in lower case, whatever stands next to it."""
    return NEW_LOWER.get(character) or character.lower()

"""`course ask "how do I ..."`: passages of Python's documentation, and an answer by a model.

Each passage is printed with the number by which an answer cites it, and with its page, which
`python -m pydoc PAGE` shows as a whole. Without a model the passages are the answer; with one, its
text follows, and whatever in it the passages do not support is reported.
"""

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from course_lib.retrieval.grounding import check_answer, grounded_prompt, is_on_its_page
from course_lib.retrieval.pages import help_name
from course_lib.retrieval.search import Hit, search
from course_lib.tokenization.chat import Message

LONGEST = 600  # characters of a passage that are shown
ANSWER_TOKENS = 200


def ask(question: str, count: int = 3, source: str | Path | None = None) -> int:
    """Print the best passages for a question, and the answer of a model; return the exit status."""
    found = search(question, count)
    if not found:
        print("No page has any of these words. Ask differently.", file=sys.stderr)
        return 1
    for number, hit in enumerate(found, start=1):
        print(shown(number, hit))
    return 0 if source is None else _answer(question, found, source)


def shown(number: int, hit: Hit) -> str:
    """Return a passage as it is printed: its number, its page, and its text, indented."""
    text = hit.text if len(hit.text) <= LONGEST else f"{hit.text[:LONGEST].rstrip()} ..."
    place = hit.page if is_on_its_page(hit) else f"{hit.page} (not found there)"
    name = help_name(hit.page)
    head = f"[{number}] {place}" + (f"   python -m pydoc {name}" if name else "")
    return f"{head}\n{textwrap.indent(text, '    ')}\n"


def _answer(question: str, found: Sequence[Hit], source: str | Path) -> int:
    import course_lib

    model = course_lib.load(source)
    prompt = grounded_prompt(question, found)
    if model.chat_template is None:
        answer = str(model.generate(prompt, max_new_tokens=ANSWER_TOKENS))
    else:
        asked: Message = {"role": "user", "content": prompt}
        answer = "".join(model.chat([asked], max_new_tokens=ANSWER_TOKENS))
    print(answer.strip())
    checked = check_answer(answer, [hit.text for hit in found])
    for sentence in (*checked.misquoted, *checked.unsupported):
        print(f"not supported by the passages it cites: {sentence}", file=sys.stderr)
    return 0

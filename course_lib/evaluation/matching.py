"""Short answers: exact match and the F1 of words, after normalising.

Lower case, no punctuation, no articles, single blanks: the rules of SQuAD. They are part of the
metric. "The Nile." and "nile" are equal under them; "42" and "42.0" are not, which is why numbers
are compared by a verifier (`course_lib.rewards`) and not as text.

Taught in:        evaluation
Paper:            Rajpurkar et al. 2016, arXiv:1606.05250
Checked against:  values worked out by hand
Shapes:           none
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Return the text in lower case without punctuation, articles and superfluous blanks."""
    plain = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def exact_match(answer: str, references: Sequence[str]) -> bool:
    """Return whether the answer equals one of the references after normalising."""
    _check(references)
    return normalised(answer) in {normalised(each) for each in references}


def word_f1(answer: str, references: Sequence[str]) -> float:
    """Return the F1 of the answer's words with the reference that fits best.

    If answer or reference has no word, it is 1 if both have none, and else 0.
    """
    _check(references)
    return max(_word_f1(answer, each) for each in references)


def _word_f1(answer: str, reference: str) -> float:
    given, wanted = normalised(answer).split(), normalised(reference).split()
    if not given or not wanted:
        return float(given == wanted)
    common = (Counter(given) & Counter(wanted)).total()
    return 2 * common / (len(given) + len(wanted))


def _check(references: Sequence[str]) -> None:
    if isinstance(references, str) or not references:
        raise ValueError(f"references must be a list with at least one text; got {references!r}.")

"""Code with the classes of pygments, which the style sheet of the pages colours."""

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import BashLexer, PythonLexer, TextLexer

_LEXERS = {"python": PythonLexer, "bash": BashLexer, "sh": BashLexer}


def coloured(code: str, language: str = "") -> str:
    """Return code as HTML, its parts marked by kind."""
    lexer = _LEXERS.get(language, TextLexer)()
    return highlight(code, lexer, HtmlFormatter(cssclass="code"))

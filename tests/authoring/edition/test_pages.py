"""The pages: everything of the notebooks is there, and nothing is fetched."""

import base64
import contextlib
import io
import json
import re
import struct
from html.parser import HTMLParser

import pytest

from course_lib import SYLLABUS, cli
from course_lib.authoring import edition
from course_lib.authoring.edition import SCRIPT, cells, write_edition
from course_lib.authoring.edition.code import coloured
from course_lib.authoring.edition.formulas import THIN, formula
from course_lib.authoring.edition.start_page import sections, seen_text
from course_lib.authoring.source import SETUP
from course_lib.study.chapter_parts import exercises_of, questions_of
from course_lib.study.check.reveal import Source
from course_lib.study.display.markup import rich
from course_lib.study.files.merging import without_outputs
from course_lib.study.files.workspace import shipped_notebooks

pytestmark = pytest.mark.timeout(900)  # the pages are built once, by the first test that reads them


class Seen(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, page):
        super().__init__()
        self.scripts, self.sources, self.links, self.names, self.open = [], [], [], set(), False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.open = tag == "script" and "type" not in dict(attrs)  # others hold data
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster"):
                self.sources.append(value)
            if name == "href":
                (self.sources if tag == "link" else self.links).append(value)
            if name == "id":
                self.names.add(value)
            assert not name.startswith("on"), (tag, name)

    def handle_data(self, data):
        if self.open:
            self.scripts.append(data.strip())
            self.open = False


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Where the command wrote the pages, and what it printed."""
    folder = tmp_path_factory.mktemp("edition with ä") / "pages"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert cli.main(["build", "--still", "--html", str(folder)]) == 0
    return folder, printed.getvalue().strip()


@pytest.fixture(scope="module")
def pages(built):
    return {path.name: path.read_text(encoding="utf-8") for path in built[0].iterdir()}


@pytest.fixture(scope="module")
def seen(pages):
    return {name: Seen(page) for name, page in pages.items()}


def stored(stem):
    path = shipped_notebooks() / f"{stem}.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_there_is_a_page_for_each_notebook_and_an_index(pages, seen):
    assert set(pages) == {"index.html", *(f"{each.stem}.html" for each in SYLLABUS)}
    assert {f"{each.stem}.html" for each in SYLLABUS} <= set(seen["index.html"].links)
    assert all(each.question.replace("'", "&#x27;") in pages["index.html"] for each in SYLLABUS)


def test_nothing_is_fetched_and_no_other_script_runs(pages, seen):
    own = SCRIPT.read_text(encoding="utf-8").strip()
    for name, page in pages.items():
        assert seen[name].scripts == [own], name
        assert all(source.startswith("data:") for source in seen[name].sources), name
        assert not re.search(r"url\(\s*['\"]?(?!data:)|@import", page), name


def test_without_outputs_there_are_no_pages(tmp_path, monkeypatch):
    stored = json.loads((shipped_notebooks() / "04_softmax.ipynb").read_text(encoding="utf-8"))
    (tmp_path / "04.ipynb").write_text(json.dumps(without_outputs(stored)), encoding="utf-8")
    monkeypatch.setattr(edition, "stored_notebook", lambda notebook: tmp_path / "04.ipynb")
    with pytest.raises(ValueError, match=r"04\.ipynb has no outputs.*clone"):
        write_edition(tmp_path / "pages", [SYLLABUS[4]], moving=())
    assert not (tmp_path / "pages").exists()


def test_links_between_pages_lead_somewhere(seen):
    for name, page in seen.items():
        for link in page.links:
            if link.startswith(("https://", "http://")):
                continue
            file, _, place = link.partition("#")
            assert (file or name) in seen, (name, link)
            assert not place or place in seen[file or name].names, (name, link)


@pytest.mark.parametrize("stem", [each.stem for each in SYLLABUS])
def test_every_picture_and_every_line_of_code_is_there(pages, stem):
    page, outputs, code = pages[f"{stem}.html"], [], 0
    for cell in stored(stem):
        exercise = "".join(cell["source"]).startswith("@exercise")
        outputs += [] if exercise else cell.get("outputs", [])
        code += cell["cell_type"] == "code" and cell["id"] != SETUP
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    assert page.count('src="data:image/png;base64,') == pictures
    assert page.count('<div class="code">') >= code
    assert "run_line_magic" not in page, "nothing is set up on a page"
    printed = [o for o in outputs if o["output_type"] == "stream"]
    assert page.count('<pre class="output') >= len(printed)


@pytest.mark.parametrize("stem", [each.stem for each in SYLLABUS])
def test_every_formula_is_drawn(pages, stem):
    drawn = re.findall(r"<math.*?</math>", pages[f"{stem}.html"], re.DOTALL)
    prose = [c for c in stored(stem) if c["cell_type"] == "markdown"]
    assert bool(drawn) == any(re.search(r"\$\S", "".join(c["source"])) for c in prose)
    for each in drawn:
        assert not re.search(r"\\[a-zA-Z]+|\[\d+pt\]", each), "a command that is not understood"


def test_formulas_by_hand():
    assert formula(r"\sqrt{d_k}") == formula(r" \sqrt{d_k} ")
    assert "<msqrt>" in formula(r"\sqrt{d_k}")
    assert 'display="block"' in formula("a < b", "block")
    inside = cells.markdown()("Where $a < b$ and `$5`:\n\n$$\nx^2\n$$\n")
    assert inside.count("<math") == 2
    assert "&#x0003C;" in inside
    assert "<code>$5</code>" in inside
    broken = cells.markdown()("so $a +\nb$. In words, and $c$ too; from $5 to $6")
    assert re.sub("<[^>]*>", "", broken) == "so a&#x0002B;b. In words, and c too; from $5 to $6\n"


def test_functions_stand_apart_from_what_they_are_applied_to():
    def spaced(latex):
        row = re.search("<mrow>(.*)</mrow>", formula(latex))[1]
        return re.sub("<[^>]*>", "", row.replace(f'<mspace width="{THIN}" />', " "))

    assert spaced(r"\sin m \sin n") == "sin m sin n"
    assert spaced(r"\log p_i - \log_2 x") == "log pi&#x02212;log2 x"
    assert spaced(r"2\log (x)\log y") == "2 log&#x00028;x&#x00029; log y"
    assert spaced(r"c = \max_i z_i, \log\sum_j z") == "c&#x0003D;maxi zi&#x0002C;log &#x02211;jz"
    assert spaced(r"\operatorname{diag}(p)") == "diag&#x00028;p&#x00029;"
    assert "<mi>diag</mi>" in formula(r"\operatorname{diag}(p)")
    assert spaced("ab + 3c") == "ab&#x0002B;3c"


def test_names_and_primes_can_be_read():
    assert "<mtext>arg&#x000A0;max</mtext>" in formula(r"\operatorname{arg\,max}_{x} f(x)")
    assert "<mtext>rotate_half</mtext>" in formula(r"\operatorname{rotate\_half}(x)")
    assert "<mtext>min_p</mtext>" in formula(r"\text{min\_p}")
    assert "<mrow><mi>m</mi><mtext>&#x02032;</mtext></mrow>" in formula("m' = x")
    assert "<msup><mi>m</mi><mn>2</mn></msup>" in formula("m^2")


def test_outputs_are_shown_by_their_best_kind():
    png = base64.b64encode(struct.pack(">8s4s4sII", b"\x89PNG", b"", b"IHDR", 1100, 55)).decode()
    picture = {"image/png": f"{png}\n", "text/plain": 'figure: <"b">', "text/html": "<p>no</p>"}
    shown = cells.output_html({"output_type": "display_data", "data": picture})
    assert f'<img src="data:image/png;base64,{png}" width="960" height="48"' in shown
    assert 'style="--width: 960px" alt="figure: &lt;&quot;b&quot;&gt;">' in shown
    prose = {"text/markdown": ["- **A.** \\<s\\>\n", "- `<b>`"], "text/plain": "no"}
    listed = cells.output_html({"output_type": "display_data", "data": prose})
    assert "<li><strong>A.</strong> &lt;s&gt;</li>" in listed
    assert "<li><code>&lt;b&gt;</code></li>" in listed
    table = {"text/html": "<table></table>", "text/plain": "no"}
    assert "<table>" in cells.output_html({"output_type": "execute_result", "data": table})
    revealed = Source("course_lib.x", "a = 'é' < 1  # why\n", is_open=False)._repr_mimebundle_()
    shown = cells.output_html({"output_type": "display_data", "data": revealed})
    assert "<details ><summary>The course's own: <code>course_lib.x</code></summary>" in shown
    assert coloured("a = 'é' < 1  # why\n", "python") in shown
    assert "color: #" not in shown, "the style sheet of the pages gives the colours"
    error = {"output_type": "error", "traceback": ["\x1b[31mValueError\x1b[0m", "x < 1"]}
    assert cells.output_html(error) == '<pre class="output">ValueError\nx &lt; 1</pre>'
    assert "a &amp; b" in cells.output_html({"output_type": "stream", "text": ["a & ", "b"]})


def test_columns_stay_columns_and_other_lines_may_break():
    def kind(text):
        return cells.output_html({"output_type": "stream", "text": text}).partition(">")[0]

    assert kind("no scale   0.6\ndivided    0.0\n") == '<pre class="output table"'
    assert kind("tensor([[1, 0],\n        [0, 1]])\nx   y") == '<pre class="output table"'
    assert kind("one long sentence.  And another\nthird") == '<pre class="output"'
    assert kind("  indented\n  lines of words\n") == '<pre class="output"'


def test_headings_have_names_to_point_at():
    assert (
        cells.markdown()("## 3 · Why `exp`?")
        == '<h2 id="3-why-exp">3 · Why <code>exp</code>?</h2>\n'
    )


def test_a_bar_in_the_code_of_a_table_is_a_bar():
    shown = cells.markdown()("| a | b |\n|---|---|\n| `<\\|x\\|>` | y \\| z |\n")
    assert re.findall("<td>(.*?)</td>", shown) == ["<code>&lt;|x|&gt;</code>", "y | z"]
    assert "<code>\\|</code>" in cells.markdown()("outside `\\|`")


def test_the_command_says_where_to_begin(built):
    assert built[1] == str(built[0] / "index.html")


@pytest.mark.parametrize("stem", [each.stem for each in SYLLABUS])
def test_every_exercise_and_every_question_is_there(pages, stem):
    page, slug = pages[f"{stem}.html"], stem.partition("_")[2]
    assert page.count('<section class="exercise">') == len(exercises_of(slug))
    for exercise in exercises_of(slug):
        assert f"Hint 1 of {len(exercise.hints)}" in page
        assert all(rich(hint) in page for hint in exercise.hints)
    assert page.count('<form class="question"') == len(questions_of(slug))


def test_a_page_is_small_enough(pages):
    assert max(len(page.encode()) for page in pages.values()) < 6e6


def test_the_search_knows_each_section_with_its_text():
    body = (
        '<h1 id="one">One <code>two</code></h1><p>a <b>bc</b>d</p><script>no</script>'
        '<h2 id="x">X</h2><pre><span>f</span><span>(x)</span></pre>'
    )
    first, second = sections("04_softmax", body)
    assert first == {
        "page": "Softmax",
        "title": "One two",
        "href": "04_softmax.html#one",
        "text": "a bcd",
    }
    assert (second["href"], second["text"]) == ("04_softmax.html#x", "f(x)")
    assert seen_text("a<br>b &lt; c") == "a b < c"


def test_the_quiz_of_a_cell_is_recognised():
    assert cells.quiz_of('quiz("softmax")') == ("softmax",)
    assert cells.quiz_of('x = 1\nquiz("self_check", "design")') == ("self_check", "design")
    assert cells.quiz_of("mixed_quiz()") is None
    assert cells.quiz_of("") is None


def test_long_formulas_scroll_in_their_own_box():
    assert formula("a", "block").startswith('<div class="formula" tabindex="0"><math')
    assert formula("a + " * 10 + "b").startswith('<span class="formula"><math')
    assert formula("a").startswith("<math")

"""The offline edition: everything of the notebooks is there, and nothing is fetched."""

import json
import re
from html.parser import HTMLParser

import pytest

from course_lib import SYLLABUS, cli
from course_lib.authoring.edition import cells, write_edition
from course_lib.study.files.workspace import shipped_notebooks


class Seen(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.sources, self.links, self.names, self.open = [], [], [], set(), []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster"):
                self.sources.append(value)
            if name == "href":
                (self.sources if tag == "link" else self.links).append(value)
            if name == "id":
                self.names.add(value)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edition with ä")
    return {path.name: path.read_text(encoding="utf-8") for path in write_edition(folder)}


def stored(stem):
    path = shipped_notebooks() / f"{stem}.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_there_is_a_page_for_each_notebook_and_an_index(pages):
    assert set(pages) == {"index.html", *(f"{each.stem}.html" for each in SYLLABUS)}
    index = Seen(pages["index.html"])
    assert {f"{each.stem}.html" for each in SYLLABUS} <= set(index.links)
    assert all(each.question.replace("'", "&#x27;") in pages["index.html"] for each in SYLLABUS)


def test_nothing_is_fetched_and_no_script_runs(pages):
    for name, page in pages.items():
        seen = Seen(page)
        assert "script" not in seen.tags, name
        assert all(source.startswith("data:") for source in seen.sources), name
        assert not re.search(r"url\(\s*['\"]?(?!data:)|@import", page), name


def test_links_between_pages_lead_somewhere(pages):
    for name, page in pages.items():
        for link in Seen(page).links:
            if link.startswith(("https://", "http://")):
                continue
            file, _, place = link.partition("#")
            assert (file or name) in pages, (name, link)
            assert not place or place in Seen(pages[file or name]).names, (name, link)


@pytest.mark.parametrize("stem", [each.stem for each in SYLLABUS])
def test_every_picture_and_every_line_of_code_is_there(pages, stem):
    page, outputs, code = pages[f"{stem}.html"], [], 0
    for cell in stored(stem):
        outputs += cell.get("outputs", [])
        code += cell["cell_type"] == "code"
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    assert page.count('src="data:image/png;base64,') == pictures
    assert page.count('<div class="code">') >= code
    printed = [o for o in outputs if o["output_type"] == "stream"]
    assert page.count('<pre class="output">') >= len(printed)


@pytest.mark.parametrize("stem", [each.stem for each in SYLLABUS])
def test_every_formula_is_drawn(pages, stem):
    drawn = re.findall(r"<math.*?</math>", pages[f"{stem}.html"], re.DOTALL)
    prose = [c for c in stored(stem) if c["cell_type"] == "markdown"]
    assert bool(drawn) == any(re.search(r"\$\S", "".join(c["source"])) for c in prose)
    for formula in drawn:
        assert not re.search(r"\\[a-zA-Z]+", formula), "a command that is not understood"


def test_formulas_by_hand():
    assert cells.formula(r"\sqrt{d_k}") == cells.formula(r" \sqrt{d_k} ")
    assert "<msqrt>" in cells.formula(r"\sqrt{d_k}")
    assert 'display="block"' in cells.formula("a < b", "block")
    inside = cells.markdown()("Where $a < b$ and `$5`:\n\n$$\nx^2\n$$\n")
    assert inside.count("<math") == 2
    assert "&#x0003C;" in inside
    assert "<code>$5</code>" in inside


def test_outputs_are_shown_by_their_best_kind():
    picture = {"image/png": "AAAA\n", "text/plain": "figure: <b>", "text/html": "<p>no</p>"}
    shown = cells.output_html({"output_type": "display_data", "data": picture})
    assert shown == '<img src="data:image/png;base64,AAAA" alt="figure: &lt;b&gt;">'
    prose = {"text/markdown": ["- **A.** \\<s\\>\n", "- `<b>`"], "text/plain": "no"}
    listed = cells.output_html({"output_type": "display_data", "data": prose})
    assert "<li><strong>A.</strong> &lt;s&gt;</li>" in listed
    assert "<li><code>&lt;b&gt;</code></li>" in listed
    table = {"text/html": "<table></table>", "text/plain": "no"}
    assert "<table>" in cells.output_html({"output_type": "execute_result", "data": table})
    error = {"output_type": "error", "traceback": ["\x1b[31mValueError\x1b[0m", "x < 1"]}
    assert cells.output_html(error) == '<pre class="output">ValueError\nx &lt; 1</pre>'
    assert "a &amp; b" in cells.output_html({"output_type": "stream", "text": ["a & ", "b"]})


def test_headings_have_names_to_point_at():
    assert (
        cells.markdown()("## 3 · Why `exp`?")
        == '<h2 id="3-why-exp">3 · Why <code>exp</code>?</h2>\n'
    )


def test_the_command_writes_it(tmp_path, capsys):
    assert cli.main(["build", "--html", str(tmp_path / "pages")]) == 0
    assert capsys.readouterr().out.strip().endswith("index.html")
    assert (tmp_path / "pages" / "04_softmax.html").is_file()

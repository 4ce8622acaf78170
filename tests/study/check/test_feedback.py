import time
from html.parser import HTMLParser

import torch

from course_lib.softmax import SoftmaxState
from course_lib.study.chapter_parts import find_exercise
from course_lib.study.check.feedback import Feedback, Hint
from course_lib.study.check.judge import check
from course_lib.study.display.short_repr import rounded, shown


class Reader(HTMLParser):
    """Collect what a reader without styles would see, and check that tags are closed."""

    def __init__(self):
        super().__init__()
        self.text, self.open, self.images = "", [], []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs))
        elif tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(shown_thing):
    reader = Reader()
    bundle = shown_thing._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    reader.feed(bundle["text/html"])
    assert reader.open == []
    return reader, bundle["text/plain"]


def transposed(x, dim=-1):
    return torch.softmax(x, dim).transpose(0, -1)


def test_html_and_text_say_the_same():
    for function in (transposed, lambda x, dim=-1: ..., lambda x, dim=-1: x.softmax(dim), len):
        reader, text = read(check("softmax.stable", function))
        words = text.replace("`", "").split()
        for word in words:
            assert word.strip(":") in reader.text.replace("`", "")


def test_matrices_are_shown_side_by_side_and_other_results_are_not():
    def wrong_values(x, dim=-1):
        return torch.softmax(x, dim) * (2.0 if x.dim() == 2 else 1.0)

    reader, _ = read(check("softmax.stable", wrong_values))
    assert [image["alt"] for image in reader.images] == ["target and yours side by side"]
    assert reader.images[0]["src"].startswith("data:image/png;base64,iVBOR")
    reader, _ = read(check("softmax.stable", lambda x, dim=-1: 2 * torch.softmax(x, dim)))
    assert reader.images == []


def test_matrices_of_another_shape_and_of_nan_can_be_drawn():
    for spoil in (lambda p: p.T, lambda p: p * torch.nan, lambda p: p.bool()):

        def wrong(x, dim=-1, spoil=spoil):
            p = torch.softmax(x, dim)
            return spoil(p) if x.dim() == 2 else p

        reader, _ = read(check("softmax.stable", wrong))
        assert len(reader.images) == 1


def test_what_a_learner_wrote_is_escaped():
    def prints(x, dim=-1):
        print("<s> & <script>alert(1)</script>")
        return x

    html = check("softmax.stable", prints)._repr_mimebundle_()[0]["text/html"]
    assert "&lt;s&gt; &amp; &lt;script&gt;" in html
    assert "<script>" not in html


def test_text_is_the_same_from_run_to_run():
    texts = {str(check("softmax.stable", transposed)) for _ in range(3)}
    assert len(texts) == 1


def test_notice_and_hint():
    reader, text = read(Feedback.notice("Do `this`."))
    assert text == "exercise: notice\nDo `this`."
    assert "Do this." in reader.text
    _, text = read(Hint(find_exercise("softmax.log"), 0))
    assert text.startswith("Hint 1 of 3 for softmax.log: ")


def test_values_are_short():
    assert shown(torch.tensor([[1.0, 0.123456], [2.0, -3.0]])) == "[[1, 0.1235],\n [2, -3]]"
    assert shown(torch.ones(5, 10) * 2) == "float32 tensor of shape (5, 10), from 2 to 2"
    assert shown(torch.zeros(5, 10, dtype=torch.bool)) == "bool tensor of shape (5, 10)"
    assert shown(torch.zeros(2, device="meta")) == "float32 tensor of shape (2,)"
    assert shown(1 / 3) == "0.333333"
    assert len(shown("long" * 1000)) < 500
    assert shown([0.1 + 0.2, {"a": 1 / 3}]) == "[0.3, {'a': 0.333333}]"
    assert shown((torch.tensor(3.0), torch.tensor([1.0]))) == "(3, [1])"
    assert shown((torch.eye(2), torch.eye(2))) == "([[1, 0],\n  [0, 1]],\n [[1, 0],\n  [0, 1]])"
    pair = SoftmaxState(torch.tensor([2.0]), torch.tensor([1.5]))
    assert shown(pair) == "([2], [1.5])"
    assert shown([(pair,)]) == "[(([2], [1.5]),)]"
    assert shown({"rows": torch.ones(2)}) == "{'rows': [1, 1]}"
    assert shown(iter([])) == "<list_iterator object>"


def test_values_that_are_large_or_hostile_are_short_too():
    class Hostile:
        def __repr__(self):
            raise ValueError

    started = time.perf_counter()
    assert len(shown([0] * 10**7)) < 500
    assert time.perf_counter() - started < 1
    assert shown([Hostile(), 10**500]) == "[<Hostile>, an integer of hundreds of digits]"


def test_the_input_stands_under_the_names_of_the_exercise():
    text = str(check("softmax.cross_entropy", lambda scores, ids: torch.tensor(0.0)))
    assert "logits = [[0, 0, 0, 0]]\n    targets = [1]" in text


def test_an_object_that_would_fill_lines_is_shown_by_its_kind():
    assert shown(torch.nn.Sequential(torch.nn.Linear(2, 3))) == "<Sequential>"
    assert shown(torch.nn.Linear(2, 3)) == "Linear(in_features=2, out_features=3, bias=True)"


def test_a_pair_of_few_numbers_is_shown_whole():
    text = str(check("softmax.online", lambda x: (x.amax(-1), x.exp().sum(-1) * 2)))
    assert "in item 1" in text
    assert "Expected:\n    (3, 1)\nGot:\n    (3, 40.17)" in text


def test_rounded():
    assert rounded(torch.tensor([[0.12345], [2.0]])) == [[0.123], [2.0]]
    assert rounded(torch.tensor(0.12345), 2) == 0.12

"""A page that the course has written, as a browser would take it apart."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br"}
ADDRESSES = ("src", "href", "srcset", "action")


class WrittenPage(HTMLParser):
    """Collects the text and the tags, and checks that tags are closed in their order."""

    def __init__(self, html):
        super().__init__()
        self.text, self.open, self.tags = [], [], []
        self.feed(html)

    @property
    def addresses(self):
        return [value for _, given in self.tags for key, value in given.items() if key in ADDRESSES]

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

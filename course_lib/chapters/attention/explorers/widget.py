"""Interactive attention lines: click a head in the mosaic, point at a token, see what it reads.

The script is in `widget.js` and loads nothing from the network; each weight is sent as one byte.
A saved notebook shows a static picture of the same lines.

Taught in:        attention
Checked against:  `figures.attention.attention_lines`, the bytes that are sent, a real browser
Shapes:           L layers, H heads, T query tokens, S key tokens
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import traitlets
from jaxtyping import Float
from torch import Tensor

from course_lib.chapters.attention.figures import attention_lines
from course_lib.study.display.labels import plain, token_label
from course_lib.study.display.live import AnyWidget
from course_lib.study.display.plotting import as_array, figure_title, png_bytes

SCRIPT = Path(__file__).parent / "widget.js"


class Lines(AnyWidget):
    """The live view: all maps, and the row that is drawn."""

    _esm = SCRIPT.read_text(encoding="utf-8")
    weights = traitlets.Bytes().tag(sync=True)  # 0 to 255, in the order L, H, T, S
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    layer = traitlets.Int().tag(sync=True)
    head = traitlets.Int().tag(sync=True)
    query = traitlets.Int().tag(sync=True)


class AttentionLines:
    """The lines from each token to what it reads, for every head of a model."""

    def __init__(
        self,
        weights: Float[Tensor, "L H T S"],
        tokens: Sequence[str],
        layer: int = 0,
        head: int = 0,
        query: int | None = None,
    ) -> None:
        layers, heads, queries, keys = weights.shape
        if len(tokens) != keys:
            raise ValueError(
                f"each key needs one token; got {len(tokens)} tokens for {keys} keys. "
                "Pass the tokens of the text that was read, special ones included."
            )
        if not (0 <= layer < layers and 0 <= head < heads):
            raise ValueError(
                f"there are {layers} layers of {heads} heads, counted from 0; got layer {layer}, "
                f"head {head}. Choose within them."
            )
        self.query = queries - 1 if query is None else query
        drawn = attention_lines(weights[layer, head], tokens, self.query, f"Head {layer}.{head}")
        self.image, self.finding = png_bytes(drawn), figure_title(drawn)
        self.widget: Any = Lines(
            weights=(as_array(weights) * 255).round().astype("uint8").tobytes(),
            shape=list(weights.shape),
            tokens=[plain(token_label(token)) for token in tokens],
            layer=layer,
            head=head,
            query=self.query,
        )

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live view, with a picture and a text for viewers that cannot show it."""
        live = self.widget._repr_mimebundle_()[0]
        said = f"attention lines: {self.finding}"
        picture = base64.b64encode(self.image).decode()
        data = {**live, "image/png": picture, "text/plain": said}
        return data, {"image/png": {"alt": self.finding}}

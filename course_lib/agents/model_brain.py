"""A model of this course as a brain, with its calls held to a grammar if asked.

Taught in:        agents
Checked against:  `TextModel.chat`; `parse_reply` and `argument_problems` on what it writes
Shapes:           none
"""

import json
from collections.abc import Sequence

from course_lib.agents.brains import with_calls_as_text
from course_lib.agents.call_grammar import turn_grammar
from course_lib.agents.calls import Message, Reply, parse_reply
from course_lib.agents.schemas import Tool
from course_lib.generation import Stop
from course_lib.generation.text_model import TextModel
from course_lib.serving import Engine, JsonMask, Request, TokenTree, generate_all


class ModelBrain:
    """A model of this course. With a grammar it can only write text or a valid call."""

    def __init__(
        self, model: TextModel, max_new_tokens: int = 120, constrained: bool = False,
        describe_tools: bool = False,
    ) -> None:  # fmt: skip
        self.model, self.max_new_tokens = model, max_new_tokens
        self.constrained, self.describe_tools = constrained, describe_tools
        self._masks: dict[str, JsonMask] = {}

    def reply(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Reply:
        """Return the model's next turn, greedily."""
        described = [tool.described() for tool in tools] if self.describe_tools else None
        ids = self.model.chat_ids(with_calls_as_text(messages), described)
        count = self.model.room(ids, self.max_new_tokens)
        if not self.constrained:
            text = "".join(self.model.pieces(ids, count, self.model.sampling(temperature=0.0)))
            return parse_reply(text, len(self.model.tokenizer.encode(text)))
        mask = self._mask(tools)
        engine = Engine(self.model.model, num_blocks=(len(ids) + count) // 16 + 2)
        stop = self.model.defaults.stop_ids
        request = Request(tuple(ids), count, stop=Stop(tuple(stop)), json=mask)
        [written] = generate_all(engine, [request])
        text = self.model.tokenizer.decode([i for i in written if i not in stop])
        return parse_reply(text, len(written))

    def _mask(self, tools: Sequence[Tool]) -> JsonMask:
        key = json.dumps([tool.described() for tool in tools])
        if key not in self._masks:
            self._masks[key] = JsonMask(turn_grammar(tools), TokenTree.of(self.model.tokenizer))
        return self._masks[key]

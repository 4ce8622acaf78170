"""Beam search: keep the K best unfinished texts instead of one.

Greedy decoding takes the best token and cannot revise it. A beam keeps the K texts that are most
likely so far, extends each by every token, and keeps the K best of all K * V extensions. A text
that ends moves from the beam to the list of finished texts, which are ranked by

    score = log p(text) / length ** length_penalty        above 0 favours longer texts (!)

log p is negative, so dividing it by a larger number brings it closer to 0. A penalty of 1 compares
the mean log p per token; 0 compares log p of whole texts, which falls with every token.

Taught in:        generation
Paper:            Wu et al. 2016, arXiv:1609.08144 (with a different length penalty)
Checked against:  transformers' generate(num_beams=K); a search through all texts
Shapes:           B batch, K beams, C = 2K or more candidates, T prompt tokens, N new tokens
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.generation.cached_reader import (
    LanguageModel,
    Reader,
    check_padding,
    without_padding,
)
from course_lib.generation.processors import GREEDY, Sampling, process
from course_lib.generation.stopping import NEVER, Stop
from course_lib.softmax import log_softmax

OUT = -1e9  # the score of what must not win; finite, so it can be divided and compared


class BeamStep(NamedTuple):
    """One step of the search: the beams that were kept, what they extend, and with which token."""

    parents: Int[Tensor, "B K"]  # the beam that each new beam extends
    tokens: Int[Tensor, "B K"]
    scores: Float[Tensor, "B K"]  # log p of all new tokens so far


class Beams(NamedTuple):
    """What beam search found: the best text of each row, its score, and every step."""

    ids: Int[Tensor, "B N"]
    scores: Float[Tensor, " B"]
    steps: tuple[BeamStep, ...]


@dataclass
class _Finished:
    """The K best texts that have ended, for each row of the batch, best first."""

    texts: Tensor  # (B, K, longest)
    scores: Tensor  # (B, K), OUT where there is none
    lengths: Tensor  # (B, K)
    there: Tensor  # (B, K), True where there is a text

    def add(self, texts: Tensor, scores: Tensor, length: int, there: Tensor) -> None:
        """Keep the K best of these candidates and the texts that are here already."""
        lengths = torch.full_like(self.lengths[:, :1], length).expand(scores.shape)
        both = torch.cat((self.scores, scores), dim=1)
        best = both.topk(self.scores.shape[1]).indices
        self.scores = both.gather(1, best)
        self.texts = _rows(torch.cat((self.texts, texts), dim=1), best)
        self.lengths = torch.cat((self.lengths, lengths), dim=1).gather(1, best)
        self.there = torch.cat((self.there, there), dim=1).gather(1, best)


@torch.inference_mode()
def beam_search(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    max_new_tokens: int = 50,
    num_beams: int = 4,
    length_penalty: float = 1.0,
    *,
    early_stopping: bool = False,
    sampling: Sampling = GREEDY,
    padding: Bool[Tensor, "..."] | None = None,
    stop: Stop = NEVER,
    pad_id: int | None = None,
) -> Beams:
    """Return the text that scores best among those that a beam of `num_beams` finds.

    `early_stopping` ends a row as soon as K of its texts have ended; otherwise the search goes on
    as long as the best running text could still win. Only the processors of `sampling` are used.
    """
    check_padding(ids, padding)
    _check(num_beams, max_new_tokens)
    search = _Search(model, ids, max_new_tokens, num_beams, length_penalty, early_stopping, stop)
    search.begin(ids, padding, sampling, pad_id)
    steps = []
    while search.goes_on:
        steps.append(search.step())
    best = search.finished
    longest = int(best.lengths[:, 0].max())
    return Beams(best.texts[:, 0, :longest].clone(), best.scores[:, 0].clone(), tuple(steps))


def best_extensions(
    scores: Float[Tensor, "B K"], log_probabilities: Float[Tensor, "B K V"], count: int
) -> tuple[Float[Tensor, "B C"], Int[Tensor, "B C"], Int[Tensor, "B C"]]:
    """Return scores, parents and tokens of the `count` best of all K * V extensions, best first.

    `scores` is log p of each beam so far, `log_probabilities` that of each next token after it.
    """
    total = scores[:, :, None] + log_probabilities  # (B, K, V)
    best, places = total.flatten(1).topk(count)
    vocabulary = log_probabilities.shape[2]
    return best, places // vocabulary, places % vocabulary


class _Search:
    """The state between two steps; K beams for each of B rows are stored as B * K rows."""

    def __init__(
        self,
        model: LanguageModel,
        ids: Tensor,
        max_new_tokens: int,
        num_beams: int,
        length_penalty: float,
        early_stopping: bool,
        stop: Stop,
    ) -> None:
        self.batch, self.prompt = ids.shape
        self.beams, self.longest = num_beams, max_new_tokens
        self.length_penalty, self.early_stopping, self.stop = length_penalty, early_stopping, stop
        self.candidates = max(2, 1 + len(stop.ids)) * num_beams  # enough if the best all end
        capacity = self.prompt + max_new_tokens - 1
        self.reader = Reader(model, self.batch * num_beams, capacity)
        self.length = 0  # new tokens so far
        self.goes_on = True

    def begin(
        self, ids: Tensor, padding: Tensor | None, sampling: Sampling, pad_id: int | None
    ) -> None:
        """Read the prompt, once for each beam, and set everything to empty."""
        shape, device = (self.batch, self.beams), ids.device
        filler = pad_id if pad_id is not None else (self.stop.ids[0] if self.stop.ids else 0)
        self.processors = sampling.processors
        self.texts = torch.full((*shape, self.longest), filler, device=device)
        self.scores = torch.full(shape, OUT, device=device)
        self.scores[:, 0] = 0  # all beams start equal: only one of them may be extended
        nothing = torch.zeros(shape, dtype=torch.long, device=device)
        out = torch.full(shape, OUT, device=device)
        self.finished = _Finished(self.texts.clone(), out, nothing, nothing.bool())
        self.hopeful = torch.ones(self.batch, 1, dtype=torch.bool, device=device)
        self.prompts = without_padding(ids, padding).repeat_interleave(self.beams, dim=0)
        each = None if padding is None else padding.repeat_interleave(self.beams, dim=0)
        self.logits = self.reader.read(ids.repeat_interleave(self.beams, dim=0), each)

    def step(self) -> BeamStep:
        """Extend all beams by one token, and run the model on it."""
        scores, parents, tokens = self._best_extensions()
        texts = _rows(self.texts, parents)
        texts[:, :, self.length] = tokens
        self.length += 1
        ended = self._ended(texts)
        self._finish(texts, scores, ended)
        # A text that has ended leaves the beam; the next best candidate takes its place.
        running = scores + ended.float() * OUT
        best = (scores if ended.all() else running).topk(self.beams).indices
        self.scores, self.texts = running.gather(1, best), _rows(texts, best)
        parents, tokens = parents.gather(1, best), tokens.gather(1, best)
        self.goes_on = self._can_go_on(ended)
        if self.goes_on:
            offset = torch.arange(self.batch, device=parents.device)[:, None] * self.beams
            self.reader.select_rows((parents + offset).flatten())
            self.logits = self.reader.read(tokens.reshape(-1, 1))
        return BeamStep(parents.clone(), tokens.clone(), scores.gather(1, best))

    def _best_extensions(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores, parents and tokens of the best candidates among all K * V, (B, C) each."""
        so_far = self.texts[:, :, : self.length].flatten(0, 1)
        logs = process(
            log_softmax(self.logits.float()), torch.cat((self.prompts, so_far), 1), self.processors
        )
        each = logs.view(self.batch, self.beams, -1)
        return best_extensions(self.scores, each, self.candidates)

    def _ended(self, texts: Tensor) -> Tensor:
        if self.length == self.longest:
            return torch.ones(texts.shape[:2], dtype=torch.bool, device=texts.device)
        if self.stop == NEVER:
            return torch.zeros(texts.shape[:2], dtype=torch.bool, device=texts.device)
        rows = texts[:, :, : self.length].tolist()
        ended = [[self.stop.ended(text) for text in row] for row in rows]
        return torch.tensor(ended, device=texts.device)

    def _finish(self, texts: Tensor, scores: Tensor, ended: Tensor) -> None:
        """Add what has ended to the finished texts, if it was one of the K best."""
        ended = ended.clone()
        ended[:, self.beams :] = False  # candidates after the K best do not count
        full = self.finished.there.all(1, keepdim=True) & self.early_stopping
        ranks = scores / self.length**self.length_penalty
        ranks = ranks + full.float() * OUT + (~self.hopeful).float() * OUT + (~ended) * OUT
        self.finished.add(texts, ranks, self.length, ended)

    def _can_go_on(self, ended: Tensor) -> bool:
        # The best running text is judged at its present length. With a penalty above 0 it could
        # still improve, so this stops a little early. transformers does the same.
        reachable = self.scores[:, :1] / self.length**self.length_penalty
        worst = torch.where(
            self.finished.there, self.finished.scores.min(1, keepdim=True).values, OUT
        )
        self.hopeful = self.hopeful & (reachable > worst).any(1, keepdim=True)
        enough = bool(self.finished.there.all()) and self.early_stopping
        return bool(self.hopeful.any()) and not enough and not bool(ended.all())


def _rows(texts: Tensor, chosen: Tensor) -> Tensor:
    """Return the chosen texts of each row of the batch."""
    return texts.gather(1, chosen[:, :, None].expand(-1, -1, texts.shape[2]))


def _check(num_beams: int, max_new_tokens: int) -> None:
    if num_beams < 1 or max_new_tokens < 1:
        raise ValueError(
            "beam search needs at least one beam and one token to write; got num_beams "
            f"{num_beams} and max_new_tokens {max_new_tokens}. One beam is greedy decoding."
        )

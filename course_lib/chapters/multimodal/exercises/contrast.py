"""The exercises on pictures beside texts: CLIP's loss, and classes made of words."""

import torch
import torch.nn.functional as F

from course_lib.chapters.multimodal.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.vision import clip_loss, zero_shot


def _random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _logits(pictures, texts, scale, normalised=True):
    if normalised:
        pictures, texts = (x / x.norm(dim=-1, keepdim=True) for x in (pictures, texts))
    return scale * pictures @ texts.T


def _by_logsumexp(pictures, texts, scale):
    logits = _logits(pictures, texts, scale)
    own = logits.diagonal()
    rows, columns = logits.logsumexp(1) - own, logits.logsumexp(0) - own
    return (rows.mean() + columns.mean()) / 2


def _by_cross_entropy(pictures, texts, scale):
    logits = scale * F.normalize(pictures, dim=1) @ F.normalize(texts, dim=1).T
    own = torch.arange(len(logits), device=logits.device)
    return 0.5 * F.cross_entropy(logits, own) + 0.5 * F.cross_entropy(logits.T, own)


def _by_log_softmax(pictures, texts, scale):
    logits = _logits(pictures, texts, scale)
    both = logits.log_softmax(0).diagonal() + logits.log_softmax(1).diagonal()
    return -both.mean() / 2


def _by_cosine(pictures, texts, scale):
    logits = scale * F.cosine_similarity(pictures[:, None], texts[None], dim=-1)
    stacked = torch.stack((logits, logits.T))
    return -stacked.log_softmax(-1).diagonal(dim1=1, dim2=2).mean()


def _pair_probe(batch, width, scale, seed=0):
    return lambda: call(
        _random(batch, width, seed=seed), _random(batch, width, seed=seed + 1), scale
    )


CLIP_LOSS = Exercise(
    id="multimodal.clip_loss",
    title="CLIP's loss",
    minutes=12,
    difficulty=2,
    statement=(
        "Row i of `pictures` (B, E) and row i of `texts` (B, E) belong together; no row is zero. "
        "Bring each row to length 1. The logits are `scale`, a positive number, times the dot "
        "product of each picture with each text. Return the mean of two losses, a tensor of one "
        "number: the cross-entropy that names each picture's text among all texts, and the "
        "cross-entropy that names each text's picture among all pictures, each a mean over B. The "
        "gradient is checked too."
    ),
    solution=clip_loss,
    reference=_by_logsumexp,
    generator=generators.clip_loss,
    probes=(
        Probe("two pairs", _pair_probe(2, 3, 1.0), "The smallest batch with a choice."),
        Probe(
            "one pair",
            _pair_probe(1, 4, 5.0),
            "Nothing to choose from: the loss is 0.",
        ),
        Probe(
            "all the same",
            lambda: call(torch.ones(5, 2), torch.ones(5, 2), 7.0),
            "Nothing tells the pairs apart: the loss is log 5.",
        ),
        Probe(
            "long vectors",
            lambda: call(30 * _random(3, 4), 0.01 * _random(3, 4, seed=1), 2.0),
            "Only directions count.",
        ),
        Probe("a sharp scale", _pair_probe(6, 3, 100.0), "CLIP's largest scale."),
        Probe("a sharper scale", _pair_probe(5, 2, 150.0), "The scale is taken as it is given."),
        Probe("training", _pair_probe(4, 3, 3.0), "Both encoders learn.", gradient=True),
    ),
    misconceptions=(
        Misconception(
            "one direction only",
            lambda pictures, texts, scale: F.cross_entropy(
                _logits(pictures, texts, scale), torch.arange(len(texts), device=texts.device)
            ),
            "You ask each picture for its text. Ask each text for its picture as well, with the "
            "transposed logits, and take the mean of both.",
        ),
        Misconception(
            "vectors not normalised",
            lambda pictures, texts, scale: _of_logits(
                _logits(pictures, texts, scale, normalised=False)
            ),
            "Without normalisation a long vector is similar to everything. Divide each row by its "
            "length.",
        ),
        Misconception(
            "divided by the scale",
            lambda pictures, texts, scale: _of_logits(_logits(pictures, texts, 1 / scale)),
            "The scale multiplies the cosines. (A temperature would divide them; the scale is one "
            "over the temperature.)",
        ),
        Misconception(
            "the scale exponentiated",
            lambda pictures, texts, scale: _of_logits(
                _logits(pictures, texts, torch.tensor(float(scale)).exp())
            ),
            "The model stores the logarithm of its scale, but `scale` is already the scale.",
        ),
        Misconception(
            "the scale clipped",
            lambda pictures, texts, scale: _by_logsumexp(pictures, texts, min(scale, 100.0)),
            "CLIP's training clips its scale at 100. The loss takes whatever scale it is given.",
        ),
        Misconception(
            "one side detached",
            lambda pictures, texts, scale: _by_logsumexp(pictures, texts.detach(), scale),
            "Both encoders learn. Detach neither pictures nor texts.",
        ),
        Misconception(
            "the sum of both directions",
            lambda pictures, texts, scale: 2 * _by_logsumexp(pictures, texts, scale),
            "Take the mean of the two directions, not their sum.",
        ),
        Misconception(
            "a sum over the batch",
            lambda pictures, texts, scale: len(texts) * _by_logsumexp(pictures, texts, scale),
            "Take the mean over the batch, or the size of the gradient depends on it.",
        ),
        Misconception(
            "only similarity raised",
            lambda pictures, texts, scale: -_logits(pictures, texts, scale).diagonal().mean(),
            "You only pull pairs together. Then all vectors become the same one. The other texts "
            "of the batch must be pushed away: that is what the softmax does.",
        ),
        Misconception(
            "features normalised over the batch",
            lambda pictures, texts, scale: _of_logits(
                scale * F.normalize(pictures, dim=0) @ F.normalize(texts, dim=0).T
            ),
            "You bring each column to length 1. It is each row, one picture's vector.",
        ),
    ),
    alternatives=(
        Alternative("two cross-entropies", _by_cross_entropy),
        Alternative("log-softmax both ways", _by_log_softmax),
        Alternative("cosine similarity, stacked", _by_cosine),
    ),
    hints=(
        "The logits are a square; the right answers are on its diagonal.",
        "F.cross_entropy(logits, torch.arange(B)) names the text of each picture (F is "
        "torch.nn.functional).",
        "The same with logits.T for the other direction; the mean of the two.",
    ),
)


def _of_logits(logits):
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def _class_by_class(pictures, texts):
    columns = []
    for prompts in texts:
        units = [prompt / prompt.norm() for prompt in prompts]
        mean = torch.stack(units).mean(0)
        columns.append(torch.stack([F.cosine_similarity(p, mean, dim=0) for p in pictures]))
    return torch.stack(columns, dim=1)


def _by_sum(pictures, texts):
    total = F.normalize(texts, dim=-1).sum(1)
    return F.normalize(pictures, dim=-1) @ F.normalize(total, dim=-1).mT


def _by_einsum(pictures, texts):
    units = texts / texts.norm(dim=-1, keepdim=True)
    mean = units.mean(1)
    dots = torch.einsum("be,ke->bk", pictures, mean)
    return dots / (pictures.norm(dim=-1)[:, None] * mean.norm(dim=-1)[None])


def _broadcast(pictures, texts):
    mean = F.normalize(texts, dim=2).mean(dim=1)
    return F.cosine_similarity(pictures[:, None, :], mean[None, :, :], dim=-1)


ZERO_SHOT = Exercise(
    id="multimodal.zero_shot",
    title="Classes made of words",
    minutes=10,
    difficulty=2,
    statement=(
        "`pictures` (B, E) are vectors of pictures, `texts` (K, P, E) those of P prompts for each "
        "of K classes; none is zero. A class's vector is the mean of its prompts, each brought to "
        "length 1 first. Return the cosine of each picture with each class's vector, (B, K). "
        "The largest in a row names the class."
    ),
    solution=zero_shot,
    reference=_class_by_class,
    generator=generators.zero_shot,
    probes=(
        Probe(
            "one prompt each",
            lambda: call(_random(3, 4), _random(2, 1, 4, seed=1)),
            "Plain cosines, three pictures with two classes.",
        ),
        Probe(
            "two prompts each",
            lambda: call(_random(2, 3), _random(4, 2, 3, seed=1)),
            "The prompts of a class are averaged.",
        ),
        Probe(
            "a long prompt and a short one",
            lambda: call(
                torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
                torch.tensor([[[9.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [2.0, 2.0]]]),
            ),
            "Each prompt counts the same, however long its vector is.",
        ),
        Probe(
            "prompts that disagree",
            lambda: call(_random(3, 5), _random(2, 6, 5, seed=3)),
            "A mean of unit vectors is shorter than 1: the cosine divides by its length too.",
        ),
        Probe(
            "long pictures",
            lambda: call(20 * _random(2, 3), _random(2, 2, 3, seed=1)),
            "A cosine does not depend on the length of a picture's vector.",
        ),
    ),
    misconceptions=(
        Misconception(
            "prompts not normalised",
            lambda pictures, texts: (
                F.normalize(pictures, dim=-1) @ F.normalize(texts.mean(1), dim=-1).T
            ),
            "A prompt with a long vector outweighs the others. Bring each prompt to length 1 "
            "before the mean.",
        ),
        Misconception(
            "the mean not normalised",
            lambda pictures, texts: (
                F.normalize(pictures, dim=-1) @ F.normalize(texts, dim=-1).mean(1).T
            ),
            "A mean of unit vectors is shorter than 1, and shorter where the prompts disagree. "
            "Normalise it again.",
        ),
        Misconception(
            "pictures not normalised",
            lambda pictures, texts: (
                pictures @ F.normalize(F.normalize(texts, dim=-1).mean(1), dim=-1).T
            ),
            "A cosine divides by the length of the picture's vector too.",
        ),
        Misconception(
            "the first prompt only",
            lambda pictures, texts: _by_sum(pictures, texts[:, :1]),
            "You use one prompt of each class. Average all of them.",
        ),
        Misconception(
            "the best prompt",
            lambda pictures, texts: torch.einsum(
                "be,kpe->bkp", F.normalize(pictures, dim=-1), F.normalize(texts, dim=-1)
            ).amax(-1),
            "You take the best prompt of each class. A class's vector is the mean of its prompts.",
        ),
        Misconception(
            "a softmax over the classes",
            lambda pictures, texts: _by_sum(pictures, texts).softmax(-1),
            "Return the cosines themselves, without a softmax.",
        ),
        Misconception(
            "classes in rows",
            lambda pictures, texts: _by_sum(pictures, texts).T,
            "A row belongs to a picture: (B, K).",
        ),
    ),
    alternatives=(
        Alternative("a normalised sum", _by_sum),
        Alternative("dot products over lengths", _by_einsum),
        Alternative("cosine similarity", _broadcast),
    ),
    hints=(
        "Three normalisations: of each prompt, of each class's mean, of each picture.",
        "torch.nn.functional.normalize(x, dim=-1) brings every vector to length 1.",
        "classes = normalize(normalize(texts, dim=-1).mean(1), dim=-1); then a product.",
    ),
)

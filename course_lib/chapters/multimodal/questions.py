"""The questions that close this notebook.

Taught in:        multimodal
Checked against:  `course_lib.vision`, from which the numeric answers are computed
"""

from typing import Any

from course_lib.study.ask.question import FindTheBug, Numeric, OneAnswer, OrderSteps, SeveralAnswers
from course_lib.study.ask.question_parts import Option, Slip, right, wrong
from course_lib.vision import mrope_positions, picture_tokens

PATCHES = Numeric(
    id="multimodal.patches",
    prompt="A picture of {side} x {side} pixels is cut into patches of {patch} x {patch}. How many "
    "tokens does the encoder read, with its class token?",
    draw=lambda rng: dict(
        zip(("patch", "side"), (p := rng.choice((8, 14, 16)), p * rng.randint(2, 8)), strict=True)
    ),
    answer=lambda side, patch: picture_tokens(side, side, side, patch) + 1,
    explain=lambda side, patch: (
        f"{side} / {patch} = {side // patch} patches a side, squared, and one class token: "
        f"{(side // patch) ** 2 + 1}."
    ),
    slips=(
        Slip(
            "without the class token",
            lambda side, patch: (side // patch) ** 2,
            "The class token is a token too.",
        ),
        Slip(
            "one side",
            lambda side, patch: side // patch + 1,
            "That is one row of patches. There are as many rows as columns.",
        ),
    ),
)

CONVOLUTION = OneAnswer(
    "multimodal.convolution",
    "A checkpoint stores the patch embedding of a ViT as a convolution. Which one does the same "
    "as a matrix on flattened patches of 16 x 16?",
    (
        wrong(
            "A kernel of 3 x 3 with stride 1 and padding, applied sixteen times in a row.",
            "That mixes neighbouring patches, and its output is as large as the picture.",
        ),
        right(
            "A kernel of 16 x 16 with stride 16.",
            "Each application sees exactly one patch, and no pixel is seen twice.",
        ),
        wrong(
            "A kernel of 16 x 16 with stride 1.",
            "That sees every square of 16 x 16 pixels, and they overlap.",
        ),
        wrong("A kernel of 1 x 1 with stride 16.", "That sees one pixel of each patch."),
    ),
)

POSITIONS = OneAnswer(
    "multimodal.positions",
    "A ViT is used without its position embeddings. Which question can its class token still "
    "answer, in principle?",
    (
        wrong(
            "Whether the red patch is to the left of the blue one, when both are in one row",
            "Attention does not know where a token stands unless something in the token says so.",
        ),
        right(
            "Whether there is a red patch at all",
            "That does not depend on the order of the patches.",
        ),
        wrong(
            "Which of the four corners of the picture is the darkest one",
            "A corner is a place, and places are unknown.",
        ),
    ),
)

SCALE = OneAnswer(
    "multimodal.scale",
    "Why does CLIP multiply its cosines by a learned scale before the softmax?",
    (
        right(
            "Cosines differ by at most 2, too little for a sharp softmax over many captions.",
            "With a scale of 1, a perfect pair (cosine 1) gets a probability of only 7 % among 40, "
            "if the other cosines are 0.",
        ),
        wrong(
            "The vectors would otherwise grow without any limit in the course of a long training.",
            "They are brought to length 1, so they cannot grow.",
        ),
        wrong(
            "It makes the loss of a batch independent of the number of captions in it.",
            "Where all cosines are equal, the loss is log B, whatever the scale.",
        ),
        wrong(
            "It makes up for texts being longer than pictures.",
            "Both have become vectors of length 1.",
        ),
    ),
)

RIVALS = OneAnswer(
    "multimodal.rivals",
    "In every batch of a CLIP training, no two pictures have the same colour. What will the model "
    "learn about shapes?",
    (
        wrong(
            "More than usual, since colour is no longer what is in doubt",
            "The loss is low as soon as colours are known. Nothing more is needed.",
        ),
        right(
            "Little: colour alone names the right caption",
            "A contrastive loss teaches what tells the rivals of a batch apart.",
        ),
        wrong(
            "As much as about colours, because both are named in every caption",
            "Being named is not enough. Shape must be needed to choose among the captions.",
        ),
    ),
)

DUPLICATES = OneAnswer(
    "multimodal.duplicates",
    "A batch of CLIP holds two different pictures with the same caption, “a red circle”. What does "
    "the loss do?",
    (
        right(
            "It takes each caption as wrong for the other picture, and pushes them apart.",
            "Only the diagonal counts as right. In a large batch such false negatives are common.",
        ),
        wrong(
            "It recognises that the captions are equal and leaves the pair out of the batch.",
            "Nothing in the loss compares captions.",
        ),
        wrong(
            "It counts both as right and divides the probability between the two of them.",
            "Cross-entropy with the diagonal as target knows one right answer for each row.",
        ),
    ),
)

FREEZE = OneAnswer(
    "multimodal.freeze",
    "In stage one, the language model of a LLaVA is frozen. How?",
    (
        wrong(
            "Its forward pass runs under torch.no_grad().",
            "Then the graph ends there, and the projector before it gets no gradient.",
        ),
        right(
            "Its parameters have requires_grad False.",
            "They take no gradient, and the gradient for the projector passes through.",
        ),
        wrong(
            "It is put into evaluation mode with eval() before the first step of training.",
            "That switches dropout off. Parameters would still be trained.",
        ),
        wrong(
            "The visual tokens are detached before they are spliced into the text.",
            "Then the projector gets no gradient, and the language model is still trained.",
        ),
    ),
)

LABELS = SeveralAnswers(
    "multimodal.labels",
    "Which tokens of a LLaVA conversation have a label, in the stage of answers?",
    (
        Option("The words of an answer", True, "They are what the model should write."),
        Option("The token that ends an answer", True, "Or the model would never stop."),
        Option("The words of a question", False, "They are read, not written."),
        Option(
            "The placeholders of a picture", False, "The model should never write a placeholder."
        ),
    ),
)

TILES = Numeric(
    id="multimodal.tiles",
    prompt="An encoder reads tiles of 336 x 336 in patches of 14. A page of {height} x {width} "
    "pixels is cut into tiles, with a thumbnail, and blocks of 2 x 2 patches are joined. How "
    "many visual tokens?",
    draw=lambda rng: {"height": 336 * rng.randint(2, 4), "width": 336 * rng.randint(1, 3) - 50},
    answer=lambda height, width: picture_tokens(height, width, 336, 14, 2),
    explain=lambda height, width: (
        f"{height // 336} x {-(-width // 336)} tiles and a thumbnail, 144 tokens each: "
        f"{picture_tokens(height, width, 336, 14, 2)}."
    ),
    slips=(
        Slip(
            "no thumbnail",
            lambda height, width: picture_tokens(height, width, 336, 14, 2) - 144,
            "The thumbnail is read like one more tile.",
        ),
        Slip(
            "no shuffle",
            lambda height, width: picture_tokens(height, width, 336, 14),
            "A block of 2 x 2 patches becomes one token: a quarter.",
        ),
    ),
)

MROPE = Numeric(
    id="multimodal.mrope_next",
    prompt="With M-RoPE, a text of {words} tokens comes first, then a picture of {rows} x "
    "{columns} visual tokens (rows x columns), then text. What is the position of the first word "
    "after the picture?",
    draw=lambda rng: {
        "words": rng.randint(1, 9),
        "rows": rng.randint(2, 9),
        "columns": rng.randint(10, 20),
    },
    answer=lambda words, rows, columns: int(mrope_positions([words, (rows, columns), 1])[0, -1]),
    explain=lambda words, rows, columns: (
        f"The picture begins at {words}; its last column is {words + columns - 1}, the largest "
        f"number so far. The text goes on at {words + columns}."
    ),
    slips=(
        Slip(
            "all tokens counted",
            lambda words, rows, columns: words + rows * columns,
            "Only the larger side of the picture moves the text on.",
        ),
        Slip(
            "rows",
            lambda words, rows, columns: words + rows,
            "The largest position so far decides; here the columns reach further.",
        ),
    ),
)

BLANK = OneAnswer(
    "multimodal.blank",
    "A model answers 62 % of yes-or-no questions about pictures correctly. What is the first thing "
    "to measure?",
    (
        wrong(
            "How many of them it answers at a higher resolution of the same pictures",
            "That comes later, if it uses the pictures at all.",
        ),
        right(
            "What it scores when the pictures are swapped or blank",
            "If that is 60 % too, it guesses from the questions.",
        ),
        wrong(
            "Whether the loss on the captions of stage one was still falling at its end",
            "A falling loss does not show that the picture is used.",
        ),
        wrong(
            "How long its answers are", "Yes and no are one token each. Length says nothing here."
        ),
    ),
)

ORDER = OneAnswer(
    "multimodal.word_order",
    "CLIP gives “a red circle and a blue square” and “a blue circle and a red square” nearly the "
    "same cosine with a picture. Why is that no surprise?",
    (
        right(
            "The batches of its training rarely held both, so nothing punished it.",
            "The loss is low once the bag of words fits. Hard negatives change that.",
        ),
        wrong(
            "Its text encoder has no positions, so it reads every caption as a bag of words.",
            "It has positions, and could tell the captions apart.",
        ),
        wrong(
            "A cosine between unit vectors cannot tell two captions with the same words apart.",
            "Different captions may have quite different vectors.",
        ),
    ),
)

PIPELINE = OrderSteps(
    id="multimodal.pipeline",
    prompt="A LLaVA answers a question about a picture. Put the steps in order.",
    steps=(
        "The picture is cut into patches, and each becomes a token of the encoder.",
        "The encoder's blocks let the patches read each other.",
        "The projector brings each patch to the width of the language model.",
        "The placeholders in the embedded text are replaced by visual tokens.",
        "The decoder reads the row, and writes the answer token by token.",
    ),
    explanation="The text is embedded at any time before the splice; everything after it is an "
    "ordinary decoder.",
)


def _loses_channels(namespace: dict[str, Any]) -> bool:
    import torch

    picture = torch.arange(8.0).view(1, 2, 2, 2)  # two channels, one patch
    return bool(namespace["patchify"](picture, 2).tolist() != [[list(range(8))]])


BUG = FindTheBug(
    id="multimodal.bug_patchify",
    prompt="This should flatten each patch channel by channel. The logits of a published ViT come "
    "out wrong.",
    code="""
def patchify(pictures, p):
    b, c, h, w = pictures.shape
    cut = pictures.reshape(b, c, h // p, p, w // p, p)
    cut = cut.permute(0, 2, 4, 3, 5, 1)
    return cut.reshape(b, (h // p) * (w // p), c * p * p)
""",
    line=4,
    fixed="cut = cut.permute(0, 2, 4, 1, 3, 5)",
    why="The channel came last, so the colours of each pixel stand together. A kernel is stored "
    "(C, channels, P, P): channel first, then row, then column.",
    why_not={
        1: "The pictures and the side of a patch are all that is needed.",
        2: "Batch, channels, height and width, in this order.",
        3: "Each side is split into the number of patches and the pixels of one patch.",
        5: "One row for each patch, with all its numbers.",
    },
    shows_bug=_loses_channels,
)

QUESTIONS = (
    PATCHES,
    CONVOLUTION,
    POSITIONS,
    SCALE,
    RIVALS,
    DUPLICATES,
    FREEZE,
    LABELS,
    TILES,
    MROPE,
    BLANK,
    ORDER,
    PIPELINE,
    BUG,
)

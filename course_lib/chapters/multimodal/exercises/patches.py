"""The exercises on the way into the encoder: patches, and the tokens made of them."""

import torch
import torch.nn.functional as F

from course_lib.chapters.multimodal.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.vision import embed_patches, patchify


def _counted(*shape):
    """Return a tensor whose numbers say where they stand."""
    count = torch.Size(shape).numel()
    return torch.arange(float(count)).view(shape)


def _random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _by_unfold(pictures, patch):
    return F.unfold(pictures, patch, stride=patch).transpose(1, 2)


def _by_loops(pictures, patch):
    batch, _, height, width = pictures.shape
    cut = [
        pictures[:, :, top : top + patch, left : left + patch].reshape(batch, -1)
        for top in range(0, height, patch)
        for left in range(0, width, patch)
    ]
    return torch.stack(cut, dim=1)


def _by_tensor_unfold(pictures, patch):
    windows = pictures.unfold(2, patch, patch).unfold(3, patch, patch)  # (B, c, rows, cols, P, P)
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def _permuted(order):
    """Return the six axes put in this order, the first three of them kept as B, rows, columns."""

    def cut(pictures, patch):
        batch, channels, height, width = pictures.shape
        rows, columns = height // patch, width // patch
        six = pictures.reshape(batch, channels, rows, patch, columns, patch)
        return six.permute(order).reshape(batch, rows * columns, channels * patch**2)

    return cut


PATCHIFY = Exercise(
    id="multimodal.patchify",
    title="A picture as a row of patches",
    minutes=10,
    difficulty=2,
    statement=(
        "`pictures` are (B, channels, H, W); H and W are multiples of `patch`, and need not be "
        "equal. Cut each into squares of patch x patch pixels, in reading order: from left to "
        "right, then from top to bottom. Flatten each square channel by channel, and each channel "
        "row by row. Return (B, number of patches, channels * patch²)."
    ),
    solution=patchify,
    reference=_by_unfold,
    generator=generators.patchify,
    probes=(
        Probe(
            "four patches",
            lambda: call(_counted(1, 1, 4, 4), 2),
            "The first patch of the numbers 0 to 15 is 0, 1, 4, 5.",
        ),
        Probe(
            "three channels",
            lambda: call(_counted(1, 3, 2, 2), 2),
            "One patch: all of the first channel, then the second, then the third.",
        ),
        Probe(
            "wider than tall",
            lambda: call(_counted(2, 2, 2, 6), 2),
            "Three patches beside each other, in each of two pictures.",
        ),
        Probe(
            "taller than wide",
            lambda: call(_counted(1, 2, 9, 3), 3),
            "Three patches, one below the other.",
        ),
        Probe("single pixels", lambda: call(_counted(1, 3, 2, 3), 1), "Each pixel is a patch."),
        Probe(
            "training",
            lambda: call(_random(2, 3, 4, 6), 2),
            "The gradient goes back to each pixel.",
            gradient=True,
        ),
    ),
    misconceptions=(
        Misconception(
            "reshaped at once",
            lambda pictures, patch: pictures.reshape(
                pictures.shape[0], -1, pictures.shape[1] * patch**2
            ),
            "A reshape keeps the order of memory, which runs along whole rows of pixels. Split "
            "both sides into (number, patch) first, then permute, then reshape.",
        ),
        Misconception(
            "channels last",
            _permuted((0, 2, 4, 3, 5, 1)),
            "Inside a patch the three colours of a pixel stand together. Here all of the first "
            "channel comes first, as in a convolution's kernel.",
        ),
        Misconception(
            "columns first",
            lambda pictures, patch: _permuted((0, 4, 2, 1, 3, 5))(pictures, patch),
            "The patches go down the columns. Reading order goes along the rows.",
        ),
        Misconception(
            "patches transposed",
            _permuted((0, 2, 4, 1, 5, 3)),
            "Each patch is flattened column by column. Keep its rows together.",
        ),
        Misconception(
            "rows and columns swapped in the split",
            lambda pictures, patch: (
                pictures.reshape(
                    pictures.shape[0],
                    pictures.shape[1],
                    patch,
                    pictures.shape[2] // patch,
                    patch,
                    pictures.shape[3] // patch,
                )
                .permute(0, 3, 5, 1, 2, 4)
                .reshape(pictures.shape[0], -1, pictures.shape[1] * patch**2)
            ),
            "A side of H pixels splits into (H // patch, patch): the number of patches first. The "
            "other way round takes pixels that are not neighbours.",
        ),
        Misconception(
            "channels averaged",
            lambda pictures, patch: _by_unfold(pictures.mean(1, keepdim=True), patch),
            "A patch keeps all channels: channels * patch² numbers.",
        ),
    ),
    alternatives=(
        Alternative("patch by patch", _by_loops),
        Alternative("Tensor.unfold twice", _by_tensor_unfold),
        Alternative("torch.nn.functional.unfold", lambda x, patch: _by_unfold(x, patch)),
    ),
    hints=(
        "Split both sides: (B, channels, rows, patch, columns, patch).",
        "Which axes count patches, and which belong to one patch? Bring the former to the front.",
        "permute(0, 2, 4, 1, 3, 5), then a reshape to (B, rows * columns, channels * patch²).",
    ),
)


def _by_convolution(pictures, kernel, class_token, positions):
    rows = F.conv2d(pictures, kernel, stride=kernel.shape[-1]).flatten(2).transpose(1, 2)
    first = class_token.view(1, 1, -1).repeat(len(pictures), 1, 1)
    return torch.cat((first, rows), dim=1) + positions


def _token_by_token(pictures, kernel, class_token, positions):
    patches = _by_loops(pictures, kernel.shape[-1])
    matrix = kernel.reshape(len(kernel), -1)
    texts = []
    for picture in patches:
        tokens = [class_token, *(matrix @ patch for patch in picture)]
        texts.append(torch.stack([t + p for t, p in zip(tokens, positions, strict=True)]))
    return torch.stack(texts)


def _by_einsum(pictures, kernel, class_token, positions):
    side = kernel.shape[-1]
    cut = pictures.unfold(2, side, side).unfold(3, side, side)
    rows = torch.einsum("bcxyij,wcij->bxyw", cut, kernel).flatten(1, 2)
    start = (class_token + positions[0]).expand(len(rows), 1, -1)
    return torch.cat((start, rows + positions[1:]), dim=1)


def _rows(pictures, kernel):
    return _by_loops(pictures, kernel.shape[-1]) @ kernel.flatten(1).T


def _class_last(pictures, kernel, class_token, positions):
    rows = _rows(pictures, kernel)
    return torch.cat((rows, class_token.expand(len(rows), 1, -1)), dim=1) + positions


def _no_position_for_class(pictures, kernel, class_token, positions):
    rows = _rows(pictures, kernel) + positions[1:]
    return torch.cat((class_token.expand(len(rows), 1, -1), rows), dim=1)


def _positions_shifted(pictures, kernel, class_token, positions):
    rows = _rows(pictures, kernel) + positions[:-1]
    first = (class_token + positions[-1]).expand(len(rows), 1, -1)
    return torch.cat((first, rows), dim=1)


def _without_positions(pictures, kernel, class_token, positions):
    rows = _rows(pictures, kernel)
    return torch.cat((class_token.expand(len(rows), 1, -1), rows), dim=1)


def _kernel_flipped(pictures, kernel, class_token, positions):
    return _by_convolution(pictures, kernel.flip(-1, -2), class_token, positions)


def _embedding(batch=2, height=4, width=4, patch=2, model=5, seed=0):
    def inputs():
        places = (height // patch) * (width // patch) + 1
        return call(
            _random(batch, 3, height, width, seed=seed),
            _random(model, 3, patch, patch, seed=seed + 1),
            _random(model, seed=seed + 2),
            _random(places, model, seed=seed + 3),
        )

    return inputs


EMBEDDING = Exercise(
    id="multimodal.embedding",
    title="The tokens of a picture",
    minutes=10,
    difficulty=2,
    statement=(
        "`pictures` are (B, channels, H, W), `kernel` is (C, channels, P, P): one filter for each "
        "feature of the encoder, of the size of a patch. Multiply each patch of P x P pixels, in "
        "reading order, by each filter, number by number, and sum: C numbers for each patch. Put "
        "`class_token` (C,) before the patches of each picture, and add `positions` (number of "
        "patches + 1, C), whose first row belongs to the class token. Return (B, number of "
        "patches + 1, C)."
    ),
    solution=embed_patches,
    reference=_by_convolution,
    generator=generators.embedding,
    probes=(
        Probe("one patch", _embedding(1, 2, 2), "A class token and one patch."),
        Probe("four patches", _embedding(), "Two pictures of four patches."),
        Probe("a wide picture", _embedding(1, 2, 8), "Four patches beside each other."),
        Probe("a tall picture", _embedding(1, 6, 3, 3), "Two patches, one below the other."),
        Probe(
            "only positions",
            lambda: call(
                torch.zeros(1, 3, 2, 4), _random(2, 3, 2, 2), torch.zeros(2), _counted(3, 2)
            ),
            "A black picture: what comes out is the table of positions.",
        ),
        Probe(
            "training",
            _embedding(2, 2, 4),
            "Filters, token and positions all learn.",
            gradient=True,
        ),
    ),
    misconceptions=(
        Misconception(
            "class token last",
            _class_last,
            "The class token comes first; the patches follow.",
        ),
        Misconception(
            "no position for the class token",
            _no_position_for_class,
            "The class token has a position too: the first row of the table is its own.",
        ),
        Misconception(
            "positions shifted by one",
            _positions_shifted,
            "Row 0 of the positions belongs to the class token, row 1 to the first patch.",
        ),
        Misconception(
            "positions left out",
            _without_positions,
            "Without positions the encoder sees a bag of patches: it cannot tell left from right.",
        ),
        Misconception(
            "the kernel flipped",
            _kernel_flipped,
            "In deep learning a convolution does not flip its kernel: pixel (i, j) of a patch "
            "meets weight (i, j) of the filter.",
        ),
        Misconception(
            "the class token cut off from training",
            lambda pictures, kernel, class_token, positions: _by_convolution(
                pictures, kernel, class_token.detach(), positions
            ),
            "The class token is learned like everything else: leave out detach().",
        ),
    ),
    alternatives=(
        Alternative("a convolution", _by_convolution),
        Alternative("token by token", _token_by_token),
        Alternative("einsum over windows", _by_einsum),
    ),
    hints=(
        "A convolution with stride P and a kernel of P x P sees each patch once.",
        "torch.nn.functional.conv2d(pictures, kernel, stride=P) is (B, C, rows, columns): flatten "
        "the last two axes and transpose.",
        "class_token.expand(B, 1, -1) repeats the token; torch.cat along dim=1; then + positions.",
    ),
)

"""Which patches were looked at: the attention of the class token, and that before an answer.

Taught in:        multimodal
Checked against:  weights that sum to 1; an answer found by the evaluation
Shapes:           B pictures, rows and columns of patches or visual tokens
"""

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.tokenization.chat import END
from course_lib.vision.captions import drawing_tokenizer
from course_lib.vision.clip import Clip
from course_lib.vision.conversations import prompt_ids
from course_lib.vision.llava import Llava


@torch.no_grad()
def class_attention(model: Clip, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B R R"]:
    """Return what the class token reads of each patch in the last layer, a mean over heads."""
    weights = model.vision_model(pictures, weigh=True).attentions[-1]  # (B, heads, T, T)
    row = weights[:, :, 0, 1:].mean(1)
    return row.unflatten(1, (model.config.vision.columns, -1))


@torch.no_grad()
def answer(
    model: Llava, pictures: Float[Tensor, "1 3 H W"] | None, question: str, most: int = 28
) -> str:
    """Return the greedy answer to one question about one picture, or without a picture."""
    tokenizer, device = drawing_tokenizer(), model.language_model.lm_head.weight.device
    ids = prompt_ids(question, 0 if pictures is None else model.config.visual_tokens)
    patches = None if pictures is None else model.patches(pictures.to(device))
    written: list[int] = []
    while len(written) < most:
        row = torch.tensor([ids + written], device=device)
        token = int(model(row, patches=patches).logits[0, -1].argmax())
        if token == tokenizer.special_tokens[END]:
            break
        written.append(token)
    return tokenizer.decode(written)


@torch.no_grad()
def answer_and_looks(
    model: Llava, pictures: Float[Tensor, "1 3 H W"], question: str
) -> tuple[str, Float[Tensor, "layers R R"]]:
    """Return the answer, and what each layer reads of the picture where the answer begins."""
    device = model.language_model.lm_head.weight.device
    ids = torch.tensor([prompt_ids(question, model.config.visual_tokens)], device=device)
    weights = model(ids, pictures.to(device), return_weights=True).attentions
    seen = ids[0] == model.config.image_token
    rows = torch.stack([each[0, :, -1, seen].mean(0) for each in weights])  # (layers, M)
    side = model.config.vision.columns // model.config.shuffle
    return answer(model, pictures, question), rows.unflatten(1, (side, side))

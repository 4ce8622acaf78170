"""Models that see: a vision encoder, contrastive training, and a language model that reads patches.

Small files: `patches`, `encoder` (ViT and CLIP's text encoder), `contrastive` (the losses and
zero-shot classes), `clip`; `projector`, `splice`, `llava`; `budget` (what a picture costs),
`mrope`, `spectrogram` (sound as a picture), `files` (checkpoints in the layout of Hugging Face).
The world of drawings on which the course's own models learn: `world`, `captions`, `questions`,
`pairing`, `conversations`; how they are trained: `clip_training`, `llava_training`, `recipes`,
`runs`; the results: `stored`, `evaluation`.

Taught in:        multimodal
"""

from course_lib.vision.budget import picture_tokens, tile_grid
from course_lib.vision.clip import Clip, ClipConfig
from course_lib.vision.contrastive import class_vectors, clip_loss, siglip_loss, zero_shot
from course_lib.vision.encoder import TextConfig, VisionConfig, VisionModel, embed_patches
from course_lib.vision.llava import Llava, LlavaConfig, freeze_for, learning_names
from course_lib.vision.mrope import mrope_positions
from course_lib.vision.patches import patchify, unpatchify
from course_lib.vision.projector import Projector, pixel_shuffle
from course_lib.vision.spectrogram import spectrogram, tone
from course_lib.vision.splice import expand_example, splice
from course_lib.vision.world import Scenes, Thing, draw, random_scenes, scenes_of

__all__ = [
    "Clip",
    "ClipConfig",
    "Llava",
    "LlavaConfig",
    "Projector",
    "Scenes",
    "TextConfig",
    "Thing",
    "VisionConfig",
    "VisionModel",
    "class_vectors",
    "clip_loss",
    "draw",
    "embed_patches",
    "expand_example",
    "freeze_for",
    "learning_names",
    "mrope_positions",
    "patchify",
    "picture_tokens",
    "pixel_shuffle",
    "random_scenes",
    "scenes_of",
    "siglip_loss",
    "spectrogram",
    "splice",
    "tile_grid",
    "tone",
    "unpatchify",
    "zero_shot",
]

"""Three design questions, which the learner judges with a rubric; their numbers are computed."""

from course_lib import accounting
from course_lib.accounting import MODELS
from course_lib.study.ask.question import OpenQuestion
from course_lib.study.ask.question_parts import Criterion

_MODEL = MODELS["Qwen3-8B"]
_LONG = 100_000
_MEMORY = accounting.inference_memory(_MODEL, _LONG)
_WEIGHTS, _CACHE = _MEMORY.weights / 1e9, _MEMORY.cache / 1e9
_TOKEN = accounting.inference_memory(_MODEL, 1).cache / 1e3
_TEXTS = int((80 - _WEIGHTS) / _CACHE)
_EVEN = accounting.matmul_parameters(_MODEL) / (
    2 * _MODEL.num_hidden_layers * _MODEL.num_attention_heads * _MODEL.head_dim
)  # a token that reads this many others spends as many FLOPs on attention as on the weights
_UNMASKED = accounting.forward_flops(_MODEL, _LONG, last_only=True)
_PREFILL = _UNMASKED - accounting.attention_flops(_MODEL, _LONG) / 2  # masked tiles are skipped
_SECONDS = _PREFILL / (0.5 * accounting.DEVICES["H100 SXM"].peak_flops)
_PER_SECOND = accounting.decode_tokens_per_second(_MEMORY.weights, 0, 1e12)
_HALF = accounting.decode_tokens_per_second(_MEMORY.weights / 4, 0, 1e12)
_PATCHES = (448 // 14) ** 2
_PIXELS = _PATCHES * _TOKEN / 1e3

LONG = OpenQuestion(
    id="self_check.design_long_context",
    prompt="Design a language model of about 8 billion parameters that reads 100 000 tokens at "
    "once and runs on one GPU with 80 GB. What do you decide, what do you compute in advance, and "
    "how do you find out whether it works? Write half a page.",
    rubric=(
        Criterion(
            "The size of the cache is computed from layers, key/value heads, head width and "
            "length.",
            "It determines how many texts fit in memory with the weights.",
        ),
        Criterion(
            "The cache is made smaller: shared key/value heads, windows in some layers, or fewer "
            "bits.",
            "Otherwise it soon becomes larger than the weights.",
        ),
        Criterion(
            "Positions beyond the trained length are handled: a larger base, or a method such as "
            "YaRN.",
            "The slow planes of RoPE would reach angles that did not occur in training.",
        ),
        Criterion(
            "Attention is computed in tiles, so that no table of all pairs is stored.",
            "For 100 000 tokens one table has ten billion numbers per head.",
        ),
        Criterion(
            "The time for the prompt is estimated, with the part that grows with the square.",
            "A user waits for it before the first token appears.",
        ),
        Criterion(
            "The last stage of training uses long documents.",
            "A model that never saw distant connections in training cannot use them.",
        ),
        Criterion(
            "The test asks for facts from every depth of the context, and for combinations.",
            "A model can have a low loss on long texts and still read only the nearest part.",
        ),
    ),
    enough=5,
    model=f"Take the shape of Qwen3-8B: {_WEIGHTS:.1f} GB of weights in bfloat16, and "
    f"{_TOKEN:.0f} kB of cache for each token, since 32 query heads share 8 key/value heads. For "
    f"100 000 tokens that is {_CACHE:.1f} GB, so {_TEXTS} texts fit at once. Windows in most "
    "layers or a cache of 8 bits would make room for more. Train on 8 000 tokens first, then raise "
    "RoPE's base (or use YaRN) and continue with long documents. Compute attention in tiles. A "
    "token "
    f"that reads more than {_EVEN / 1000:.0f} 000 others spends more FLOPs on attention than on "
    f"the weights, so at half the peak of an H100 the prompt takes about {_SECONDS:.0f} seconds. "
    f"Test with "
    "facts hidden at every depth, with questions that need two of them, and on short texts too, "
    "which must not get worse.",
)

FASTER = OpenQuestion(
    id="self_check.design_faster",
    prompt="A chat service with a dense model of 8 billion parameters answers too slowly. How do "
    "you make it faster without losing much quality? Name the steps in the order in which you "
    "would take them, and say what each one changes.",
    rubric=(
        Criterion(
            "First it is measured where the time goes: the prompt or the generated tokens.",
            "The prompt is limited by arithmetic, generation by memory; what helps one may not "
            "help the other.",
        ),
        Criterion(
            "It says that generation is limited by reading the weights once per step.",
            "So fewer bytes mean more tokens per second.",
        ),
        Criterion(
            "Weights are stored in fewer bits, and the loss of quality is measured.",
            "At batch 1 half the bytes give almost twice the speed.",
        ),
        Criterion(
            "Requests are batched, and new ones join while others are still running.",
            "One reading of the weights then serves many texts, though no single text gets faster.",
        ),
        Criterion(
            "A KV cache is used, kept small, and shared by prompts with the same beginning.",
            "Then nothing has to be computed twice.",
        ),
        Criterion(
            "Speculative decoding is considered; it does not change the output distribution.",
            "It uses arithmetic units that are idle while weights are read.",
        ),
        Criterion(
            "A smaller, distilled or sparse model is compared with all that.",
            "It may bring the largest gain in speed and the largest loss of quality.",
        ),
        Criterion(
            "Quality is compared on the service's own tasks before and after each step.",
            "A general score may stay the same while the one task that matters gets worse.",
        ),
    ),
    enough=5,
    model="Measure first: time to the first token, tokens per second, batch size. Generation reads "
    f"all weights in each step, so {_WEIGHTS:.1f} GB at 1 TB per second allow {_PER_SECOND:.0f} "
    f"tokens per second for one text; with 4 bits per weight it would be {_HALF:.0f}. So: fused "
    "and compiled kernels, which change no result; batches that requests join and leave, for more "
    "tokens per second in total; a cache shared by prompts with the same beginning; weights in 8 "
    "or 4 bits; speculative decoding where the device has arithmetic to spare. Only then a smaller "
    "or distilled model. After each step run the same questions, compare answers, and keep the "
    "step only if it pays.",
)

IMAGES = OpenQuestion(
    id="self_check.design_images",
    prompt="You have a good language model for text. How do you make it answer questions about "
    "images? Say which parts are added, how they are trained, what it costs, and how you test it.",
    rubric=(
        Criterion(
            "A vision encoder cuts the image into patches and computes a vector for each.",
            "The language model needs a sequence of vectors; pixels are too many.",
        ),
        Criterion(
            "A projector maps these vectors to the width and the space of the embeddings.",
            "The two models were trained separately, and their vectors mean different things.",
        ),
        Criterion(
            "Patches take positions in the sequence, between special tokens, before the question.",
            "Attention then lets every generated token read every patch, with unchanged blocks.",
        ),
        Criterion(
            "Training has stages: the projector first, with the rest frozen, then more parts.",
            "The large gradients of a random projector would damage good weights.",
        ),
        Criterion(
            "The loss is taken on the tokens of the answer only.",
            "Patches have no id to predict.",
        ),
        Criterion(
            "The patches are counted as context, cache and time.",
            "One large image may cost more than the conversation around it.",
        ),
        Criterion(
            "A test asks the same questions without the image, or with a different one.",
            "Many answers can be guessed from the question; only the difference shows that the "
            "model uses the image.",
        ),
    ),
    enough=5,
    model="A trained vision encoder converts an image of 448 × 448 pixels into "
    f"{_PATCHES} patches of 14 × 14. A projector of two layers maps each of its vectors to the "
    "width of the embeddings, and they are placed between two special tokens before the question. "
    f"They cost as much as {_PATCHES} tokens, with the shape of Qwen3-8B {_PIXELS:.0f} MB of "
    f"cache, so "
    "neighboring patches may be merged. First train the projector alone on images with captions, "
    "then projector and language model on questions and answers, mixed with text so that nothing "
    "is forgotten. The loss counts answer tokens only. Test with questions about details, counts "
    "and text in images, and each of them without the image as well.",
)

"""Three questions of design, which the learner judges with a rubric; figures are computed."""

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
)  # so many tokens that are read cost as many FLOPs as all weights
_PER_SECOND = accounting.decode_tokens_per_second(_MEMORY.weights, 0, 1e12)
_HALF = accounting.decode_tokens_per_second(_MEMORY.weights / 4, 0, 1e12)
_PATCHES = (448 // 14) ** 2
_PIXELS = _PATCHES * _TOKEN / 1e3

LONG = OpenQuestion(
    id="self_check.design_long_context",
    prompt="You are to build a language model of about 8 billion parameters that reads 100 000 "
    "tokens at once and runs on one GPU with 80 GB. What do you decide, what do you compute "
    "beforehand, and how do you find out whether it works? Write half a page.",
    rubric=(
        Criterion(
            "The size of the cache is computed from layers, key/value heads, head width and "
            "length.",
            "It decides how many texts fit beside the weights.",
        ),
        Criterion(
            "The cache is made smaller: shared key/value heads, windows in some layers, or fewer "
            "bits.",
            "Without that it soon outgrows the weights.",
        ),
        Criterion(
            "Positions beyond the trained length are dealt with: a larger base, or a rule such as "
            "YaRN.",
            "The slow planes of RoPE would meet angles that training never showed.",
        ),
        Criterion(
            "Attention is computed in tiles, so that no table of all pairs is stored.",
            "For 100 000 tokens one table has ten billion numbers for each head.",
        ),
        Criterion(
            "The time of the prompt is estimated, with the part that grows with the square.",
            "A user waits for it before the first token appears.",
        ),
        Criterion(
            "The last stage of training uses long documents.",
            "A model that never saw far connections does not learn to use them from a rule.",
        ),
        Criterion(
            "The test asks for facts from every depth of the context, and for their combination.",
            "A low loss on long texts is possible while only the nearest part is read.",
        ),
    ),
    enough=5,
    model=f"Take the shape of Qwen3-8B: {_WEIGHTS:.1f} GB of weights in bfloat16, and "
    f"{_TOKEN:.0f} kB of cache for each token, since 32 query heads share 8 key/value heads. For "
    f"100 000 tokens that is {_CACHE:.1f} GB, so {_TEXTS} texts fit at once. Windows in most "
    "layers or a cache of 8 bits would make room for more. Train on 8 000 tokens first, then raise "
    "RoPE's base (or use YaRN) and go on with long documents. Prefill in tiles and in chunks: a "
    f"token that reads more than {_EVEN / 1000:.0f} 000 others spends more on scores than on "
    "weights. Test with facts hidden at every depth, with questions that need two of them, and on "
    "short texts too, which must not get worse.",
)

FASTER = OpenQuestion(
    id="self_check.design_faster",
    prompt="A chat service with a dense model of 8 billion parameters answers too slowly. How do "
    "you make it faster and lose little quality? Name the steps in the order in which you would "
    "take them, and say for each what it changes.",
    rubric=(
        Criterion(
            "First it is measured where the time goes: the prompt, or the tokens that are written.",
            "The one is bound by arithmetic, the other by memory; what helps one may not help the "
            "other.",
        ),
        Criterion(
            "It is said that writing is bound by reading the weights, once for each step.",
            "From this follows that fewer bytes mean more tokens per second.",
        ),
        Criterion(
            "Weights are stored in fewer bits, and the loss of quality is measured.",
            "Half the bytes are almost twice the speed, at batch 1.",
        ),
        Criterion(
            "Requests are put into batches, also while others are under way.",
            "One reading of the weights then serves many texts; each single text gains nothing.",
        ),
        Criterion(
            "A cache is used, kept small, and shared by prompts that begin alike.",
            "What was computed once need not be computed again.",
        ),
        Criterion(
            "Speculative decoding is considered, as a step that changes no probability.",
            "It costs arithmetic, which stands idle while weights are read.",
        ),
        Criterion(
            "A smaller, distilled or sparse model is weighed against all that.",
            "It may be the largest gain, and the largest loss.",
        ),
        Criterion(
            "Quality is compared on the service's own tasks before and after each step.",
            "A general score may stay while the one task that counts gets worse.",
        ),
    ),
    enough=5,
    model="Measure first: time to the first token, tokens per second, batch size. Writing reads "
    f"all weights for each step, so {_WEIGHTS:.1f} GB at 1 TB per second allow {_PER_SECOND:.0f} "
    f"tokens per second for one text; with 4 bits per weight it would be {_HALF:.0f}. So: fused "
    "and compiled kernels, which change nothing; batches that requests join and leave, for the sum "
    "of all; a cache that is shared by equal beginnings; weights in 8 or 4 bits; drafts by a small "
    "model where the machine has arithmetic to spare. Only then a smaller or distilled model. "
    "After each step run the same questions and compare answers, and keep the step only if it "
    "pays.",
)

IMAGES = OpenQuestion(
    id="self_check.design_images",
    prompt="You have a good language model that reads and writes text. How do you make it answer "
    "questions about pictures? Say which parts are added, how they are trained, what it costs, and "
    "how you test it.",
    rubric=(
        Criterion(
            "A vision encoder cuts the picture into patches and makes a vector of each.",
            "The language model needs a sequence of vectors; pixels are too many.",
        ),
        Criterion(
            "A projector brings these vectors to the width and the space of the embeddings.",
            "The two models were trained apart, and their vectors mean different things.",
        ),
        Criterion(
            "Patches take places in the sequence, framed by special tokens, before the question.",
            "So attention lets each written word read each patch, without a change to the blocks.",
        ),
        Criterion(
            "Training goes in stages: the projector first, with the rest frozen, then more parts.",
            "A random projector would spoil good weights by its large gradients.",
        ),
        Criterion(
            "The loss is taken on the tokens of the answer only.",
            "Patches have no id that could be predicted.",
        ),
        Criterion(
            "The number of patches is counted as context, cache and time.",
            "One large picture may cost more than the conversation around it.",
        ),
        Criterion(
            "A test asks the same questions without the picture, or with another one.",
            "Many answers can be guessed from the question; only the difference shows that it "
            "looks.",
        ),
    ),
    enough=5,
    model="A trained vision encoder turns a picture of 448 × 448 pixels into "
    f"{_PATCHES} patches of 14 × 14. A projector of two layers maps each of its vectors to the "
    "width of the embeddings, and they stand between two special tokens in front of the question. "
    f"They cost what {_PATCHES} tokens cost, with the shape of Qwen3-8B {_PIXELS:.0f} MB of cache, "
    "so neighbours may be merged. First the projector alone learns from pictures with captions, "
    "then projector and language model learn from questions and answers, with text mixed in, so "
    "that nothing is forgotten. The loss counts answer tokens only. Test with questions about "
    "details, with counts and with text in pictures, and each of them with the picture taken away.",
)

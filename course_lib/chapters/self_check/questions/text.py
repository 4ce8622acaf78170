"""Questions on text and training: pieces, special tokens, measures, and steps in their order."""

from course_lib.study.ask.question import OneAnswer, Option, OrderSteps

PIECES = OneAnswer(
    id="self_check.why_pieces",
    prompt="Why do models read pieces of words, learned by byte-level BPE, and not whole words?",
    options=(
        Option(
            "Any text can be spelled, and common words still cost one token.",
            True,
            "what is frequent is merged into one piece; what is rare falls apart into smaller "
            "ones, down to bytes.",
        ),
        Option(
            "Pieces are the parts with a meaning of their own, such as stem and ending.",
            False,
            "merges follow counts. Some pieces look like stems and endings, many do not.",
        ),
        Option(
            "A text takes fewer tokens than it has words.",
            False,
            "it takes more: a word is one piece or several.",
        ),
        Option(
            "Words of every language then cost the same.",
            False,
            "languages that were rare in the tokenizer's training text take more tokens for the "
            "same content.",
        ),
    ),
)

PADDING = OneAnswer(
    id="self_check.end_as_padding",
    prompt="A tokenizer has no padding token, so batches are padded with the end-of-text token, "
    "and the loss leaves out every position whose target is that token. What will the trained "
    "model not do?",
    options=(
        Option(
            "End its texts.",
            True,
            "the true end of each text is left out with the padding, so nothing ever teaches the "
            "model to predict it. Leave positions out by a mask of what is padding.",
        ),
        Option(
            "Read batches of texts of different lengths.",
            False,
            "that is a matter of the attention mask, which does not look at targets.",
        ),
        Option(
            "Tell the beginning of a text from its middle.",
            False,
            "beginnings are read as before. What is missing is a target.",
        ),
        Option(
            "Predict the token right before the end.",
            False,
            "that token is an ordinary target. The one behind it is left out.",
        ),
    ),
)

PERPLEXITY = OneAnswer(
    id="self_check.two_perplexities",
    prompt="Two models read the same text with different tokenizers. Their perplexities per token "
    "are 12 and 20. Which one is the better model of this text?",
    options=(
        Option(
            "That cannot be told without their numbers of tokens.",
            True,
            "a perplexity is per token, and tokens differ. Bits per byte put both on one scale: "
            "log2(perplexity) · tokens / bytes.",
        ),
        Option(
            "The one with 12, since it is less surprised by each token.",
            False,
            "its tokens may be shorter, and short ones are easier to guess. There are more of them "
            "then.",
        ),
        Option(
            "The one with 20, since its tokens must be longer.",
            False,
            "they may be, but nothing here says so, and it might still be the worse one.",
        ),
        Option(
            "Neither: perplexity measures tokenizers, not models.",
            False,
            "with one and the same tokenizer it compares models well.",
        ),
    ),
)

CHAT = OrderSteps(
    id="self_check.one_answer",
    prompt="A chat program turns a message into the first token of its answer. Put its steps in "
    "order.",
    steps=(
        "Frame the conversation by the chat template, and open the model's turn.",
        "Cut the text at its special tokens, and each part into ids.",
        "Look up a vector for each id.",
        "Pass the vectors through all blocks, and keep the keys and values of each.",
        "Norm the last vector and multiply it by the output head.",
        "Change the logits: temperature, then top-p.",
        "Take softmax and draw one id.",
        "Turn the id into bytes, and show them once they are whole characters.",
    ),
    explanation="The template comes first, since its markers become special tokens; scores are "
    "changed before softmax turns them into probabilities; and a single token need not be a whole "
    "character, so text comes last.",
)

ENCODING = OrderSteps(
    id="self_check.encoding",
    prompt="How does a byte-level BPE tokenizer such as Qwen's encode a text? Put the steps in "
    "order.",
    steps=(
        "Cut out the special tokens, the longest first.",
        "Split each remaining part into words by a pattern.",
        "Write each word as its UTF-8 bytes.",
        "Apply the merges within each word, the one learned first before later ones.",
        "Replace each piece by its id.",
    ),
    explanation="Special tokens are cut out before anything could split them; merges never cross "
    "the borders that the pattern draws; and bytes come before merges, since pieces are made of "
    "bytes.",
)

STEP = OrderSteps(
    id="self_check.training_step",
    prompt="Put one step of training a language model in order.",
    steps=(
        "Draw a batch of texts; the targets are the same ids, moved on by one.",
        "Run the model, which gives logits for each position.",
        "Average the surprise at the targets.",
        "Run backward, which gives a gradient for each weight.",
        "Clip the gradients by their common norm.",
        "Let AdamW change the weights.",
        "Clear the gradients for the next batch.",
    ),
    explanation="Gradients are clipped after they are complete and before they are used. They add "
    "up from one backward pass to the next, so they are cleared once they have been used.",
)

"""Questions on text and training: pieces, special tokens, measures, and steps in their order."""

from course_lib.study.ask.question import OneAnswer, Option, OrderSteps

PIECES = OneAnswer(
    id="self_check.why_pieces",
    prompt="Why do models read pieces of words, learned by byte-level BPE, and not whole words?",
    options=(
        Option(
            "Any text can be spelled, and common words still cost one token.",
            True,
            "frequent strings are merged into one piece; rare ones are split into smaller pieces, "
            "down to bytes.",
        ),
        Option(
            "Pieces are the parts of words that carry meaning, such as stems and endings.",
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
            "the real end of each text is left out with the padding, so nothing teaches the model "
            "to predict it. Use a mask of the padding instead.",
        ),
        Option(
            "Read batches of texts of different lengths.",
            False,
            "that depends on the attention mask, not on the targets.",
        ),
        Option(
            "Distinguish the beginning of a text from its middle.",
            False,
            "beginnings are read as before. Only a target is missing.",
        ),
        Option(
            "Predict the token right before the end.",
            False,
            "that token is an ordinary target. The one after it is left out.",
        ),
    ),
)

PERPLEXITY = OneAnswer(
    id="self_check.two_perplexities",
    prompt="Two models read the same text with different tokenizers. Their perplexities per token "
    "are 12 and 20. Which is the better model of this text?",
    options=(
        Option(
            "That cannot be decided without their numbers of tokens.",
            True,
            "perplexity is per token, and the tokens differ. Bits per byte put both on one scale: "
            "log2(perplexity) · tokens / bytes.",
        ),
        Option(
            "The one with 12, since it is less surprised by each token.",
            False,
            "its tokens may be shorter, and short tokens are easier to predict. It then needs more "
            "of them.",
        ),
        Option(
            "The one with 20, since its tokens must be longer.",
            False,
            "they may be, but that does not follow, and it might still be the worse model.",
        ),
        Option(
            "Neither: perplexity measures tokenizers, not models.",
            False,
            "for models with the same tokenizer it is a good comparison.",
        ),
    ),
)

CHAT = OrderSteps(
    id="self_check.one_answer",
    prompt="A chat program computes the first token of its answer to a message. Put its steps in "
    "order.",
    steps=(
        "Format the conversation with the chat template, and open the model's turn.",
        "Split the text at its special tokens, and encode each part as ids.",
        "Look up a vector for each id.",
        "Pass the vectors through all blocks, and cache the keys and values of each.",
        "Norm the last vector and multiply it by the output head.",
        "Change the logits: temperature, then top-p.",
        "Apply softmax and sample one id.",
        "Decode the id to bytes, and show them once they form whole characters.",
    ),
    explanation="The template comes first, since its markers become special tokens; logits are "
    "changed before softmax makes them probabilities; and a token need not be a whole character, "
    "so text comes last.",
)

ENCODING = OrderSteps(
    id="self_check.encoding",
    prompt="How does a byte-level BPE tokenizer such as Qwen's encode a text? Put the steps in "
    "order.",
    steps=(
        "Cut out the special tokens, the longest first.",
        "Split each remaining part into words by a pattern.",
        "Write each word as its UTF-8 bytes.",
        "Apply the merges within each word, in the order in which they were learned.",
        "Replace each piece by its id.",
    ),
    explanation="Special tokens are cut out first, so that nothing can split them; merges never "
    "cross the word boundaries of the pattern; and bytes come before merges, since pieces consist "
    "of bytes.",
)

STEP = OrderSteps(
    id="self_check.training_step",
    prompt="Put one step of training a language model in order.",
    steps=(
        "Draw a batch of texts; the targets are the same ids, shifted by one.",
        "Run the model, which gives logits for each position.",
        "Average the cross-entropy over the targets.",
        "Run backward, which computes a gradient for each weight.",
        "Clip the gradients by their global norm.",
        "Let AdamW change the weights.",
        "Clear the gradients for the next batch.",
    ),
    explanation="Gradients are clipped when they are complete and before they are used. Each "
    "backward pass adds to them, so they are cleared once they have been used.",
)

"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "language_models",
        "write the probability of a text as a product, and say what causal, masked and prefix "
        "models see and predict",
        exercises="masked prefix",
        questions="chain_rule tasks",
    ),
    ability(
        "language_models",
        "build an n-gram model, see why it runs out of counts, and smooth it with add-k and "
        "Kneser-Ney",
        exercises="count add_k kneser_ney continuation",
        questions="add_k_share continuation_why bug_smoothing",
    ),
    ability(
        "language_models",
        "compute entropy, cross-entropy and KL divergence, and turn a perplexity into bits per "
        "byte",
        exercises="entropy cross_entropy kl bits_per_byte",
        questions="coin cross_entropy_coin kl_facts bits_per_byte_report",
    ),
    ability(
        "language_models",
        "compress a text with your language model, and say how far any code can go, with noise "
        "and without",
        exercises="narrow",
        questions="huffman_waste coder_steps interval capacity_bsc above_capacity bug_encoder",
    ),
)

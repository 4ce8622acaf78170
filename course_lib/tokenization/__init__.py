"""From text to integers and back: the subword tokenizers that language models use.

    patterns      cut text into words before anything is counted
    word_cache    words seen before need not be encoded again
    bpe_training  learn merges from counts of neighbouring pieces
    byte_bpe      byte-level BPE: encode by merge rank, decode any bytes
    normalization one spelling for letters that Unicode can spell in two ways
    wordpiece     greedy longest match, as in BERT
    segmentation  all ways to cut a word: the best, the sum, a random one
    unigram_training  probabilities by expectation maximization, and pruning
    unigram       the most probable segmentation, as in SentencePiece
    special       tokens that are not text
    chat          a conversation as one sequence
    cost          how much text a token covers, and what none covers
    huggingface   read and write `tokenizer.json`

Nothing is imported here: a notebook names the file it teaches from.
"""

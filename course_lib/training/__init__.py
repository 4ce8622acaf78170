"""How a pile of text becomes weights: objective, optimizer, schedule, batches, loop and runs.

    objective   the surprise at each next token, shifted by one
    optimizer   AdamW, step by step and over groups of parameters
    schedule    warm-up and cosine
    gradients   clipping by the norm of all, shares of a batch in parts
    descent     the loop in five lines, and a valley in which it has trouble
    data        crops of a memory-mapped row of tokens, random ids that repeat
    loop        one step after the other, saved and gone on with exactly
    evaluation  bits per byte, and what the heads do
    recipes     what the course's own models are made of
    scaling     what loss more parameters and more tokens buy
    runs        a recipe under way in a folder

Nothing is imported here: a notebook names the file it teaches from.
"""

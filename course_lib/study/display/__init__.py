"""How things look: house style, explorers, labels, the static form for saved files."""

"""Questions: kinds, grading, cards, and the quiz in a terminal or a notebook."""

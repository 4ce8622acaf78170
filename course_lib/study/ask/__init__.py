"""Questions: their kinds, grading, cards, the terminal's and the notebook's quiz."""

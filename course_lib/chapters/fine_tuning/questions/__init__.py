"""The questions that close this notebook."""
QUESTIONS = ()

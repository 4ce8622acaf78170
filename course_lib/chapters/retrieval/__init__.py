"""The lesson on retrieval: its exercises, questions, figures, explorers and measurements."""

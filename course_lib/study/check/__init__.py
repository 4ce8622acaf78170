"""Exercises: specification, decorator, sandbox, diagnosis, feedback, proof of the bank."""

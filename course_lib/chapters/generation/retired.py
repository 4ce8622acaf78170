"""Exercises that this chapter no longer has, and which exercise teaches the same now."""

RETIRED = {"generation.positions": "transformer.positions"}

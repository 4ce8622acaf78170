"""Exercises that chapter 12 no longer has, and which exercise teaches the same now."""

RETIRED = {"generation.positions": "transformer.positions"}

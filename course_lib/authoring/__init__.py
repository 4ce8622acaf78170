"""Tools for authors: build, lint and replay notebooks, run every check, write HTML pages."""

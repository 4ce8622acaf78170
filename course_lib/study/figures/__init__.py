"""Pure functions that draw, one module for each notebook: `figures.softmax.overflow_map(...)`."""

from course_lib.study.chapters import chapter_modules

__getattr__ = chapter_modules(__name__)

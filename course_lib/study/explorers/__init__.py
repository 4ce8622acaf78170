"""Pictures that answer to the hand, one module for each notebook: `explorers.softmax.merge()`."""

from course_lib.study.chapters import chapter_modules

__getattr__ = chapter_modules(__name__)

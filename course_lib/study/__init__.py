"""The classroom: everything that shows, asks, checks and remembers.

Notebooks take what they need from `course_lib.study.desk`.
"""

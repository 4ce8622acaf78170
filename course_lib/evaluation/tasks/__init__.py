"""The tasks of the harness, one file each. A file has a `TASK`; its name is the task's name.

Taught in:        evaluation
"""

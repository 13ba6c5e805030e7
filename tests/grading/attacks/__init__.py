"""Attacks on the grader, each a file that is handed in and graded by the real thing.

A module holds one class of attack in its table ``ATTACKS``; :mod:`tests.grading.attacks.attack` says what stands in it,
and conftest.py grades a whole table as a class. The threat model in words is docs/grading.md.
"""

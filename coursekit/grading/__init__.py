"""Release, check, grade, gradebook and reports, on nbval. Knows notebooks, and nothing of the lessons' subject.

A *key* is a notebook in ``solutions/``. Its code cells carry a role (:mod:`coursekit.grading.key`).
What a learner hands in is read for its answer cells only; the rest of what runs comes from the key
(:mod:`coursekit.grading.grade`). Values leave the kernel as data and are compared outside it
(:mod:`coursekit.grading.compare`).
"""

from coursekit.grading.checks import Check

__all__ = ["Check"]

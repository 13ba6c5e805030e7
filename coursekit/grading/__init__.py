"""Release, check, grade, gradebook and reports, on nbval. Knows notebooks, and nothing of the lessons' subject.

What runs inside a learner's kernel stands here: :mod:`~coursekit.grading.checks` (the visible check),
:mod:`~coursekit.grading.judge` (values out, as data) and :mod:`~coursekit.grading.watch` (calls that a task forbids).
What decides stands outside the kernel, each room on top of the ones before: ``exercise`` (the key, and what is
handed in), ``lint`` (what is wrong with a key), ``kernels`` (where cells run), ``marking`` (one notebook), ``course``
(a class over a term), ``collecting`` (what a platform delivers), ``report``, ``commands``.
"""

__all__ = ["Check"]


def __getattr__(name: str):
    if name == "Check":
        from coursekit.grading.checks import Check

        return Check
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

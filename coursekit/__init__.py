"""A notebook course on making deep-learning models fast, and the library under it.

Importing the package loads nothing heavy: its parts are loaded when first asked for, so
``coursekit.kernels`` or ``from coursekit import measure`` pay for what they use only.
"""

from importlib import import_module

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "claims",
    "data",
    "grading",
    "kernels",
    "measure",
    "models",
    "plots",
    "syllabus",
    "widgets",
]


def __getattr__(name: str):
    if name in __all__:
        return import_module(f"coursekit.{name}")
    raise AttributeError(f"module 'coursekit' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""Clocks, this machine's ceilings, FLOP and byte counts, quality with intervals, and the ledger.

Every name below is loaded when first asked for, so importing the package costs nothing.
"""

from importlib import import_module

_HOME_OF = {
    "clock": ("CandidateError", "Comparison", "Latency", "Ratio", "Timing", "compare", "latency"),
    "trends": ("Slope", "Trend", "fit_slope", "trend"),
    "machine": ("Machine", "this_machine"),
    "roofline": ("Ceilings", "Level"),
    "ceiling_cache": ("ceilings",),
    "chains": ("fma_rate",),
    "counts": ("Counts", "LayerCount", "count", "count_op"),
    "tallies": ("Tally", "tally"),
    "gpu": ("Race", "Request", "Trace", "Traffic", "trace"),
    "scores": ("Difference", "Estimate", "Quality", "mcnemar", "quality"),
    "paired_seeds": ("Paired", "paired"),
    "ledger": ("Ledger", "Row"),
    "doctor": ("Finding", "print_report", "report"),
}
# No function has the name of its module: importing the submodule would hide the function.
_MODULE_OF = {name: module for module, names in _HOME_OF.items() for name in names}

__all__ = list(_MODULE_OF)


def __getattr__(name: str):
    if name in _MODULE_OF:
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value
    if name in _HOME_OF:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return list(__all__)

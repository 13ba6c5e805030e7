"""This machine's ceilings: measured once, and then remembered for as long as it is the same machine."""

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from coursekit.measure.machine import Machine, this_machine
from coursekit.measure.roofline import MAIN_MEMORY, THREADS, Ceilings, Level
from coursekit.storage import home, write_atomically

FORMAT = 1


def ceilings(refresh: bool = False, progress: Callable[[float, str], object] | None = None) -> Ceilings:
    """This machine's ceilings, from `home()` where they were measured before, measured now otherwise (about 8 s).

    refresh: measure in any case. progress: called with the part done (0 to 1) and what is measured.
    A cache file that is damaged, or of another machine or version, is measured anew. Where the result cannot be
    saved, it is returned all the same, with a RuntimeWarning.
    """
    machine = this_machine()
    path = home() / f"ceilings-{machine.fingerprint}.json"
    found = None if refresh else load(path, machine)
    if found is None:
        from coursekit.measure import ceiling_run

        found = ceiling_run.measure(machine, progress)
        try:
            save(path, found)
        except OSError as error:
            warnings.warn(
                f"the ceilings could not be saved, and will be measured again: {error}", RuntimeWarning, 2
            )
    return found


def save(path: Path, ceilings: Ceilings) -> None:
    """Write as JSON, atomically. Raises OSError."""
    write_atomically(path, json.dumps({"format": FORMAT} | asdict(ceilings), indent=1))


def load(path: Path, machine: Machine) -> Ceilings | None:
    """What `save` wrote for `machine`, or None for a file that is missing, damaged, or of another machine."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts.pop("format") != FORMAT or facts["fingerprint"] != machine.fingerprint:
            return None
        facts["levels"] = {name: Level(**level) for name, level in facts["levels"].items()}
        found = Ceilings(**facts)
        rates = [found.peak(t) for t in THREADS] + [
            found.bandwidth(n, t) for n in found.levels for t in THREADS
        ]
        good = MAIN_MEMORY in found.levels and all(math.isfinite(rate) and rate > 0 for rate in rates)
        return found if good else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None

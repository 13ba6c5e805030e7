"""A machine whose ceilings are round numbers."""

from dataclasses import replace

from coursekit.measure import this_machine
from coursekit.measure.machine import Cache

LEVELS = {"L1": 200e9, "L2": 100e9, "L3": 50e9, "DRAM": 20e9}
CACHES = (Cache("L1", 32 << 10, 1), Cache("L2", 512 << 10, 1), Cache("L3", 32 << 20, 2))
MACHINE = replace(this_machine(), caches=CACHES, cores=2, memory=16 << 30)
RATES = {("peak", "one"): 100e9, ("peak", "all"): 190e9}
RATES |= {(name, "one"): rate for name, rate in LEVELS.items()}
RATES |= {(name, "all"): 1.5 * rate for name, rate in LEVELS.items()}
SETS = {"L1": 16 << 10, "L2": 256 << 10, "L3": 16 << 20, "DRAM": 128 << 20}

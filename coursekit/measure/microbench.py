"""The loops behind the ceilings, written with LLVM vectors so that no compiler's choice decides their speed.

`fma(n, x, y)` keeps independent accumulators in registers: enough of them to cover the latency of every
multiply-add unit. `copy(dst, src, repeats)` reads and writes whole vectors, and `stream` is the same with
stores that bypass the caches. All release the GIL, so that Python threads run them side by side.
"""

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from coursekit.measure.machine import cpu_features

UNROLL = 8


@dataclass(frozen=True)
class Kernels:
    """The compiled loops; `lanes` is the vector's float32 count, `chains` the number of accumulators."""

    fma: Callable
    copy: Callable
    stream: Callable
    lanes: int
    chains: int

    @property
    def flops_per_step(self) -> int:
        return 2 * self.lanes * self.chains

    @property
    def block(self) -> int:
        """Elements that one step of a copy moves; buffers hold a multiple of it."""
        return self.lanes * UNROLL


def vector_shape(features: tuple[str, ...]) -> tuple[int, int]:
    """(float32 lanes, accumulators) of a machine: 24 accumulators where it has 32 registers, else 12."""
    if "avx512f" in features:
        return 16, 24
    if "avx" in features:
        return 8, 12
    return 4, 24 if "neon" in features else 12


@functools.cache
def kernels() -> Kernels:
    """Compile the loops for this machine (about a second)."""
    lanes, chains = vector_shape(cpu_features())
    fma_steps, copy_once, stream_once = fma_loop(lanes, chains), _copy(lanes, False), _copy(lanes, True)

    @njit("float32(int64, float32, float32)", nogil=True)
    def fma(n, x, y):
        return fma_steps(n, x, y)

    @njit("void(float32[::1], float32[::1], int64)", nogil=True)
    def copy(dst, src, repeats):
        for _ in range(repeats):
            copy_once(dst, src)

    @njit("void(float32[::1], float32[::1], int64)", nogil=True)
    def stream(dst, src, repeats):
        for _ in range(repeats):
            stream_once(dst, src)

    return Kernels(fma, copy, stream, lanes, chains)


def fma_loop(lanes: int, chains: int):
    """An intrinsic ``(n, x, y)``: n steps of a = a·x + y on each of ``chains`` accumulators of ``lanes`` float32."""

    @intrinsic
    def fma_steps(typing_context, n, x, y):
        def codegen(context, builder, signature, args):
            vector = ir.VectorType(ir.FloatType(), lanes)
            x, y = (_splat(builder, vector, value) for value in args[1:])
            kind = ir.FunctionType(vector, [vector] * 3)
            fmuladd = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{lanes}f32")
            starts = ([float(chain + i) for i in range(lanes)] for chain in range(chains))
            sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, start)) for start in starts]
            with cgutils.for_range(builder, args[0]):
                for slot in sums:
                    builder.store(builder.call(fmuladd, [builder.load(slot), x, y]), slot)
            total = builder.load(sums[0])
            for slot in sums[1:]:
                total = builder.fadd(total, builder.load(slot))
            first, *others = [builder.extract_element(total, ir.IntType(32)(i)) for i in range(lanes)]
            return functools.reduce(builder.fadd, others, first)

        return types.float32(types.int64, types.float32, types.float32), codegen

    return fma_steps


def _splat(builder, vector, value):
    filled = ir.Constant(vector, ir.Undefined)
    for i in range(vector.count):
        filled = builder.insert_element(filled, value, ir.IntType(32)(i))
    return filled


def _copy(lanes: int, streaming: bool):
    @intrinsic
    def copy_once(typing_context, dst, src):
        def codegen(context, builder, signature, args):
            vector = ir.VectorType(ir.FloatType(), lanes)
            arrays = [
                context.make_array(kind)(context, builder, value)
                for kind, value in zip(signature.args, args, strict=True)
            ]
            to, source = (builder.bitcast(array.data, vector.as_pointer()) for array in arrays)
            length = builder.udiv(arrays[1].nitems, arrays[1].nitems.type(lanes))
            zero, step = length.type(0), length.type(UNROLL)
            with cgutils.for_range_slice(builder, zero, length, step, length.type) as (i, _):
                places = [builder.add(i, length.type(k)) for k in range(UNROLL)]
                values = [builder.load(builder.gep(source, [at]), align=4 * lanes) for at in places]
                for at, value in zip(places, values, strict=True):
                    store = builder.store(value, builder.gep(to, [at]), align=4 * lanes)
                    if streaming:
                        store.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
            return context.get_dummy_value()

        return types.void(dst, src), codegen

    return copy_once


def buffers(nbytes: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Two float32 arrays of together about `nbytes` bytes, aligned for vectors, with every page touched.

    The second starts half a page off the first, so that a load and a store do not share the low address bits.
    """
    count = max(block, nbytes // 8 // block * block)
    room = np.zeros(2 * count + 4096 // 4 + 512 + 32, np.float32)
    start = -room.ctypes.data % 64 // 4
    second = start + count
    second += (512 - (second - start)) % 1024
    dst, src = room[start : start + count], room[second : second + count]
    src[:], dst[:] = 1.0, 0.0
    return dst, src


def run_together(work: list[Callable[[], object]]) -> tuple[float, float]:
    """Start every function at once in a thread of its own: (wall seconds, largest CPU seconds of a thread).

    Wall time runs from the first start to the last end. Neither Numba's nor torch's own threads are touched.
    """
    barrier = threading.Barrier(len(work))
    spans: list[tuple[int, int]] = []
    on_cpu: list[int] = []
    errors: list[BaseException] = []

    def body(function):
        try:
            barrier.wait()
            start, busy = time.perf_counter_ns(), time.thread_time_ns()
            function()
            on_cpu.append(time.thread_time_ns() - busy)
            spans.append((start, time.perf_counter_ns()))
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=body, args=(function,)) for function in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    wall = max(end for _, end in spans) - min(start for start, _ in spans)
    return wall * 1e-9, max(on_cpu) * 1e-9

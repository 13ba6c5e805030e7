"""Small matrix products by a whole warp: the instructions of the tensor cores, and which thread holds which numbers.

``multiply_halves`` and ``multiply_bfloat16s`` add a product of 16 x 16 by 16 x 8 numbers to sums of float32,
``multiply_bytes`` one of 16 x 32 by 32 x 8 to sums of int32. The 32 threads of a warp hold the matrices together, each
a fragment of them, laid out as in the PTX ISA, sections "Matrix fragments for mma.m16n8k16 with floating point type"
and "Matrix fragments for mma.m16n8k32". Both layouts are one if a matrix is counted in words of 32 bits along k: two
numbers of 16 bits, or four bytes.

The simulator has neither warps nor tensor cores. Its twins put all fragments into shared memory by the formulas that
the PTX ISA has for single numbers, and multiply in plain loops; kernels find their words by ``left_place``,
``right_place`` and ``sum_place`` in both worlds. So a kernel that is right in the simulator has the layout right.
"""

import numpy as np
from numba import cuda, float32, int32

from coursekit.kernels.bfloat16 import from_bfloat16
from coursekit.kernels.cuda.kernel import SIMULATED

WARP = 32
ROWS, COLUMNS, WORDS = 16, 8, 8
"""Of the product, and how many words deep it is."""


@cuda.jit(device=True)
def left_place(lane, i):
    """Row and word, in 16 x 8 words, of the i-th of four words that a thread holds of the left matrix."""
    return lane // 4 + 8 * (i % 2), lane % 4 + 4 * (i // 2)


@cuda.jit(device=True)
def right_place(lane, i):
    """Word and column, in 8 words x 8, of the i-th of two words that a thread holds of the right matrix."""
    return lane % 4 + 4 * i, lane // 4


@cuda.jit(device=True)
def sum_place(lane, i):
    """Row and column, in 16 x 8, of the i-th of four sums that a thread holds."""
    return lane // 4 + 8 * (i // 2), 2 * (lane % 4) + i % 2


def halves(words):
    """The float16 in words of 32 bits, in the order of memory."""
    return np.array(words, np.uint32).view(np.float16)


def bfloat16s(words):
    """What the bfloat16 in words of 32 bits are worth."""
    return from_bfloat16(np.array(words, np.uint32).view(np.uint16))


def signed_bytes(words):
    """The int8 in words of 32 bits."""
    return np.array(words, np.uint32).view(np.int8)


def numbers_in_a_word(numbers) -> int:
    return len(numbers((0,)))


def put_numbers(lane, left_words, right_words, numbers, left, right):
    """Write what a thread holds to where it stands in the two matrices, number by number, as the PTX ISA says.

    ``numbers(words)`` are those in the words.
    """
    per = numbers_in_a_word(numbers)
    group, member = lane // 4, lane % 4
    for i, number in enumerate(numbers(left_words)):
        row = group if i // per % 2 == 0 else group + 8
        left[row, member * per + i % per + (0 if i < 2 * per else 4 * per)] = number
    for i, number in enumerate(numbers(right_words)):
        right[member * per + i % per + (0 if i < per else 4 * per), group] = number


def of_sum(lane, i):
    """Row and column of the i-th of a thread's four sums, as the PTX ISA says."""
    return lane // 4 + (0 if i < 2 else 8), lane % 4 * 2 + i % 2


def _twin(numbers, wide):
    """The product for the simulator, of the ``numbers`` in words, which are summed in Numba's type ``wide``."""
    most, depth = 1024 // WARP, WORDS * numbers_in_a_word(numbers)

    @cuda.jit(device=True)
    def multiply(a0, a1, a2, a3, b0, b1, c0, c1, c2, c3):
        left = cuda.shared.array((most, ROWS, depth), dtype=wide)
        right = cuda.shared.array((most, depth, COLUMNS), dtype=wide)
        warp, lane = divmod(cuda.threadIdx.x, WARP)
        put_numbers(lane, (a0, a1, a2, a3), (b0, b1), numbers, left[warp], right[warp])
        cuda.syncthreads()
        sums = [c0, c1, c2, c3]
        for i in range(4):
            row, column = of_sum(lane, i)
            for k in range(depth):
                sums[i] += left[warp, row, k] * right[warp, k, column]
        cuda.syncthreads()
        return tuple(sums)

    return multiply


if SIMULATED:
    multiply_halves = _twin(halves, float32)
    multiply_bfloat16s = _twin(bfloat16s, float32)
    multiply_bytes = _twin(signed_bytes, int32)

else:
    from llvmlite import ir
    from numba import types

    from coursekit.kernels.cuda.vectors import intrinsic

    def _lower(instruction, number, letter):
        """Inline PTX: four results, four words of the left matrix, two of the right one, and four sums."""
        places = [f"${i}" for i in range(14)]
        groups = (places[:4], places[4:8], places[8:10], places[10:])
        text = f"{instruction} " + ", ".join("{" + ", ".join(group) + "}" for group in groups) + ";"
        letters = [f"={letter}"] * 4 + ["r"] * 6 + [letter] * 4

        def lower(context, builder, signature, arguments):
            kind = context.get_value_type(number)
            four = ir.LiteralStructType([kind] * 4)
            function = ir.FunctionType(four, [ir.IntType(32)] * 6 + [kind] * 4)
            done = builder.call(ir.InlineAsm(function, text, ",".join(letters), side_effect=True), arguments)
            parts = [builder.extract_value(done, i) for i in range(4)]
            return context.make_tuple(builder, signature.return_type, parts)

        return lower

    def _signature(number):
        return types.UniTuple(number, 4)(*[types.uint32] * 6, *[number] * 4)

    @intrinsic
    def multiply_halves(typing, a0, a1, a2, a3, b0, b1, c0, c1, c2, c3):
        """The sums c plus the product of a and b, which are words of two float16."""
        instruction = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"
        return _signature(types.float32), _lower(instruction, types.float32, "f")

    @intrinsic
    def multiply_bfloat16s(typing, a0, a1, a2, a3, b0, b1, c0, c1, c2, c3):
        """The sums c plus the product of a and b, which are words of two bfloat16."""
        instruction = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
        return _signature(types.float32), _lower(instruction, types.float32, "f")

    @intrinsic
    def multiply_bytes(typing, a0, a1, a2, a3, b0, b1, c0, c1, c2, c3):
        """The sums c plus the product of a and b, which are words of four int8."""
        instruction = "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32"
        return _signature(types.int32), _lower(instruction, types.int32, "r")

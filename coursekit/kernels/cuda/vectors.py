"""Four numbers in one load or store of 128 bits, and four products of bytes in one instruction.

A warp that asks for 32 neighbours of four bytes moves 128 bytes in one instruction; with 128 bits a thread it moves
512, and needs a quarter of the instructions. The address has to be a multiple of 16. The simulator runs the twins that
come first: four plain reads or writes, with a check of what the GPU demands.
"""

import numpy as np
from numba import cuda

from coursekit.kernels.cuda.kernel import SIMULATED

if SIMULATED:

    @cuda.jit(device=True)
    def load4(array, i):
        """Four neighbours of a flat array of four-byte numbers from position ``i``, a multiple of four, as a tuple."""
        assert i % 4 == 0 and array.ctypes.data % 16 == 0
        return array[i], array[i + 1], array[i + 2], array[i + 3]

    @cuda.jit(device=True)
    def store4(array, i, a, b, c, d):
        """Write four neighbours of a flat array of four-byte numbers from position ``i``, a multiple of four."""
        assert i % 4 == 0 and array.ctypes.data % 16 == 0
        array[i], array[i + 1], array[i + 2], array[i + 3] = a, b, c, d

    @cuda.jit(device=True)
    def store2(array, i, a, b):
        """Write two neighbours of a flat array of four-byte numbers from position ``i``, an even one."""
        assert i % 2 == 0
        array[i], array[i + 1] = a, b

    @cuda.jit(device=True)
    def add_fours(a, b, total):
        """``total`` plus the products of four int8 in a word with four in another, as int32."""
        a, b = (np.array([word], np.uint32).view(np.int8) for word in (a, b))
        return total + (np.int32(a) * np.int32(b)).sum(dtype=np.int32)

else:
    from llvmlite import ir
    from numba import types

    try:
        from numba.cuda.extending import intrinsic
    except ImportError:  # Numba's own, older CUDA target
        from numba.extending import intrinsic

    def _address(context, builder, kind, array, i, many=4):
        data = context.make_array(kind)(context, builder, array).data
        vector = ir.VectorType(context.get_data_type(kind.dtype), many)
        return builder.bitcast(builder.gep(data, [i]), ir.PointerType(vector, data.type.addrspace)), vector

    @intrinsic
    def load4(typing, array, i):
        """Four neighbours of a flat array of four-byte numbers from position ``i``, a multiple of four, as a tuple."""
        kinds = types.UniTuple(array.dtype, 4)

        def lower(context, builder, signature, arguments):
            address, _ = _address(context, builder, signature.args[0], *arguments)
            vector = builder.load(address, align=16)
            four = [builder.extract_element(vector, ir.IntType(32)(n)) for n in range(4)]
            return context.make_tuple(builder, kinds, four)

        return kinds(array, types.intp), lower

    @intrinsic
    def store4(typing, array, i, a, b, c, d):
        """Write four neighbours of a flat array of four-byte numbers from position ``i``, a multiple of four."""

        return types.void(array, types.intp, *[array.dtype] * 4), _store

    @intrinsic
    def store2(typing, array, i, a, b):
        """Write two neighbours of a flat array of four-byte numbers from position ``i``, an even one."""
        return types.void(array, types.intp, *[array.dtype] * 2), _store

    def _store(context, builder, signature, arguments):
        array, i, *numbers = arguments
        address, vector = _address(context, builder, signature.args[0], array, i, len(numbers))
        value = ir.Constant(vector, ir.Undefined)
        for n, number in enumerate(numbers):
            value = builder.insert_element(value, number, ir.IntType(32)(n))
        builder.store(value, address, align=4 * len(numbers))
        return context.get_dummy_value()

    @intrinsic
    def add_fours(typing, a, b, total):
        """``total`` plus the products of four int8 in a word with four in another, as int32."""

        def lower(context, builder, signature, arguments):
            word = ir.IntType(32)
            kind = ir.FunctionType(word, [word] * 3)
            return builder.call(ir.InlineAsm(kind, "dp4a.s32.s32 $0, $1, $2, $3;", "=r,r,r,r"), arguments)

        return types.int32(types.uint32, types.uint32, types.int32), lower

"""Four numbers in one load or store of 128 bits.

A warp that asks for 32 neighbours of four bytes moves 128 bytes in one instruction; with 128 bits a thread it moves
512, and needs a quarter of the instructions. The address has to be a multiple of 16. The simulator runs the twins that
come first: four plain reads or writes, with a check of what the GPU demands.
"""

from numba import cuda

from coursekit.kernels.cuda.kernel import SIMULATED

if SIMULATED:

    @cuda.jit(device=True)
    def load4(array, i):
        """Four neighbours of a flat array of float32 from position ``i``, a multiple of four, as a tuple."""
        assert i % 4 == 0 and array.ctypes.data % 16 == 0
        return array[i], array[i + 1], array[i + 2], array[i + 3]

    @cuda.jit(device=True)
    def store4(array, i, a, b, c, d):
        """Write four neighbours of a flat array of float32 from position ``i``, a multiple of four."""
        assert i % 4 == 0 and array.ctypes.data % 16 == 0
        array[i], array[i + 1], array[i + 2], array[i + 3] = a, b, c, d

else:
    from llvmlite import ir
    from numba import types

    try:
        from numba.cuda.extending import intrinsic
    except ImportError:  # Numba's own, older CUDA target
        from numba.extending import intrinsic

    def _address(context, builder, kind, array, i):
        data = context.make_array(kind)(context, builder, array).data
        vector = ir.VectorType(context.get_data_type(kind.dtype), 4)
        return builder.bitcast(builder.gep(data, [i]), ir.PointerType(vector, data.type.addrspace)), vector

    @intrinsic
    def load4(typing, array, i):
        """Four neighbours of a flat array of float32 from position ``i``, a multiple of four, as a tuple."""
        kinds = types.UniTuple(array.dtype, 4)

        def lower(context, builder, signature, arguments):
            address, _ = _address(context, builder, signature.args[0], *arguments)
            vector = builder.load(address, align=16)
            four = [builder.extract_element(vector, ir.IntType(32)(n)) for n in range(4)]
            return context.make_tuple(builder, kinds, four)

        return kinds(array, types.intp), lower

    @intrinsic
    def store4(typing, array, i, a, b, c, d):
        """Write four neighbours of a flat array of float32 from position ``i``, a multiple of four."""

        def lower(context, builder, signature, arguments):
            address, vector = _address(context, builder, signature.args[0], *arguments[:2])
            value = ir.Constant(vector, ir.Undefined)
            for n, number in enumerate(arguments[2:]):
                value = builder.insert_element(value, number, ir.IntType(32)(n))
            builder.store(value, address, align=16)
            return context.get_dummy_value()

        return types.void(array, types.intp, *[array.dtype] * 4), lower


def are_aligned(*arrays) -> bool:
    """Whether the first element of each array on the device stands at a multiple of 16 bytes.

    All that is allocated does; what begins in the middle, as ``x[1:]`` does, may not.
    """
    return all(_start(array) % 16 == 0 for array in arrays)


def _start(array) -> int:
    return array._ary.ctypes.data if SIMULATED else array.__cuda_array_interface__["data"][0]

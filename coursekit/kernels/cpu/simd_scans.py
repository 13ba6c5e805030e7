"""A linear recurrence along the lanes of a register, by doubling."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from coursekit.kernels.cpu.simd import CONTRACT, Vector, _is_float


def _moved(builder, vector, reach, filler):
    """Each lane holds what stood ``reach`` lanes before; the first ones hold ``filler``."""
    lanes = vector.type.count
    places = [
        lanes + i if i < reach else i - reach for i in range(lanes)
    ]  # from lanes on: those of the filler
    order = ir.Constant(ir.VectorType(ir.IntType(32), lanes), places)
    other = ir.Constant(vector.type, [filler] * lanes)
    return builder.shuffle_vector(vector, other, order)


@intrinsic
def scan_lanes(typing, factors, terms):
    """(products, states): of all factors up to each lane, and of h ← factor · h + term from lane to lane, from 0 on.

    Hillis and Steele, "Data parallel algorithms", CACM 29(12), 1986: log₂ of the lanes rounds, each a product and a
    multiply-add of whole vectors.
    """
    if not isinstance(factors, Vector) or factors != terms or not _is_float(factors):
        return None

    def lower(context, builder, signature, arguments):
        products, states = arguments
        reach = 1
        while reach < factors.lanes:
            carried = builder.fmul(products, _moved(builder, states, reach, 0.0), flags=CONTRACT)
            states = builder.fadd(states, carried, flags=CONTRACT)
            products = builder.fmul(products, _moved(builder, products, reach, 1.0))
            reach *= 2
        return context.make_tuple(builder, signature.return_type, [products, states])

    return types.UniTuple(factors, 2)(factors, terms), lower


@intrinsic
def last(typing, vector):
    """The last lane's number in all lanes."""
    if not isinstance(vector, Vector):
        return None

    def lower(context, builder, signature, arguments):
        (value,) = arguments
        order = ir.Constant(ir.VectorType(ir.IntType(32), vector.lanes), [vector.lanes - 1] * vector.lanes)
        return builder.shuffle_vector(value, value, order)

    return vector(vector), lower

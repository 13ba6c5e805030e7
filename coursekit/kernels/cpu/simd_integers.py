"""Small integers in the vectors of :mod:`~coursekit.kernels.cpu.simd`: widened, multiplied, and summed by neighbours.

A product of int8 is no more than 2¹⁴, and machines have instructions that multiply neighbours and add them up into
int32. Where there is none, the same is done step by step, with the same bits.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from coursekit.kernels.cpu.simd import (
    BYTES,
    FEATURES,
    _declare,
    _element_by_element,
    _is_array,
    _is_integer,
    _spread,
    vector_of,
)


@intrinsic
def load_widened(typing, array, position):
    """A register of int16, read from half as many bytes of an array of int8."""
    if not _is_array(array) or array.dtype != types.int8:
        return None
    kind = vector_of(types.int16)

    def lower(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, arguments[0]).data
        narrow = ir.VectorType(ir.IntType(8), kind.lanes)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), narrow.as_pointer())
        return builder.sext(builder.load(address, align=1), context.get_value_type(kind))

    return kind(array, types.intp), lower


@intrinsic
def load_bytes(typing, array, position):
    """A register of int32, read from a quarter as many bytes of an array of uint8."""
    if not _is_array(array) or array.dtype != types.uint8:
        return None
    kind = vector_of(types.int32)

    def lower(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, arguments[0]).data
        narrow = ir.VectorType(ir.IntType(8), kind.lanes)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), narrow.as_pointer())
        return builder.zext(builder.load(address, align=1), context.get_value_type(kind))

    return kind(array, types.intp), lower


@intrinsic
def to_floats(typing, numbers):
    """A vector of int32 in float32."""
    if numbers != vector_of(types.int32):
        return None
    kind = vector_of(types.float32)

    def lower(context, builder, signature, arguments):
        return builder.sitofp(arguments[0], context.get_value_type(kind))

    return kind(numbers), lower


@intrinsic
def load_four(typing, array, position):
    """Four neighbours of an array of int8 or int16, again and again in all lanes."""
    if not _is_array(array) or array.dtype not in (types.int8, types.int16):
        return None
    kind = vector_of(array.dtype)

    def lower(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, arguments[0]).data
        size = 4 * array.dtype.bitwidth
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(size).as_pointer())
        four = builder.load(address, align=array.dtype.bitwidth // 8)
        spread = _spread(builder, four, ir.VectorType(ir.IntType(size), BYTES * 8 // size))
        return builder.bitcast(spread, context.get_value_type(kind))

    return kind(array, types.intp), lower


@intrinsic
def interleave_four(typing, source, position, stride, target, at):
    """Copy 16 numbers each from four positions, ``stride`` apart, of an array of int8: all the first, the second, …"""
    if not (_is_array(source) and _is_array(target) and source.dtype == target.dtype == types.int8):
        return None
    row = ir.VectorType(ir.IntType(8), 16)

    def lower(context, builder, signature, arguments):
        read, where, step, write, to = arguments
        rows = []
        for _ in range(4):
            address = builder.gep(context.make_array(source)(context, builder, read).data, [where])
            rows.append(builder.load(builder.bitcast(address, row.as_pointer()), align=1))
            where = builder.add(where, step)
        both = [_turn(builder, rows[i], rows[i + 2], range(16)) for i in (0, 1)]  # 0 with 2, 1 with 3
        whole = _turn(builder, *both, range(32))
        address = builder.gep(context.make_array(target)(context, builder, write).data, [to])
        builder.store(whole, builder.bitcast(address, whole.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(source, types.intp, types.intp, target, types.intp), lower


def _turn(builder, x, y, lanes):
    """x[0], y[0], x[1], y[1], …"""
    order = [i + part for i in lanes for part in (0, x.type.count)]
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order))


def _every(builder, count, first, x, y=None):
    """Each ``count``-th lane of x, and then of y, from lane ``first`` on."""
    alone = y is None
    y = ir.Constant(x.type, ir.Undefined) if alone else y
    total = x.type.count * (1 if alone else 2)
    order = list(range(first, total, count))
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order))


def _sum_of_groups(builder, products, count):
    total = _every(builder, count, 0, products)
    for i in range(1, count):
        total = builder.add(total, _every(builder, count, i, products))
    return total


# Each machine's own instruction, by the bytes of a register: the feature it needs, and what LLVM calls it.
_PAIRS = {
    16: ("sse2", "llvm.x86.sse2.pmadd.wd"),
    32: ("avx2", "llvm.x86.avx2.pmadd.wd"),
    64: ("avx512bw", "llvm.x86.avx512.pmaddw.d.512"),
}
_FOURS = {
    16: ("none", ""),
    32: ("avxvnni", "llvm.x86.avx512.vpdpbusd.256"),
    64: ("avx512vnni", "llvm.x86.avx512.vpdpbusd.512"),
}
HAS_FOURS = _FOURS[BYTES][0] in FEATURES
"""Whether :func:`add_fours` is one instruction here."""


@intrinsic
def multiply_pairs(typing, x, y):
    """Of two vectors of int16, the int32 sums x[0]·y[0] + x[1]·y[1], x[2]·y[2] + x[3]·y[3], …: exact, or modulo 2³²."""
    if x != y or x != vector_of(types.int16):
        return None
    kind = vector_of(types.int32)

    def lower(context, builder, signature, arguments):
        feature, name = _PAIRS[BYTES]
        if feature in FEATURES:
            result, form = context.get_value_type(kind), arguments[0].type
            return builder.call(_declare(builder, name, result, form, form), arguments)
        wide = ir.VectorType(ir.IntType(32), x.lanes)
        a, b = (builder.sext(v, wide) for v in arguments)
        return _sum_of_groups(builder, builder.mul(a, b), 2)

    return kind(x, y), lower


@intrinsic
def add_fours(typing, sums, x, y):
    """To each int32 of ``sums`` four products of neighbours, x's bytes taken as uint8 and y's as int8: modulo 2³²."""
    if x != y or x != vector_of(types.int8) or sums != vector_of(types.int32):
        return None

    def lower(context, builder, signature, arguments):
        feature, name = _FOURS[BYTES]
        if feature in FEATURES:
            forms = [v.type for v in arguments]
            return builder.call(_declare(builder, name, forms[0], *forms), arguments)
        wide = ir.VectorType(ir.IntType(32), x.lanes)
        products = builder.mul(builder.zext(arguments[1], wide), builder.sext(arguments[2], wide))
        return builder.add(arguments[0], _sum_of_groups(builder, products, 4))

    return sums(sums, x, y), lower


def _sums_of_pairs(builder, kind, x, y):
    return builder.add(_every(builder, 2, 0, x, y), _every(builder, 2, 1, x, y))


sum_pairs = _element_by_element("sum_pairs", 2, _sums_of_pairs, accepts=_is_integer)
"""x[0] + x[1], x[2] + x[3], …, and then those of y: the halves that :func:`multiply_pairs` leaves of sums of fours."""


def _splat(kind, number):
    return ir.Constant(kind, [number] * kind.count)


def _odd_and_even(builder, vector, wide):
    """The numbers of 32 bits at odd places and those at even ones, without a sign, as int64."""
    both = builder.bitcast(vector, wide)
    return builder.lshr(both, _splat(wide, 32)), builder.and_(both, _splat(wide, 2**32 - 1))


@intrinsic
def multiply_shift(typing, x, multiplier, half, down):
    """(|x| · multiplier / 2³² + half) / 2^down with the sign of x, of vectors of int32; both quotients are whole ones.

    The multiplier is 0 or more. With half = 2^(down - 1) this is x · multiplier / 2^(32 + down), rounded once, halves
    away from zero: what is lost first is less than any half.
    """
    if not (x == multiplier == half == down == vector_of(types.int32)):
        return None

    def lower(context, builder, signature, arguments):
        number, by, unit, shift = arguments
        narrow, wide = number.type, ir.VectorType(ir.IntType(64), x.lanes // 2)
        sign = builder.ashr(number, _splat(narrow, 31))
        size = builder.sub(builder.xor(number, sign), sign)
        pairs = zip(_odd_and_even(builder, size, wide), _odd_and_even(builder, by, wide), strict=True)
        odd, even = (builder.mul(a, b) for a, b in pairs)
        odd = builder.and_(odd, _splat(wide, -(2**32)))
        upper = builder.bitcast(builder.or_(odd, builder.lshr(even, _splat(wide, 32))), narrow)
        steps = builder.lshr(builder.add(upper, unit), shift)
        return builder.sub(builder.xor(steps, sign), sign)

    return x(x, multiplier, half, down), lower


@intrinsic
def store_bytes(typing, array, position, vector):
    """Write a vector of int32, whose numbers are those of int8, to as many bytes of an array of int8."""
    if not _is_array(array) or array.dtype != types.int8 or vector != vector_of(types.int32):
        return None

    def lower(context, builder, signature, arguments):
        target, where, value = arguments
        narrow = ir.VectorType(ir.IntType(8), vector.lanes)
        address = builder.gep(context.make_array(array)(context, builder, target).data, [where])
        builder.store(builder.trunc(value, narrow), builder.bitcast(address, narrow.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), lower


@intrinsic
def store_first_bytes(typing, array, position, vector, count):
    """:func:`store_bytes` of the first ``count`` numbers and nothing else, one after the other."""
    if not _is_array(array) or array.dtype != types.int8 or vector != vector_of(types.int32):
        return None

    def lower(context, builder, signature, arguments):
        target, where, value, number = arguments
        data = context.make_array(array)(context, builder, target).data
        narrow = builder.trunc(value, ir.VectorType(ir.IntType(8), vector.lanes))
        for lane in range(vector.lanes):
            index = ir.IntType(64)(lane)
            with builder.if_then(builder.icmp_signed("<", index, number)):
                byte = builder.extract_element(narrow, ir.IntType(32)(lane))
                builder.store(byte, builder.gep(data, [builder.add(where, index)]))
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), lower

"""Vectors as wide as this machine's registers, for kernels in plain Python.

Inside ``@njit`` code, ``load(x, i)`` reads ``width(x)`` neighbours of a contiguous array from flat position ``i``, the
operators and functions here compute with all of them at once, and ``store(out, i, v)`` writes them. A vector of
float32 has 16 lanes with AVX-512, 8 with AVX, 4 elsewhere (NEON, SSE, none at all); one of float64 half as many. They
are LLVM's own vectors: each operation is one instruction where the machine has it, and several, with the same
results, where not. Positions are not checked: a load or store beyond the array's end reads or writes whatever is there.

LLVM Language Reference, "Vector Type", "Standard C/C++ Library Intrinsics", "Masked Vector Load and Store Intrinsics".
"""

import operator

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.core.datamodel import PrimitiveModel, register_default
from numba.extending import intrinsic, overload


def _features() -> set[str]:
    """The extensions that Numba compiles for: those of this machine, unless NUMBA_CPU_FEATURES says otherwise."""
    words = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return {word[1:] for word in words.split(",") if word.startswith("+")}


FEATURES = _features()
BYTES = 64 if "avx512f" in FEATURES else 32 if "avx" in FEATURES else 16
"""Of one register."""
REGISTERS = 32 if "avx512f" in FEATURES or "neon" in FEATURES else 16
LANES = BYTES // 4
"""Float32 numbers in one register."""
EXTENSION = next((name for name in ("avx512f", "avx2", "avx", "neon", "sse2") if name in FEATURES), "none")

# x·y + z may be one instruction with one rounding; no other liberty is taken.
CONTRACT = ("contract",)


class Vector(types.Type):
    """The type of several numbers in one register; a comparison gives one of truth values."""

    def __init__(self, dtype, lanes):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(f"vector({dtype} x {lanes})")


_ELEMENTS = {
    types.float32: ir.FloatType(),
    types.float64: ir.DoubleType(),
    types.boolean: ir.IntType(1),
    types.int8: ir.IntType(8),
    types.uint8: ir.IntType(8),
    types.int16: ir.IntType(16),
    types.int32: ir.IntType(32),
    types.uint32: ir.IntType(32),
    types.int64: ir.IntType(64),
    types.uint64: ir.IntType(64),
}


@register_default(Vector)
class _VectorModel(PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(_ELEMENTS[kind.dtype], kind.lanes))


def vector_of(dtype) -> Vector:
    """The vector type of a Numba dtype that fills one register."""
    return Vector(dtype, BYTES * 8 // dtype.bitwidth)


def _is_array(kind) -> bool:
    return isinstance(kind, types.Array) and kind.layout == "C"


def _is_float(kind) -> bool:
    return isinstance(kind.dtype, types.Float)


def _pointer(context, builder, kind, array, position):
    """The address of the vector that begins at a flat position."""
    data = context.make_array(kind)(context, builder, array).data
    address = builder.gep(data, [position])
    return builder.bitcast(address, context.get_value_type(vector_of(kind.dtype)).as_pointer())


@intrinsic
def load(typing, array, position):
    """The vector of the numbers at ``position``, ``position + 1``, … in memory from the array's first one on."""
    if not isinstance(array, types.Array):
        return None

    def lower(context, builder, signature, arguments):
        address = _pointer(context, builder, array, *arguments)
        return builder.load(address, align=array.dtype.bitwidth // 8)

    return vector_of(array.dtype)(array, types.intp), lower


@intrinsic
def store(typing, array, position, vector):
    """Write a vector to ``position``, ``position + 1``, … of a contiguous array."""
    if not _is_array(array) or vector != vector_of(array.dtype):
        return None

    def lower(context, builder, signature, arguments):
        target, where, value = arguments
        builder.store(
            value, _pointer(context, builder, array, target, where), align=array.dtype.bitwidth // 8
        )
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), lower


def _first(context, builder, kind, count):
    """The mask of the first ``count`` lanes."""
    size = ir.IntType(64 if kind.dtype.bitwidth == 64 else 32)  # of a lane: then the mask needs no narrowing
    integers = ir.VectorType(size, kind.lanes)
    numbers = ir.Constant(integers, list(range(kind.lanes)))
    count = builder.trunc(count, size) if size.width < 64 else count
    return builder.icmp_signed("<", numbers, _spread(builder, count, integers))


def _spread(builder, scalar, kind):
    """One number in all lanes."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)


def _declare(builder, name, result, *arguments):
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _suffix(kind) -> str:
    """A vector type as LLVM spells it in the names of intrinsics, e.g. v8f32."""
    return f"v{kind.lanes}{'f' if _is_float(kind) else 'i'}{kind.dtype.bitwidth}"


@intrinsic
def load_first(typing, array, position, count, rest):
    """The first ``count`` numbers from ``position`` on, and in the other lanes those of the vector ``rest``.

    Nothing beyond the ``count`` numbers is read.
    """
    if not isinstance(array, types.Array) or rest != vector_of(array.dtype):
        return None

    def lower(context, builder, signature, arguments):
        pointer, where, number, others = arguments
        address = _pointer(context, builder, array, pointer, where)
        form, mask = others.type, _first(context, builder, rest, number)
        name = f"llvm.masked.load.{_suffix(rest)}.p0"
        function = _declare(builder, name, form, address.type, ir.IntType(32), mask.type, form)
        alignment = ir.IntType(32)(array.dtype.bitwidth // 8)
        return builder.call(function, [address, alignment, mask, others])

    return rest(array, types.intp, types.intp, rest), lower


@intrinsic
def store_first(typing, array, position, vector, count):
    """Write the first ``count`` lanes and nothing else."""
    if not _is_array(array) or vector != vector_of(array.dtype):
        return None

    def lower(context, builder, signature, arguments):
        pointer, where, value, number = arguments
        address = _pointer(context, builder, array, pointer, where)
        mask = _first(context, builder, vector, number)
        name = f"llvm.masked.store.{_suffix(vector)}.p0"
        function = _declare(builder, name, ir.VoidType(), value.type, address.type, ir.IntType(32), mask.type)
        builder.call(function, [value, address, ir.IntType(32)(array.dtype.bitwidth // 8), mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), lower


@intrinsic
def broadcast(typing, number):
    """A vector with one number in all lanes."""
    if not isinstance(number, types.Number):
        return None
    kind = vector_of(number)

    def lower(context, builder, signature, arguments):
        return _spread(builder, arguments[0], context.get_value_type(kind))

    return kind(number), lower


@intrinsic
def load_one(typing, array, position):
    """A vector with the number at ``position`` in all lanes: no negative positions, unlike ``array[position]``.

    As for :func:`load`, positions count numbers in memory, so an array need not be contiguous.
    """
    if not isinstance(array, types.Array):
        return None
    kind = vector_of(array.dtype)

    def lower(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, arguments[0]).data
        number = builder.load(builder.gep(data, [arguments[1]]))
        return _spread(builder, number, context.get_value_type(kind))

    return kind(array, types.intp), lower


@intrinsic
def width(typing, array):
    """Lanes of the vectors that ``load`` takes from this array."""
    lanes = vector_of(array.dtype).lanes

    def lower(context, builder, signature, arguments):
        return context.get_constant(types.intp, lanes)

    return types.intp(array), lower


def _element_by_element(name, count, lower, result=lambda kind: kind, accepts=lambda kind: True):
    """A function of ``count`` vectors of one type, made by ``lower(builder, kind, *values)``."""

    def build(kinds):
        first = kinds[0]
        if any(kind != first for kind in kinds) or not isinstance(first, Vector) or not accepts(first):
            return None

        def make(context, builder, signature, arguments):
            return lower(builder, first, *arguments)

        return result(first)(*kinds), make

    if count == 1:

        def function(typing, x):
            return build((x,))
    else:

        def function(typing, x, y):
            return build((x, y))

    function.__name__ = function.__qualname__ = name
    return intrinsic(function)


def _by_llvm(name):
    def lower(builder, kind, *values):
        form = values[0].type
        function = _declare(builder, f"llvm.{name}.{_suffix(kind)}", form, *[form] * len(values))
        return builder.call(function, values)

    return lower


def _arithmetic(of_floats, of_integers):
    def lower(builder, kind, x, y):
        if _is_float(kind):
            return getattr(builder, of_floats)(x, y, flags=CONTRACT)
        return getattr(builder, of_integers)(x, y)

    return lower


def _comparison(sign):
    def lower(builder, kind, x, y):
        if _is_float(kind):
            compare = builder.fcmp_unordered if sign == "!=" else builder.fcmp_ordered
            return compare(sign, x, y)
        return builder.icmp_signed(sign, x, y)

    return lower


def _select_by(sign):
    def lower(builder, kind, x, y):
        return builder.select(_comparison(sign)(builder, kind, x, y), x, y)

    return lower


def _truth(kind):
    return Vector(types.boolean, kind.lanes)


def _is_integer(kind):
    return not _is_float(kind)


_OPERATORS = {
    operator.add: _arithmetic("fadd", "add"),
    operator.sub: _arithmetic("fsub", "sub"),
    operator.mul: _arithmetic("fmul", "mul"),
    operator.truediv: lambda builder, kind, x, y: builder.fdiv(x, y),
    operator.and_: lambda builder, kind, x, y: builder.and_(x, y),
    operator.or_: lambda builder, kind, x, y: builder.or_(x, y),
    operator.xor: lambda builder, kind, x, y: builder.xor(x, y),
    operator.lshift: lambda builder, kind, x, y: builder.shl(x, y),
    operator.rshift: lambda builder, kind, x, y: builder.ashr(x, y),
}
_COMPARISONS = {
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
    operator.eq: "==",
    operator.ne: "!=",
}
_FLOAT_ONLY, _INTEGER_ONLY = {"truediv"}, {"and_", "or_", "xor", "lshift", "rshift"}


def _offer(symbol, function):
    @overload(symbol)
    def chosen(x, y):
        if isinstance(x, Vector) and isinstance(y, Vector):
            return lambda x, y: function(x, y)


def _offer_operators():
    for symbol, lower in _OPERATORS.items():
        name = symbol.__name__
        accepts = (
            _is_float if name in _FLOAT_ONLY else _is_integer if name in _INTEGER_ONLY else lambda kind: True
        )
        function = _element_by_element(name, 2, lower, accepts=accepts)
        _offer(symbol, function)
        _offer(getattr(operator, f"i{name.strip('_')}"), function)
    for symbol, sign in _COMPARISONS.items():
        _offer(symbol, _element_by_element(symbol.__name__, 2, _comparison(sign), _truth))


_offer_operators()

maximum = _element_by_element("maximum", 2, _select_by(">"))
"""x where x > y, else y: one instruction. Where either is nan, the second."""
minimum = _element_by_element("minimum", 2, _select_by("<"))
"""x where x < y, else y: one instruction. Where either is nan, the second."""
sqrt = _element_by_element("sqrt", 1, _by_llvm("sqrt"), accepts=_is_float)
absolute = _element_by_element("absolute", 1, _by_llvm("fabs"), accepts=_is_float)
copysign = _element_by_element("copysign", 2, _by_llvm("copysign"), accepts=_is_float)
"""The size of x with the sign of y."""


def _every_other(builder, kind, x, y):
    order = ir.Constant(ir.VectorType(ir.IntType(32), kind.lanes), list(range(0, 2 * kind.lanes, 2)))
    return builder.shuffle_vector(x, y, order)


evens = _element_by_element("evens", 2, _every_other)
"""The lanes 0, 2, 4, ... of x, and then those of y."""


def _interleaved(half):
    def lower(builder, kind, x, y):
        start = half * kind.lanes // 2
        order = [i + part for i in range(start, start + kind.lanes // 2) for part in (0, kind.lanes)]
        return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), kind.lanes), order))

    return lower


interleave_first = _element_by_element("interleave_first", 2, _interleaved(0))
"""x[0], y[0], x[1], y[1], ...: the first half of the lanes of both."""
interleave_last = _element_by_element("interleave_last", 2, _interleaved(1))
"""The last half of the lanes of both, in turns."""


@intrinsic
def fma(typing, x, y, z):
    """x·y + z, with one rounding where the machine has the instruction, with two elsewhere."""
    if not isinstance(x, Vector) or not (x == y == z) or not _is_float(x):
        return None

    def lower(context, builder, signature, arguments):
        return _by_llvm("fmuladd")(builder, x, *arguments)

    return x(x, y, z), lower


@intrinsic
def select(typing, mask, x, y):
    """x in the lanes where the mask is true, y in the others."""
    if not isinstance(x, Vector) or x != y or mask != _truth(x):
        return None

    def lower(context, builder, signature, arguments):
        return builder.select(*arguments)

    return x(mask, x, y), lower


def _twin(kind) -> Vector:
    """The integers of the same size as these floating-point numbers, or the other way round."""
    twins = {types.float32: types.int32, types.float64: types.int64}
    twins |= {integer: number for number, integer in twins.items()}
    return Vector(twins[kind.dtype], kind.lanes)


@intrinsic
def bits(typing, vector):
    """The same bits, as integers where they were floating-point numbers, and the other way round."""
    if not isinstance(vector, Vector):
        return None
    twin = _twin(vector)

    def lower(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(twin))

    return twin(vector), lower


def _across(name, combine):
    """A function from a vector to one number, by halves: lane 0 with lane n/2, and so on."""

    def function(typing, vector):
        if not isinstance(vector, Vector):
            return None

        def lower(context, builder, signature, arguments):
            value, lanes = arguments[0], vector.lanes
            while lanes > 1:
                lanes //= 2
                turned = [(i + lanes) % vector.lanes for i in range(vector.lanes)]
                order = ir.Constant(ir.VectorType(ir.IntType(32), vector.lanes), turned)
                other = builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), order)
                value = combine(builder, vector, value, other)
            return builder.extract_element(value, ir.IntType(32)(0))

        return vector.dtype(vector), lower

    function.__name__ = function.__qualname__ = name
    return intrinsic(function)


sum_across = _across("sum_across", _arithmetic("fadd", "add"))
max_across = _across("max_across", _select_by(">"))
min_across = _across("min_across", _select_by("<"))

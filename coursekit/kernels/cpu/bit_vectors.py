"""Bits and bytes on the vectors of :mod:`~coursekit.kernels.cpu.simd`: counts, signs, and look-ups in small tables."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from coursekit.kernels.cpu.simd import BYTES, FEATURES, Vector, _declare, _is_array, _suffix, _twin, vector_of

_BYTE = ir.IntType(8)
_SIXTEEN = ir.VectorType(_BYTE, 16)

# The instruction that looks up bytes, by how many it takes at once. On ARM it is called tbl.
_SHUFFLES = {
    "avx512bw": (64, "llvm.x86.avx512.pshuf.b.512"),
    "avx2": (32, "llvm.x86.avx2.pshuf.b"),
    "ssse3": (16, "llvm.x86.ssse3.pshuf.b.128"),
    "neon": (16, "llvm.aarch64.neon.tbl1.v16i8"),
}
_SHUFFLE = next((shuffle for name, shuffle in _SHUFFLES.items() if name in FEATURES), None)
HAS_LOOK_UP = _SHUFFLE is not None
"""Whether :func:`look_up` is an instruction of this machine."""
COUNTS_VECTORS = "avx512vpopcntdq" in FEATURES
"""Whether :func:`count_ones` of a vector is an instruction of this machine."""


@intrinsic
def count_ones(typing, x):
    """How many bits are 1, of a uint64 or of each lane of a vector of integers."""
    number = x == types.uint64
    if not number and not (isinstance(x, Vector) and isinstance(x.dtype, types.Integer)):
        return None

    def lower(context, builder, signature, arguments):
        name = "i64" if number else _suffix(x)
        form = arguments[0].type
        return builder.call(_declare(builder, f"llvm.ctpop.{name}", form, form), arguments)

    return x(x), lower


@intrinsic
def bits_of(typing, mask):
    """A mask as a uint64: bit i says whether lane i is true."""
    if not isinstance(mask, Vector) or mask.dtype != types.boolean:
        return None

    def lower(context, builder, signature, arguments):
        return builder.zext(builder.bitcast(arguments[0], ir.IntType(mask.lanes)), ir.IntType(64))

    return types.uint64(mask), lower


@intrinsic
def load_table(typing, array, position):
    """A vector of the sixteen bytes from ``position`` of a contiguous array of uint8 on, again and again."""
    if not _is_array(array) or array.dtype != types.uint8:
        return None

    def lower(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), _SIXTEEN.as_pointer())
        sixteen = builder.load(address, align=1)
        return _picked(builder, sixteen, sixteen, [i % 16 for i in range(BYTES)])

    return vector_of(types.uint8)(array, types.intp), lower


def _picked(builder, x, y, lanes):
    """The lanes with these numbers of two vectors side by side."""
    order = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))
    return builder.shuffle_vector(x, y, order)


def _look_up_by_pieces(builder, table, index):
    """By the machine's instruction, as many bytes at once as it takes."""
    size, name = _SHUFFLE
    form = ir.VectorType(_BYTE, size)
    function = _declare(builder, name, form, form, form)
    pieces = []
    for start in range(0, BYTES, size):
        lanes = range(start, start + size)
        pair = (_picked(builder, v, v, lanes) for v in (table, index))
        pieces.append(builder.call(function, list(pair)))
    while len(pieces) > 1:
        two = 2 * pieces[0].type.count
        pieces = [_picked(builder, x, y, range(two)) for x, y in zip(pieces[::2], pieces[1::2], strict=True)]
    return pieces[0]


def _look_up_one_by_one(builder, table, index):
    """The same bits, lane by lane."""
    found = ir.Constant(table.type, ir.Undefined)
    for lane in range(BYTES):
        where = builder.extract_element(index, ir.IntType(32)(lane))
        byte = builder.extract_element(table, builder.zext(where, ir.IntType(32)))
        found = builder.insert_element(found, byte, ir.IntType(32)(lane))
    return found


@intrinsic
def look_up(typing, table, index):
    """For each byte of ``index``, which is below 16, that byte of a table made by :func:`load_table`."""
    if table != vector_of(types.uint8) or index != table:
        return None

    def lower(context, builder, signature, arguments):
        return (_look_up_by_pieces if HAS_LOOK_UP else _look_up_one_by_one)(builder, *arguments)

    return table(table, index), lower


@intrinsic
def truncate(typing, vector):
    """Floating-point numbers without their fractions, as integers of the same size; they have to fit those."""
    if not isinstance(vector, Vector) or vector.dtype not in (types.float32, types.float64):
        return None
    integers = _twin(vector)

    def lower(context, builder, signature, arguments):
        return builder.fptosi(arguments[0], context.get_value_type(integers))

    return integers(vector), lower

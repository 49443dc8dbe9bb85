"""Memory that compiled code fetches some steps before it reads it."""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

STEPS_AHEAD: Final = 8
"""Pairs of a million accounts read from all over their lists: half of the time was waiting for
these (2026-11-30)."""

_TO_READ: Final = 0
_INTO_EVERY_CACHE: Final = 3
_DATA: Final = 1


def _prefetch(_typing: Any, array: Any, place: Any) -> Any:
    """In compiled code, begin to bring ``array[place]`` near (``llvm.prefetch``); nothing waits, and nothing changes.

    The place may be none of the array's: then nothing happens.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        offset = context.cast(builder, arguments[1], signature.args[1], types.intp)
        near = builder.bitcast(builder.gep(data, [offset]), cgutils.voidptr_t)
        how = [cgutils.int32_t(number) for number in (_TO_READ, _INTO_EVERY_CACHE, _DATA)]
        shape = ir.FunctionType(ir.VoidType(), [near.type, *(number.type for number in how)])
        builder.call(builder.module.declare_intrinsic("llvm.prefetch", (near.type,), shape), [near, *how])
        return context.get_dummy_value()

    return types.void(array, place), generate


prefetch: Any = intrinsic(_prefetch)

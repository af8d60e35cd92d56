"""Checks of arguments where a caller's values come in: a wrong type, dtype or shape gives one line that says what was
expected and what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ciao_stream.exceptions import CiaoError

Dtype = Literal["uint8", "int64", "float"]
"""``float`` is any floating-point type."""


def expect(what: str, value: object, *kinds: type) -> None:
    """Check the type of an argument.

    Args:
        what: The argument's name, for the error.
        value: The argument.
        kinds: Types that it may have.

    Raises:
        CiaoError: It has another type.

    >>> expect("seed", "one", int)
    Traceback (most recent call last):
    ciao_stream.exceptions.CiaoError: seed: expected int but got str 'one'
    """
    if not isinstance(value, kinds):
        names = " or ".join(kind.__name__.replace("NoneType", "None") for kind in kinds)
        raise CiaoError(f"{what}: expected {names} but got {described(value)}")


def expect_tensor(
    what: str,
    value: object,
    shape: Sequence[int | None],
    dtype: Dtype,
    hint: str = "",
    error: type[CiaoError] = CiaoError,
) -> None:
    """Check dtype and shape of a tensor; its values are not read.

    Args:
        what: The argument's name, for the error.
        value: The argument.
        shape: The size of each dimension, None where any will do.
        dtype: What it holds.
        hint: Ends the error, after a semicolon.
        error: The error to raise.

    Raises:
        CiaoError: It is not a tensor, or has another dtype or shape.
    """
    import torch

    fits = (
        isinstance(value, torch.Tensor)
        and (value.is_floating_point() if dtype == "float" else value.dtype is getattr(torch, dtype))
        and value.dim() == len(shape)
        and all(size in (None, actual) for size, actual in zip(shape, value.shape, strict=True))
    )
    if not fits:
        sizes = ", ".join("N" if size is None else str(size) for size in shape) + ("," if len(shape) == 1 else "")
        got = f"{described(value)}{hint and '; ' + hint}"
        raise error(f"{what}: expected a tensor, {dtype} ({sizes}), but got {got}")


def names_folder(name: str) -> bool:
    """Whether a folder can have this name.

    >>> names_folder("raf-db"), names_folder("raf/db"), names_folder("")
    (True, False, False)
    """
    return name not in ("", ".", "..") and "/" not in name and name.isprintable()


def described(value: object) -> str:
    """Return what a value is, for an error: type and value, or dtype and shape of an array.

    >>> described(None), described(3)
    ('None', 'int 3')
    """
    if value is None:
        return "None"
    dtype: Any = getattr(value, "dtype", None)
    shape: Any = getattr(value, "shape", None)
    if dtype is not None and shape is not None:
        return f"{type(value).__name__} {str(dtype).removeprefix('torch.')} {tuple(shape)}"
    return f"{type(value).__name__} {' '.join(repr(value).split()):.60}"

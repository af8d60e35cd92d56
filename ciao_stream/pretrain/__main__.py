"""``python -m ciao_stream.pretrain``: train an encoder, to be frozen afterwards and shared by all worlds."""

from __future__ import annotations

import sys

from ciao_stream.pretrain.crs_cont import command as crs_cont
from ciao_stream.pretrain.options import MODULE
from ciao_stream.pretrain.pk import command as pk
from ciao_stream.pretrain.supervised import command as supervised
from ciao_stream.runtime.options import Parser


def parser() -> Parser:
    """Describe the methods and their options."""
    p = Parser(
        prog=f"python -m {MODULE}", description="Train an encoder, to be frozen afterwards and shared by all worlds."
    )
    methods = p.add_subparsers(required=True, metavar="METHOD")
    for method in (crs_cont, pk, supervised):
        method.add_parser(methods)
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(argv)
    return options.main(options)  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.exit(main())

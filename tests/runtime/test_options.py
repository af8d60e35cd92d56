"""Options, help, checks and JSON values from one dataclass."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given as given_by
from hypothesis import strategies as st

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.options import Parser, add_options, from_json, given, option, to_json, validate


@dataclass(frozen=True)
class Inner:
    """Inside.

    Args:
        deep: How deep.
    """

    deep: int = option(1, least=1)

    def __post_init__(self) -> None:
        validate(self, prefix="inner.")


@dataclass(frozen=True)
class Example:
    """Everything an option can be.

    Args:
        root: Folder that holds
            the data sets. More about it.
        share: Share of the labels, see :data:`ciao_stream.x.SHARE`.
        count: Number of ``things``.
        kind: Kind of thing.
        tasks: Names of tasks.
        on: Whether it is on.
        resume: Resume the run.
        mask: Name of the mask.
        ray: Address of a cluster.
        inner: Not an option.
    """

    root: Path
    share: float = option(1.0, above=0, most=1)
    count: int | None = option(None, least=1)
    kind: Literal["fast", "slow"] = "fast"
    tasks: tuple[str, ...] = ()
    on: bool = True
    resume: bool = option(False, switch=True)
    mask: str = option("auto", choices=lambda: ["auto", "ciao"])
    ray: str | None = option(None, const="here", metavar="ADDRESS")
    inner: Inner = Inner()

    def __post_init__(self) -> None:
        validate(self)


def parser() -> Parser:
    p = Parser(prog="example")
    add_options(p, Example, leave_out=["inner"])
    return p


def read(*argv: str) -> Example:
    return Example(**given(parser().parse_args(argv), Example))


def test_every_kind_of_option_is_read():
    words = "--root data --share 0.5 --count 3 --kind slow --tasks a,b --no-on --resume --mask ciao --ray"
    expected = Example(Path("data"), 0.5, 3, "slow", ("a", "b"), False, True, "ciao", "here")
    assert read(*words.split()) == expected
    assert read("--root", "data", "--ray", "host:1").ray == "host:1"


def test_what_is_not_given_keeps_its_default():
    assert read("--root", "x") == Example(Path("x"))


def test_help_says_the_first_sentence_the_choices_and_the_default():
    text = " ".join(parser().format_help().split())
    for part in (
        "--root FILE Folder that holds the data sets",
        "--share X Share of the labels, see SHARE (default: 1.0)",
        "--count N Number of things",
        "--kind {fast,slow} Kind of thing (default: fast)",
        "--tasks NAME,NAME Names of tasks",
        "--on, --no-on Whether it is on (default: on)",
        "--resume Resume the run",
        "--mask NAME Name of the mask (default: auto)",
        "--ray [ADDRESS] Address of a cluster",
    ):
        assert part in text
    assert "More about it" not in text
    assert "inner" not in text


def test_one_line_names_every_value_out_of_range():
    with pytest.raises(CiaoError) as caught:
        Example(Path(), share=0.0, count=0, kind="odd", tasks=(1,), on=1, mask="none")
    assert str(caught.value).split("; ") == [
        "share: expected a number > 0 and <= 1 but got 0.0", "count: expected a whole number >= 1, or none but got 0",
        "kind: expected one of fast, slow but got 'odd'", "tasks: expected a list, each a text but got (1,)",
        "on: expected true or false but got 1", "mask: expected one of auto, ciao but got 'none'",
    ]  # fmt: skip


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "1", None])
def test_what_is_not_a_number_is_refused(value):
    with pytest.raises(CiaoError, match="share: expected a number"):
        Example(Path(), share=value)


@given_by(
    st.builds(Example, root=st.just(Path("a/b")), share=st.floats(0.01, 1), count=st.none() | st.integers(1),
        kind=st.sampled_from(["fast", "slow"]), tasks=st.lists(st.text()).map(tuple), on=st.booleans(),
        inner=st.builds(Inner, st.integers(1, 9)))
)  # fmt: skip
def test_json_values_give_the_same_settings_back(example):
    assert from_json(Example, to_json(example)) == example


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "settings: expected an object but got []"),
        ({}, "settings: root missing"),
        ({"root": ".", "inner": {"deep": 0}}, "inner.deep: expected a whole number >= 1 but got 0"),
        ({"root": ".", "cuont": 1}, "did you mean 'count'"),
        ({"root": ".", "inner": {"depe": 1}}, "unknown setting 'inner.depe': did you mean 'inner.deep'"),
    ],
)
def test_bad_json_values_are_one_line(data, says):
    with pytest.raises(CiaoError, match=re.escape(says)):
        from_json(Example, data)


def test_an_unknown_field_is_an_unknown_name():
    with pytest.raises(UnknownNameError, match="unknown option 'colour'"):
        from_json(Example, {"root": ".", "colour": 1}, what="option")


def commands() -> Parser:
    p = Parser(prog="tool")
    sub = p.add_subparsers(required=True, metavar="COMMAND").add_parser("learn")
    add_options(sub, Example, leave_out=["inner"])
    return p


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ("learn --root x --taks a", "error: unknown option --taks: did you mean --tasks? (see tool --help)"),
        ("learn --root x --cou 1", "error: unknown option --cou: did you mean --count? (see tool --help)"),
        ("learn --root x --zzz=1", "error: unknown option --zzz (see tool --help)"),
        ("learn --root x more", "error: unexpected argument 'more' (see tool --help)"),
        ("learn --root x --count many", "error: argument --count: expected a whole number but got 'many'"),
        ("learn --root x --count 0", "error: argument --count: expected a whole number >= 1 but got 0 (see tool"),
        ("learn --root x --share=nan", "error: argument --share: expected a number > 0 and <= 1 but got nan (see tool"),
        ("learn --root x --mask all", "error: argument --mask: expected one of auto, ciao but got 'all' (see tool"),
        ("learn --root x --kind fsat",
         "error: argument --kind: expected one of fast, slow but got 'fsat': did you mean fast?"),
        ("learn", "error: the following arguments are required: --root (see tool learn --help)"),
        ("lern", "error: argument COMMAND: expected one of learn but got 'lern': did you mean learn?"),
    ],
)  # fmt: skip
def test_bad_usage_is_one_line_and_code_2(argv, line, capsys):
    with pytest.raises(SystemExit) as caught:
        commands().parse_args(argv.split())
    shown = capsys.readouterr().err
    assert caught.value.code == 2
    assert shown.startswith(line)
    assert shown.count("\n") == 1

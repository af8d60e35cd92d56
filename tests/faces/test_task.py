import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.task import EMOTIONS, KINDS, PRIMARY_METRIC, TaskSpec
from tests.helpers import tiny


def test_the_emotions_stand_in_ferplus_order():
    assert EMOTIONS == ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")


def test_there_are_four_kinds_and_each_has_its_metric():
    assert KINDS == ("categorical", "votes", "dimensional", "multilabel")
    assert [PRIMARY_METRIC[kind] for kind in KINDS] == ["accuracy", "accuracy", "ccc", "macro_f1"]


@pytest.mark.parametrize(
    ("kind", "n_out", "has_classes", "primary"),
    [
        ("categorical", 3, True, "accuracy"),
        ("votes", 3, True, "accuracy"),
        ("dimensional", 2, False, "ccc"),
        ("multilabel", 4, False, "macro_f1"),
    ],
)
def test_a_spec_knows_its_outputs_and_metric(kind, n_out, has_classes, primary):
    spec = tiny.SPECS[kind]
    assert (spec.n_out, spec.has_classes, spec.primary) == (n_out, has_classes, primary)


def test_labels_become_a_tuple_so_that_a_spec_can_be_hashed():
    spec = TaskSpec("fer", "categorical", ["calm", "glad"])
    assert spec.labels == ("calm", "glad")
    assert hash(spec) == hash(TaskSpec("fer", "categorical", ("calm", "glad")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "categorical", ("a", "b")), "name: expected the name of a task but got ''"),
        (("fer", "categorical", ("a",)), "task 'fer': expected at least 2 labels but got 1"),
        (("fer", "votes", ("a",)), "task 'fer': expected at least 2 labels but got 1"),
        (("va", "dimensional", ()), "task 'va': expected at least 1 label but got 0"),
        (("ml", "multilabel", ()), "task 'ml': expected at least 1 label but got 0"),
        (("fer", "categorical", ("a", "b", "a")), "task 'fer': a label is given twice in a, b, a"),
    ],
)
def test_a_bad_spec_is_refused(arguments, message):
    with pytest.raises(CiaoError) as caught:
        TaskSpec(*arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["../fer", "a/b", "/", ".", "..", "fer\n", "fer\0", "\ud800"])
def test_a_name_that_cannot_be_a_folder_is_refused(name):
    with pytest.raises(CiaoError, match="a folder cannot have this name") as caught:
        TaskSpec(name, "multilabel", ("a",))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["dimensional", "multilabel"])
def test_one_output_is_enough_where_there_are_no_classes(kind):
    assert TaskSpec("x", kind, ("valence",)).n_out == 1


def test_an_unknown_kind_is_refused_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="unknown kind of target 'categoric': did you mean 'categorical'"):
        TaskSpec("fer", "categoric", ("a", "b"))


specs = st.builds(
    TaskSpec,
    st.from_regex(r"[\w:+ .-]{0,20}\w", fullmatch=True),
    st.sampled_from(KINDS),
    st.lists(st.text(), min_size=2, max_size=9, unique=True).map(tuple),
)


@tiny.examples()
@given(specs)
def test_a_spec_comes_back_from_json(spec):
    assert TaskSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize("field", ["name", "kind", "labels"])
def test_a_spec_that_lacks_a_field_is_refused(field):
    data = tiny.SPECS["votes"].to_json()
    del data[field]
    with pytest.raises(CiaoError, match=f"not a task specification: '{field}'"):
        TaskSpec.from_json(data)


def values(field, *bad):
    return [(field, value) for value in bad]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *values("name", 7, "", None, ["fer"]),
        *values("kind", 7, None, ["categorical"], "regression"),
        *values("labels", 7, None, "calm", [1, 2], ["calm", ["glad"]], ["calm"], {"calm": 1, "glad": 2}),
    ],
)
def test_a_spec_with_a_field_of_another_type_is_refused(field, value):
    with pytest.raises(CiaoError):
        TaskSpec.from_json({**tiny.SPECS["votes"].to_json(), field: value})


@pytest.mark.parametrize("data", [None, [], "fer", 3])
def test_json_that_is_no_object_is_refused(data):
    with pytest.raises(CiaoError, match="not a task specification"):
        TaskSpec.from_json(data)

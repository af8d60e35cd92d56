import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.worlds.heads import Head
from ciao_stream.worlds.published import published_settings
from ciao_stream.worlds.settings import PRESETS, HeadSettings, Settings
from tests.helpers import tiny

positive = st.floats(0, exclude_min=True, allow_infinity=False)
share = st.floats(0, 1, exclude_max=True)
heads = st.builds(
    HeadSettings,
    st.sampled_from(["max2", "mean", "none"]),
    st.sampled_from(["none", "batch", "layer"]),
    st.lists(st.integers(1, 4096), max_size=3).map(tuple),
    share,
    st.sampled_from(["relu", "gelu", "tanh", "elu"]),
)
valid = st.builds(
    Settings,
    head=heads,
    rank=st.none() | st.integers(1),
    contrast=st.sampled_from(["eq3", "supcon", "npairs"]),
    contrast_on=st.sampled_from(["output", "map"]),
    temperature=positive,
    contrast_weight=st.floats(0, allow_infinity=False),
    alternate=st.booleans(),
    optimizer=st.sampled_from(["sgd", "adam"]),
    lr=positive,
    momentum=share,
    weight_decay=st.floats(0, allow_infinity=False),
    batch_size=st.integers(2),
    epochs=st.integers(1),
    schedule=st.sampled_from(["constant", "cosine"]),
)


@tiny.examples()
@given(valid)
def test_settings_come_back_from_json(settings):
    again = Settings.from_json(json.loads(json.dumps(settings.to_json())))
    assert again == settings
    assert hash(again) == hash(settings)


def test_a_setting_that_json_omits_has_its_default():
    assert Settings.from_json({}) == Settings()
    assert Settings.from_json({"lr": 0.5, "head": {"hidden": []}}) == Settings(lr=0.5, head=HeadSettings(hidden=()))


BAD = {
    "head.hidden": [(0,), (8, -1), (1.5,), (True,), (8, "8"), ((8,),), {"8": 8}, 8, "8", None],
    "head.dropout": [1.0, -0.1, "half", None],
    "head.pool": ["max", None, 2, ["max2"]],
    "head.norm": ["group"],
    "head.activation": ["sigmoid", None],
    "mask": ["full", None, 3],
    "rank": [0, -1, 2.0, "8", True],
    "contrast": ["eq4"],
    "contrast_on": ["mask"],
    "temperature": [0, -1.0, float("nan"), float("inf"), "hot", True],
    "contrast_weight": [-0.1, float("nan"), None],
    "alternate": ["yes", 1, None],
    "optimizer": ["adamw"],
    "lr": [0.0, -1e-3, float("nan"), float("inf"), "fast"],
    "momentum": [1.0, -0.1, "a lot"],
    "weight_decay": [-1e-9, None],
    "batch_size": [0, 1, -5, 2.0, "64", True],
    "epochs": [0, 1.5, None],
    "schedule": ["linear"],
}


def changed(**values):
    head = {name.removeprefix("head."): value for name, value in values.items() if name.startswith("head.")}
    rest = {name: value for name, value in values.items() if not name.startswith("head.")}
    return Settings(head=HeadSettings(**head), **rest)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_value_out_of_range_is_refused_and_named(name, value):
    with pytest.raises(CiaoError) as caught:
        changed(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"settings: {name}: expected ")
    assert message.endswith(f"but got {value!r}")
    assert "; " not in message


@pytest.mark.parametrize("head", [True, False])
def test_one_message_lists_all_problems(head):
    bad = {name: values[0] for name, values in BAD.items() if name.startswith("head.") == head}
    with pytest.raises(CiaoError) as caught:
        changed(**bad)
    problems = str(caught.value).removeprefix("settings: ").split("; ")
    assert sorted(problem.split(":")[0] for problem in problems) == sorted(bad)
    assert str(caught.value).count("\n") == 0


def test_the_choices_are_named():
    with pytest.raises(CiaoError, match=r"^settings: schedule: expected one of constant, cosine but got 'linear'$"):
        Settings(schedule="linear")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"temprature": 1}, "unknown setting 'temprature': did you mean 'temperature'"),
        ({"head": {"droput": 0.5}}, "unknown setting 'head.droput': did you mean 'head.dropout'"),
        ({"dropout": 0.5}, "unknown setting 'dropout'"),
    ],
)
def test_an_unknown_setting_is_refused_with_a_suggestion(data, message):
    with pytest.raises(UnknownNameError, match=message):
        Settings.from_json(data)


@pytest.mark.parametrize("data", [None, [], "lr", {"head": None}, {"head": [128]}])
def test_json_without_settings_is_refused(data):
    with pytest.raises(CiaoError, match="settings: expected an object"):
        Settings.from_json(data)


def test_the_presets_of_the_commands():
    assert list(PRESETS) == ["default", "paper", "online"]
    assert PRESETS["default"] == Settings()
    assert not PRESETS["default"].alternate


def test_the_paper_preset_is_the_equations_as_written():
    paper = PRESETS["paper"]
    assert (paper.contrast, paper.contrast_on, paper.alternate) == ("eq3", "output", True)
    assert (paper.contrast_weight, paper.weight_decay, paper.schedule, paper.epochs) == (1.0, 0.0, "constant", 50)
    assert paper.head == HeadSettings("max2", "none", (128,), 0.5)


def test_the_online_preset_is_a_linear_classifier_with_outputs_of_zero_before_training():
    head = PRESETS["online"].head
    assert (head.hidden, head.start) == ((), "zero")
    logits = Head(TaskSpec("fer", "categorical", ("calm", "glad")), (4, 6, 6), head)(torch.rand(3, 4, 6, 6))
    assert (logits == 0).all()


# The table of the authors' code: hidden units, optimiser, momentum, learning rate, temperature, batch.
TABLE = {
    ("vggface", "affectnet"): (256, "sgd", 0.4, 0.008, 0.05, 128),
    ("vggface", "affectnet-va"): (512, "sgd", 0.4, 0.008, 0.05, 128),
    ("vggface", "fer"): (64, "adam", 0.0, 0.00156, 0.424, 128),
    ("vggface", "ferplus"): (128, "adam", 0.0, 0.000238, 0.2326, 64),
    ("vggface", "jaffe"): (256, "adam", 0.0, 0.00156, 0.424, 64),
    ("vggface", "emoreact"): (256, "adam", 0.0, 0.00156, 0.424, 64),  # .4 diverges: FER's rate
    ("pk", "affectnet"): (512, "sgd", 0.4, 0.005, 0.05, 128),
    ("pk", "affectnet-va"): (512, "sgd", 0.4, 0.005, 0.05, 128),
    ("pk", "fer"): (128, "adam", 0.0, 0.003, 0.4, 128),
    ("pk", "ferplus"): (128, "adam", 0.0, 0.006, 0.2326, 64),
    ("pk", "jaffe"): (128, "adam", 0.0, 0.005, 0.4, 64),
    ("pk", "emoreact"): (128, "adam", 0.0, 0.003, 0.4, 64),  # .2 diverges: FER's rate
}


@pytest.mark.parametrize(("encoder", "task"), TABLE)
def test_published_settings_are_the_authors_table(encoder, task):
    hidden, optimizer, momentum, lr, temperature, batch_size = TABLE[encoder, task]
    settings = published_settings(encoder, task)
    assert settings.head.hidden == (hidden,)
    assert (settings.optimizer, settings.momentum, settings.lr) == (optimizer, momentum, lr)
    assert (settings.temperature, settings.batch_size) == (temperature, batch_size)
    same = {"head", "optimizer", "momentum", "lr", "temperature", "batch_size"}
    kept = {name: getattr(PRESETS["paper"], name) for name in same}
    assert replace(settings, **kept) == PRESETS["paper"], "all else is the paper preset"
    assert replace(settings.head, hidden=(128,)) == PRESETS["paper"].head


@pytest.mark.parametrize("encoder", ["vggface", "pk"])
def test_the_head_of_emoreact_has_no_recurrent_layer_and_the_rate_of_fer(encoder):
    emoreact, fer = published_settings(encoder, "emoreact"), published_settings(encoder, "fer")
    assert emoreact.lr == fer.lr < 0.01
    assert len(emoreact.head.hidden) == 1


@pytest.mark.parametrize("task", ["affectnet", "fer", "jaffe"])
def test_other_encoders_get_the_values_of_vggface(task):
    assert published_settings("resnet18", task) == published_settings("vggface", task)


def test_a_task_that_is_not_in_the_paper_gets_the_preset():
    assert published_settings("pk", "raf-db") == PRESETS["paper"]

"""The space of a head search: what may stand in its file, and what is drawn from it."""

import json
import re

import hyperopt
import numpy as np
import pytest
from hyperopt.pyll.stochastic import sample
from hypothesis import given
from hypothesis import strategies as st

from ciao_stream.exceptions import CiaoError
from ciao_stream.worlds.published import published_settings
from ciao_stream.worlds.settings import PRESETS, Settings
from tests.helpers import tiny
from tuning.search import HeadSearch, Known, _plain, expression
from tuning.space import DEFAULT_SPACE, read_space

BASE = Settings()
SPACE = read_space(DEFAULT_SPACE, BASE)
EXPRESSION = expression(SPACE)


def written(folder, text, name="space.toml"):
    path = folder / name
    path.write_text(text)
    return path


@tiny.examples(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_every_point_is_valid_settings_and_conditions_hold(seed):
    point = _plain(sample(EXPRESSION, np.random.default_rng(seed)))
    assert {d.label for d in SPACE.dimensions if SPACE.exists(d, point)} == point.keys()
    changes = SPACE.changes(point)
    settings = BASE.changed(changes)
    assert ("momentum" in changes) == (settings.optimizer == "sgd")
    assert ("rank" in changes) == (settings.mask == "low-rank")
    assert ("temperature" in changes) == (settings.contrast_weight > 0)
    assert ("head.dropout" in changes) == ("head.activation" in changes) == (len(settings.head.hidden) > 0)
    low, high = (1e-3, 1e-1) if settings.optimizer == "sgd" else (1e-4, 1e-2)
    assert low <= settings.lr <= high


@tiny.examples(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_nearest_point_to_a_point_is_itself(seed):
    point = _plain(sample(EXPRESSION, np.random.default_rng(seed)))
    assert SPACE.nearest(BASE.changed(SPACE.changes(point))) == point


@pytest.mark.parametrize(
    "known", [PRESETS["default"], published_settings("pk", "fer"), published_settings("pk", "affectnet")]
)
def test_known_good_settings_are_points_of_the_space(known):
    found = BASE.changed(SPACE.changes(SPACE.nearest(known)))
    same = (
        "mask", "contrast", "contrast_weight", "temperature", "optimizer", "lr", "momentum", "batch_size", "schedule",
    )  # fmt: skip
    assert [getattr(found, name) for name in same] == [getattr(known, name) for name in same]
    assert found.head == known.head


def test_toml_and_json_mean_the_same(tmp_path):
    toml = written(
        tmp_path, 'head.pool = { choice = ["mean", "max2"] }\nlr = { loguniform = [1e-4, 1e-2] }\nepochs = 3\n'
    )
    data = {"epochs": 3, "lr": {"loguniform": [1e-4, 1e-2]}, "head": {"pool": {"choice": ["mean", "max2"]}}}
    same = written(tmp_path, json.dumps(data), "space.json")
    one, other = read_space(toml, BASE), read_space(same, BASE)
    assert one.sha256 == other.sha256
    assert {d.label for d in one.dimensions} == {d.label for d in other.dimensions} == {"head.pool", "lr"}
    assert one.fixed == other.fixed == {"epochs": 3}
    assert read_space(written(tmp_path, "lr = { loguniform = [1e-4, 1e-3] }"), BASE).sha256 != one.sha256


def test_what_is_fixed_is_not_searched_and_conditions_see_its_value():
    fixed = read_space(DEFAULT_SPACE, BASE, {"optimizer": "sgd", "contrast_weight": 0.0, "head.hidden": []})
    labels = {d.label for d in fixed.dimensions}
    assert {"momentum", "lr 2"} <= labels
    assert not {"lr 1", "optimizer", "temperature", "contrast", "head.dropout", "head.hidden units 1"} & labels
    assert not next(d for d in fixed.dimensions if d.label == "momentum").conditions
    assert fixed.sha256 == SPACE.sha256


BAD = {
    "lr = { loguniform = [1e-4": "cannot be read",
    "lrate = { loguniform = [1e-4, 1e-2] }": r"entry 'lrate': unknown setting 'lrate': did you mean",
    "head.droput = { uniform = [0.0, 0.5] }": "unknown setting 'head.droput': did you mean 'head.dropout'",
    "head = 3": "entry 'head': expected entries such as head.pool",
    "lr = { loguniform = [1e-2, 1e-4] }": "entry 'lr': loguniform: expected the least value first",
    "lr = { loguniform = [0.0, 1e-2] }": "entry 'lr': loguniform: expected values above 0",
    "lr = { uniform = [0.0, 1e-2] }": "entry 'lr': lr: expected a number > 0 but got 0.0",
    "lr = { uniform = [1e-4] }": r"entry 'lr': uniform: expected \[LEAST, GREATEST\]",
    "lr = { uniform = ['a', 'b'] }": r"entry 'lr': uniform: expected \[LEAST, GREATEST\]",
    "lr = { normal = [0.0, 1.0] }": "entry 'lr': expected one of choice, uniform.* but got 'normal'",
    "lr = { when = { optimizer = 'sgd' } }": "entry 'lr': expected one of choice",
    "lr = { uniform = [0.1, 0.2], choice = [1.0] }": "entry 'lr': expected one of choice",
    "batch_size = { uniform = [32, 64] }": "entry 'batch_size': batch_size: expected a whole number >= 2 but got 32.0",
    "batch_size = { choice = [64, 1] }": "entry 'batch_size': batch_size: expected a whole number >= 2 but got 1",
    "head.pool = { choice = [] }": "entry 'head.pool': choice: expected a list of values",
    "head.pool = { choice = ['mean', 'mean'] }": "entry 'head.pool': choice: a value is given twice",
    "head.pool = { choice = ['max'] }": "entry 'head.pool': head.pool: expected one of max2, mean, none",
    "head.hidden = { layers = [-1], units = [8] }": "entry 'head.hidden': layers: expected whole numbers >= 0",
    "head.hidden = { layers = [1], units = [0] }": "head.hidden: expected a list, each a whole number >= 1",
    "head.hidden = { layers = [1] }": "entry 'head.hidden': expected one of choice",
    "epochs = 'three'": "entry 'epochs': epochs: expected a whole number",
    "momentum = { uniform = [0.0, 0.9], when = { optimizer = 'sgd' } }": (
        "entry 'momentum': when: unknown entry 'optimizer'"
    ),
    "optimizer = { choice = ['adam', 'sgd'] }\nmomentum = { uniform = [0.0, 0.9], when = { optimizer = 'sdg' } }": (
        "entry 'momentum': when: 'optimizer' is never 'sdg'"
    ),
    "lr = { uniform = [0.1, 0.2] }\nmomentum = { uniform = [0.0, 0.9], when = { lr = 0.1 } }": (
        "entry 'momentum': when: 'lr' is not a single choice"
    ),
    "mask.choice = ['ciao']\nmask.when.alternate = true\nalternate.choice = [true]\nalternate.when.mask = 'ciao'": (
        "its condition goes in a circle: mask -> alternate -> mask"
    ),
    "lr = [{ uniform = [0.1, 0.2] }, { uniform = [0.3, 0.4] }]": "entry 'lr': two of its entries can hold at once",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_space_is_one_line_that_names_file_and_entry(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(CiaoError) as caught:
        read_space(path, BASE)
    message = str(caught.value)
    assert message.startswith(f"space {path}: ")
    assert re.search(BAD[text], message), message
    assert "\n" not in message or "cannot be read" in message


@pytest.mark.parametrize("name", ["no.toml", "space.py"])
def test_a_file_that_is_not_there_or_of_another_kind(tmp_path, name):
    with pytest.raises(CiaoError, match=r"there is no such file|expected a \.toml or \.json file"):
        read_space(tmp_path / name, BASE)


def score(point):
    return -abs(np.log(point.get("lr 1", 1.0) / 1e-3)) + 0.1 * point["head.pool"]


def proposals(search, n, stopped_after=None):
    """What a search proposes, one trial after another; one that is stopped goes on in a new object."""
    points = [SPACE.nearest(BASE), SPACE.nearest(PRESETS["paper"])]
    seen: list[Known] = []
    proposing = HeadSearch(SPACE, "fer", range(n), points, search=search)
    for number in range(n):
        if number == stopped_after:
            kept = [Known(k.number, json.loads(json.dumps(k.point)), k.score) for k in seen]
            proposing = HeadSearch(SPACE, "fer", range(number, n), points, kept, search)
        proposed = proposing.suggest(f"t{number}")
        assert proposed["number"] == number
        point = proposed["point"]
        if number == 4:  # its worker died
            seen.append(Known(number, point, None))
            proposing.on_trial_complete(f"t{number}", error=True)
        else:
            seen.append(Known(number, point, score(point)))
            proposing.on_trial_complete(f"t{number}", {"score": score(point)})
    assert proposing.suggest("one more") is None
    return [(k.number, k.point) for k in seen]


@pytest.fixture(scope="module")
def never_stopped():
    return proposals("tpe", 14)


@pytest.mark.parametrize("after", [1, 5, 13])
def test_a_search_that_gets_its_trials_back_continues_as_if_never_stopped(never_stopped, after):
    assert proposals("tpe", 14, after) == never_stopped


def test_the_given_points_come_first_and_tpe_is_not_random_after_its_start(never_stopped):
    assert never_stopped[0] == (0, SPACE.nearest(BASE))
    assert never_stopped[1] == (1, SPACE.nearest(PRESETS["paper"]))
    by_chance = proposals("random", 14)
    assert by_chance[:10] == never_stopped[:10]
    assert by_chance[10:] != never_stopped[10:]
    assert proposals("random", 14, 7) == by_chance


def test_random_search_draws_from_the_very_same_space():
    assert HeadSearch(SPACE, "fer", range(1), search="random").algo is hyperopt.rand.suggest

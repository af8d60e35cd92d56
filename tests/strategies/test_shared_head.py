"""The field's baselines: one head over the union of all classes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.synthetic import load
from ciao_stream.checks.strategy import SETTINGS, SIZES, Ground
from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.faces.task import EMOTIONS, TaskSpec
from ciao_stream.metrics.scores import evaluate
from strategies import load_strategy
from strategies.base.shared_head import SharedLabels, outputs_of

FINE_TUNED = ("naive", "replay", "ewc", "lwf")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


def spec_of(name):
    return load(name, **SIZES, size=16).spec


def shuffled(name, labels):
    """A world's test split with its labels in another order, the answers as they were."""
    data = load(name, **SIZES, size=16).test
    spec = TaskSpec(name, data.spec.kind, labels)
    places = [data.spec.labels.index(label) for label in labels]
    targets = data.targets[:, places] if data.targets.ndim == 2 else np.argsort(places)[data.targets]
    faces = replace(data, spec=spec, targets=targets)
    return EncodedFaces(faces, np.zeros((len(faces), 6, 4, 4), dtype=np.float16))


@pytest.mark.parametrize("order", [("affectnet", "fer"), ("fer", "affectnet"), ("fer", "jaffe"), ("ferplus", "fer")])
def test_the_head_has_the_union_of_labels_in_canonical_order(order, tmp_path, cache):
    specs = tuple(spec_of(name) for name in order)
    ground = Ground(tmp_path, cache, specs=specs)
    load_strategy("naive")[0].run(ground.job("run"), masked=False)
    labels = json.loads((tmp_path / "run" / "universal" / "world.json").read_text())["task"]["labels"]
    union = {label for spec in specs for label in spec.labels}
    assert labels == [label for label in EMOTIONS if label in union]
    assert len(labels) == (7 if order == ("fer", "jaffe") else 8)


@pytest.mark.parametrize("name", ["fer", "affectnet", "ferplus"])
def test_labels_are_mapped_by_name_and_never_by_position(name):
    straight, turned = spec_of(name).labels, spec_of(name).labels[::-1]
    names = []
    for labels in (straight, turned):
        data = SharedLabels(shuffled(name, labels), EMOTIONS)
        assert [type(target) for target in data.targets] == [int] * len(data)
        assert [EMOTIONS[column] for column in data.columns] == list(labels)
        assert data[3][1] == data.targets[3]
        names.append([EMOTIONS[target] for target in data.targets])
    assert len(set(names[0])) > 2
    if name != "ferplus":  # of votes that tie, the first counts
        assert names[0] == names[1]
    assert names[0] == [straight[i] for i in shuffled(name, straight).faces.classes()]


def test_evaluation_chooses_among_the_classes_of_the_task():
    """A head that sees contempt everywhere, and next to it anger, says anger where there is no contempt."""
    constant = torch.zeros(8)
    constant[EMOTIONS.index("contempt")], constant[EMOTIONS.index("anger")] = 9.0, 5.0

    class Net(torch.nn.Module):
        class world:  # noqa: N801
            device = torch.device("cpu")

        def forward(self, x):
            return constant.expand(len(x), 8)

    test = {name: shuffled(name, spec_of(name).labels) for name in ("fer", "affectnet")}
    for name, answer in (("fer", "anger"), ("affectnet", "contempt")):
        faces, outputs = test[name].faces, outputs_of(Net(), SharedLabels(test[name], EMOTIONS))
        found = evaluate(faces.spec, outputs, faces.targets, faces.groups)
        truth = [faces.spec.labels[i] for i in faces.classes()]
        assert found["accuracy"] == pytest.approx(truth.count(answer) / len(truth))
        columns = [EMOTIONS.index(label) for label in faces.spec.labels]
        expected = evaluate(faces.spec, constant[columns].expand(len(faces), -1), faces.targets, faces.groups)
        assert found == expected


def test_tasks_without_classes_are_left_out_with_a_reason(tmp_path, cache):
    outcome = load_strategy("naive")[0].run(Ground(tmp_path, cache).job("run"), masked=False)
    assert outcome.not_run == {
        "emoreact": "multilabel targets do not fit a shared class head",
        "affectnet-va": "dimensional targets do not fit a shared class head",
    }
    assert [task.task for task in outcome.tasks] == ["affectnet", "ferplus"]
    assert np.isnan(outcome.matrix[:, [1, 3]]).all()


@pytest.mark.parametrize("name", ["naive", "joint"])
def test_tasks_that_all_lack_classes_give_an_empty_outcome(name, tmp_path, cache):
    ground = Ground(tmp_path, cache, specs=(spec_of("emoreact"), spec_of("affectnet-va")))
    outcome = load_strategy(name)[0].run(ground.job("run"), masked=False)
    assert outcome.tasks == []
    assert [*outcome.not_run] == ["emoreact", "affectnet-va"]
    assert np.isnan(outcome.matrix).all()


@pytest.mark.parametrize("name", [*FINE_TUNED, "joint"])
def test_r_has_the_rows_that_the_strategy_has_moments_for(name, tmp_path, cache):
    specs = tuple(spec_of(name) for name in ("affectnet", "fer", "ferplus"))
    told = []
    outcome = load_strategy(name)[0].run(Ground(tmp_path, cache, specs=specs).job("run", epochs=told), False)
    measured = ~np.isnan(outcome.matrix)
    rows = [0, 1, 2, 3] if name != "joint" else [0, 3]
    assert measured[rows].all()
    assert measured.sum() == 3 * len(rows)
    assert len({task.state_sha256 for task in outcome.tasks}) == 1
    if name != "joint":
        assert told == ["affectnet"] * 2 + ["fer"] * 2 + ["ferplus"] * 2


class Opposites:
    """Two tasks with the same easy faces and contradicting answers: what one calls A, the other calls B."""

    SPECS = tuple(TaskSpec(name, "categorical", EMOTIONS[1:4]) for name in ("fer", "jaffe"))

    def __init__(self, folder):
        settings = replace(SETTINGS, epochs=12, schedule="constant")
        self.job = Ground(folder, folder / "cache", specs=self.SPECS, settings=settings).job("run")
        self.job = replace(self.job, faces=self.faces)

    def faces(self, spec, split, _level):
        classes = np.arange(48) % 3
        features = np.zeros((48, 6, 4, 4), dtype=np.float16)
        features[np.arange(48), classes] = 1.0
        data = getattr(load("fer", train=48, validation=8, test=48, size=16), "test" if split == "judged" else split)
        targets = classes if spec is self.SPECS[0] else (classes + 1) % 3
        return EncodedFaces(replace(data, spec=spec, targets=targets), features)


@pytest.mark.parametrize("name", ["naive", "ewc"])
def test_fine_tuning_a_shared_head_forgets_an_opposite_world_and_worlds_of_their_own_do_not(name, tmp_path):
    forgot = load_strategy(name)[0].run(Opposites(tmp_path / "shared").job, masked=False).matrix
    assert forgot[1, 0] == 1.0
    assert forgot[2, 0] < 0.5 < forgot[2, 1]
    kept = load_strategy("dl")[0].run(Opposites(tmp_path / "own").job, masked=False).matrix
    assert kept[2].tolist() == [1.0, 1.0]
    assert kept[1, 0] == 1.0


def test_no_universal_reading_satisfies_opposite_worlds(tmp_path):
    """Each face has one answer in a shared head, and at most one of the two worlds agrees with it."""
    outcome = load_strategy("joint")[0].run(Opposites(tmp_path).job, masked=False)
    assert outcome.matrix[-1].mean() <= 0.5


@pytest.mark.parametrize(("name", "masked"), [("naive", False), ("joint", True)])
def test_a_mask_gives_the_shared_world_the_map_before_the_last_convolution(name, masked, tmp_path, cache):
    strategy, _ = load_strategy(name)
    outcome = strategy.run(Ground(tmp_path, cache).job("run"), masked)
    about = json.loads((tmp_path / "run" / "universal" / "world.json").read_text())
    assert (about["masked"], strategy.level(masked)) == (masked, "z" if masked else "u")
    assert about["trained_on"] == {"tasks": ["affectnet", "ferplus"], "seed": 0}
    assert about["sha256"] == outcome.tasks[0].state_sha256

"""The synthetic worlds: the same picture for the same row, the stated readings, and a disagreement that costs."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.synthetic import WORLDS, agreement, load, renderer, universal_ceiling
from benchmarks.synthetic.action_units import EVENTS, PROTOTYPES, Actions, actions, draw_actions
from benchmarks.synthetic.anatomy import Identity
from benchmarks.synthetic.draws import uniform
from benchmarks.synthetic.populations import POPULATIONS, Population, draw_person
from benchmarks.synthetic.readings import LEXICON, SPECS, class_scores, read_classes, read_dimensions, read_labels
from benchmarks.synthetic.scene import Scene
from benchmarks.synthetic.worlds import ANNOTATORS, DOUBT, ENVELOPE, SCATTER, SLIPS, annotate
from benchmarks.tasks import load_task
from ciao_stream.exceptions import CiaoError, DataError, UnknownNameError
from ciao_stream.faces.dataset import SPLITS, FaceDataset, TaskData
from ciao_stream.faces.task import EMOTIONS
from tests.helpers import ROOT

CLASS_WORLDS = ("affectnet", "fer", "ferplus", "jaffe")
MANY = np.arange(6000)
FACES = draw_actions("test", MANY)
Drawn = list[tuple[Identity, Actions, Scene]]


def few(name: str, **options: Any) -> TaskData:
    """A small world."""
    return load(name, **{"train": 12, "validation": 8, "test": 8, "size": 32, **options})


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """What the renderer, which draws nothing now, is asked for."""
    asked: Drawn = []

    def note(who: Identity, aus: Actions, scene: Scene, size: int, gray: bool) -> npt.NDArray[np.uint8]:  # noqa: ARG001
        asked.append((who, aus, scene))
        return np.zeros((size, size), np.uint8)

    monkeypatch.setattr(renderer, "render", note)
    return asked


# Tasks


@pytest.mark.parametrize("name", WORLDS)
def test_another_seed_is_another_world(name: str) -> None:
    one, other = few(name, train=64).train, few(name, train=64, seed=1).train
    assert not np.array_equal(one.targets, other.targets)
    assert all(not np.array_equal(one.image(i), other.image(i)) for i in range(4))


def test_worlds_that_annotate_the_same_pictures_share_their_source() -> None:
    for a, b in (("fer", "ferplus"), ("affectnet", "affectnet-va")):
        assert few(a).test.images == few(b).test.images
        assert few(a).test.images.fingerprint == few(b).test.images.fingerprint


@pytest.mark.parametrize("row", [-1, 12])
def test_a_missing_picture_is_named(row: int) -> None:
    with pytest.raises(DataError, match=f"^synthetic fer, split 'train': no image {row} of 12$"):
        few("fer").train.images.read(row)


def test_a_clip_is_one_person_and_camera_whose_expression_comes_and_goes(drawn: Drawn) -> None:
    data = few("emoreact", train=42).train
    assert data.groups is not None
    assert data.groups.tolist() == [row // 4 for row in range(42)]
    assert data.n_judged() == 11
    for i in range(40):
        data.image(i)
    for clip in (drawn[at : at + 4] for at in range(0, 40, 4)):
        assert {who for who, _, _ in clip} == {clip[0][0]}
        assert np.allclose([aus for _, aus, _ in clip], np.outer(ENVELOPE, clip[1][1]))
        assert len({replace(scene, yaw=0, pitch=0, roll=0, seed=0) for _, _, scene in clip}) == 1
        assert len({scene for _, _, scene in clip}) == 4
        assert np.ptp([scene.yaw for _, _, scene in clip]) <= 6
    assert np.array_equal(data.targets, data.targets[np.array(data.groups) * 4])


def test_the_names_can_be_had_without_loading_any_world() -> None:
    assert tuple(SPECS) == WORLDS
    heavy = "('numpy', 'cv2', 'torch', 'matplotlib')"
    load_one = "import benchmarks.synthetic as s; s.load('fer')"
    for code, absent in (("import benchmarks.names", heavy), (load_one, "('cv2', 'matplotlib')")):
        code = f"import sys; {code}; sys.exit(any(module in sys.modules for module in {absent}))"
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("name", WORLDS)
def test_every_label_occurs_in_every_split_at_the_default_size(name: str) -> None:
    data = load(name)
    assert [len(split) for split in data.splits()] == [1200, 200, 400]
    assert all(split.source == "synthetic" and repr(name) in split.label_rule for split in data.splits())
    if data.spec.kind == "dimensional":
        assert all(np.ptp(split.targets, axis=0).min() > 1 for split in data.splits())
    else:
        assert min(min(split.counts().values()) for split in data.splits()) >= 5


def test_the_kinds_and_labels_are_those_of_the_real_data_sets() -> None:
    kinds = ["categorical", "dimensional", "categorical", "votes", "categorical", "multilabel"]
    assert [SPECS[name].kind for name in WORLDS] == kinds
    assert [SPECS[name].labels for name in CLASS_WORLDS] == [EMOTIONS, EMOTIONS[:7], EMOTIONS, EMOTIONS[:7]]
    assert SPECS["affectnet-va"].labels == ("arousal", "valence")
    assert SPECS["emoreact"].n_out == 8


@pytest.mark.parametrize("population", POPULATIONS.values(), ids=lambda population: population.name)
def test_people_stand_in_one_split_unless_the_cast_is_shared(population: Population) -> None:
    casts = [{draw_person(population, split, 0, event) for event in range(300)} for split in SPLITS]
    if population.shared_cast:
        assert casts[0] == casts[1] == casts[2]
        assert len(casts[0]) == population.people["train"] == 10
    else:
        assert len(set.union(*casts)) == sum(len(cast) for cast in casts)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fer", {"train": 0}, "synthetic world 'fer': expected at least 1 face in split 'train' but got 0"),
        ("fer", {"test": -1}, "synthetic world 'fer': expected at least 1 face in split 'test' but got -1"),
        ("fer", {"size": 15}, "synthetic world 'fer': expected a size of at least 16 pixels but got 15"),
        ("fer", {"seed": -1}, "synthetic world 'fer': expected a seed of 0 or more but got -1"),
        ("fre", {}, r"unknown synthetic world 'fre': did you mean 'fer'.* \(known: .*\)"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(UnknownNameError if name == "fre" else CiaoError, match=f"^{message}$"):
        load(name, **options)


def test_loading_draws_nothing_and_reading_draws_one(drawn: Drawn) -> None:
    data = {name: load(name) for name in WORLDS}
    assert drawn == []
    data["fer"].train.image(7)
    assert len(drawn) == 1


@pytest.mark.parametrize(("name", "rows", "kept"), [("fer", 1_000_000, 16), ("ferplus", 300_000, 40)])
def test_a_million_rows_keep_tens_of_bytes_each(name: str, rows: int, kept: int) -> None:
    tracemalloc.start()
    data = load(name, train=rows, validation=1, test=1)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(data.train) == rows
    assert now < (kept + 1) * rows
    assert peak < 90 * rows + 30e6  # and one chunk of AU vectors
    assert np.array_equal(data.train.targets[:64], few(name, train=64).train.targets)


# Readings


def test_every_world_has_a_word_for_every_event() -> None:
    assert set(LEXICON) == {event.name for event in EVENTS}
    for column, world in enumerate(CLASS_WORLDS):
        assert {words[column] for words in LEXICON.values()} == set(SPECS[world].labels)


@pytest.mark.parametrize("world", CLASS_WORLDS)
def test_a_reading_is_the_lexicon_entry_of_the_nearest_event(world: str) -> None:
    nearest = [int(np.argmin([np.sum((face - p) ** 2) for p in PROTOTYPES])) for face in FACES[:300]]
    expected = [LEXICON[EVENTS[event].name][CLASS_WORLDS.index(world)] for event in nearest]
    assert [SPECS[world].labels[c] for c in read_classes(world, FACES[:300])] == expected


@pytest.mark.parametrize("world", ["affectnet", "fer", "jaffe"])
def test_annotators_slip_to_the_runner_up_as_often_as_stated(world: str) -> None:
    answers, second = annotate(world, FACES, "slips", MANY), class_scores(world, FACES).argsort(axis=1)[:, -2]
    slipped = answers != read_classes(world, FACES)
    assert slipped.mean() == pytest.approx(SLIPS, abs=0.01)
    assert np.array_equal(answers[slipped], second[slipped])


def test_ten_annotators_vote_by_their_doubt() -> None:
    votes = annotate("ferplus", FACES, "votes", MANY)
    assert np.allclose(votes * ANNOTATORS, np.round(votes * ANNOTATORS), atol=1e-4)
    assert np.allclose(votes.sum(axis=1), 1, atol=1e-5)
    odds = np.exp(class_scores("ferplus", FACES) / DOUBT)
    assert np.abs(votes.mean(axis=0) - (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0)).max() < 0.004
    assert 0.9 < (votes.argmax(axis=1) == read_classes("ferplus", FACES)).mean() < 1


def test_dimensions_and_labels_stay_near_their_reading() -> None:
    noise = annotate("affectnet-va", FACES, "noise", MANY) - read_dimensions(FACES)
    assert 0.9 * SCATTER < np.abs(noise).max() <= SCATTER + 1e-6
    assert np.abs(noise.mean(axis=0)).max() < 0.004
    flips = (annotate("emoreact", FACES, "noise", MANY) != read_labels(FACES)).mean(axis=0)
    assert flips == pytest.approx(SLIPS, abs=0.01)
    arousal, valence = read_dimensions(np.stack([actions(), EVENTS[1].prototype])).T
    assert arousal[0] == pytest.approx(-0.3, abs=0.01)
    assert valence[0] == 0
    assert valence[1] > 0.5


@pytest.mark.parametrize("name", WORLDS)
def test_the_face_drawn_is_the_face_labelled(name: str, drawn: Drawn) -> None:
    data = few(name, train=400).train
    rows = range(400) if data.groups is None else range(1, 400, 4)
    for i in rows:
        data.image(i)
    aus, targets = np.stack([face for _, face, _ in drawn]), data.targets[rows]
    if data.spec.has_classes:
        answers = targets if targets.ndim == 1 else targets.argmax(axis=1)
        assert (read_classes(name, aus) == answers).mean() > 1 - 2 * SLIPS
    elif data.spec.kind == "dimensional":
        assert np.abs(read_dimensions(aus) - targets).max() <= SCATTER + 1e-6
    else:
        assert (read_labels(aus) == targets).mean() > 1 - 2 * SLIPS


def test_worlds_agree_on_a_part_and_no_single_reading_serves_them_all() -> None:
    pairs = agreement(("affectnet", "fer", "jaffe"), 4000, seed=3)
    apart = pairs[~np.eye(3, dtype=bool)]
    assert 0.25 < apart.min() < apart.max() < 0.75
    ceiling = universal_ceiling(("affectnet", "fer", "jaffe"), 4000, seed=3)
    assert pairs.mean(axis=1).max() <= ceiling < 0.7  # any world's own reading is a single reading
    assert universal_ceiling(["fer"], 50) == 1


def test_agreement_and_ceiling_equal_a_slow_count() -> None:
    worlds, n = ("affectnet", "ferplus", "fer"), 150
    faces = draw_actions("agreement/5", np.arange(n))
    words = [[SPECS[w].labels[read_classes(w, face[None])[0]] for w in worlds] for face in faces]
    best = sum(Counter(row).most_common(1)[0][1] / 3 for row in words) / n
    assert universal_ceiling(worlds, n, seed=5) == pytest.approx(best)
    pairs = [[sum(row[a] == row[b] for row in words) / n for b in range(3)] for a in range(3)]
    assert np.allclose(agreement(worlds, n, seed=5), pairs)


@pytest.mark.parametrize("measure", [agreement, universal_ceiling])
def test_only_worlds_with_classes_can_agree(measure: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"^unknown synthetic world with classes 'emoreact'; known: .*$"):
        measure(["fer", "emoreact"])
    for worlds, n in (([], 5), (["fer"], 0)):
        with pytest.raises(CiaoError, match=f"at least one world and one face but got {len(worlds)} and {n}$"):
            measure(worlds, n)


def test_draws_belong_to_their_row_and_channel() -> None:
    numbers = uniform("key", np.arange(1000), 30)
    assert np.array_equal(uniform("key", [500], 12), numbers[500:501, :12])
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert len(np.unique(numbers)) == numbers.size
    assert np.abs(np.corrcoef(numbers.T) - np.eye(30)).max() < 0.15
    assert not np.isclose(uniform("other", np.arange(1000), 30), numbers, atol=1e-9).any()


# What they are for


def test_a_world_is_learnable_and_one_model_for_all_worlds_is_worse() -> None:
    worlds = ("affectnet", "fer", "jaffe")
    data = [load(name, train=300, validation=1, test=100, size=32) for name in worlds]
    train = [(outlines(task.train), task.train.classes()) for task in data]
    test = [(outlines(task.test), task.test.classes()) for task in data]
    own = [accuracy(fit([seen]), *unseen) for seen, unseen in zip(train, test, strict=True)]
    joint = fit(train)
    assert min(own) > 0.33  # majority: 0.2
    assert np.mean(own) - np.mean([accuracy(joint, *unseen) for unseen in test]) > 0.05


def outlines(faces: FaceDataset) -> npt.NDArray[np.float64]:
    """Strength of the edges in four directions, pooled to 12 x 12, and a constant: (N, 577)."""
    rows = []
    for i in range(len(faces)):
        image = faces.image(i)
        gray = (image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).astype(np.float32)
        gray /= gray.std() + 1
        dx, dy = cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)
        edges = [np.maximum(side, 0) for side in (dx, -dx, dy, -dy)]
        pooled = [cv2.resize(edge, (12, 12), interpolation=cv2.INTER_AREA).ravel() for edge in edges]
        rows.append(np.sqrt(np.concatenate([*pooled, [1.0]])))
    return np.stack(rows)


def fit(seen: Sequence[tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]]) -> npt.NDArray[np.float64]:
    """Ridge regression on one-hot classes."""
    x, y = np.concatenate([x for x, _ in seen]), np.concatenate([y for _, y in seen])
    return np.linalg.solve(x.T @ x + 3 * np.eye(x.shape[1]), x.T @ np.eye(len(EMOTIONS))[y])


def accuracy(weights: npt.NDArray[np.float64], x: npt.NDArray[np.float64], y: npt.NDArray[np.int64]) -> float:
    return float(((x @ weights).argmax(axis=1) == y).mean())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3,), "task: expected str but got int 3"),
        (("jaffe", 3), "data_root: expected str or Path or None but got int 3"),
        (("jaffe", "/nope"), "data root /nope is not a folder"),
    ],
)
def test_wrong_arguments_of_load_task_are_one_line(arguments, message):
    with pytest.raises(CiaoError, match=message):
        load_task(*arguments)

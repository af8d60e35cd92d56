"""The synthetic worlds: the same picture for the same row, the stated readings, and a disagreement that costs."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.synthetic import WORLDS, agreement, load, renderer, universal_ceiling
from benchmarks.synthetic.action_units import AUS, EVENTS, PROTOTYPES, Actions, actions, draw_actions
from benchmarks.synthetic.anatomy import Identity
from benchmarks.synthetic.contact_sheet import contact_sheet
from benchmarks.synthetic.draws import uniform
from benchmarks.synthetic.populations import POPULATIONS, Population, draw_person, draw_scene
from benchmarks.synthetic.readings import CLASS_WORLDS, LEXICON, SPECS, read_classes, read_dimensions, read_labels
from benchmarks.synthetic.renderer import render
from benchmarks.synthetic.scene import OCCLUSIONS, Scene
from benchmarks.synthetic.worlds import ANNOTATORS, SCATTER, SLIPS, annotate
from ciao_stream.exceptions import CiaoError, DataError, UnknownNameError
from ciao_stream.faces import SPLITS, Split, TaskData
from ciao_stream.tasks import EMOTIONS

MANY = np.arange(4000)


def few(name: str, **options: Any) -> TaskData:
    """A small world."""
    return load(name, **{"train": 12, "validation": 8, "test": 8, "size": 32, **options})


# Pictures


@pytest.mark.parametrize("name", WORLDS)
def test_a_row_is_the_same_picture_in_any_order_and_after_pickling(name: str) -> None:
    data = few(name).train
    forth = [data.image(i) for i in range(12)]
    copy = pickle.loads(pickle.dumps(data))
    back = [copy.image(i) for i in reversed(range(12))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forth, back, strict=True))
    assert copy.images.fingerprint == data.images.fingerprint
    shape = (32, 32) if POPULATIONS[data.images.population].gray else (32, 32, 3)  # type: ignore[attr-defined]
    assert {(image.dtype, image.shape) for image in forth} == {(np.dtype(np.uint8), shape)}


@pytest.mark.parametrize("name", WORLDS)
def test_the_first_rows_do_not_depend_on_the_count(name: str) -> None:
    short, long = few(name).train, few(name, train=70_000).train
    assert np.array_equal(short.targets, long.targets[:12])
    assert np.array_equal(short.image(11), long.image(11))


def test_seed_split_and_world_change_the_pictures() -> None:
    sources = [few("fer").train, few("fer", seed=1).train, few("fer").test, few("jaffe").train]
    pictures = {source.image(3).tobytes() for source in sources}
    assert len(pictures) == len({source.images.fingerprint for source in sources}) == 4


def test_the_fingerprint_follows_size_count_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {few("fer").train.images.fingerprint, few("fer", size=48).train.images.fingerprint}
    before |= {few("fer", train=13).train.images.fingerprint}
    monkeypatch.setattr("benchmarks.synthetic.worlds.RENDERER_VERSION", -1)
    assert len(before | {few("fer").train.images.fingerprint}) == 4


def test_worlds_that_annotate_the_same_pictures_share_their_source() -> None:
    for a, b in (("fer", "ferplus"), ("affectnet", "affectnet-va")):
        assert few(a).test.images == few(b).test.images
        assert few(a).test.images.fingerprint == few(b).test.images.fingerprint


def test_a_missing_picture_is_named() -> None:
    with pytest.raises(DataError, match="no picture 12 of 12"):
        few("fer").train.images.read(12)


def test_a_clip_shows_one_person_whose_expression_comes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Identity, Actions]] = []
    monkeypatch.setattr(renderer, "render", spy(seen))
    data = few("emoreact", train=9).train
    assert data.groups is not None
    assert data.groups.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    for i in range(9):
        data.image(i)
    for clip in (seen[:4], seen[4:8]):
        assert len({who for who, _ in clip}) == 1
        strength = [aus.sum() for _, aus in clip]
        assert strength[0] < strength[1] > strength[2] > strength[3]
    assert np.array_equal(data.targets[:4], data.targets[:1].repeat(4, axis=0))


def spy(seen: list[tuple[Identity, Actions]]) -> Callable[..., npt.NDArray[np.uint8]]:
    """A renderer that notes whom it is asked to draw."""

    def note(who: Identity, aus: Actions, scene: Scene, size: int, gray: bool) -> npt.NDArray[np.uint8]:  # noqa: ARG001
        seen.append((who, aus))
        return np.zeros((size, size), np.uint8)

    return note


UPPER = {"inner_brow_raise", "brow_raise", "brow_lower", "upper_lid_raise", "lid_tighten"}
LOWER = {"lip_corner_pull", "smirk", "lip_corner_depress", "lip_press", "lip_stretch", "jaw_drop"}


@pytest.mark.parametrize("name", AUS)
def test_an_action_unit_moves_its_own_part_of_the_face(name: str) -> None:
    rest = render(Identity(), actions(), Scene(), 96).astype(int)
    change = np.abs(render(Identity(), actions(**{name: 1.0}), Scene(), 96) - rest).sum(axis=2)
    upper = change[:52].sum() / change.sum()
    assert change.mean() > 1
    assert upper > 0.9 if name in UPPER else upper < 0.3 if name in LOWER else 0.3 < upper < 0.9
    right = change[:, 48:].sum() / change.sum()
    assert right > 0.9 if name == "smirk" else 0.4 < right < 0.6


def test_each_occlusion_hides_some_of_the_face() -> None:
    faces = [render(Identity(), actions(), Scene(occlusion=occlusion), 64) for occlusion in OCCLUSIONS]
    changed = [(np.abs(face.astype(int) - faces[0]).max(axis=2) > 20).mean() for face in faces[1:]]
    assert all(0.01 < share < 0.4 for share in changed)


@settings(max_examples=60, deadline=None)
@given(
    aus=arrays(np.float64, len(AUS), elements=st.floats(0, 1)),
    event=st.integers(0, 2**31),
    population=st.sampled_from(sorted(POPULATIONS)),
    size=st.integers(1, 130),
    gray=st.booleans(),
)
def test_anyone_can_do_anything(aus: Actions, event: int, population: str, size: int, gray: bool) -> None:
    people = POPULATIONS[population]
    who, scene = draw_person(people, "train", 0, event), draw_scene(people, "train", 0, event)
    picture = render(who, aus, scene, size, gray)
    assert picture.dtype == np.uint8
    assert picture.shape == ((size, size) if gray else (size, size, 3))
    assert np.array_equal(picture, render(who, aus.copy(), scene, size, gray))


# Tasks


@pytest.mark.parametrize("name", WORLDS)
def test_every_label_occurs_in_every_split_at_the_default_size(name: str) -> None:
    data = load(name)
    assert [len(split) for split in data.splits()] == [1200, 200, 400]
    assert all(split.source == "synthetic" and repr(name) in split.label_rule for split in data.splits())
    if data.spec.kind == "dimensional":
        assert np.ptp(data.train.targets, axis=0).min() > 1
    else:
        assert min(min(split.counts().values()) for split in data.splits()) >= 5


def test_the_kinds_and_labels_are_those_of_the_real_data_sets() -> None:
    kinds = {name: (spec.kind, spec.labels[:2], spec.n_out) for name, spec in SPECS.items()}
    assert kinds == {
        "affectnet": ("categorical", EMOTIONS[:2], 8),
        "affectnet-va": ("dimensional", ("arousal", "valence"), 2),
        "fer": ("categorical", EMOTIONS[:2], 7),
        "ferplus": ("votes", EMOTIONS[:2], 8),
        "jaffe": ("categorical", EMOTIONS[:2], 7),
        "emoreact": ("multilabel", ("curiosity", "uncertainty"), 8),
    }


def cast(population: Population, split: Split) -> set[Identity]:
    return {draw_person(population, split, 0, event) for event in range(300)}


@pytest.mark.parametrize("population", POPULATIONS.values(), ids=lambda population: population.name)
def test_people_stand_in_one_split_unless_the_cast_is_shared(population: Population) -> None:
    train, validation, test = (cast(population, split) for split in SPLITS)
    if population.shared_cast:
        assert train == validation == test
        assert len(train) == population.people["train"] == 10
    else:
        assert not train & test
        assert not train & validation
        assert not validation & test


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"train": 0}, "expected at least 1 face in split 'train' but got 0"),
        ({"test": -1}, "expected at least 1 face in split 'test' but got -1"),
        ({"size": 15}, "expected a size of at least 16 pixels but got 15"),
        ({"seed": -1}, "expected a seed of 0 or more but got -1"),
    ],
)
def test_sizes_out_of_range_are_refused_in_one_line(options: dict[str, int], says: str) -> None:
    with pytest.raises(CiaoError, match=f"^synthetic world 'fer': {says}$"):
        load("fer", **options)


def test_an_unknown_world_is_answered_with_the_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown synthetic world 'fre': did you mean 'fer'"):
        load("fre")


def test_loading_draws_nothing_and_reading_draws_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Identity, Actions]] = []
    monkeypatch.setattr(renderer, "render", spy(seen))
    data = {name: load(name) for name in WORLDS}
    assert seen == []
    data["fer"].train.image(7)
    assert len(seen) == 1


def test_loading_does_not_import_what_draws() -> None:
    code = (
        "import sys, benchmarks.synthetic as s; s.load('fer'); print('cv2' in sys.modules, 'matplotlib' in sys.modules)"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(("name", "rows", "kept"), [("fer", 1_000_000, 16), ("ferplus", 300_000, 40)])
def test_a_million_rows_keep_tens_of_bytes_each(name: str, rows: int, kept: int) -> None:
    tracemalloc.start()
    data = load(name, train=rows, validation=1, test=1)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(data.train) == rows
    assert now < (kept + 1) * rows
    assert peak < 250e6


# Readings


def test_every_world_has_a_word_for_every_event() -> None:
    assert set(LEXICON) == {event.name for event in EVENTS}
    for column, world in enumerate(CLASS_WORLDS):
        assert {words[column] for words in LEXICON.values()} == set(SPECS[world].labels)


@pytest.mark.parametrize("world", CLASS_WORLDS)
def test_a_reading_is_the_lexicon_entry_of_the_nearest_event(world: str) -> None:
    aus = draw_actions("test", np.arange(300))
    nearest = [int(np.argmin([np.sum((face - p) ** 2) for p in PROTOTYPES])) for face in aus]
    expected = [LEXICON[EVENTS[event].name][CLASS_WORLDS.index(world)] for event in nearest]
    assert [SPECS[world].labels[c] for c in read_classes(world, aus)] == expected


@pytest.mark.parametrize("world", ["affectnet", "fer", "jaffe"])
def test_annotators_slip_as_often_as_stated(world: str) -> None:
    aus = draw_actions("test", MANY)
    slips = (annotate(world, aus, "slips", MANY) != read_classes(world, aus)).mean()
    assert slips == pytest.approx(SLIPS, abs=0.012)


def test_ten_annotators_vote_and_mostly_for_the_reading() -> None:
    aus = draw_actions("test", MANY)
    votes = annotate("ferplus", aus, "votes", MANY)
    assert np.allclose(votes * ANNOTATORS, np.round(votes * ANNOTATORS), atol=1e-4)
    assert np.allclose(votes.sum(axis=1), 1, atol=1e-5)
    assert 0.9 < (votes.argmax(axis=1) == read_classes("ferplus", aus)).mean() < 1


def test_dimensions_and_labels_stay_near_their_reading() -> None:
    aus = draw_actions("test", MANY)
    assert np.abs(annotate("affectnet-va", aus, "noise", MANY) - read_dimensions(aus)).max() <= SCATTER + 1e-6
    flips = (annotate("emoreact", aus, "noise", MANY) != read_labels(aus)).mean()
    assert flips == pytest.approx(SLIPS, abs=0.005)
    arousal, valence = read_dimensions(np.stack([actions(), EVENTS[1].prototype])).T
    assert arousal[0] == pytest.approx(-0.3, abs=0.01)
    assert valence[0] == 0
    assert valence[1] > 0.5


@pytest.mark.parametrize("name", ["affectnet", "fer", "jaffe"])
def test_the_face_drawn_is_the_face_labelled(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Identity, Actions]] = []
    monkeypatch.setattr(renderer, "render", spy(seen))
    data = few(name, train=200).train
    for i in range(200):
        data.image(i)
    assert (read_classes(name, np.stack([aus for _, aus in seen])) == data.targets).mean() > 1 - 3 * SLIPS


def test_worlds_agree_on_a_part_and_no_single_reading_serves_them_all() -> None:
    pairs = agreement(CLASS_WORLDS, 4000, seed=3)
    assert np.array_equal(pairs, pairs.T)
    assert np.array_equal(np.diag(pairs), np.ones(4))
    apart = pairs[~np.eye(4, dtype=bool)]
    assert apart.min() > 0.3
    assert apart.max() < 0.75
    assert 0.5 < universal_ceiling(CLASS_WORLDS, 4000, seed=3) < 0.75
    assert universal_ceiling(["fer"], 50) == 1


def test_agreement_and_ceiling_equal_a_slow_count() -> None:
    worlds, n = ("affectnet", "ferplus", "fer"), 150
    aus = draw_actions("agreement/5", np.arange(n))
    words = [[SPECS[w].labels[read_classes(w, face[None])[0]] for w in worlds] for face in aus]
    best = sum(Counter(row).most_common(1)[0][1] / 3 for row in words) / n
    assert universal_ceiling(worlds, n, seed=5) == pytest.approx(best)
    assert agreement(worlds, n, seed=5)[0, 2] == pytest.approx(sum(row[0] == row[2] for row in words) / n)


def test_only_worlds_with_classes_can_agree() -> None:
    with pytest.raises(UnknownNameError, match="unknown synthetic world with classes 'emoreact'"):
        agreement(["fer", "emoreact"])
    with pytest.raises(CiaoError, match="at least one world and one face but got 0 and 5"):
        universal_ceiling([], 5)


def test_draws_belong_to_their_row_and_channel() -> None:
    numbers = uniform("key", np.arange(1000), 30)
    assert np.array_equal(uniform("key", [500], 12), numbers[500:501, :12])
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert len(np.unique(numbers)) == numbers.size
    assert numbers.mean() == pytest.approx(0.5, abs=0.01)
    assert np.abs(np.corrcoef(numbers.T) - np.eye(30)).max() < 0.15
    assert not np.isclose(uniform("other", np.arange(1000), 30), numbers, atol=1e-9).any()


# What they are for


def test_a_world_is_learnable_and_one_model_for_all_worlds_is_worse() -> None:
    worlds = ("affectnet", "fer", "jaffe")
    data = {name: load(name, train=400, validation=1, test=150, size=48) for name in worlds}
    train = {name: (outlines(task, "train"), task.train.classes()) for name, task in data.items()}
    test = {name: (outlines(task, "test"), task.test.classes()) for name, task in data.items()}
    own = [accuracy(fit(*train[name]), *test[name]) for name in worlds]
    joint = fit(np.concatenate([train[n][0] for n in worlds]), np.concatenate([train[n][1] for n in worlds]))
    shared = [accuracy(joint, *test[name]) for name in worlds]
    assert min(own) > 0.4
    assert np.mean(own) - np.mean(shared) > 0.08


def outlines(task: TaskData, split: Split) -> npt.NDArray[np.float64]:
    """Strength of the edges in four directions, pooled to 12 x 12, and a constant: (N, 577)."""
    faces = getattr(task, split)
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


def fit(x: npt.NDArray[np.float64], y: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Ridge regression on one-hot classes."""
    solved = np.linalg.solve(x.T @ x + 3 * np.eye(x.shape[1]), x.T @ np.eye(len(EMOTIONS))[y])
    return np.asarray(solved, dtype=np.float64)


def accuracy(weights: npt.NDArray[np.float64], x: npt.NDArray[np.float64], y: npt.NDArray[np.int64]) -> float:
    return float(((x @ weights).argmax(axis=1) == y).mean())


# The sheet


def test_the_contact_sheet_is_white_at_its_rim_and_says_synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    written = []
    write = Axes.text

    def note(self: Axes, x: float, y: float, s: str, **options: Any) -> Any:
        written.append(s)
        return write(self, x, y, s, **options)

    monkeypatch.setattr(Axes, "text", note)
    sheet = contact_sheet(("affectnet", "affectnet-va", "ferplus", "emoreact"), columns=3, size=64)
    assert sheet.dtype == np.uint8
    assert sheet.ndim == 3
    assert all((edge == 255).all() for edge in (sheet[:5], sheet[-5:], sheet[:, :5], sheet[:, -5:]))
    assert "synthetic" in written
    assert "happiness" in written
    assert np.array_equal(sheet, contact_sheet(("affectnet", "affectnet-va", "ferplus", "emoreact"), 3, 64))


def test_the_contact_sheet_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(UnknownNameError, match="unknown synthetic world 'ferr'"):
        contact_sheet(("ferr",))
    with pytest.raises(CiaoError, match="at least 64 pixels but got 6, 8, 32"):
        contact_sheet(size=32)

"""A part of a task: as many faces as asked for, every class by its share, clips whole, the same every time."""

import numpy as np
import pytest

from benchmarks.tasks import load_task
from ciao_stream.faces.dataset import TaskData
from ciao_stream.faces.part import limited
from tests.helpers import tiny


def skewed(n):
    """A task with 80 % of one class, 15 % of another, 5 % of the last."""
    targets = np.repeat([0, 1, 2], [n * 80 // 100, n * 15 // 100, n * 5 // 100])
    faces = tiny.faces("categorical", tiny.pictures(n), targets=targets)
    return TaskData(faces, faces, faces)


@pytest.mark.parametrize(("limit", "counts"), [(20, [16, 3, 1]), (100, [80, 15, 5]), (3, [1, 1, 1]), (4, [2, 1, 1])])
def test_classes_keep_their_shares_and_none_is_lost(limit, counts):
    found = limited(skewed(200), limit)
    assert np.bincount(found.train.classes()).tolist() == counts
    assert len(found.test) == limit
    assert len(found.train.images) == limit, "only the images of the part are prepared"
    assert f"--limit {limit}: {limit} of 200 training faces and {limit} of 200 test faces" in found.protocol


def test_a_part_is_the_same_every_time_and_shows_the_same_faces():
    whole = skewed(60)
    one, two = limited(whole, 15), limited(whole, 15)
    assert one.train.images.fingerprint == two.train.images.fingerprint
    for i in range(len(one.train)):
        row = one.train.images.chosen[one.train.rows[i]]
        assert np.array_equal(one.train.image(i), whole.train.images.read(row))
        assert one.train.classes()[i] == whole.train.classes()[row]


def test_a_limit_above_the_size_of_a_task_changes_nothing():
    whole = skewed(60)
    assert limited(whole, 60) is whole


def test_clips_stay_whole():
    task = load_task("emoreact", None, sizes={"train": 40, "validation": 16, "test": 16})
    found = limited(task, 21)
    assert len(found.train) == 20
    for part, all_of in ((found.train, task.train), (found.test, task.test)):
        for group in np.unique(part.groups):
            assert (part.groups == group).sum() == (all_of.groups == group).sum() == 4


def test_every_fold_of_a_cross_validation_is_limited():
    whole = TaskData.cross_validation([skewed(60), skewed(40)])
    found = limited(whole, 10)
    assert [len(fold.train) for fold in found.every_fold] == [10, 10]
    assert found.of_run(1).train is found.every_fold[1].train

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.exceptions import DataError
from ciao_stream.faces.sampling import balanced
from tests.helpers import tiny


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 9))
@tiny.examples(max_examples=60)
def test_every_class_is_as_frequent_as_any_other(classes, seed):
    classes = np.array(classes)
    drawn = balanced(classes, np.random.default_rng(seed))
    assert len(drawn) == len(classes)
    counts = np.bincount(classes[drawn], minlength=6)[np.unique(classes)]
    assert counts.max() - counts.min() <= 1
    times = np.bincount(drawn, minlength=len(classes))
    for c in np.unique(classes):
        assert np.ptp(times[classes == c]) <= 1


def test_another_seed_another_draw():
    classes = np.repeat([0, 1], [50, 5])
    one, two = (balanced(classes, np.random.default_rng(seed)) for seed in (0, 1))
    assert one.tolist() != two.tolist()
    assert one.tolist() == balanced(classes, np.random.default_rng(0)).tolist()


def test_encoded_faces_keep_each_face_with_its_target():
    images = tiny.pictures(12)
    targets = np.array([0] * 9 + [1, 1, 2])
    faces = tiny.faces("categorical", images, targets=targets, groups=np.arange(12))
    encoded = EncodedFaces(faces, images.images[:, None])
    drawn = encoded.balanced(np.random.default_rng(0))
    x, y = drawn.batch(np.arange(12))
    assert np.bincount(y).tolist() == [4, 4, 4]
    for face, target, group in zip(x.numpy(), y.tolist(), drawn.faces.groups, strict=True):
        assert np.array_equal(face[0], images.images[group])
        assert targets[group] == target


@pytest.mark.parametrize("kind", ["dimensional", "multilabel"])
def test_tasks_without_classes_cannot_be_balanced(kind):
    faces = tiny.faces(kind)
    with pytest.raises(DataError, match="has no classes"):
        EncodedFaces(faces, faces.images.images[:, None]).balanced(np.random.default_rng(0))

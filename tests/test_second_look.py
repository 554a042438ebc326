"The second look at labels: shapes alone, whatever the labels are called and in whatever order the images come."
import numpy as np
import pandas as pd
import pytest

from mnist_clustering.data import load_mnist
from mnist_clustering.evaluation import suspicious
from mnist_clustering.second_look import N_LOOKED_AT, second_look, shape_distances


@pytest.fixture(scope='module')
def planted():
    "700 digits, 12 of them with the label of another, points that say nothing against it, and which they are."
    train, _ = load_mnist()
    images, labels = train.images[:700], train.labels[:700].astype(int)
    rng = np.random.default_rng(0)
    wrong = rng.choice(700, 12, replace=False)
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, 12)) % 10
    points = np.eye(10)[labels] + rng.normal(0, .3, (700, 10)) # a network that believes the labels
    return images, labels, points, wrong


def test_shapes_find_what_points_do_not(planted):
    images, labels, points, wrong = planted
    first = suspicious(points, labels, labels)
    table = second_look(first, images)
    assert list(table) == list(first) and sorted(table['index']) == list(range(700))
    assert table['suspicion'].is_monotonic_decreasing and table['suspicion'].between(-1, 1).all()
    seen = first['index'].head(N_LOOKED_AT)
    assert table['index'][N_LOOKED_AT:].tolist() == first['index'][N_LOOKED_AT:].tolist()
    places = [np.flatnonzero(look['index'].isin(seen[seen.isin(wrong)])).mean() for look in (first, table)]
    assert places[1] < .7 * places[0]


def test_names_and_forms_make_no_difference(planted):
    images, labels, points, _ = planted
    words = np.array(list('abcdefghij'))[labels]
    table = second_look(suspicious(points, labels, labels), images)
    again = second_look(suspicious(points, words, words), images.reshape(len(images), -1))
    assert again['index'].tolist() == table['index'].tolist()
    assert again['suspicion'].tolist() == table['suspicion'].tolist()


def test_an_image_alone_with_its_label_is_not_its_own_neighbour(planted):
    images = planted[0][:4]
    table = second_look(suspicious([[0.], [0.], [1.], [1.]], list('abcc'), [None] * 4), images)
    assert set(table['index'][:2]) == {0, 1} and table['suspicion'][0] == 1
    distances = shape_distances(np.stack([images[0], images[0]]), np.array(['a', 'a']), np.array([1]), np.array(['a']))
    assert distances.tolist() == [0]


def test_the_order_of_the_images_makes_no_difference(planted):
    images, labels, points, _ = planted
    order = np.random.default_rng(1).permutation(len(images))
    table = second_look(suspicious(points, labels, labels), images).set_index('index')['suspicion']
    again = second_look(suspicious(points[order], labels[order], labels[order]), images[order])
    assert pd.Series(again['suspicion'].to_numpy(), order[again['index']]).sort_index().to_numpy() == pytest.approx(
        table.sort_index().to_numpy(), abs=1e-4)


def test_a_part_of_the_table_is_refused():
    images = load_mnist()[1].images[:30]
    suspects = suspicious(images.reshape(30, -1), np.arange(30) % 3, np.arange(30) % 3)
    for part in (suspects[:20], suspects[suspects['index'] >= 5]):
        with pytest.raises(ValueError, match='a row for each of the 30 images'):
            second_look(part, images)

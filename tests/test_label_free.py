"The map of the neighbours and what is built on it: what it loads, what it recognises, what it refuses."
import doctest
import os
import subprocess
import sys

import numpy as np
import pytest
import sklearn

from mnist_clustering import distortion, label_free, shapes
from mnist_clustering.data import load_mnist
from mnist_clustering.distortion import nn_descent, preprocess
from mnist_clustering.features import FEATURES, DeskewedFeatures
from mnist_clustering.label_free import LabelFreeFeatures, enough_epochs, surely_agree
from mnist_clustering.shapes import DistortionFeatures, DistortionMap, vote

pytestmark = pytest.mark.filterwarnings('ignore:which of the .* components')

FIT = '''
import sys, warnings
import numpy as np
from mnist_clustering.data import load_mnist
from mnist_clustering.shapes import DistortionMap
warnings.filterwarnings('ignore', 'the clusters are not firm')
DistortionMap().fit(load_mnist()[0].images[:300])
print([name for name in ('tensorflow', 'keras', 'torch', 'umap.parametric_umap') if name in sys.modules])
'''


@pytest.fixture(scope='module')
def digits():
    train, _ = load_mnist()
    return train[:400]


@pytest.fixture(scope='module')
def features(digits):
    return DistortionFeatures().fit(digits.images[:300])


@pytest.fixture(scope='module')
def fitted(digits):
    return DistortionMap().fit(digits.images[:300])


def test_a_fit_loads_no_tensorflow_and_prints_nothing(tmp_path):
    talking = 'import os\nos.write(2, b"a line of its own\\n")\n'
    for name in ('tensorflow', 'keras', 'torch'):
        (tmp_path / f'{name}.py').write_text(talking)
    paths = [str(tmp_path), *sys.path]
    env = os.environ | {'PYTHONPATH': os.pathsep.join(paths), 'MNIST_CLUSTERING_CACHE': str(tmp_path / 'cache')}
    fit = subprocess.run([sys.executable, '-c', FIT], capture_output=True, text=True, env=env)
    assert (fit.returncode, fit.stderr, fit.stdout) == (0, '', '[]\n')


ONE_OR_TWO_CORES = '''
import hashlib, os, warnings
if hasattr(os, 'sched_setaffinity'):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
from mnist_clustering.data import load_mnist
from mnist_clustering.shapes import DistortionMap
warnings.filterwarnings('ignore', 'the clusters are not firm')
images = load_mnist()[0].images
fitted = DistortionMap().fit(images[:800])
of_digits = DistortionMap(method='western_digits').fit(images[:800])
made = (fitted.coarse_, fitted.neighbors_, fitted.distances_, fitted.embedding_, fitted.labels_, of_digits.ratios_,
        *fitted.query(images[800:820]))
print(*(hashlib.sha256(array.tobytes()).hexdigest() for array in made))
'''


def test_one_core_and_two_give_the_same_bytes(tmp_path):
    answers = set()
    for cores in (1, 2):
        env = os.environ | {'MNIST_CLUSTERING_CACHE': str(tmp_path / str(cores))}
        command = ONE_OR_TWO_CORES.replace('CORES', str(cores))
        run = subprocess.run([sys.executable, '-c', command], capture_output=True, text=True, env=env, check=True)
        answers.add(run.stdout)
    assert len(answers) == 1


def test_one_new_image_is_answered_as_among_others(fitted, digits):
    new = digits.images[300:]
    together = fitted.predict(new)
    assert [int(fitted.predict(new[i:i + 1])[0]) for i in range(0, 100, 9)] == together[::9].tolist()


def test_umaps_parametric_variant_stays_at_hand():
    shapes.umap_layout(np.array([[1, 2], [0, 2], [0, 1], [2, 1], [2, 3]]), np.ones((5, 2)), np.eye(5), 1, 0)
    assert sys.modules.get('umap.parametric_umap', 'not there') is not None


def test_a_fitted_image_keeps_its_own_place(features, digits):
    images = digits.images[:300]
    for form in (images, images[..., None], images.reshape(300, -1), images / np.float32(255)):
        assert np.array_equal(features.transform(form), features.embedding_)
    assert np.array_equal(features.transform(images[::-7]), features.embedding_[::-7])
    assert np.array_equal(DistortionFeatures().fit_transform(images), features.embedding_)


def test_a_new_image_lies_among_its_neighbours(features, digits):
    mixed = digits.images[250:400] # 50 fitted ones and 100 new ones
    places = features.transform(mixed)
    neighbors, _ = features.query(mixed[50:])
    around = features.embedding_[neighbors]
    assert np.array_equal(places[:50], features.embedding_[250:])
    assert (places[50:] >= around.min(axis=1) - 1e-4).all()
    assert (places[50:] <= around.max(axis=1) + 1e-4).all()


def test_predict_answers_as_if_all_images_were_prepared_again(fitted, digits):
    prepared = (fitted.upright_, fitted.softness_)
    edge_maps, coarse, directions = preprocess(digits.images[:300], *prepared)
    new_maps, new_coarse, _ = preprocess(digits.images[300:], *prepared, directions)
    neighbors, distances = nn_descent(new_maps, new_coarse, 10, 2, (edge_maps, coarse, fitted.neighbors_))
    expected = vote(fitted.labels_, neighbors, distances).argmax(axis=1)
    assert np.array_equal(fitted.predict(digits.images[300:]), expected)


def test_pandas_output_changes_no_figure(features, fitted, digits):
    images = digits.images[:300]
    with sklearn.config_context(transform_output='pandas'):
        anew = DistortionMap(fresh=True).fit(images)
        assert np.array_equal(anew.embedding_, features.embedding_)
        assert np.array_equal(anew.predict(digits.images[300:]), fitted.predict(digits.images[300:]))
        table = features.transform(digits.images[298:302])
        assert table.columns[0] == 'distortionfeatures0'
        assert DeskewedFeatures().fit_transform(images).shape == (300, 784)


@pytest.mark.filterwarnings('ignore:no second opinion') # 400 digits are few
def test_label_free_features_with_pandas_output(digits):
    with sklearn.config_context(transform_output='pandas'):
        taught = LabelFreeFeatures().fit(digits.images)
        assert taught.transform(digits.images[:5]).shape == (5, 128)
        assert set(taught.predict(digits.images[:5])) <= set(taught.classes_)


@pytest.mark.parametrize('n, cross_fit, last', [(70_000, 3, 5), (10_000, 3, 5), (9_298, 4, 6), (500, 60, 100)])
def test_few_images_are_shown_as_often_as_many(n, cross_fit, last):
    assert (enough_epochs(3, n), enough_epochs(5, n)) == (cross_fit, last)


@pytest.mark.parametrize('agreed, n, sure', [(299, 299, True), (465, 480, False), (49, 50, False), (980, 1000, False),
                                             (2940, 3000, True), (9700, 10_000, False), (10, 10, False)])
def test_agreement_on_few_images_may_be_luck(agreed, n, sure):
    assert surely_agree(np.arange(n) < agreed) is sure


@pytest.fixture
def opinions(monkeypatch):
    "Lets networks say what a test wants, and keeps what the last network is taught, without training any."
    told = {}

    def train_cnn(pixels, labels, network, epochs, seed, fresh):
        told.update(n=len(pixels), labels=labels, epochs=epochs)
        return [np.zeros((128, labels.max() + 1)), np.zeros(labels.max() + 1)], {}

    monkeypatch.setattr(label_free, 'train_cnn', train_cnn)
    monkeypatch.setattr(LabelFreeFeatures, '_cross_fit', lambda self, X, clusters, given: told['networks_say'])
    return told


def test_networks_that_contradict_the_neighbours_move_nothing(digits, fitted, opinions):
    opinions['networks_say'] = 9 * np.eye(fitted.n_clusters_)[(fitted.labels_ + 1) % fitted.n_clusters_]
    with pytest.warns(UserWarning, match='no second opinion: networks and neighbours agree on .* of 300 images'):
        taught = LabelFreeFeatures().fit(digits.images[:300])
    assert taught.agreement_ < .5
    assert np.array_equal(taught.labels_, fitted.labels_)
    assert np.array_equal(opinions['labels'], fitted.labels_)
    assert opinions['epochs'] == enough_epochs(5, 300)


def test_networks_that_agree_elsewhere_may_move_an_image(digits, fitted, opinions):
    neighbors_say = vote(fitted.labels_, fitted.neighbors_, fitted.distances_).argmax(axis=1)
    other = (neighbors_say[7] + 1) % fitted.n_clusters_
    opinions['networks_say'] = np.eye(fitted.n_clusters_)[neighbors_say]
    opinions['networks_say'][7] = 2 * np.eye(fitted.n_clusters_)[other]
    taught = LabelFreeFeatures().fit(digits.images[:300])
    assert taught.agreement_ == 299 / 300
    assert taught.labels_[7] == other
    assert np.array_equal(np.delete(taught.labels_, 7), np.delete(neighbors_say, 7))
    assert np.array_equal(opinions['labels'], np.delete(neighbors_say, 7)) # what they disagree on is not taught


@pytest.mark.parametrize('name, value', [('n_neighbors', 0), ('n_neighbors', 2.5), ('warp', 4), ('warp', -1),
                                         ('n_components', 0), ('seed', -1), ('seed', None), ('seed', 2**32)])
def test_parameters_out_of_range_are_named(digits, name, value):
    with pytest.raises(ValueError, match=f'{name} must be (auto or )?a whole number'):
        DistortionMap(**{name: value}).fit(digits.images)


def test_entries_of_the_registry_make_what_they_say():
    assert isinstance(FEATURES['deskewed'].make(), DeskewedFeatures)
    for name, kind in (('distortion', DistortionFeatures), ('label_free', LabelFreeFeatures)):
        defaults = {key: parameter.default for key, parameter in FEATURES[name].parameters.items()}
        made = FEATURES[name].make(seed=7, fresh=True, **defaults)
        assert made.get_params() == kind(seed=7, fresh=True).get_params()


@pytest.mark.parametrize('module', [distortion, shapes, label_free], ids=lambda module: module.__name__)
def test_examples(module):
    assert doctest.testmod(module).failed == 0

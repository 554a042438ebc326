"Scores for labels of any kind: compared with other people's code, and with themselves under other names for the same."
from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_samples
from sklearn.metrics.cluster import contingency_matrix

from mnist_clustering.evaluation import (
    Scores,
    apply_names,
    cluster_accuracy,
    contingency,
    macro_purity,
    map_clusters,
    plot_confusion,
    purity,
    score,
    score_frozen,
    suspicion,
    suspicious,
)

WORDS = np.array(['zero', 'one', 'two', 'three', 'four', 'five', 'six'])
SAME = { # other values for the labels 0 to 6
    'list': np.ndarray.tolist,
    'column': lambda labels: labels[:, None],
    'text': lambda labels: labels.astype(str),
    'words': lambda labels: WORDS[labels].tolist(),
    'objects': lambda labels: WORDS[labels].astype(object),
    'floats': lambda labels: labels / 2,
    'small integers': lambda labels: labels.astype(np.uint8),
    'mixed': lambda labels: [[0, 1, '0', '1', 'a', 2.5, 'b'][label] for label in labels],
    'dates': lambda labels: pd.to_datetime('2020-01-01') + pd.to_timedelta(labels, 'D'),
    'categories': lambda labels: pd.Series(WORDS[labels]).astype('category'),
    'categories of integers': lambda labels: pd.Categorical(labels),
    'pandas, another index': lambda labels: pd.Series(labels, index=np.random.default_rng(1).permutation(len(labels))),
    'pandas text': lambda labels: pd.Series(WORDS[labels], dtype='string'),
    'pandas nullable': lambda labels: pd.Series(labels, dtype='Int64'),
    'table': lambda labels: pd.DataFrame({'label': WORDS[labels]}),
}


def random_case(seed):
    "Labels 0 to 6 and clusters -1 to 8 that have something to do with each other."
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, 300)
    clusters = np.where(rng.random(300) < .6, labels, rng.integers(-1, 9, 300))
    return labels, clusters


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('kind', SAME)
def test_other_values_for_the_same_labels_change_no_score(kind, seed):
    labels, clusters = random_case(seed)
    before = score(labels, clusters)
    after = score(SAME[kind](labels), clusters)
    assert list(after) == list(Scores.about)
    for name in before:
        assert after[name] == pytest.approx(before[name], abs=1e-12)
    new_labels, new_clusters = random_case(seed + 100)
    frozen = score_frozen(SAME[kind](labels), clusters, SAME[kind](new_labels), new_clusters)
    assert frozen == pytest.approx(score_frozen(labels, clusters, new_labels, new_clusters), abs=1e-12)


@pytest.mark.parametrize('seed', range(5))
def test_other_numbers_for_the_same_clusters_change_no_score(seed):
    labels, clusters = random_case(seed)
    numbers = np.random.default_rng(seed).permutation(50)[:9]
    renumbered = np.where(clusters < 0, -1, numbers[clusters])
    column = pd.Series(renumbered, index=np.arange(300)[::-1])
    for same in (renumbered, renumbered.tolist(), renumbered[:, None], column):
        assert score(labels, same) == pytest.approx(score(labels, clusters), abs=1e-12)
    order = np.random.default_rng(seed).permutation(300)
    assert score(labels[order], clusters[order]) == pytest.approx(score(labels, clusters), abs=1e-12)


@pytest.mark.parametrize('seed', range(4))
def test_against_other_peoples_code(seed):
    labels, clusters = random_case(seed)
    found = score(labels, clusters)
    table = contingency_matrix(labels, clusters)[:, 1:] # the first column is the noise
    assert (contingency(labels, clusters).to_numpy() == table).all()
    best = max(sum(table[row, column] for row, column in enumerate(order)) for order in permutations(range(9), 7))
    expected = Scores(
        accuracy=best / 300,
        nmi=normalized_mutual_info_score(labels, clusters),
        ari=adjusted_rand_score(labels, clusters),
        purity=table.max(axis=0).sum() / table.sum(),
        macro_purity=(table.max(axis=0) / table.sum(axis=0)).mean(),
        coverage=table.sum() / 300,
    )
    assert found == pytest.approx(expected, abs=1e-12)
    named = apply_names(clusters, map_clusters(labels, clusters))
    assert found['accuracy'] == np.mean([name == label for name, label in zip(named, labels)])


def test_values_that_look_alike_are_compared_by_value():
    assert cluster_accuracy(['0', '0', '1', '1'], [0, 0, 1, 1]) == 1
    assert cluster_accuracy(list('aabb'), [1, 1, 0, 0]) == 1
    assert cluster_accuracy([0, .5, 1], [0, 1, 2], names={0: 0, 1: .5, 2: 1}) == 1
    assert cluster_accuracy([1, '1'], [0, 1]) == 1
    assert cluster_accuracy([1, '1'], [0, 1], names={0: '1', 1: 1}) == 0
    assert cluster_accuracy([3, 3], [0, 0], names={0: 3.0}) == 1
    assert cluster_accuracy([3, 3], np.zeros(2, int), names={np.int64(0): np.uint8(3)}) == 1
    assert cluster_accuracy([True, False], [5, 0]) == 1


def test_noise_is_never_right():
    half = score([-1, -1, 1, 1], [-1, -1, 0, 0])
    assert half['accuracy'] == half['coverage'] == .5
    nothing = score(['a', 'b'], [-1, -1])
    assert [nothing[name] for name in ('accuracy', 'purity', 'macro_purity', 'coverage')] == [0, 0, 0, 0]
    assert map_clusters(['a', 'b'], [-1, -1]) == {}
    assert score_frozen(['a', 'b'], [-1, -1], ['a', 'b'], [0, 1])['accuracy'] == 0
    with pytest.raises(ValueError, match='integers from 0, not -1'):
        cluster_accuracy([1, 1], [-1, -1], names={-1: 1})


def test_names_are_applied_as_they_are():
    named = apply_names([0, 1, 2, 7, -1], {0: 'cat', 1: 3, 2: np.nan})
    assert named.dtype == object and named.tolist() == ['cat', 3, None, None, None]
    assert pd.isna(named).tolist() == [False, False, True, True, True]
    assert apply_names([0, 1], pd.Series(['a', 'b'])).tolist() == ['a', 'b']
    assert isinstance(map_clusters(np.array([3, 8], np.uint8), [0, 1])[0], int)
    assert isinstance(map_clusters(np.array(['a', 'b']), [0, 1])[0], str)
    for key in ('0', .5, True, None):
        with pytest.raises(ValueError, match='names must have clusters as their keys'):
            apply_names([0, 1], {key: 'a'})


@pytest.mark.parametrize('labels, clusters, sentence', [
    (['a', None, 'b', np.nan], [0, 0, 1, 1], 'labels must be known for each image, and 2 of 4 are missing'),
    (pd.Series([1, pd.NA], dtype='Int64'), [0, 1], '1 of 2 are missing, the first at position 1'),
    (np.zeros((3, 2)), [0, 0, 1], 'labels must be one column, not of the shape \\(3, 2\\)'),
    ('ab', [0, 1], 'labels must be one column'),
    ([1, 2], np.zeros((2, 2), int), 'clusters must be one column'),
    ([1, 2], ['0', '1'], "clusters must be integers from 0, or -1 for noise, and position 0 holds '0'"),
    ([1, 2], [0, 1.5], 'position 1 holds 1.5'),
    ([1, 2], [0, None], 'position 1 holds None'),
    ([1, 2], np.array([0, np.nan]), 'position 0 holds 0.0'),
    ([1, 2], [True, False], 'position 0 holds True'),
    ([1, 2], np.array([0, -2]), 'position 1 holds -2'),
    ([1, 2, 3], [0, 1], 'labels and clusters must have the same length, at least 1, not 3 and 2'),
    ([], [], 'at least 1'),
])
@pytest.mark.parametrize('function', [contingency, map_clusters, cluster_accuracy, purity, macro_purity, score])
def test_what_cannot_be_read_is_refused(function, labels, clusters, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        function(labels, clusters)
    assert '\n' not in str(refused.value)


def test_names_of_another_kind_are_refused():
    for refused in (
        lambda: cluster_accuracy([0, 1], [0, 1], names={0: '0', 1: '1'}),
        lambda: score(['0', '1'], [0, 1], names={0: 0, 1: 1}),
        lambda: score_frozen(['0', '1'], [0, 1], [0, 1], [0, 1]),
        lambda: suspicious(np.eye(2), [0, 1], ['0', '1']),
        lambda: plot_confusion(['0', '1'], [0, 1]),
    ):
        with pytest.raises(ValueError, match='make both text or both numbers'):
            refused()


def nearest_by_hand(features, labels, i, label):
    "The mean distance of an image to its ten nearest with a label."
    others = [j for j in range(len(labels)) if labels[j] == label and j != i]
    return np.sort(np.linalg.norm(features[others] - features[i], axis=1))[:10].mean()


def test_suspicion_whatever_the_labels():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 200)
    features = rng.normal(size=(200, 3)) + labels[:, None]
    before = suspicion(features, labels)
    named = np.where(rng.random(200) < .2, rng.integers(0, 7, 200), labels)
    table = suspicious(features, labels, named)
    assert sorted(table['index']) == list(range(200)) and table['suspicion'].is_monotonic_decreasing
    assert (table['name'] == named[table['index']]).all() and (table['label'] == labels[table['index']]).all()
    other = table.set_index('index')['other']
    for i in rng.choice(200, 20, replace=False): # a silhouette among the nearest
        away = np.array([nearest_by_hand(features, labels, i, label) for label in range(7)])
        own, nearest = away[labels[i]], np.delete(away, labels[i]).min()
        assert before[i] == pytest.approx((own - nearest) / max(own, nearest), abs=1e-5)
        assert away[other[i]] == pytest.approx(nearest)
    for kind, same in SAME.items():
        assert suspicion(features.tolist(), same(labels)) == pytest.approx(before), kind
        again = suspicious(pd.DataFrame(features), same(labels), same(named))
        assert again['index'].tolist() == table['index'].tolist(), kind
        assert list(again) == ['index', 'label', 'name', 'other', 'suspicion']


def test_suspicion_where_few_have_the_label():
    features = np.array([[0.], [1.], [10.], [10.]])
    labels = ['a', 'a', 'b', 'b']
    assert (np.sign(suspicion(features, labels)) == -np.sign(silhouette_samples(features, labels))).all()
    assert suspicion([[1.], [1.]], ['a', 'b']).tolist() == [1, 1] # nothing bears them out
    assert suspicion([[1.], [1.], [1.]], ['a', 'b', 'b']).tolist() == [1, 0, 0]


def test_suspicion_of_many_is_nearly_that_by_hand():
    "Of more than 2,000 images with a label, those in the cells around are compared: also where many lie at one place."
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 3000)
    features = rng.normal(size=(6000, 4)) + 4 * labels[:, None]
    features[3000:5990] = 9. # all in one cell, and ten alone in the others
    wrong = rng.choice(3000, 20, replace=False)
    labels[wrong] = 1
    found = suspicion(features, labels)
    for i in [*wrong[:5], *rng.choice(3000, 5, replace=False), 5995]:
        own, other = (nearest_by_hand(features, labels, i, label) for label in (labels[i], 1 - labels[i]))
        assert found[i] == pytest.approx((own - other) / max(own, other), abs=.05)
    assert set(wrong) <= set(np.argsort(-found)[:30])


def test_suspicion_does_not_depend_on_where_the_features_lie():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(300, 3)), rng.integers(0, 3, 300)
    assert suspicion(features + 10_000, labels) == pytest.approx(suspicion(features, labels), abs=1e-4)


def test_suspicious_by_position_not_by_index():
    features, named = [[0.], [0.], [1.], [0.]], [0, 0, 1, 0]
    labels = pd.Series([0, 0, 1, 1], index=[3, 2, 1, 0])
    table = suspicious(features, labels, named)
    assert table.drop(columns='suspicion').values.tolist() == [[3, 1, 0, 0], [2, 1, 1, 0], [0, 0, 0, 1], [1, 0, 0, 1]]
    assert suspicious(features, labels, [None, np.nan, None, pd.NA])['index'].tolist() == [3, 2, 0, 1]
    again = suspicious(pd.DataFrame(features, index=[5, 6, 7, 8]), labels, pd.Series(named, index=[9, 8, 7, 6]))
    assert again.equals(table)
    with pytest.raises(ValueError, match="two different values at least, and all are 'a'"):
        suspicion(features, list('aaaa'))
    with pytest.raises(ValueError, match='features and labels must have the same length'):
        suspicion(features[:3], labels)


@pytest.mark.parametrize('kind', SAME)
def test_confusion_of_any_labels(kind):
    labels, clusters = random_case(0)
    names = map_clusters(SAME[kind](labels), clusters)
    named = apply_names(clusters, names)
    ax = plot_confusion(SAME[kind](labels), named, title='Any')
    counts = np.reshape([int(text.get_text()) for text in ax.texts], (7, 8))
    assert np.trace(counts) == round(cluster_accuracy(labels, clusters) * 300) and counts.sum() == 300
    assert counts[:, -1].sum() == sum(name is None for name in named)
    assert ax.get_xticklabels()[-1].get_text() == 'none'
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [tick.get_text() for tick in ax.get_xticklabels()[:-1]]
    plt.close(ax.figure)


def test_confusion_with_a_label_called_none():
    ax = plot_confusion(['none', 'none', 'a'], ['none', None, 'a'])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ['a', 'none', 'none']
    assert [int(text.get_text()) for text in ax.texts] == [1, 0, 0, 0, 1, 1]
    plt.close(ax.figure)


@pytest.mark.parametrize('clusters', [[2**70, 0], np.array([2**64 - 1, 0], np.uint64)])
def test_a_cluster_beyond_all_numbers_is_refused(clusters):
    "2**64 - 1 was taken for noise."
    with pytest.raises(ValueError, match='^clusters must be integers from 0, or -1 for noise, and position 0 holds 1'):
        score([1, 2], clusters)


@pytest.mark.parametrize('names', [[7, 3], 'ab', 7])
def test_names_are_a_dict(names):
    with pytest.raises(ValueError, match='^names must be a dict with the name of each cluster'):
        score([7, 3], [0, 1], names)

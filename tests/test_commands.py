"The console commands, end to end, as a person would run them."
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import BIN, axe_finds

import mnist_clustering
from mnist_clustering.cli import first_digits, mnist_cluster
from mnist_clustering.compare import BOARD, BUDGETS, CLUSTERERS

LIMIT = 2100
WRITTEN = {'scores.json', 'labels.csv', 'cluster_map.png', 'elbow.png', 'confusion.png', 'suspicious.png', 'suspicious.csv', 'report.html', 'map.html', 'piles.png', 'clusters'}


def names(folder): return {path.name for path in folder.iterdir()}


def refused(ended, *words):
    "One sentence on the error stream, no traceback, and an exit code that says so."
    assert ended.returncode != 0
    said = [line for line in ended.stderr.splitlines() if line.strip()]
    assert len(said) == 1, ended.stderr
    assert all(word in said[0] for word in words), said[0]


@pytest.fixture(scope='module')
def clustered(run, tmp_path_factory):
    out = tmp_path_factory.mktemp('clustered') / 'output'
    ended = run('mnist_cluster', '--limit', LIMIT, '--out', out)
    assert ended.returncode == 0, ended.stderr
    return out, ended.stdout, ended.stderr


def test_cluster_writes_everything(clustered):
    out, said, progress = clustered
    assert names(out) == WRITTEN
    assert names(out / 'clusters') == {f'cluster_{i}.png' for i in range(10)}
    assert 'macro purity' in said and 'names frozen' in said and str(out) in said
    assert not progress, 'progress is for terminals only'


def test_scores(clustered):
    scores = json.loads((clustered[0] / 'scores.json').read_text())
    assert {key: scores[key] for key in ('features', 'network', 'clusterer', 'n_clusters', 'seed', 'n')} == dict(
        features='cnn', network='fast', clusterer='kmeans', n_clusters=10, seed=0, n=LIMIT)
    assert .8 < scores['cnn_test_accuracy'] <= 1
    for part in ('train', 'test', 'all'):
        assert set(scores[part]) == {'accuracy', 'nmi', 'ari', 'purity', 'macro_purity', 'coverage', 'accuracy_without_noise', 'accuracy_noise_assigned'}
        assert .6 < scores[part]['accuracy'] <= scores[part]['purity'] + 1e-9 and scores[part]['coverage'] == 1
    assert set(scores['seconds']) == {'train', 'features', 'cluster', 'total'}
    assert scores['precision'] in ('float32', 'mixed_bfloat16') and 'scikit-learn' in scores['versions']


def test_labels_agree_with_the_scores(clustered):
    table = pd.read_csv(clustered[0] / 'labels.csv')
    scores = json.loads((clustered[0] / 'scores.json').read_text())
    assert list(table.columns) == ['index', 'split', 'cluster', 'digit', 'label']
    assert table.split.value_counts().to_dict() == {'train': LIMIT - LIMIT // 7, 'test': LIMIT // 7}
    for part in ('train', 'test'):
        rows = table[table.split == part]
        assert (rows.digit == rows.label).mean() == pytest.approx(scores[part]['accuracy'])
    suspects = pd.read_csv(clustered[0] / 'suspicious.csv')
    assert len(suspects) == (table.digit != table.label).sum()
    assert suspects.suspicion.is_monotonic_decreasing


def test_report_stands_alone(clustered):
    page = (clustered[0] / 'report.html').read_text()
    assert page.count('<img') == page.count('src="data:image/png;base64,') == 5 + 10
    assert set(re.findall(r'(?:src|href)="(?!data:)([^"]*)', page)) == {'map.html'}


@pytest.mark.parametrize('width', [1280, 390])
def test_report_and_its_map_open_from_disk(clustered, visit, width):
    page = visit(clustered[0] / 'report.html', width)
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    assert not axe_finds(page)
    page.locator('iframe').scroll_into_view_if_needed()
    page.frame_locator('iframe').get_by_text('mistakes only').click()
    page.get_by_role('link', name='the map on a page of its own').click()
    page.get_by_placeholder(f'image, 0 to {LIMIT - 1:,}').wait_for()


def test_same_seed_same_bytes(run, clustered, tmp_path):
    ended = run('mnist_cluster', '--limit', LIMIT, '--out', tmp_path / 'again', '--fresh')
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / 'again/labels.csv').read_bytes() == (clustered[0] / 'labels.csv').read_bytes()


def test_a_second_run_replaces_the_first_whole(run, clustered, tmp_path):
    out = shutil.copytree(clustered[0], tmp_path / 'output')
    ended = run('mnist_cluster', '--limit', LIMIT, '--out', out, '--n_clusters', 3, '--features', 'pixels')
    assert ended.returncode == 0, ended.stderr
    assert names(out) == WRITTEN and len(names(out / 'clusters')) == 3
    scores = json.loads((out / 'scores.json').read_text())
    assert (scores['cnn_test_accuracy'], scores['network'], scores['n_clusters']) == (None, None, 3)


def test_auto_finds_a_number(run, tmp_path):
    ended = run('mnist_cluster', '--limit', LIMIT, '--out', tmp_path, '--n_clusters', 'auto')
    assert ended.returncode == 0, ended.stderr
    assert 8 <= json.loads((tmp_path / 'scores.json').read_text())['n_clusters'] <= 12


def test_dbscan(run, clustered, tmp_path):
    ended = run('mnist_cluster', '--limit', LIMIT, '--out', tmp_path, '--clusterer', 'dbscan', '--eps', .3, '--min_samples', 5)
    assert ended.returncode == 0, ended.stderr
    assert names(tmp_path) == WRITTEN | {'eps.png'}
    scores, table = json.loads((tmp_path / 'scores.json').read_text()), pd.read_csv(tmp_path / 'labels.csv')
    assert (scores['clusterer'], scores['eps'], scores['min_samples']) == ('dbscan', .3, 5)
    assert scores['n_clusters'] == table.cluster.max() + 1 > 2
    seen = table[table.split == 'test']
    assert scores['test']['coverage'] == pytest.approx((seen.cluster >= 0).mean()) and 0 < scores['test']['coverage'] < 1
    assert scores['test']['accuracy'] == pytest.approx((seen.digit == seen.label).mean())
    assert scores['test']['accuracy_without_noise'] == pytest.approx((seen.digit == seen.label)[seen.cluster >= 0].mean())
    assert scores['test']['accuracy'] <= scores['test']['accuracy_noise_assigned']
    both = run('mnist_scores', clustered[0], tmp_path)
    assert both.returncode == 0 and 'kmeans on cnn' in both.stdout and 'dbscan on cnn' in both.stdout


def test_ward_and_a_warning_in_one_sentence(run, tmp_path):
    ended = run('mnist_cluster', '--limit', LIMIT, '--out', tmp_path, '--clusterer', 'ward', '--n_clusters', 'auto', '--features', 'pixels')
    assert ended.returncode == 0 and names(tmp_path) == WRITTEN | {'dendrogram.png'}
    said = ended.stderr.splitlines()
    assert len(said) == 1 and said[0].startswith('mnist_cluster: no gap stands out')


@pytest.mark.parametrize('features, network, least', [('distortion', None, .9), ('label_free', 'fast', .7)]) # 1,800 digits teach a network little
def test_without_a_label(run, tmp_path, features, network, least):
    ended = run('mnist_cluster', '--limit', LIMIT, '--out', tmp_path, '--features', features)
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert scores['network'] == network and scores['cnn_test_accuracy'] is None
    assert scores['test']['accuracy'] > least


def test_named_by_a_person(run, tmp_path):
    options = 'mnist_cluster', '--limit', LIMIT, '--out', tmp_path, '--features', 'pixels', '--n_clusters', 3
    assert run(*options).returncode == 0
    before = (tmp_path / 'report.html').read_bytes()
    names_file = tmp_path / 'names.txt'
    for text, words in ((None, 'is no file'), ('0 one', 'line 1: a pile'), ('3 1', 'a pile (0 to 2)')):
        if text: names_file.write_text(text)
        refused(run(*options, '--names', names_file), words)
        assert (tmp_path / 'report.html').read_bytes() == before
    names_file.write_text('0 4\n2 4\n')
    assert run(*options, '--names', names_file).returncode == 0
    table = pd.read_csv(tmp_path / 'labels.csv')
    assert table.digit[table.cluster != 1].eq(4).all() and table.digit[table.cluster == 1].eq(-1).all()


def test_a_board_that_was_stopped(run, tmp_path):
    rows = [dict(n=10_000, features=features, clusterer=clusterer, seed=0, n_clusters=10, accuracy=.9, accuracy_test=.123, nmi=.9, ari=.9, coverage=1.,
                 seconds=1., mb=1., seconds_features=1., mb_features=1.) for features in BOARD for clusterer in CLUSTERERS]
    pd.DataFrame(rows[1:]).to_csv(tmp_path / 'compare.csv', index=False)
    pd.DataFrame([dict(n=10_000, n_labels=n_labels, seed=0, accuracy_test=.5) for n_labels in BUDGETS if n_labels != 1000]).to_csv(tmp_path / 'label_budget.csv', index=False)
    ended = run('mnist_compare', '--quick', '--out', tmp_path)
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
    board, budget = pd.read_csv(tmp_path / 'compare.csv'), pd.read_csv(tmp_path / 'label_budget.csv')
    assert len(board) == len(rows) and .4 < board.accuracy_test.iloc[-1] < .7 and board.accuracy_test[:-1].eq(.123).all()
    assert len(budget) == len(BUDGETS) and budget.accuracy_test.iloc[-1] > .9
    assert names(tmp_path) == {'compare.csv', 'compare.png', 'label_budget.csv', 'label_budget.png'}
    assert '12.30%' in ended.stdout


def test_a_board_without_seeds(run, tmp_path):
    refused(run('mnist_compare', '--seeds', 0, '--out', tmp_path), '--seeds must be 1 or more')


def test_a_board_beside_another_table(run, tmp_path):
    (tmp_path / 'compare.csv').write_text('n;seed\n10000;0\n')
    refused(run('mnist_compare', '--quick', '--out', tmp_path), 'compare.csv was not written by mnist_compare')
    assert (tmp_path / 'compare.csv').read_text().startswith('n;seed')


def test_eps_too_small_for_any_cluster(run, tmp_path):
    ended = run('mnist_cluster', '--limit', LIMIT, '--out', tmp_path, '--clusterer', 'dbscan', '--eps', .001)
    assert ended.returncode == 0, ended.stderr
    assert json.loads((tmp_path / 'scores.json').read_text())['n_clusters'] == len(names(tmp_path / 'clusters')) == 0


def test_scores_of_what_was_not_run(run, tmp_path):
    refused(run('mnist_scores', tmp_path / 'nowhere'), 'nowhere', 'run mnist_cluster --out')


def test_a_handful_of_digits(run, tmp_path):
    ended = run('mnist_cluster', '--limit', 14, '--out', tmp_path, '--features', 'pixels')
    assert ended.returncode == 0, ended.stderr
    assert len(names(tmp_path / 'clusters')) == 10


@pytest.mark.parametrize('option, value, words', [
    ('limit', 0, '--limit must be from 14.*0'), ('limit', -7, '--limit'), ('limit', 70_001, '--limit'),
    *[('eps', value, f'--eps must be auto or a number from 0.001 to 2.0, not {value}') for value in ('0', '-1', 'nan', 'much')],
    *[('min_samples', value, f'--min_samples must be auto or a number from 1 to 1,800, not {value}') for value in ('0', '-1', '1801', '2.5')],
    *[('n_clusters', value, f'--n_clusters must be auto or a number from 2 to .*{value}') for value in ('0', '1', '-3', '70000', 'many')],
    ('seed', -1, '--seed must be'), ('features', 'smell', '--features must be'), ('network', 'slow', 'network must be one of'), ('clusterer', 'magic', '--clusterer must be')])
def test_bad_values_are_refused_before_any_work(clustered, option, value, words):
    with pytest.raises(SystemExit, match=words) as said: mnist_cluster(**dict(limit=LIMIT, out=clustered[0]) | {option: value})
    assert '\n' not in said.value.code and names(clustered[0]) == WRITTEN


def test_one_sentence_in_the_shell(run, clustered):
    refused(run('mnist_cluster', '--out', clustered[0], '--limit', LIMIT, '--n_clusters', 0), '--n_clusters must be auto or a number')
    assert names(clustered[0]) == WRITTEN


def test_a_folder_that_cannot_be_written(run, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    refused(run('mnist_cluster', '--limit', LIMIT, '--out', tmp_path / 'file'), 'file')
    refused(run('mnist_cluster', '--limit', LIMIT, '--out', '/proc/output'), '/proc/output')


def test_a_cache_that_cannot_be_written(run, tmp_path):
    refused(run('mnist_cluster', '--limit', LIMIT, '--out', tmp_path, MNIST_CLUSTERING_CACHE='/proc/cache'), '/proc/cache')
    assert names(tmp_path) == set()


def test_a_full_disk_leaves_the_last_results(clustered, run, tmp_path):
    "A limit of 32 KiB a file stands for the full disk: writing fails in the middle in the same way."
    out = shutil.copytree(clustered[0], tmp_path / 'output')
    command = f'ulimit -f 32; exec "$0" --limit {LIMIT} --out "$1" --n_clusters 4'
    ended = subprocess.run(['bash', '-c', command, BIN / 'mnist_cluster', out], capture_output=True, text=True)
    refused(ended, 'File too large')
    assert names(out) == WRITTEN and len(names(out / 'clusters')) == 10


@pytest.mark.parametrize('damage', ['missing', 'truncated', 'flipped', 'altered'])
def test_damaged_mnist(tmp_path, damage):
    "A copy of the package whose data came to harm."
    package = shutil.copytree(Path(mnist_clustering.__file__).parent, tmp_path / 'mnist_clustering')
    data = package / 'data/mnist.npz'
    if damage == 'missing': data.unlink()
    if damage == 'truncated': data.write_bytes(data.read_bytes()[:1_000_000])
    if damage == 'flipped': data.write_bytes(data.read_bytes()[:5000] + b'?' + data.read_bytes()[5001:])
    if damage == 'altered':
        arrays = dict(np.load(data))
        arrays['y_test'] = arrays['y_test'][::-1]
        np.savez_compressed(data, **arrays)
    command = 'import sys; from mnist_clustering.cli import mnist_cluster; mnist_cluster(limit=100, features="pixels", out="out")'
    refused(subprocess.run([sys.executable, '-c', command], cwd=tmp_path, capture_output=True, text=True), 'mnist.npz', 'install mnist_clustering again')


def test_help_names_every_option(run):
    for command, options in {'mnist_features': '--network --seed --out --limit --fresh --csv',
                             'mnist_cluster': '--features --network --clusterer --n_clusters --eps --min_samples --out --seed --limit --fresh'}.items():
        ended = run(command, '--help')
        assert ended.returncode == 0 and all(option in ended.stdout for option in options.split())


def test_features_command(run, tmp_path):
    ended = run('mnist_features', '--limit', LIMIT, '--out', tmp_path, '--csv')
    assert ended.returncode == 0, ended.stderr
    assert names(tmp_path) == {'features.npy', 'features.csv', 'cnn.keras'}
    features = np.load(tmp_path / 'features.npy')
    assert features.shape == (LIMIT, 128) and features.dtype == np.float32
    table = pd.read_csv(tmp_path / 'features.csv', index_col='index')
    train, test = first_digits(LIMIT)
    assert (table.label == (train + test).labels).all()
    np.testing.assert_allclose(table.drop(columns='label').to_numpy(), features, rtol=1e-5)
    said = keras.models.load_model(tmp_path / 'cnn.keras').predict(test.images[..., None] / np.float32(255), verbose=0).argmax(axis=1)
    assert (said == test.labels).mean() > .8


def test_clear_cache(run, tmp_path):
    made = run('mnist_features', '--limit', 100, '--out', tmp_path, MNIST_CLUSTERING_CACHE=str(tmp_path / 'cache'))
    assert made.returncode == 0, made.stderr
    assert any((tmp_path / 'cache').glob('cnn-*.npz'))
    ended = run('mnist_clear_cache', MNIST_CLUSTERING_CACHE=str(tmp_path / 'cache'))
    assert ended.returncode == 0 and 'MB' in ended.stdout
    assert not (tmp_path / 'cache').exists()

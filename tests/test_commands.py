"The console commands, end to end, as a person would run them."

import json
import re
import shutil
import signal
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
from mnist_clustering.compare import BUDGETS, board_features
from mnist_clustering.kmeans import CLUSTERERS

LIMIT = 2100
ALWAYS = {
    'scores.json',
    'labels.csv',
    'cluster_map.png',
    'confusion.png',
    'mistakes.png',
    'suspicious.png',
    'suspicious.csv',
    'report.html',
    'map.html',
    'members.png',
    'clusters',
    'manifest.json',
    'model',
}
WRITTEN = ALWAYS | {'elbow.png'}  # the picture of KMeans


def names(folder):
    return {path.name for path in folder.iterdir()}


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
        features='cnn', network='fast', clusterer='kmeans', n_clusters=10, seed=0, n=LIMIT
    )
    assert 0.8 < scores['cnn_test_accuracy'] <= 1
    for part in ('train', 'test', 'all'):
        assert set(scores[part]) == {
            'accuracy',
            'nmi',
            'ari',
            'purity',
            'macro_purity',
            'coverage',
            'accuracy_without_noise',
            'accuracy_noise_assigned',
        }
        assert 0.6 < scores[part]['accuracy'] <= scores[part]['purity'] + 1e-9 and scores[part]['coverage'] == 1
    assert set(scores['seconds']) == {'train', 'features', 'cluster'}
    assert scores['precision'] in ('float32', 'mixed_bfloat16') and 'scikit-learn' in scores['versions']


def test_labels_agree_with_the_scores(clustered):
    table = pd.read_csv(clustered[0] / 'labels.csv')
    scores = json.loads((clustered[0] / 'scores.json').read_text())
    assert list(table.columns) == ['index', 'split', 'cluster', 'name', 'label']
    assert table.split.value_counts().to_dict() == {'train': LIMIT - LIMIT // 7, 'test': LIMIT // 7}
    for part in ('train', 'test'):
        rows = table[table.split == part].rename(columns=dict(name='named'))
        assert (rows.named == rows.label).mean() == pytest.approx(scores[part]['accuracy'])
    suspects = pd.read_csv(clustered[0] / 'suspicious.csv')
    assert sorted(suspects['index']) == table['index'].tolist()
    assert suspects.suspicion.is_monotonic_decreasing and (suspects.other != suspects.label).all()
    by_image = suspects.set_index('index').sort_index()
    assert by_image.name.equals(table.name) and by_image.label.equals(table.label)
    disagree = (suspects.name != suspects.label).to_numpy() # these are more often at the top
    assert disagree[:LIMIT // 10].mean() > 1.5 * disagree.mean()


def test_report_stands_alone(clustered):
    page = (clustered[0] / 'report.html').read_text()
    assert page.count('<img') == page.count('src="data:image/png;base64,') == 6 + 10
    assert set(re.findall(r'(?:src|href)="(?!data:)([^"]*)', page)) == {
        'map.html',
        'labels.csv',
        'suspicious.csv',
        'scores.json',
    }
    assert 'cluster 3, named ' in page


@pytest.mark.parametrize('width, color_scheme', [(1280, 'light'), (390, 'dark')])
def test_report_and_its_map_open_from_disk(clustered, visit, width, color_scheme):
    page = visit(clustered[0] / 'report.html', width, color_scheme)
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


def test_a_second_run_replaces_the_first_whole(call, clustered, tmp_path):
    out = shutil.copytree(clustered[0], tmp_path / 'output')
    ended = call('mnist_cluster', '--limit', LIMIT, '--out', out, '--n_clusters', 3, '--features', 'pixels')
    assert ended.returncode == 0, ended.stderr
    assert names(out) == WRITTEN and len(names(out / 'clusters')) == 3
    scores = json.loads((out / 'scores.json').read_text())
    assert (scores['cnn_test_accuracy'], scores['network'], scores['n_clusters']) == (None, None, 3)


def test_auto_finds_a_number(call, tmp_path):
    ended = call('mnist_cluster', '--limit', LIMIT, '--out', tmp_path, '--n_clusters', 'auto')
    assert ended.returncode == 0, ended.stderr
    assert 8 <= json.loads((tmp_path / 'scores.json').read_text())['n_clusters'] <= 12


def test_dbscan(run, clustered, tmp_path):
    ended = run(
        'mnist_cluster', '--limit', LIMIT, '--out', tmp_path, '--clusterer', 'dbscan', '--eps', 0.3, '--min_samples', 5
    )
    assert ended.returncode == 0, ended.stderr
    assert names(tmp_path) == ALWAYS | {'eps.png'}
    scores, table = json.loads((tmp_path / 'scores.json').read_text()), pd.read_csv(tmp_path / 'labels.csv')
    assert (scores['clusterer'], scores['eps'], scores['min_samples']) == ('dbscan', 0.3, 5)
    assert scores['n_clusters'] == table.cluster.max() + 1 > 2
    seen = table[table.split == 'test'].rename(columns=dict(name='named'))
    assert (
        scores['test']['coverage'] == pytest.approx((seen.cluster >= 0).mean()) and 0 < scores['test']['coverage'] < 1
    )
    assert scores['test']['accuracy'] == pytest.approx((seen.named == seen.label).mean())
    assert scores['test']['accuracy_without_noise'] == pytest.approx(
        (seen.named == seen.label)[seen.cluster >= 0].mean()
    )
    assert scores['test']['accuracy'] <= scores['test']['accuracy_noise_assigned']
    both = run('mnist_scores', clustered[0], tmp_path)
    assert both.returncode == 0 and 'KMeans on cnn' in both.stdout and 'DBSCAN on cnn' in both.stdout


def test_a_column_for_each_folder_and_a_page_that_leads_to_them(call, clustered, tmp_path, visit):
    "Two runs of one clusterer and one kind of features are two columns."
    for seed in (1, 2):
        ended = call(
            'mnist_cluster', '--limit', 700, '--features', 'pixels', '--seed', seed, '--out', tmp_path / f'seed{seed}'
        )
        assert ended.returncode == 0, ended.stderr
    ended = call('mnist_scores', tmp_path / 'seed1', tmp_path / 'seed2', '--page', tmp_path / 'index.html')
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[0].split()[-2:] == [str(tmp_path / 'seed1'), str(tmp_path / 'seed2')]
    page = visit(tmp_path / 'index.html')
    assert not axe_finds(page)
    page.get_by_role('link', name='seed2').click()
    page.get_by_role('heading', name='700 digits, 10 clusters: KMeans on pixels').wait_for()


def test_ward_and_a_warning_in_one_sentence(run, tmp_path):
    ended = run(
        'mnist_cluster',
        '--limit',
        LIMIT,
        '--out',
        tmp_path,
        '--clusterer',
        'ward',
        '--n_clusters',
        'auto',
        '--features',
        'pixels',
    )
    assert ended.returncode == 0 and names(tmp_path) == ALWAYS | {'dendrogram.png'}
    said = ended.stderr.splitlines()
    assert len(said) == 1 and said[0].startswith('mnist_cluster: no gap stands out')


@pytest.mark.parametrize('clusterer', ['gaussian_mixture', 'hdbscan'])
def test_the_other_clusterers(call, tmp_path, clusterer):
    ended = call(
        'mnist_cluster',
        '--limit',
        LIMIT,
        '--out',
        tmp_path / 'output',
        '--clusterer',
        clusterer,
        '--features',
        'pixels',
    )
    assert ended.returncode == 0, ended.stderr
    assert names(tmp_path / 'output') > ALWAYS
    assert json.loads((tmp_path / 'output/scores.json').read_text())['clusterer'] == clusterer


@pytest.mark.parametrize(
    'features, network, least', [('distortion', None, 0.9), ('label_free', 'fast', 0.7)]
)  # 1,800 digits teach a network little
def test_without_a_label(call, tmp_path, features, network, least):
    ended = call('mnist_cluster', '--limit', LIMIT, '--out', tmp_path, '--features', features)
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert scores['network'] == network and scores['cnn_test_accuracy'] is None
    assert scores['test']['accuracy'] > least


def test_named_by_a_person(call, tmp_path):
    options = 'mnist_cluster', '--limit', LIMIT, '--out', tmp_path, '--features', 'pixels', '--n_clusters', 3
    assert call(*options).returncode == 0
    before = (tmp_path / 'report.html').read_bytes()
    names_file = tmp_path / 'names.txt'
    for text, words in ((None, 'is no file'), ('0 one', 'line 1: a cluster'), ('3 1', 'a cluster (0 to 2)')):
        if text:
            names_file.write_text(text)
        refused(call(*options, '--names', names_file), words)
        assert (tmp_path / 'report.html').read_bytes() == before
    names_file.write_text('0 4\n2 4\n')
    assert call(*options, '--names', names_file).returncode == 0
    table = pd.read_csv(tmp_path / 'labels.csv')
    assert table['name'][table.cluster != 1].eq(4).all() and table['name'][table.cluster == 1].isna().all()


def test_a_board_that_was_stopped(call, tmp_path):
    titles = [entry.title for entry in CLUSTERERS.values()]
    rows = [
        dict(
            n=10_000,
            features=features,
            clusterer=clusterer,
            seed=0,
            n_clusters=10,
            accuracy=0.9,
            accuracy_test=0.123,
            nmi=0.9,
            ari=0.9,
            coverage=1.0,
            seconds=1.0,
            mb=1.0,
            seconds_features=1.0,
            mb_features=1.0,
        )
        for features in board_features()
        for clusterer in titles
    ]
    pd.DataFrame(rows[1:]).to_csv(tmp_path / 'compare.csv', index=False)
    pd.DataFrame(
        [dict(n=10_000, n_labels=n_labels, seed=0, accuracy_test=0.5) for n_labels in BUDGETS if n_labels != 1000]
    ).to_csv(tmp_path / 'label_budget.csv', index=False)
    ended = call('mnist_compare', '--quick', '--out', tmp_path)
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
    board, budget = pd.read_csv(tmp_path / 'compare.csv'), pd.read_csv(tmp_path / 'label_budget.csv')
    assert (
        len(board) == len(rows)
        and 0.4 < board.accuracy_test.iloc[-1] < 0.7
        and board.accuracy_test[:-1].eq(0.123).all()
    )
    assert len(budget) == len(BUDGETS) and budget.accuracy_test.iloc[-1] > 0.9
    assert names(tmp_path) == {'compare.csv', 'compare.png', 'label_budget.csv', 'label_budget.png'}
    assert '12.30%' in ended.stdout


def test_a_board_without_seeds(call, tmp_path):
    refused(call('mnist_compare', '--seeds', 0, '--out', tmp_path), '--seeds must be 1 or more')


def test_a_board_beside_another_table(call, tmp_path):
    for text in ('n;seed\n10000;0\n', '', 'n,seed\n1,2,3\n'):
        (tmp_path / 'compare.csv').write_text(text)
        refused(call('mnist_compare', '--quick', '--out', tmp_path), 'compare.csv was not written by mnist_compare')
        assert (tmp_path / 'compare.csv').read_text() == text


def test_eps_too_small_for_any_cluster(call, tmp_path):
    ended = call('mnist_cluster', '--limit', LIMIT, '--out', tmp_path, '--clusterer', 'dbscan', '--eps', 0.001)
    assert ended.returncode == 0, ended.stderr
    assert json.loads((tmp_path / 'scores.json').read_text())['n_clusters'] == len(names(tmp_path / 'clusters')) == 0


def test_scores_of_what_was_not_run(call, tmp_path):
    refused(call('mnist_scores', tmp_path / 'nowhere'), 'nowhere', 'no run was written there')


def test_a_handful_of_digits(call, tmp_path):
    ended = call('mnist_cluster', '--limit', 14, '--out', tmp_path, '--features', 'pixels')
    assert ended.returncode == 0, ended.stderr
    assert len(names(tmp_path / 'clusters')) == 10


@pytest.mark.parametrize(
    'options, words',
    [
        ('--limit 0', '--limit must be from 14.*0'),
        ('--limit -7', '--limit'),
        ('--limit 70001', '--limit'),
        ('--limit much', '--limit'),
        *[
            (f'--clusterer dbscan --eps {value}', f'--eps must be auto or a number above 0, not {value}')
            for value in ('0', '-1', 'nan', 'much')
        ],
        *[
            (f'--clusterer dbscan --min_samples {value}', f'--min_samples must be auto or a whole .*, not {value}')
            for value in ('0', '-1', '1801', '2.5')
        ],
        *[
            (f'--n_clusters {value}', f'--n_clusters must be auto or a whole number from 2 to .*{value}')
            for value in ('0', '1', '-3', '70000', 'many')
        ],
        ('--eps .3', '--eps is for dbscan, not for kmeans on cnn'),
        ('--features pixels --network fast', '--network is for cnn and label_free, not for kmeans'),
        ('--clusterer hdbscan --n_clusters 10', '--n_clusters is not for hdbscan'),
        ('--seed -1', '--seed must be'),
        ('--seed one', '--seed'),
        ('--features smell', '--features must be one of'),
        ('--network slow', '--network must be one of'),
        ('--clusterer magic', '--clusterer must be'),
        ('--names nowhere.txt', 'nowhere.txt is no file'),
        ('--clusters 3', 'unrecognized arguments: --clusters'),
        ('--seed', '--seed.*expected one argument'),
    ],
)
def test_bad_values_are_refused_before_any_work(clustered, options, words):
    given = [] if '--limit' in options else ['--limit', str(LIMIT)]
    before = (clustered[0] / 'scores.json').stat()
    with pytest.raises(SystemExit, match=words) as said:
        mnist_cluster([*given, '--out', str(clustered[0]), *options.split()])
    assert (
        '\n' not in said.value.code
        and names(clustered[0]) == WRITTEN
        and (clustered[0] / 'scores.json').stat() == before
    )


def test_one_sentence_in_the_shell(run, clustered):
    refused(
        run('mnist_cluster', '--out', clustered[0], '--limit', LIMIT, '--n_clusters', 0),
        '--n_clusters must be auto or a whole number',
    )
    assert names(clustered[0]) == WRITTEN


def test_a_folder_that_cannot_be_written(call, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    refused(call('mnist_cluster', '--limit', LIMIT, '--out', tmp_path / 'file'), 'file')
    refused(call('mnist_cluster', '--limit', LIMIT, '--out', '/proc/output'), '/proc/output')


def test_a_cache_that_cannot_be_written_costs_a_warning_not_the_result(call, tmp_path):
    ended = call('mnist_cluster', '--limit', 300, '--out', tmp_path / 'output', MNIST_CLUSTERING_CACHE='/proc/cache')
    assert ended.returncode == 0 and '/proc/cache' in ended.stderr and 'Traceback' not in ended.stderr
    assert names(tmp_path / 'output') == WRITTEN


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
    if damage == 'missing':
        data.unlink()
    if damage == 'truncated':
        data.write_bytes(data.read_bytes()[:1_000_000])
    if damage == 'flipped':
        data.write_bytes(data.read_bytes()[:5000] + b'?' + data.read_bytes()[5001:])
    if damage == 'altered':
        arrays = dict(np.load(data))
        arrays['y_test'] = arrays['y_test'][::-1]
        np.savez_compressed(data, **arrays)
    command = (
        'from mnist_clustering.cli import mnist_cluster\n'
        'mnist_cluster("--limit 100 --features pixels --out out".split())'
    )
    refused(
        subprocess.run([sys.executable, '-c', command], cwd=tmp_path, capture_output=True, text=True),
        'mnist.npz',
        'install mnist_clustering again',
    )


def test_help_names_every_option(call):
    for command, options in {
        'mnist_features': '--network --seed --out --limit --fresh --csv --version',
        'mnist_scores': 'folders --page',
        'mnist_compare': '--seeds --quick --out',
        'mnist_cluster': '--features --network --clusterer --n_clusters --eps --min_samples --out --seed --limit '
        '--names --fresh --version --labels --corrections --export --dry_run paths',
        'mnist_assign': 'model paths --out --export --dry_run --version',
    }.items():
        ended = call(command, '--help')
        assert ended.returncode == 0 and not ended.stderr and all(option in ended.stdout for option in options.split())
    ended = call('mnist_cluster', '--help')
    for name in (*CLUSTERERS, 'cnn', 'label_free', 'distortion', 'deskewed', 'pixels'):
        assert f'{name}: ' in ended.stdout


def test_a_page_of_somebody_else_is_not_overwritten(call, clustered, tmp_path):
    for text in ('three years of work', ''):
        (tmp_path / 'thesis.html').write_text(text)
        ended = call('mnist_scores', clustered[0], '--page', tmp_path / 'thesis.html')
        refused(ended, 'thesis.html was not written by')
        assert (tmp_path / 'thesis.html').read_text() == text
    for _ in range(2):
        assert call('mnist_scores', clustered[0], '--page', tmp_path / 'index.html').returncode == 0


def test_a_picture_of_somebody_else_is_not_overwritten(call, tmp_path):
    (tmp_path / 'compare.png').write_text('mine')
    refused(call('mnist_compare', '--quick', '--out', tmp_path), 'compare.png was not written by mnist_compare')
    assert (tmp_path / 'compare.png').read_text() == 'mine'


def test_a_run_can_be_stopped_by_the_keyboard(tmp_path):
    command = [BIN / 'mnist_cluster', '--limit', '20000', '--features', 'pixels', '--out', tmp_path / 'run']
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}

    def listen(): # a job in the background may have been started deaf to the keyboard
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    running = subprocess.Popen(list(map(str, command)), preexec_fn=listen, **pipes)
    assert 'pixels, then kmeans' in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    said = running.communicate()[1]
    assert running.returncode == 130
    assert said == 'mnist_cluster: stopped; what was written is whole, and nothing is half done\n'
    assert not list(tmp_path.iterdir())


def test_version_and_module(run):
    assert run('mnist_cluster', '--version').stdout.split() == ['mnist_clustering', mnist_clustering.__version__]
    ended = subprocess.run([sys.executable, '-m', 'mnist_clustering', '--version'], capture_output=True, text=True)
    assert ended.stdout.split() == ['mnist_clustering', mnist_clustering.__version__]


MADE_UP = '''
import matplotlib.pyplot as plt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import BisectingKMeans
from mnist_clustering.cli import mnist_cluster, mnist_compare
from mnist_clustering.data import as_pixels
from mnist_clustering.features import FEATURES, Features, Parameter
from mnist_clustering.kmeans import CLUSTERERS, Clusterer

class Halves(TransformerMixin, BaseEstimator):
    def __init__(self, rows=14): self.rows = rows
    def fit(self, images, labels=None): return self
    def transform(self, images): return as_pixels(images)[:, :self.rows].reshape(len(images), -1)

def draw_sizes(clusterer, points, images, ax=None):
    ax = ax or plt.subplots()[1]
    ax.bar(range(clusterer.n_clusters), [(clusterer.labels_ == i).sum() for i in range(clusterer.n_clusters)])
    return ax

FEATURES['halves'] = Features(
    make=lambda seed, fresh, rows=14: Halves(rows), about='the upper half of the image', seeded=False,
    parameters={'rows': Parameter(14, 'how many rows', low=1, high=28)})
CLUSTERERS['bisecting'] = Clusterer(
    make=lambda n, n_clusters, seed: BisectingKMeans(n_clusters, random_state=seed), title='Bisecting KMeans',
    about='splits the largest cluster in two', picture=draw_sizes, caption='The sizes of the clusters', seeded=True)
'''


def test_a_made_up_clusterer_and_made_up_features_are_everywhere(tmp_path):
    "Registered in one place each: in --help, in a run and its report with its picture, and on the board."

    def python(code):
        return subprocess.run([sys.executable, '-c', MADE_UP + code], capture_output=True, text=True, cwd=tmp_path)

    said = python("mnist_cluster(['--help'])").stdout
    assert 'halves: the upper half of the image' in said and 'bisecting: splits the largest cluster in two' in said
    assert 'for halves: how many rows (default: 14)' in said
    ended = python("mnist_cluster('--features halves --rows 20 --clusterer bisecting --limit 700 --out run'.split())")
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
    assert json.loads((tmp_path / 'run/scores.json').read_text())['features'] == 'halves'
    page = (tmp_path / 'run/report.html').read_text()
    assert 'Bisecting KMeans on halves' in page and 'The sizes of the clusters' in page
    refused(
        python("mnist_cluster('--features halves --rows 29 --limit 700 --out run'.split())"),
        '--rows must be a whole number from 1 to 28, not 29',
    )
    rows = python('''
from mnist_clustering.compare import board_rows, plot_board
from mnist_clustering.cli import first_digits
import pandas as pd
for name in list(FEATURES):
    if name != 'halves': del FEATURES[name]
board = pd.DataFrame(board_rows(*first_digits(700), 1))
plot_board(board).figure.savefig('board.png')
print(board.to_csv())''')
    assert rows.returncode == 0, rows.stderr
    assert ',halves,Bisecting KMeans,' in rows.stdout and (tmp_path / 'board.png').stat().st_size > 10_000


def test_features_command(run, tmp_path):
    ended = run('mnist_features', '--limit', LIMIT, '--out', tmp_path, '--csv')
    assert ended.returncode == 0, ended.stderr
    assert names(tmp_path) == {'features.npy', 'features.csv', 'cnn.keras', 'manifest.json'}
    features = np.load(tmp_path / 'features.npy')
    assert features.shape == (LIMIT, 128) and features.dtype == np.float32
    table = pd.read_csv(tmp_path / 'features.csv', index_col='index')
    train, test = first_digits(LIMIT)
    assert (table.label == (train + test).labels).all()
    np.testing.assert_allclose(table.drop(columns='label').to_numpy(), features, rtol=1e-5)
    said = (
        keras.models.load_model(tmp_path / 'cnn.keras')
        .predict(test.images[..., None] / np.float32(255), verbose=0)
        .argmax(axis=1)
    )
    assert (said == test.labels).mean() > 0.8


def test_clear_cache(call, tmp_path):
    made = call('mnist_features', '--limit', 100, '--out', tmp_path, MNIST_CLUSTERING_CACHE=str(tmp_path / 'cache'))
    assert made.returncode == 0, made.stderr
    assert any((tmp_path / 'cache').glob('cnn-*.npz'))
    ended = call('mnist_clear_cache', MNIST_CLUSTERING_CACHE=str(tmp_path / 'cache'))
    assert ended.returncode == 0 and 'MB' in ended.stdout
    assert not (tmp_path / 'cache').exists()

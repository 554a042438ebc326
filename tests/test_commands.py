"The console commands, end to end, as a person would run them."

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import keras
import numpy as np
import pandas as pd
import psutil
import pytest
from conftest import BIN, axe_finds
from PIL import Image

import mnist_clustering
from mnist_clustering import compare, images, machine
from mnist_clustering.cli import (
    first_digits,
    mnist_assign,
    mnist_clear_cache,
    mnist_cluster,
    mnist_compare,
    mnist_features,
    mnist_scores,
    read_rows,
)
from mnist_clustering.compare import BUDGETS, board_features
from mnist_clustering.kmeans import CLUSTERERS
from mnist_clustering.model import ClusterModel

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
    refused(call('mnist_compare', '--seeds', 0, '--out', tmp_path), '--seeds must be a whole number from 1 to 1,000')
    refused(call('mnist_compare', '--quick', '--seeds', 2, '--out', tmp_path), '--seeds is not for --quick')


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
    refused(call('mnist_scores', tmp_path / 'nowhere'), 'nowhere', 'give the folder of a finished run')


def test_a_handful_of_digits(call, tmp_path):
    ended = call('mnist_cluster', '--limit', 14, '--out', tmp_path, '--features', 'pixels')
    assert ended.returncode == 0, ended.stderr
    assert len(names(tmp_path / 'clusters')) == 10


@pytest.mark.parametrize(
    'options, words',
    [
        *[
            (f'--limit {value}', f'^mnist_cluster: --limit must be a whole number from 14 to 70,000, not {value}$')
            for value in ('0', '-7', '70001', 'much')
        ],
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
        *[
            (f'--seed {value}', f'^mnist_cluster: --seed must be a whole number from 0 to 4,294,967,295, not {value}$')
            for value in ('-1', 'one', '1.5', '4294967296')
        ],
        ('--features smell', '--features must be one of'),
        ('--network slow', '--network must be one of'),
        ('--clusterer magic', '--clusterer must be'),
        ('--names nowhere.txt', 'nowhere.txt is no file'),
        ('--k 3', r'unrecognized arguments: --k; mnist_cluster --help'),
        ('--n-clusters 3', r'arguments: --n-clusters \(did you mean --n_clusters\?\); mnist_cluster --help'),
        ('--n-clusters=3', r'unrecognized arguments: --n-clusters=3 \(did you mean --n_clusters\?\)'),
        ('--featurs pixels', r'--featurs \(did you mean --features\?\)'),
        ('--fresch -out x', r'--fresch \(did you mean --fresh\?\) -out \(did you mean --out\?\)'),
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


@pytest.mark.parametrize('command, words', [
    (mnist_assign, 'model scans --Dry-Run'), (mnist_scores, 'run --pages'), (mnist_features, '--networks fast'),
    (mnist_compare, '--quik'), (mnist_clear_cache, '--versoin'), (mnist_cluster, 'scans --min-samples 3')])
def test_every_command_knows_the_flag_that_is_meant(command, words):
    with pytest.raises(SystemExit, match=r'unrecognized arguments: --[\w-]+ \(did you mean --\w+\?\)'):
        command(words.split())


@pytest.mark.parametrize('command, words', [
    (mnist_features, '--seed x'), (mnist_features, '--limit x'), (mnist_compare, '--seeds x'),
    (mnist_cluster, 'scans --seed x')])
def test_a_number_that_is_none_is_refused_in_one_sentence(command, words):
    with pytest.raises(SystemExit, match=f'^{command.__name__}: --\\w+ must be a whole number from .* to .*, not x$'):
        command(words.split())


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


def listen():  # a job in the background, or under nohup, may have been started deaf
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


PIPES = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True, 'preexec_fn': listen}
STOPPED = 'stopped; earlier results are kept, and no half-written file is left\n'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_stopped_says_one_sentence_and_leaves_nothing(tmp_path, number):
    command = [BIN / 'mnist_cluster', '--limit', '20000', '--features', 'pixels', '--out', 'output/run']
    running = subprocess.Popen(list(map(str, command)), cwd=tmp_path, **PIPES)
    assert 'features: pixels, clusterer: kmeans' in running.stdout.readline()
    assert (tmp_path / 'output/.part-run').exists()
    running.send_signal(number)
    running.send_signal(number)
    assert running.communicate(timeout=30)[1] == f'mnist_cluster: {STOPPED}' # half a second where nothing else runs
    assert running.returncode == 128 + number
    assert not list(tmp_path.iterdir())


def test_a_command_can_be_stopped_before_it_has_imported_anything(tmp_path):
    running = subprocess.Popen([BIN / 'mnist_scores', tmp_path], **PIPES)
    while not psutil.Process(running.pid).children():
        sleep(0.001)
    running.send_signal(signal.SIGINT)
    assert running.communicate()[1] == f'mnist_scores: {STOPPED}' and running.returncode == 130


def test_a_stopped_run_keeps_the_one_before(small_run, tmp_path):
    out = shutil.copytree(small_run, tmp_path / 'run')
    before = content(tmp_path)
    command = [BIN / 'mnist_cluster', '--limit', '20000', '--features', 'pixels', '--out', out]
    running = subprocess.Popen(list(map(str, command)), **PIPES)
    running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    running.communicate()
    assert content(tmp_path) == before


MADE_TO_BE_STOPPED = """
import ctypes, os, signal, subprocess, sys, time
from pathlib import Path
from mnist_clustering.cli import one_sentence

@one_sentence
def command(argv):
    from mnist_clustering.store import run_folder
    with run_folder('new/run') as part:
        (part / 'labels.csv').write_text('half')
        WORK

def busy(seconds):
    while time.monotonic() < seconds: pass

def say():
    print('ready', flush=True)

command()
"""
WORK = {
    'a long step in C': 'say(); ctypes.PyDLL(None).sleep(60)',  # which lets no other thread of Python in
    'a process': 'worker = subprocess.Popen(["sleep", "60"]); say(); worker.wait()',
    'workers of joblib': 'from joblib import Parallel, delayed; run = Parallel(2, return_as="generator", '
    'pre_dispatch=2)(delayed(time.sleep)(60) for _ in range(2)); time.sleep(2); say(); list(run)',
    'a deaf step': 'try:\n            say(); time.sleep(60)\n        except BaseException: time.sleep(60)',
}


def start(work, folder):
    "Run a made-up command until it is in the middle of its work; the processes that it has started by then."
    code = MADE_TO_BE_STOPPED.replace('WORK', work)
    running = subprocess.Popen([sys.executable, '-c', code], cwd=folder, **PIPES)
    assert running.stdout.readline() == 'ready\n'
    return running, psutil.Process(running.pid).children(recursive=True)


def gone(processes):
    "Do all of these end, long before their minute is over?"
    return not psutil.wait_procs(processes, timeout=30)[1]


@pytest.mark.parametrize('what', WORK)
def test_whatever_a_command_does_it_can_be_stopped(tmp_path, what):
    running, started = start(WORK[what], tmp_path)
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=30)[1] == f'command: {STOPPED}'
    assert running.returncode == 130
    assert gone(started) and not list(tmp_path.iterdir())


def test_nothing_goes_on_when_the_command_itself_is_killed(tmp_path):
    running, started = start(WORK['a process'], tmp_path)
    running.kill()
    assert gone(started)


def test_a_command_that_the_system_ends_says_so_and_cleans_up(tmp_path):
    running, (child, *_) = start(WORK['a process'], tmp_path)
    child.kill()
    said = running.communicate()[1]
    assert said.count('\n') == 1 and 'SIGKILL' in said and 'memory' in said and running.returncode == 137
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('thread', ['', 'threading.Thread(target=threading.Event().wait, daemon=True).start()'])
def test_a_notebook_is_not_doubled(thread):
    "Where threads run, as in a notebook, a command goes on in the same process; nothing is printed twice in any case."
    code = f"""
import os, threading
from mnist_clustering.cli import one_sentence
{thread}
print('once')
before = os.getpid()
one_sentence(lambda argv: print(before == os.getpid()))()
"""
    ended = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert ended.stdout == f'once\n{bool(thread)}\n' and not ended.stderr


def test_a_command_can_be_paused(tmp_path):
    running, started = start('say(); time.sleep(60)', tmp_path)
    both = [psutil.Process(running.pid), *started]

    def wait_until(stopped):
        until = monotonic() + 30
        while any((process.status() == psutil.STATUS_STOPPED) != stopped for process in both):
            assert monotonic() < until
            sleep(0.01)

    running.send_signal(signal.SIGTSTP)
    wait_until(True)
    running.send_signal(signal.SIGCONT)
    wait_until(False)
    running.send_signal(signal.SIGTERM)
    assert running.communicate()[1] == f'command: {STOPPED}' and running.returncode == 143


def test_nohup(tmp_path):
    def deaf():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    code = MADE_TO_BE_STOPPED.replace('WORK', 'say(); time.sleep(1)')
    running = subprocess.Popen([sys.executable, '-c', code], cwd=tmp_path, **PIPES | {'preexec_fn': deaf})
    running.stdout.readline()
    running.send_signal(signal.SIGHUP)
    assert running.wait() == 0 and (tmp_path / 'new/run/labels.csv').exists()


def test_a_folder_that_is_gone(tmp_path):
    "A job is started in a folder that somebody then removes."
    code = 'import os; os.rmdir(os.getcwd()); from mnist_clustering.cli import mnist_cluster; mnist_cluster(["x"])'
    ended = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 1 and ended.stderr.count('\n') == 1
    assert ended.stderr.endswith('the folder that you are in was removed: change to another\n')


# Whatever is typed


@pytest.fixture(scope='module')
def small_run(tmp_path_factory):
    out = tmp_path_factory.mktemp('small') / 'run'
    mnist_cluster(['--limit', '100', '--features', 'pixels', '--out', str(out)])
    return out


def content(folder):
    "Every path in a folder, with the bytes of the files."
    return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in folder.rglob('*')}


@pytest.fixture
def place(tmp_path, monkeypatch, small_run):
    "A folder to be in, with something of every kind in it."
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_run, 'run')
    for folder in ('scans', 'empty', 'mine'):
        Path(folder).mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (28, 28), np.uint8)).save(f'scans/{i}.png')
    Path('mine/labels.csv').write_text('three years of work')
    Path('file.txt').write_text('hello')
    Path('loop').symlink_to('loop')
    os.mkfifo('pipe')
    return tmp_path


def refused_and_nothing_left(call, place, *command):
    "One short printable line, and everything is as before; the line."
    before = content(place)
    ended = call(*command)
    assert ended.returncode != 0, command
    said = ended.stderr.removesuffix('\n')
    assert said.isprintable() and len(said) < 1100, said
    assert content(place) == before
    return said


ODD = [
    '', ' ', '-', '--', '-1', '0', 'nan', 'inf', '1e400', '99999999999999999999', '9' * 5000, '%', '%s', '%(prog)s',
    '##limit', '{}', '\x1b[31mred', 'a\nb', 'a\0b', '\udcff', '\u202egnp', 'é', 'x' * 300, 'x' * 200_000, 'file.txt',
    'file.txt/in', 'loop', 'pipe', 'empty', 'mine', '/dev/null', '/proc/nothing', '~nobody/x',
]  # fmt: skip
VALUES = ['seed', 'limit', 'n_clusters', 'clusterer', 'features', 'names', 'eps', 'network', 'labels', 'corrections',
          'export', 'warp', 'xtra']  # fmt: skip


@pytest.mark.parametrize('flag', VALUES)
def test_odd_values_are_refused_in_one_line(call, place, flag):
    "Where a value makes sense, something else does not: the folder is somebody else's."
    for value in ODD:
        for paths in ([], ['scans']):
            refused_and_nothing_left(call, place, 'mnist_cluster', *paths, f'--{flag}={value}', '--out', 'mine')


def test_odd_words_are_refused_in_one_line(call, place):
    for word in ODD:
        refused_and_nothing_left(call, place, 'mnist_scores', 'nowhere', f'--page={word}')
        refused_and_nothing_left(call, place, 'mnist_features', '--limit', 3, f'--out={word}')
        refused_and_nothing_left(call, place, 'mnist_compare', '--seeds', 0, f'--out={word}')
        refused_and_nothing_left(call, place, 'mnist_clear_cache', f'--xtra={word}')
        if word == '--': # alone, it only says that no more flags follow
            continue
        refused_and_nothing_left(call, place, 'mnist_scores', 'run', word)
        refused_and_nothing_left(call, place, 'mnist_assign', word, 'scans', '--out', 'new/out')
        if word != 'mine': # its labels.csv is read as a table of images
            refused_and_nothing_left(call, place, 'mnist_cluster', word, '--out', 'new/out')


@pytest.mark.parametrize('command', ['mnist_cluster', 'mnist_assign', 'mnist_features', 'mnist_compare'])
def test_where_a_run_cannot_be_is_noticed_at_once(call, place, command):
    words = {'mnist_cluster': ['scans'], 'mnist_assign': ['run', 'scans'], 'mnist_features': [], 'mnist_compare': []}
    for out in ('', '--', 'loop', 'pipe', 'file.txt', 'file.txt/in', '/proc/nothing', 'x' * 300, 'a\0b'):
        refused_and_nothing_left(call, place, command, *words[command], f'--out={out}')


def test_a_page_that_cannot_be_is_refused(call, place):
    for page in ('', 'empty', 'loop', 'pipe', 'file.txt', 'file.txt/in', '/proc/nothing/page.html', 'x' * 300):
        refused_and_nothing_left(call, place, 'mnist_scores', 'run', f'--page={page}')


DIGITS = ['--limit', '100', '--features', 'pixels']


@pytest.mark.parametrize(
    'written, words',
    [
        (b'0 one', 'line 1: a cluster (0 to 9) and one of'),
        (b'0 1\n\n10 1', 'line 3: a cluster (0 to 9)'),
        (b'0 1\r\n0 2', 'line 2: cluster 0 has a name already'),
        (b'0 1\n1 \xe9', 'line 2: this text is not in UTF-8'),
        ('0 1\n'.encode('utf-16'), 'line 1: this text is not in UTF-8'),
        (b'0 \x1b[31mred', r'not "0 \x1b[31mred"'),
        (b'0 ' + b'x' * 200_000, 'line 1'),
        (b'9' * 5000 + b' 1', 'line 1'),
        (b'0', 'line 1'),
    ],
)
def test_names_are_read_before_any_work(call, place, monkeypatch, written, words):
    monkeypatch.setattr(ClusterModel, 'fit', None)
    (place / 'names.txt').write_bytes(written)
    said = refused_and_nothing_left(call, place, 'mnist_cluster', *DIGITS, '--names', 'names.txt', '--out', 'new/out')
    assert 'names.txt' in said and words in said
    for other in ('nowhere.txt', 'empty', 'loop', 'pipe'):
        said = refused_and_nothing_left(call, place, 'mnist_cluster', *DIGITS, '--names', other)
        assert f'{other} is no file' in said


def test_names_as_editors_of_other_systems_write_them(call, place):
    (place / 'names.txt').write_bytes('\ufeff0 4\r\n\r\n2\t4\r\n'.encode())
    assert call('mnist_cluster', *DIGITS, '--names', 'names.txt', '--out', 'out').returncode == 0
    table = pd.read_csv('out/labels.csv')
    assert table['name'].notna().equals(table['cluster'].isin([0, 2]))


JSON = {
    b'': 'line 1: this is no JSON', b'{"a":\n': 'line 2: this is no JSON', b'[' * 100_000: 'too deep',
    b'{"n": NaN}': 'NaN is no number', b'9' * 5000: 'digits', '{}'.encode('utf-16'): 'UTF-8', b'\x1b[31m': 'no JSON',
    bytes(range(256)): 'cannot be read', b'null': 'holds no', b'[]': 'holds no', b'{}': 'holds no',
    b'1e999': 'holds no',
}  # fmt: skip


@pytest.mark.parametrize('written', JSON, ids=range(len(JSON)))
def test_damaged_scores_and_corrections(call, place, written):
    (place / 'damaged').mkdir()
    for name, command in (
        ('scores.json', ['mnist_scores', 'run', 'damaged', '--page', 'new/page.html']),
        ('corrections.json', ['mnist_cluster', 'scans', '--out', 'new', '--corrections', 'damaged/corrections.json']),
    ):
        (place / 'damaged' / name).write_bytes(written)
        said = refused_and_nothing_left(call, place, *command)
        assert f'damaged/{name}' in said and JSON[written] in said


def test_scores_without_a_part(call, place):
    scores = json.loads(Path('run/scores.json').read_text())
    for key in ('features', 'n', 'n_clusters', 'test', 'all', 'cnn_test_accuracy'):
        for wrong in ({name: value for name, value in scores.items() if name != key}, scores | {key: [1]}):
            Path('run/scores.json').write_text(json.dumps(wrong))
            assert f"'{key}'" in refused_and_nothing_left(call, place, 'mnist_scores', 'run')


@pytest.mark.parametrize(
    'words, said',
    [
        ('scans --clusterer ward --eps 1', '--eps is for dbscan, not for ward'),
        ('--features pixels --network quux', '--network is for cnn and label_free, not for kmeans on pixels'),
        ('--clusterer dbscan --n_clusters 3', '--n_clusters is not for dbscan'),
        ('scans --n_clusters 13', '--n_clusters must be auto or a whole number from 2 to 12'),
        ('scans --names names.txt', '--names is for MNIST'),
        ('scans --limit 20', '--limit is for MNIST'),
        ('scans --dry_run', '--dry_run'),
        ('--export link', '--export is for images of your own'),
        ('--labels folders', '--labels is for images of your own'),
        ('scans nowhere', 'nowhere does not exist'),
        ('scans scans/1.png', 'hold the same images'),
        ('loop', 'loop leads to itself'),
        ('scans --features rows.txt', 'neither .npy nor .parquet'),
    ],
)
def test_what_would_be_ignored_is_refused(call, place, words, said):
    assert said in refused_and_nothing_left(call, place, 'mnist_cluster', *words.split())


@pytest.mark.parametrize('columns', [{'x': np.zeros(2**22)}, {'x': np.arange(99.), 'file': ['a' * 2**15] * 99}])
def test_a_bomb_of_rows_is_refused_before_it_is_read(tmp_path, monkeypatch, columns):
    pd.DataFrame(columns).to_parquet(tmp_path / 'rows.parquet', compression='zstd', use_dictionary=['x'])
    table = read_rows(tmp_path / 'rows.parquet')
    assert len(table) == len(columns['x'])
    monkeypatch.setattr(images, 'MAX_UNPACKED', 2**18)
    monkeypatch.setattr(pd, 'read_parquet', None)
    with pytest.raises(ValueError, match=r'rows.parquet cannot be read as rows .* 200 times its size, as'):
        read_rows(tmp_path / 'rows.parquet')


def test_rows_that_do_not_fit_are_refused_before_they_are_read(tmp_path, monkeypatch):
    pd.DataFrame(np.ones((2**16, 2)), columns=['x', 'y']).to_parquet(tmp_path / 'rows.parquet')
    monkeypatch.setattr(machine, 'memory_left', lambda *_: (2**19, 'here'))
    with pytest.raises(MemoryError, match=r'rows.parquet needs about 1 MB of memory'):
        read_rows(tmp_path / 'rows.parquet')


@pytest.mark.parametrize(
    'rows, said',
    [
        (np.zeros(()), 'cannot be read as rows'),
        (np.zeros((12, 0)), 'there are none in it'),
        (np.zeros((12, 2, 2)), 'cannot be read as rows'),
        (np.zeros((12, 2), complex), 'no real numbers'),
        (np.full((12, 2), np.nan), 'row 0 (counted from 0)'),
        (np.zeros((3, 2)), 'a row of features for each of 12 images, not 3'),
        (b'no', 'cannot be read as rows'),
        (b'', 'cannot be read as rows'),
    ],
)
def test_rows_that_are_none(call, place, rows, said):
    if isinstance(rows, bytes):
        Path('rows.npy').write_bytes(rows)
    else:
        np.save('rows.npy', rows)
    assert said in refused_and_nothing_left(call, place, 'mnist_cluster', 'scans', '--features', 'rows.npy')


def test_features_for_later_images_are_compared_with_the_run_before_an_image_is_read(call, place, monkeypatch):
    np.save('rows.npy', np.random.default_rng(0).normal(size=(12, 3)))
    np.save('wider.npy', np.zeros((12, 4)))
    ended = call('mnist_cluster', 'scans', '--features', 'rows.npy', '--n_clusters', 2, '--out', 'own')
    assert ended.returncode == 0, ended.stderr
    monkeypatch.setattr(images, 'load_images', None)
    for model, features, said in (
        ('own', [], 'fitted to features of your own'),
        ('own', ['--features', 'wider.npy'], 'fitted to rows of 3 numbers, and --features has 4'),
        ('own', ['--features', 'nowhere.npy'], 'nowhere.npy is no file'),
        ('run', ['--features', 'rows.npy'], 'fitted to images: leave --features out'),
    ):
        assert said in refused_and_nothing_left(call, place, 'mnist_assign', model, 'scans', *features)


def test_a_place_for_the_export_is_looked_at_before_any_work(call, place, monkeypatch):
    monkeypatch.setattr(images, 'load_images', None)
    Path('out-sorted').write_text('mine')
    for command in (['mnist_cluster', 'scans'], ['mnist_assign', 'run', 'scans']):
        said = refused_and_nothing_left(call, place, *command, '--out', 'out', '--export', 'link')
        assert 'out-sorted is no folder' in said


def test_both_tables_of_a_board_are_read_before_any_work(call, place, monkeypatch):
    monkeypatch.setattr(compare, 'board_rows', None)
    Path('board').mkdir()
    words_for_numbers = b'n,features,clusterer,seed,accuracy_test,seconds,seconds_features\nx,,,,,,\n'
    for name, written in (('label_budget.csv', bytes(range(256))), ('compare.png', b'mine'),
                          ('compare.csv', words_for_numbers)):
        Path('board', name).write_bytes(written)
        said = refused_and_nothing_left(call, place, 'mnist_compare', '--quick', '--out', 'board')
        assert f'{name} was not written by mnist_compare' in said
        Path('board', name).unlink()


# Whatever becomes of what is printed


def shell(line, folder, **env):
    return subprocess.run(
        ['bash', '-c', f'set -o pipefail; PATH={BIN}:$PATH; {line}'], cwd=folder, capture_output=True, text=True,
        env=os.environ | env
    )


@pytest.mark.parametrize('line, code, sentences', [
    ('mnist_scores run >&-', 0, 0),
    ('mnist_scores nowhere 2>&-', 1, 0),
    ('mnist_scores nowhere >&- 2>&- <&-', 1, 0),
    ('mnist_scores run > /dev/full', 1, 1),
    ('mnist_scores nowhere 2> /dev/full', 1, 0),
    ('mnist_scores run | true', 1, 0),
])
def test_nobody_listens(small_run, line, code, sentences):
    ended = shell(line, small_run.parent)
    assert (ended.returncode, ended.stderr.count('\n')) == (code, sentences), ended.stderr


def test_a_run_is_not_lost_because_nobody_listens(tmp_path):
    for i, where in enumerate(('| head -1', '> /dev/full', '>&- 2>&- <&-')):
        ended = shell(f'mnist_cluster {" ".join(DIGITS)} --out run{i} {where}', tmp_path)
        assert ended.returncode == 0 and not ended.stderr
        assert names(tmp_path / f'run{i}') == WRITTEN


def test_a_terminal_that_knows_only_ascii(small_run, tmp_path):
    shutil.copytree(small_run, tmp_path / 'größe')
    plain = {'PYTHONIOENCODING': 'ascii'}
    posix = {'LANG': 'C', 'LC_ALL': 'POSIX', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}
    for env in (plain, posix):
        ended = shell('mnist_scores größe --page seite-ä.html', tmp_path, **env)
        assert ended.returncode == 0 and not ended.stderr, ended.stderr
        refused(shell('mnist_scores ähnlich', tmp_path, **env), 'has no scores.json')
    assert 'href="gr' in (tmp_path / 'seite-ä.html').read_text()


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
from mnist_clustering.features import FEATURES, Features
from mnist_clustering.kmeans import CLUSTERERS, Clusterer
from mnist_clustering.parameters import Parameter

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

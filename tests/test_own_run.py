"The commands on a folder of somebody's own images, from end to end."
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from base64 import b64decode
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

from mnist_clustering.data import load_mnist
from mnist_clustering.images import load_images
from mnist_clustering.model import ClusterModel
from mnist_clustering.own_run import OWN_FILES, OwnRun, cluster_images, write_own_run
from mnist_clustering.review import Corrections
from mnist_clustering.store import walk

SMALL = load_digits()


def write_scans(folder, places):
    "The small digits as files, a third of them dark on light, with the label in the name of each."
    folder.mkdir(parents=True, exist_ok=True)
    for i in places:
        ink = np.kron(SMALL.images[i] * 15.9, np.ones((4, 4)))
        picture = np.pad(ink, 6) if i % 3 else 255 - np.pad(ink, 6)
        Image.fromarray(picture.astype(np.uint8)).save(folder / f'{i:04} {SMALL.target[i]}.png')
    return folder


@pytest.fixture(scope='module')
def scans(tmp_path_factory):
    folder = write_scans(tmp_path_factory.mktemp('own') / 'scans', range(300))
    for i in range(3):
        Image.new('L', (40, 40), 255).save(folder / f'empty {i}.png')
    (folder / 'broken.png').write_bytes(b'no picture at all')
    return folder


@pytest.fixture(scope='module')
def out(scans, run):
    ended = run('mnist_cluster', scans, '--out', scans.parent / 'out')
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
    assert '303 images (3 blank, 2 exact copies), 1 file skipped' in ended.stdout
    return scans.parent / 'out'


def truth_of(table):
    return table['file'].str.extract(r'^\d{4} (\d)\.png')[0]


def test_a_folder_becomes_pure_clusters_and_all_files(out):
    table = pd.read_csv(out / 'labels.csv')
    assert list(table) == ['file', 'cluster', 'name', 'confidence', 'second_choice', 'second_name', 'warning',
                           'digest']
    drawn = table[~table['file'].str.startswith('empty')]
    shares = pd.crosstab(truth_of(drawn), drawn['cluster'])
    assert shares.max().sum() > .93 * len(drawn)
    assert 10 <= shares.shape[1] <= 20
    written = {path.relative_to(out).as_posix() for path in walk(out) if path.is_file()} - {'manifest.json'}
    assert {name for name in written if not name.startswith('clusters/')} == {
        name for name in OWN_FILES if name not in ('unhonoured.csv', 'kept_corrections.json', 'clusters/cluster_*.png')}
    assert len([name for name in written if name.startswith('clusters/')]) == table['cluster'].nunique()
    assert pd.read_parquet(out / 'labels.parquet')['cluster'].equals(table['cluster'])
    assert pd.read_csv(out / 'skipped.csv')['name'].tolist() == ['broken.png']


def test_blank_images_are_a_cluster_of_that_name(out):
    table = pd.read_csv(out / 'labels.csv')
    blank = table['file'].str.startswith('empty')
    assert (table['name'][blank] == 'blank').all() and table['name'][~blank].isna().all()
    assert set(table['cluster'][blank]).isdisjoint(table['cluster'][~blank])


def test_the_review_page_knows_blank_images_and_second_choices(out):
    text = (out / 'review.html').read_text().partition('id="run">')[2].partition('</script>')[0]
    page = json.loads(text)
    table = pd.read_csv(out / 'labels.csv').set_index('file')
    assert sorted(page['names'][i] for i in page['blank']) == ['empty 0.png', 'empty 1.png', 'empty 2.png']
    numbers = np.array([cluster['number'] for cluster in page['clusters']] + [-1])
    second = numbers[np.frombuffer(b64decode(page['second']), np.int32)]
    wanted = table.loc[page['names'], 'second_choice'].fillna(-1)
    assert (second == wanted).all() and (second >= 0).any()


def test_blank_images_change_nothing_for_the_others(scans, out):
    drawn = load_images(scans)
    drawn = drawn[np.flatnonzero(~drawn.blank)]
    alone = cluster_images(drawn)
    table = pd.read_csv(out / 'labels.csv').set_index('file')
    assert adjusted_rand_score(alone.labels_, table.loc[drawn.names, 'cluster']) == 1


def test_no_tensorflow_is_loaded(scans, tmp_path):
    command = ('import sys; from mnist_clustering.cli import mnist_cluster; '
               f'mnist_cluster([{str(scans)!r}, "--out", {str(tmp_path / "out")!r}]); '
               'print([name for name in sys.modules if name in ("tensorflow", "keras", "torch")])')
    ended = subprocess.run([sys.executable, '-c', command], capture_output=True, text=True, check=True)
    assert ended.stdout.endswith('[]\n') and not ended.stderr


def test_an_archive_gives_the_same_clusters(scans, out, tmp_path, call):
    archive = tmp_path / 'scans.zip'
    with zipfile.ZipFile(archive, 'w') as file:
        for path in sorted(scans.iterdir()):
            file.write(path, path.name)
    assert call('mnist_cluster', archive, '--out', tmp_path / 'out').returncode == 0
    mine, theirs = pd.read_csv(tmp_path / 'out/labels.csv'), pd.read_csv(out / 'labels.csv')
    assert mine.equals(theirs)
    refused = call('mnist_cluster', archive, '--out', tmp_path / 'out', '--export', 'link')
    assert refused.returncode == 1 and 'unpack archives' in refused.stderr


def test_a_number_cuts_the_tree_there(scans, tmp_path, call):
    assert call('mnist_cluster', scans, '--out', tmp_path / 'out', '--n_clusters', 12).returncode == 0
    table = pd.read_csv(tmp_path / 'out/labels.csv')
    assert table['cluster'].nunique() == 13 # and the blank ones


def test_what_is_refused_before_the_images_are_read_names_no_huge_number(tmp_path, call):
    ended = call('mnist_cluster', tmp_path, '--clusterer', 'ward', '--n_clusters', 1)
    assert ended.returncode == 1 and '--n_clusters must be auto or a whole number of at least 2, not 1' in ended.stderr


def test_folders_are_labels_when_asked_and_give_scores(tmp_path, call):
    for i in range(200):
        write_scans(tmp_path / 'scans' / f'digit {SMALL.target[i]}', [i])
    ended = call('mnist_cluster', tmp_path / 'scans', '--labels', 'folders', '--out', tmp_path / 'out')
    assert ended.returncode == 0 and 'Against the labels: accuracy' in ended.stdout
    about = json.loads((tmp_path / 'out/run.json').read_text())
    assert about['purity'] > .9 and about['nmi'] > .8
    table = pd.read_csv(tmp_path / 'out/labels.csv')
    assert set(table['name'].dropna()) <= {f'digit {i}' for i in range(10)}
    without = call('mnist_cluster', tmp_path / 'scans', '--out', tmp_path / 'without')
    assert 'accuracy' not in without.stdout
    assert 'accuracy' not in json.loads((tmp_path / 'without/run.json').read_text())


def test_labels_of_a_table_may_be_numbers_and_images_blank(tmp_path, call):
    pixels = np.pad(np.kron(SMALL.images[:200], np.ones((2, 2))) * 15, ((0, 0), (6, 6), (6, 6))).astype(int)
    pixels[[5, 50]] = 0
    table = pd.DataFrame(pixels.reshape(200, -1), columns=[f'pixel{i}' for i in range(784)])
    table.insert(0, 'label', SMALL.target[:200])
    table.to_csv(tmp_path / 'train.csv', index=False)
    ended = call('mnist_cluster', tmp_path / 'train.csv', '--out', tmp_path / 'out')
    assert ended.returncode == 0, ended.stderr
    found = pd.read_parquet(tmp_path / 'out/labels.parquet')
    assert found['label'].tolist() == SMALL.target[:200].tolist()
    assert found['name'][[5, 50]].tolist() == ['blank', 'blank']


def test_corrections_are_kept_when_images_are_added(scans, out, tmp_path, call):
    table = pd.read_csv(out / 'labels.csv')
    truth = truth_of(table)
    told, moved = [], []
    for cluster in sorted(table['cluster'].unique()):
        members = table['cluster'] == cluster
        if not truth[members].isna().all():
            told.append({'name': truth[members].mode()[0], 'none': False, 'members': table['digest'][members].tolist()})
    for entry in told: # each image that lies wrong is moved, as a person would
        for digest, digit in zip(table['digest'], truth):
            right = next((one for one in told if one['name'] == digit), None)
            if digest in entry['members'] and right and entry['name'] != digit:
                entry['members'].remove(digest)
                right['members'].append(digest)
                moved.append(digest)
    corrections = tmp_path / 'corrections.json'
    corrections.write_text(json.dumps({'format': 1, 'clusters': told, 'moved': moved}))
    more = write_scans(shutil.copytree(scans, tmp_path / 'more'), range(300, 330))
    ended = call('mnist_cluster', more, '--out', tmp_path / 'out', '--corrections', corrections)
    assert ended.returncode == 0, ended.stderr
    after = pd.read_csv(tmp_path / 'out/labels.csv').set_index('file')
    wanted = {digest: entry['name'] for entry in told for digest in entry['members']}
    kept = after[after['digest'].isin(wanted)]
    wrong = kept[kept['name'].astype(str) != kept['digest'].map(wanted)]
    assert not len(wrong), wrong
    assert len(moved) > 0 and 'not kept' not in ended.stdout
    new = after[~after.index.isin(table['file'])]
    assert (new['name'].notna()).mean() > .8
    model = ClusterModel.load(tmp_path / 'out/model')
    assert set(map(str, model.names_.values())) == {entry['name'] for entry in told} | {'blank'}
    smaller = call('mnist_cluster', write_scans(tmp_path / 'fewer', range(60)), '--out', tmp_path / 'less',
                   '--corrections', corrections)
    assert smaller.returncode == 0 and 'not kept' in smaller.stdout
    assert len(pd.read_csv(tmp_path / 'less/unhonoured.csv'))


def test_later_images_are_assigned_and_strangers_are_not(out, tmp_path, call):
    later = write_scans(tmp_path / 'later', range(300, 400))
    Image.new('L', (40, 40), 255).save(later / 'zz empty.png')
    rng = np.random.default_rng(0)
    for i in range(20):
        Image.fromarray(rng.integers(0, 256, (30, 30)).astype(np.uint8)).save(later / f'zz noise {i}.png')
    assert call('mnist_assign', out, later, '--out', tmp_path / 'out').returncode == 0
    found = pd.read_csv(tmp_path / 'out/labels.csv')
    fitted = pd.read_csv(out / 'labels.csv')
    drawn = fitted[truth_of(fitted).notna()]
    majority = truth_of(drawn).groupby(drawn['cluster']).agg(lambda digits: digits.mode().iloc[0])
    noise = found['file'].str.startswith('zz noise')
    assert (found['name'][noise] == 'none of these').all()
    assert found.set_index('file').loc['zz empty.png', 'name'] == 'blank'
    digits = found[~found['file'].str.startswith('zz')]
    assigned = digits[digits['cluster'] >= 0]
    assert len(assigned) > 85
    assert (majority[assigned['cluster']].to_numpy() == truth_of(assigned).to_numpy()).mean() > .9
    again = subprocess.run([sys.executable, '-c', 'from mnist_clustering.cli import mnist_assign; '
                            f'mnist_assign([{str(out)!r}, {str(later)!r}, "--out", {str(tmp_path / "again")!r}])'])
    assert again.returncode == 0
    assert (tmp_path / 'again/labels.csv').read_bytes() == (tmp_path / 'out/labels.csv').read_bytes()


def test_export_is_told_first_and_replaces_nothing(scans, tmp_path, call):
    before = {path.name: path.read_bytes() for path in scans.iterdir()}
    options = 'mnist_cluster', scans, '--out', tmp_path / 'out', '--n_clusters', 3
    ended = call(*options, '--export', 'copy', '--dry_run')
    assert ended.returncode == 0 and 'No image was linked or copied' in ended.stdout
    assert not (tmp_path / 'out-sorted').exists()
    assert call(*options, '--export', 'copy').returncode == 0
    exported = [path for path in walk(tmp_path / 'out-sorted') if path.is_file()]
    assert len(exported) == 303
    assert {path.parent.name for path in exported} == {'cluster 0', 'cluster 1', 'cluster 2', 'blank'}
    mine = exported[0]
    mine.write_bytes(b'changed by me')
    assert call(*options, '--export', 'copy').returncode == 0
    assert mine.read_bytes() == b'changed by me'
    assert {path.name: path.read_bytes() for path in scans.iterdir()} == before


def test_features_of_ones_own(scans, tmp_path, call):
    images = load_images(scans)
    rows = images.images.reshape(len(images), -1) / 255 + 1e-3
    np.save(tmp_path / 'rows.npy', rows)
    options = '--features', tmp_path / 'rows.npy', '--n_clusters', 5
    ended = call('mnist_cluster', scans, '--out', tmp_path / 'out', *options)
    assert ended.returncode == 0, ended.stderr
    assert pd.read_csv(tmp_path / 'out/labels.csv')['cluster'].nunique() == 5
    np.save(tmp_path / 'rows.npy', rows[:7])
    ended = call('mnist_cluster', scans, '--out', tmp_path / 'other', '--features', tmp_path / 'rows.npy')
    assert ended.returncode == 1 and 'a row of features for each of 303 images' in ended.stderr
    assert not (tmp_path / 'other').exists()


def test_pickled_features_are_refused(scans, tmp_path, call):
    np.save(tmp_path / 'rows.npy', np.array([{'a': 1}], dtype=object), allow_pickle=True)
    ended = call('mnist_cluster', scans, '--out', tmp_path / 'out', '--features', tmp_path / 'rows.npy')
    assert ended.returncode == 1 and 'cannot be read as rows of numbers' in ended.stderr


def test_a_run_on_mnist_is_a_model_for_ones_own_digits(tmp_path, call):
    options = '--limit', 2000, '--features', 'distortion', '--clusterer', 'ward'
    assert call('mnist_cluster', *options, '--out', tmp_path / 'mnist').returncode == 0
    _, test = load_mnist()
    (tmp_path / 'mine').mkdir()
    for i in range(5000, 5100):
        Image.fromarray(255 - test.images[i]).resize((56, 56)).save(tmp_path / 'mine' / f'{i}.png')
    assert call('mnist_assign', tmp_path / 'mnist', tmp_path / 'mine', '--out', tmp_path / 'out').returncode == 0
    found = pd.read_csv(tmp_path / 'out/labels.csv')
    known = found['cluster'] >= 0
    assert known.mean() > .85
    assert (found['name'][known].astype(float) == test.labels[5000:5100][known]).mean() > .9


@pytest.mark.parametrize('n', [10, 12, 20, 40])
def test_few_images(n, tmp_path):
    images = load_images(write_scans(tmp_path / 'scans', [i for i in range(400) if SMALL.target[i] < 2][:n]))
    run = OwnRun(images, cluster_images(images))
    truth = truth_of(run.table)
    assert pd.crosstab(truth, run.table['cluster']).max().sum() >= .9 * n
    assert run.model.n_clusters_ <= max(4, n // 4)


def test_copies_and_two_images(tmp_path, call):
    write_scans(tmp_path / 'two', [0, 1])
    ended = call('mnist_cluster', tmp_path / 'two', '--out', tmp_path / 'out')
    assert ended.returncode == 1 and ended.stderr.count('\n') == 1 and 'images' in ended.stderr
    folder = write_scans(tmp_path / 'same', [0])
    for i in range(20):
        shutil.copy(next(folder.iterdir()), folder / f'copy {i}.png')
    ended = call('mnist_cluster', folder, '--out', tmp_path / 'out')
    assert ended.returncode == 1 and 'at least 4 different images' in ended.stderr
    assert not (tmp_path / 'out').exists()


def test_an_options_file_of_somebody_else_stays(scans, tmp_path, call):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/report.html').write_text('mine')
    ended = call('mnist_cluster', scans, '--out', tmp_path / 'out')
    assert ended.returncode == 1 and 'report.html' in ended.stderr
    assert (tmp_path / 'out/report.html').read_text() == 'mine'


def test_a_run_among_the_images_is_refused(tmp_path, call, monkeypatch):
    folder = write_scans(tmp_path / 'scans', range(30))
    monkeypatch.chdir(folder)
    for paths, out in ((['.'], 'output'), ([folder], folder), ([tmp_path], tmp_path / 'a/b')):
        ended = call('mnist_cluster', *paths, '--out', out)
        assert ended.returncode == 1 and 'lies inside' in ended.stderr
    assert len(list(folder.iterdir())) == 30


def test_a_damaged_model_is_refused_in_one_sentence(out, tmp_path, call):
    broken = Path(shutil.copytree(out / 'model', tmp_path / 'model'))
    whole = (broken / 'model.skops').read_bytes()
    for content in (b'', whole[:1000], whole[:len(whole) // 2]):
        (broken / 'model.skops').write_bytes(content)
        ended = call('mnist_assign', broken, tmp_path, '--out', tmp_path / 'assigned')
        assert ended.returncode == 1 and ended.stderr.count('\n') == 1 and 'cannot be read' in ended.stderr
    assert not (tmp_path / 'assigned').exists()


def names_in(corrections, names):
    "A file of corrections that gives these names to clusters of these members."
    told = [{'name': name, 'none': False, 'members': members} for name, members in names.items()]
    corrections.write_text(json.dumps({'format': 1, 'clusters': told, 'moved': []}))
    return corrections


def test_a_run_without_corrections_keeps_those_of_the_last(scans, tmp_path, call):
    out, options = tmp_path / 'out', ('mnist_cluster', scans, '--out', tmp_path / 'out')
    assert call(*options).returncode == 0
    table = pd.read_csv(out / 'labels.csv')
    members = {str(i): table['digest'][table['cluster'] == i].tolist() for i in (0, 1)}
    first = names_in(tmp_path / 'first.json', {'old': members['0']})
    assert call(*options, '--corrections', first).returncode == 0
    again = call(*options)
    assert 'kept_corrections.json are kept' in again.stdout
    assert (out / 'kept_corrections.json').read_bytes() == first.read_bytes()
    assert 'old' in pd.read_csv(out / 'labels.csv')['name'].tolist()
    mine = names_in(out / 'corrections.json', {'new': members['0'], 'another': members['1']}) # saved there by a person
    os.utime(mine, (time.time() + 10, time.time() + 10))
    assert 'corrections.json are kept' in call(*options).stdout
    assert set(pd.read_csv(out / 'labels.csv')['name'].dropna()) == {'new', 'another', 'blank'}
    assert 'another' in mine.read_text()
    assert 'are kept' not in call('mnist_cluster', scans, '--out', tmp_path / 'other').stdout


def test_a_dry_run_writes_nothing(scans, tmp_path, call):
    options = 'mnist_cluster', scans, '--out', tmp_path / 'out', '--n_clusters', 4
    assert call(*options, '--export', 'copy', '--dry_run').returncode == 0
    assert not list(tmp_path.iterdir())
    assert call(*options).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in walk(tmp_path)}
    assert call(*options[:-1], 6, '--export', 'copy', '--dry_run').returncode == 0
    model = 'mnist_assign', tmp_path / 'out', scans, '--out', tmp_path / 'assigned'
    assert call(*model, '--export', 'link', '--dry_run').returncode == 0
    assert {path: path.stat().st_mtime_ns for path in walk(tmp_path)} == before


def test_features_may_come_in_any_order_with_names(scans, tmp_path, call):
    images = load_images(scans)
    rows = pd.DataFrame(images.images.reshape(len(images), -1) / 255 + 1e-3)
    rows.columns = rows.columns.astype(str)
    named = rows.assign(file=images.names)
    np.save(tmp_path / 'rows.npy', rows)
    named.sample(frac=1, random_state=0).to_parquet(tmp_path / 'rows.parquet')
    for kind in ('npy', 'parquet'):
        ended = call('mnist_cluster', scans, '--out', tmp_path / kind, '--features', tmp_path / f'rows.{kind}')
        assert ended.returncode == 0 and f'rows.{kind}, clusterer: louvain' in ended.stdout, ended.stderr
        assert f'rows.{kind}' in json.loads((tmp_path / kind / 'run.json').read_text())['features']
    assert (tmp_path / 'npy/labels.csv').read_bytes() == (tmp_path / 'parquet/labels.csv').read_bytes()
    named[:-1].to_parquet(tmp_path / 'fewer.parquet')
    ended = call('mnist_cluster', scans, '--out', tmp_path / 'fewer', '--features', tmp_path / 'fewer.parquet')
    assert ended.returncode == 1 and f'no row for 1 image, {images.names[-1]} first' in ended.stderr
    model = 'mnist_assign', tmp_path / 'npy', scans, '--out', tmp_path / 'assigned'
    assert 'fitted to features of your own' in call(*model).stderr
    assert call(*model, '--features', tmp_path / 'rows.parquet').returncode == 0
    assigned = pd.read_csv(tmp_path / 'assigned/labels.csv')
    known = assigned['cluster'] >= 0
    fitted = pd.read_csv(tmp_path / 'npy/labels.csv')['cluster']
    assert known.mean() > .9 and (assigned['cluster'] == fitted)[known].mean() > .95
    rows.iloc[17, 3] = np.nan
    np.save(tmp_path / 'rows.npy', rows)
    ended = call('mnist_cluster', scans, '--out', tmp_path / 'nan', '--features', tmp_path / 'rows.npy')
    assert ended.returncode == 1 and 'row 17 (counted from 0) has a NaN' in ended.stderr


def test_what_a_person_has_moved_is_certain(scans, tmp_path):
    images = load_images(scans)
    model = cluster_images(images)
    digests = images.done['digest'].to_numpy()
    moved = digests[model.labels_ == 1][:2].tolist()
    told = [{'name': 'mine', 'none': False, 'members': [*digests[model.labels_ == 0], *moved]}]
    table = OwnRun(images, model, Corrections(told, moved)).table.set_index('digest')
    assert (table.loc[moved, 'confidence'] == 1).all() and table.loc[moved, 'second_choice'].isna().all()
    assert (table.loc[moved, 'name'] == 'mine').all()


def test_the_report_asks_nothing_that_a_person_has_answered(scans, tmp_path):
    images = load_images(scans)
    digests = images.done['digest'].to_numpy()
    model = cluster_images(images)
    first = {cluster: digests[model.labels_ == cluster][0] for cluster in range(model.n_clusters_)}
    before = OwnRun(images, model)
    both = list(before.pairs[['cluster', 'other']].itertuples(index=False, name=None))
    loosest = before.loosest
    assert sorted(loosest) == [cluster for cluster in range(model.n_clusters_) if cluster != model.blank_]
    (a, b), (c, d) = both[0], next(pair for pair in both if not {*pair} & {*both[0]})
    told = [{'name': name, 'none': False, 'members': digests[model.labels_ == cluster].tolist()}
            for cluster, name in ((c, 'one'), (d, 'other'))]
    strange = next(cluster for cluster in loosest if cluster not in (a, b, c, d))
    told.append({'name': None, 'none': True, 'members': digests[model.labels_ == strange].tolist()})
    run = OwnRun(images, model, Corrections(told, [], [[first[b], first[a]]]))
    left = list(run.pairs[['cluster', 'other']].itertuples(index=False, name=None))
    assert left == [pair for pair in both if pair not in ((a, b), (c, d)) and strange not in pair] != []
    assert run.loosest == [cluster for cluster in loosest if cluster not in (c, d, strange)] != []
    write_own_run(tmp_path, run)
    text = ', '.join(map(str, run.loosest[:5]))
    assert f'come first: {text}.' in (tmp_path / 'report.html').read_text()


def test_a_report_of_two_that_were_told_apart_suggests_nothing(tmp_path):
    images = load_images(write_scans(tmp_path / 'scans', [i for i in range(400) if SMALL.target[i] == 8]))
    digests = images.done['digest'].to_numpy()
    model = cluster_images(images, n_clusters=2)
    apart = [digests[model.labels_ == cluster][0] for cluster in (0, 1)]
    for name, corrections, words in (('open', None, 'These pairs are the closest'),
                                     ('apart', Corrections([], [], [apart]), 'No two clusters are left')):
        (tmp_path / name).mkdir()
        write_own_run(tmp_path / name, OwnRun(images, model, corrections))
        assert words in (tmp_path / name / 'report.html').read_text()
        assert (tmp_path / name / 'pairs.png').exists() == (corrections is None)


def test_blank_images_are_apart_for_the_network_too(scans):
    images = load_images(scans)
    model = cluster_images(images, 'cnn', 'kmeans', 10)
    assert model.names_[model.labels_[images.blank][0]] == 'blank'
    assert len(np.unique(model.labels_[images.blank])) == 1 and model.n_clusters_ == 11


def test_features_of_ones_own_are_clustered_as_they_are(tmp_path, call):
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(6), 50)
    rows = np.hstack([np.eye(6)[truth] * 5 + rng.normal(size=(300, 6)) / 2, rng.normal(size=(300, 2)) / 2]) + 100
    write_scans(tmp_path / 'scans', range(300))
    np.save(tmp_path / 'rows.npy', rows)
    ended = call('mnist_cluster', tmp_path / 'scans', '--out', tmp_path / 'out', '--features', tmp_path / 'rows.npy')
    assert ended.returncode == 0, ended.stderr
    assert adjusted_rand_score(truth, pd.read_csv(tmp_path / 'out/labels.csv')['cluster']) == 1


def test_a_run_is_never_lost_to_another_command(scans, out, call):
    before = {path: path.read_bytes() for path in walk(out) if path.is_file()}
    for words in (['mnist_assign', out, scans], ['mnist_cluster', '--limit', 200, '--features', 'pixels']):
        ended = call(*words, '--out', out)
        assert ended.returncode == 1 and 'of another command, which would be lost' in ended.stderr
    assert {path: path.read_bytes() for path in walk(out) if path.is_file()} == before


def test_images_in_archives_are_told_at_an_export(scans, tmp_path, call):
    folder = write_scans(tmp_path / 'scans', range(60))
    with zipfile.ZipFile(folder / 'more.zip', 'w') as archive:
        for path in sorted(scans.glob('02*.png'))[:20]:
            archive.write(path, path.name)
    ended = call('mnist_cluster', folder, '--out', tmp_path / 'out', '--export', 'copy')
    assert ended.returncode == 0 and '20 images in archives or tables: unpack them first' in ended.stdout
    assert len([path for path in walk(tmp_path / 'out-sorted') if path.is_file()]) == 60


@pytest.mark.parametrize('features', ['distortion', 'pixels'])
def test_copies_share_one_cluster_with_what_they_look_like(features, tmp_path):
    folder = write_scans(tmp_path / 'scans', range(100))
    original = sorted(folder.iterdir())[50]
    for i in range(14):
        shutil.copy(original, folder / f'zz {i}.png')
    images = load_images(folder)
    model = cluster_images(images, features)
    copies = (images.done['digest'] == images.done['digest'].iloc[50]).to_numpy()
    assert copies.sum() == 15 and len(set(model.labels_[copies])) == 1
    assert adjusted_rand_score(cluster_images(images[:100], features).labels_, model.labels_[:100]) == 1
    order, heights = model.tree()
    assert sorted(order) == list(range(114)) and len(heights) == 113
    places = np.flatnonzero(np.isin(order, np.flatnonzero(copies)))
    assert np.ptp(places) == 14 and not heights[places[:-1]].any()


def test_what_a_person_marked_as_none_is_none(scans, tmp_path, call):
    images = load_images(scans)
    model = cluster_images(images)
    digests = images.done['digest'].to_numpy()
    told = [{'name': None, 'none': True, 'members': digests[model.labels_ == 0].tolist()}]
    (tmp_path / 'corrections.json').write_text(json.dumps({'format': 1, 'clusters': told, 'moved': []}))
    options = 'mnist_cluster', scans, '--out', tmp_path / 'out', '--corrections', tmp_path / 'corrections.json'
    assert call(*options).returncode == 0
    table = pd.read_csv(tmp_path / 'out/labels.csv')
    assert (table['name'][model.labels_ == 0] == 'none of these').all()
    assert (table['name'] == 'blank').sum() == 3
    assert call('mnist_assign', tmp_path / 'out', scans, '--out', tmp_path / 'assigned').returncode == 0
    assigned = pd.read_csv(tmp_path / 'assigned/labels.csv')
    assert ((assigned['cluster'] == -1) == (assigned['name'] == 'none of these')).all()
    assert (assigned['cluster'][model.labels_ == 0] == -1).mean() > .9


def test_unnamed_clusters_are_not_mixed_with_names(scans, tmp_path, call):
    digests = load_images(scans).done['digest']
    labels = cluster_images(load_images(scans), n_clusters=3).labels_
    corrections = names_in(tmp_path / 'c.json', {'cluster 1': digests[labels == 0].tolist()})
    options = 'mnist_cluster', scans, '--out', tmp_path / 'out', '--n_clusters', 3, '--corrections', corrections
    assert call(*options, '--export', 'copy').returncode == 0
    there = [path.parent.name for path in walk(tmp_path / 'out-sorted') if path.is_file()]
    assert there.count('cluster 1') == (labels == 0).sum()
    assert there.count('cluster 1 without a name') == (labels == 1).sum()


def test_features_without_a_plane(tmp_path, call):
    folder = write_scans(tmp_path / 'scans', range(60))
    np.save(tmp_path / 'rows.npy', np.repeat([0., 5, 9], 20)[:, None] + np.arange(60)[:, None] / 1000)
    ended = call('mnist_cluster', folder, '--out', tmp_path / 'out', '--features', tmp_path / 'rows.npy')
    assert ended.returncode == 0, ended.stderr
    np.save(tmp_path / 'rows.npy', np.repeat([[0., 1], [1, 0]], 30, axis=0))
    ended = call('mnist_cluster', folder, '--out', tmp_path / 'two', '--features', tmp_path / 'rows.npy')
    assert ended.returncode == 1 and 'at least 4 different rows of features' in ended.stderr
    np.save(tmp_path / 'rows.npy', np.arange(120).reshape(60, 2) * 1j)
    ended = call('mnist_cluster', folder, '--out', tmp_path / 'j', '--features', tmp_path / 'rows.npy')
    assert ended.returncode == 1 and 'no real numbers' in ended.stderr


def test_only_noise_is_told(tmp_path, call):
    folder = write_scans(tmp_path / 'scans', range(12))
    ended = call('mnist_cluster', folder, '--out', tmp_path / 'out', '--clusterer', 'hdbscan')
    assert ended.returncode == 1 and 'hdbscan finds no cluster' in ended.stderr and ended.stderr.count('\n') == 1


def test_home_and_images_given_twice(tmp_path, call, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    write_scans(tmp_path / 'scans.1', range(30))
    ended = call('mnist_cluster', '~/scans.1', '--out', '~/run')
    assert ended.returncode == 0 and (tmp_path / 'run/labels.csv').exists(), ended.stderr
    assert 'lies inside' in call('mnist_cluster', '~/scans.1', '--out', '~/scans.1/out').stderr
    ended = call('mnist_cluster', '~/scans.1', tmp_path / 'scans.1/0001 1.png', '--out', '~/run')
    assert ended.returncode == 1 and 'would count twice' in ended.stderr
    monkeypatch.chdir(tmp_path)
    assert call('mnist_cluster', 'scans.1').returncode == 0 and (tmp_path / 'output/scans.1').is_dir()
    (tmp_path / 'scans.1').rename(tmp_path / '~old scans') # no user has this name
    ended = call('mnist_cluster', '~old scans', '--out', '~old run')
    assert ended.returncode == 0 and (tmp_path / '~old run/labels.csv').exists(), ended.stderr

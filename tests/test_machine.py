"Little memory, no home folder, read-only installations, threads and forks: it works, or one sentence says why not."
import os
import shutil
import subprocess
import sys
from multiprocessing import get_all_start_methods
from pathlib import Path

import numpy as np
import pytest
from conftest import BIN
from sklearn.datasets import make_blobs

from mnist_clustering import cnn, machine
from mnist_clustering.agglomerative import Ward
from mnist_clustering.communities import AutoLouvain
from mnist_clustering.data import load_mnist
from mnist_clustering.dbscan import AutoDBSCAN, make_hdbscan
from mnist_clustering.distortion import DistortionNeighbors, preprocess
from mnist_clustering.interactive_map import interactive_map
from mnist_clustering.kmeans import AutoGaussianMixture, AutoKMeans
from mnist_clustering.machine import check_memory, limits_of_group, memory_left
from mnist_clustering.prepare import NormalizedPCA
from mnist_clustering.shapes import DistortionFeatures, DistortionMap

ROOT = Path(__file__).parent.parent
IMAGES = load_mnist()[1].images[:300]
BLOBS, _ = make_blobs(300, random_state=0)


def python(code, *before, **env):
    "Run code in a fresh process, with a few variables of the environment or without (None)."
    told = {name: value for name, value in (os.environ | {'PYTHONPATH': str(ROOT)} | env).items() if value is not None}
    return subprocess.run([*before, sys.executable, '-c', code], capture_output=True, text=True, env=told, timeout=300)


def said(done):
    assert done.returncode == 0, done.stderr
    assert done.stderr == ''
    return done.stdout.strip()


# Memory

STEPS = {
    'PCA': lambda: NormalizedPCA().fit(BLOBS),
    'KMeans': lambda: AutoKMeans(3).fit(BLOBS),
    'mixture': lambda: AutoGaussianMixture(3).fit(BLOBS),
    'DBSCAN': lambda: AutoDBSCAN().fit(BLOBS),
    'HDBSCAN': lambda: make_hdbscan(300).fit(BLOBS),
    'Ward': lambda: Ward(3).fit(BLOBS),
    'communities': lambda: AutoLouvain().fit(BLOBS),
    'neighbours': lambda: DistortionNeighbors(fresh=True).fit(IMAGES),
    'preparation': lambda: preprocess(IMAGES, True, 1.),
    'map': lambda: DistortionMap(fresh=True).fit(IMAGES),
    'places': lambda: DistortionFeatures(fresh=True).fit(IMAGES),
    'training': lambda: cnn.train_cnn(IMAGES, np.arange(300) % 10, fresh=True),
    'reading': lambda: cnn.seventh_layer(IMAGES, [np.zeros(10)], 'fast'),
    'page': lambda: interactive_map(IMAGES, BLOBS, np.zeros(300, int)),
}


@pytest.mark.parametrize('step', STEPS)
def test_what_cannot_fit_is_refused_before_it_starts(step, monkeypatch):
    monkeypatch.setattr(machine, 'memory_left', lambda root=None: (1000, 'on this machine'))
    sentence = '^[A-Z].* needs about .* [MG]B of memory, and 0 MB are free on this machine: .*, or give it more memory$'
    with pytest.raises(MemoryError, match=sentence):
        STEPS[step]()


@pytest.mark.skipif(sys.platform != 'linux', reason='no such limits here')
@pytest.mark.parametrize('limit', ['RLIMIT_AS', 'RLIMIT_DATA'])
def test_the_limit_of_a_shell_counts(limit):
    code = f'''
import resource
from mnist_clustering.machine import check_memory, memory_left
before, _ = memory_left()
resource.setrlimit(resource.{limit}, (2_000_000_000, 2_000_000_000))
left, whose = memory_left()
print(before > left, 1e9 < left < 2e9, whose)
try:
    check_memory(2.5e9, 'A map of 100,000 images')
except MemoryError as error:
    print(error)
'''
    first, sentence = said(python(code)).splitlines()
    assert first == 'True True within the limit of this process (ulimit)'
    assert sentence.startswith('A map of 100,000 images needs about 2.5 GB of memory, and ')
    assert sentence.endswith('GB are free within the limit of this process (ulimit): '
                             'take fewer images, or give it more memory')


def write_system(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_the_limit_of_an_older_container_counts(tmp_path):
    group = 'sys/fs/cgroup/memory'
    write_system(tmp_path, {
        'proc/self/cgroup': '7:cpu,cpuacct:/docker/b0\n5:memory:/docker/b0\n1:name=systemd:/docker/b0\n',
        f'{group}/memory.limit_in_bytes': '300000000\n', # Docker shows a container its own group as the uppermost
        f'{group}/memory.usage_in_bytes': '200000000\n',
        f'{group}/memory.stat': 'cache 9\ntotal_inactive_file 50000000\n'})
    assert limits_of_group(tmp_path) == [150_000_000]
    assert memory_left(tmp_path) == (150_000_000, 'within the limit of this container (cgroup)')
    with pytest.raises(MemoryError, match='needs about 1.0 GB of memory, and 150 MB are free within the limit'):
        check_memory(1e9, 'A map', root=tmp_path)


def test_no_limit_is_no_limit_and_a_full_group_leaves_nothing(tmp_path):
    write_system(tmp_path, {
        'proc/self/cgroup': '5:memory:/\n0::/../user.slice\n',
        'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
        'sys/fs/cgroup/memory/memory.usage_in_bytes': '200000000\n',
        'sys/fs/cgroup/memory/memory.stat': 'total_inactive_file 0\n'})
    assert memory_left(tmp_path)[1] == 'on this machine'
    write_system(tmp_path, {
        'sys/fs/cgroup/unified/user.slice/memory.max': '100\n',
        'sys/fs/cgroup/unified/user.slice/memory.current': '200\n',
        'sys/fs/cgroup/unified/user.slice/memory.stat': 'inactive_file 0\n'})
    assert memory_left(tmp_path) == (0, 'within the limit of this container (cgroup)')


# A place for files

@pytest.fixture(scope='module')
def read_only(tmp_path_factory):
    "The package where it cannot be written, and what starts a program that cannot write there."
    site = tmp_path_factory.mktemp('site')
    shutil.copytree(ROOT / 'mnist_clustering', site / 'mnist_clustering', ignore=shutil.ignore_patterns('__pycache__'))
    for path in [site, *site.rglob('*')]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = []
    if os.geteuid() == 0: # who may write anywhere, so it becomes somebody else, who may only read anywhere
        if not shutil.which('setpriv'):
            pytest.skip('nobody else can be become here')
        before = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=+dac_read_search',
                  '--ambient-caps=+dac_read_search']
        for folder in [site, *site.parents]:
            if folder.stat().st_uid == 0 and folder.name.startswith('pytest'):
                folder.chmod(0o755)
    yield site, before
    for path in [site, *site.rglob('*')]:
        if path.is_dir():
            path.chmod(0o755)


USE = '''
import os, sys
from pathlib import Path
import mnist_clustering.agglomerative, mnist_clustering.draw
from mnist_clustering.data import load_mnist
from mnist_clustering.deskew import deskew
from mnist_clustering.store import cache_folder, cached
import bokeh.plotting, warnings
with warnings.catch_warnings(record=True) as caught:
    made = cached('toy', lambda: dict(sum=deskew(load_mnist()[1].images[:9]).sum()))
print(round(float(made['sum'])), 'cannot be written' in str(caught[0].message), os.path.exists('~'))
print(os.environ['NUMBA_CACHE_DIR'])
'''
NO_HOMES = {
    'a home that does not exist': dict(HOME='/nonexistent'),
    'a home that is a file': dict(HOME='/dev/null'),
    'no home': dict(HOME=None),
}
IN_NO_LIST = '''
import pwd
def getpwuid(uid): raise KeyError(uid)
pwd.getpwuid = getpwuid
'''


@pytest.mark.skipif(sys.platform != 'linux', reason='numba keeps its files elsewhere')
@pytest.mark.parametrize('env', NO_HOMES.values(), ids=NO_HOMES)
def test_a_read_only_installation_without_a_home_works(read_only, env, tmp_path):
    site, before = read_only
    env = env | dict(PYTHONPATH=str(site), NUMBA_CACHE_DIR=None, MPLCONFIGDIR=None, MNIST_CLUSTERING_CACHE=None,
                     XDG_CACHE_HOME=None, XDG_CONFIG_HOME=None, PYTHONDONTWRITEBYTECODE='1')
    code = f'import os; os.chdir("/")\n{IN_NO_LIST if env["HOME"] is None else ""}{USE}'
    result, numba = said(python(code, *before, **env)).splitlines()
    assert result == f'{expected()} True False'
    assert 'mnist_clustering-' in numba and not os.path.exists(numba) # it was for the time being


def expected():
    from mnist_clustering.deskew import deskew
    return round(float(deskew(load_mnist()[1].images[:9]).sum()))


def test_a_place_that_can_be_written_stays_as_it_is(tmp_path):
    code = 'import os, mnist_clustering; print(os.environ["NUMBA_CACHE_DIR"], os.environ.get("MPLCONFIGDIR"))'
    env = dict(NUMBA_CACHE_DIR=str(tmp_path / 'numba'), HOME=str(tmp_path), XDG_CONFIG_HOME=None, MPLCONFIGDIR=None)
    assert said(python(code, **env)) == f'{tmp_path}/numba None'


@pytest.mark.parametrize('told', ['0', '-1', 'many'])
def test_a_number_of_threads_that_is_none_is_not_used(told):
    done = python('import mnist_clustering, numba; print(numba.config.NUMBA_NUM_THREADS > 0)', NUMBA_NUM_THREADS=told)
    assert done.stdout == 'True\n'
    assert f"NUMBA_NUM_THREADS must be a whole number from 1, not '{told}': it is not used" in done.stderr


def test_without_docstrings_and_assertions_the_commands_work(tmp_path):
    code = '''
import sys
from mnist_clustering.cli import mnist_cluster
mnist_cluster(['--features', 'pixels', '--limit', '140', '--out', sys.argv[1]])'''
    done = subprocess.run([sys.executable, '-OO', '-c', code, tmp_path / 'run'], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')


# Threads and forks

def test_two_threads_may_fit_at_once():
    code = '''
from concurrent.futures import ThreadPoolExecutor
import numba
from sklearn.datasets import make_blobs
from mnist_clustering.agglomerative import Ward
points, _ = make_blobs(2000, random_state=0)
with ThreadPoolExecutor(2) as pool:
    trees = list(pool.map(lambda _: Ward(3).fit(points).linkage_.tobytes(), range(6)))
print(len(set(trees)), numba.threading_layer())'''
    assert said(python(code, NUMBA_THREADING_LAYER='workqueue')) == '1 workqueue'


FORK = '''
from multiprocessing import get_context
from mnist_clustering.agglomerative import Ward
from mnist_clustering.data import load_mnist
from mnist_clustering.features import CnnFeatures
digits = load_mnist()[1][:60]
if LIBRARY == 'numba':
    def work(_): return Ward(2).fit(digits.images.reshape(60, 784)).n_clusters_
else:
    model = CnnFeatures(epochs=1).fit(digits.images, digits.labels)
    def work(_): return model.transform(digits.images).shape[1]
def in_a_fork():
    with get_context('fork').Pool(1) as pool:
        return pool.apply_async(work, [0]).get(60)
first = in_a_fork() if LIBRARY == 'numba' else None
print(work(0), first)
try:
    print(in_a_fork())
except RuntimeError as error:
    print(error)
'''


@pytest.mark.skipif('fork' not in get_all_start_methods(), reason='no process can be forked here')
@pytest.mark.parametrize('library, answers', [('numba', '2 2'), ('TensorFlow', '128 None')])
def test_a_forked_process_refuses_what_would_hang_or_end_it(library, answers):
    first, sentence = said(python(f'LIBRARY = {library!r}\n{FORK}', NUMBA_THREADING_LAYER='omp')).splitlines()
    assert first == answers
    assert sentence.startswith(f'{library} was used before this process was forked, and its threads were left behind: ')


@pytest.mark.skipif('fork' not in get_all_start_methods(), reason='no process can be forked here')
def test_a_forked_process_goes_on_where_its_threads_can_be_started_again():
    assert said(python(f'LIBRARY = "numba"\n{FORK}', NUMBA_THREADING_LAYER='workqueue')) == '2 2\n2'


def command(*words, **env):
    "A command as the shell runs it."
    return subprocess.run([BIN / words[0], *map(str, words[1:])], capture_output=True, text=True, timeout=300,
                          env=os.environ | {'PYTHONPATH': str(ROOT)} | env)


def test_a_command_draws_to_files_and_warnings_stay_sentences(tmp_path):
    env = dict(MPLBACKEND='module://no_such.backend', PYTHONWARNINGS='error', NUMBA_NUM_THREADS='1')
    done = command('mnist_cluster', '--features', 'pixels', '--clusterer', 'dbscan', '--limit', 140,
                   '--out', tmp_path / 'run', **env)
    assert done.returncode == 0, done.stderr
    assert [line.partition(':')[0] for line in done.stderr.splitlines()] == ['mnist_cluster'] * done.stderr.count('\n')
    assert (tmp_path / 'run' / 'cluster_map.png').exists()


@pytest.mark.parametrize('work, sentence', [
    ('raise MemoryError', 'the memory did not suffice: take fewer images'),
    ('numpy.zeros(10**17)', 'the memory did not suffice (Unable to allocate '),
    ('check_memory(1e17, "A map")', 'A map needs about 100,000,000.0 GB of memory, and ')])
def test_too_little_memory_is_one_sentence(work, sentence):
    code = f'''
import numpy
from mnist_clustering.cli import one_sentence
from mnist_clustering.machine import check_memory
@one_sentence
def mnist_cluster(argv=None):
    {work}
mnist_cluster([])'''
    done = python(code)
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr.startswith(f'mnist_cluster: {sentence}') and done.stderr.count('\n') == 1

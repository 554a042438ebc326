"The package as others get it: built from what git has, installed without networks and notebooks, and used."
import json
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from zipfile import ZipFile

import pytest
from conftest import BIN

ROOT = Path(__file__).parent.parent


def done(*command, **options):
    "Run a command that must succeed; give back what it said."
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    "The sdist, the wheel that was built from it, and what was said meanwhile."
    folder = tmp_path_factory.mktemp('package')
    done('git', 'checkout-index', '--all', f'--prefix={folder}/checkout/', cwd=ROOT)
    said = done(sys.executable, '-m', 'build', '--installer', 'uv', '--outdir', folder / 'dist', folder / 'checkout')
    return *(folder / 'dist').glob('*.tar.gz'), *(folder / 'dist').glob('*.whl'), said


@pytest.fixture(scope='module')
def metadata(built):
    "What the wheel says about itself."
    with ZipFile(built[1]) as archive:
        path = next(name for name in archive.namelist() if name.endswith('/METADATA'))
        return archive.read(path).decode()


def test_metadata_are_in_order(built, metadata):
    sdist, wheel, said = built
    assert 'deprecat' not in said.lower()
    done(BIN / 'twine', 'check', '--strict', sdist, wheel)
    assert 'License-Expression: MIT' in metadata


def test_links_of_the_readme_lead_out_of_the_package(metadata):
    links = re.findall(r'\]\(([^)\s]+)\)', metadata)
    assert len(links) > 10
    assert [link for link in links if not link.startswith(('https://', '#'))] == []


def test_networks_are_an_extra_and_dev_is_everything(metadata):
    wanted = re.findall(r'^Requires-Dist: ([\w-]+)(?:.*extra == "(\w+)")?', metadata, re.M)
    plain = {name for name, extra in wanted if not extra}
    assert not plain & {'tensorflow', 'tensorflow-cpu', 'lazy_loader', 'fastcore', 'jupyterlab', 'nbdev'}
    assert {name for name, extra in wanted if extra == 'networks'} == {'tensorflow', 'tensorflow-cpu'}
    dev = {name for name, extra in wanted if extra == 'dev'}
    assert dev == {name for name, extra in wanted if extra} > {'jupyterlab', 'ruff', 'sphinx', 'tensorflow'}


def test_the_wheel_holds_what_runs_and_nothing_else(built):
    names = ZipFile(built[1]).namelist()
    tracked = done('git', 'ls-files', 'mnist_clustering', cwd=ROOT).split()
    assert {name for name in names if '.dist-info/' not in name} == set(tracked)
    assert {'mnist_clustering/data/mnist.npz', 'mnist_clustering/py.typed'} < set(tracked)
    assert any(name.endswith('.dist-info/licenses/LICENSE') for name in names)


def install(home, *what):
    "The programs of a new environment."
    done(sys.executable, '-m', 'uv', 'venv', '--python', sys.executable, home)
    done(sys.executable, '-m', 'uv', 'pip', 'install', '--python', home, *what)
    return home / 'bin'


@pytest.fixture(scope='module')
def plain(built, tmp_path_factory):
    "`pip install mnist_clustering`, nothing more; compiled, as pip does it."
    return install(tmp_path_factory.mktemp('plain') / 'venv', '--compile-bytecode', built[1])


@pytest.fixture(scope='module')
def lowest(built, tmp_path_factory):
    "The same with the lowest versions that settings.ini allows."
    return install(tmp_path_factory.mktemp('lowest') / 'venv', '--resolution', 'lowest-direct', built[1])


def test_a_plain_install_is_small_and_has_no_tools(plain):
    size = sum(path.lstat().st_size for path in plain.parent.rglob('*')) / 1e6
    assert size < 1100, f'{size:.0f} MB' # a sixth of it reads and writes Parquet
    tools = ('tensorflow', 'IPython', 'ipykernel', 'jupyterlab', 'nbformat', 'nbdev', 'execnb', 'sphinx', 'pytest')
    question = f'from importlib.util import find_spec; print([name for name in {tools} if find_spec(name)])'
    assert done(plain / 'python', '-c', question).strip() == '[]'


def test_help_is_quick_the_first_time_too(plain, tmp_path):
    before = getrusage(RUSAGE_CHILDREN).ru_utime
    assert '--features' in done(plain / 'mnist_cluster', '--help', cwd=tmp_path)
    seconds = getrusage(RUSAGE_CHILDREN).ru_utime - before # of work: what else the machine does is not counted
    assert seconds < 5, f'{seconds:.1f} s: is something compiled, or loaded that --help does not need?'


def cluster(bin, folder, *options):
    "Run mnist_cluster on 700 images, and look at what it leaves."
    done(bin / 'mnist_cluster', *options, '--limit', 700, '--out', folder)
    assert json.loads((folder / 'scores.json').read_text())['n'] == 700
    assert (folder / 'report.html').stat().st_size > 10_000


def test_a_plain_install_clusters(plain, tmp_path):
    cluster(plain, tmp_path / 'kmeans', '--features', 'pixels')


def test_the_lowest_versions_cluster(lowest, tmp_path):
    cluster(lowest, tmp_path / 'kmeans', '--features', 'pixels')
    cluster(lowest, tmp_path / 'dbscan', '--features', 'distortion', '--clusterer', 'dbscan')
    assert 'accuracy' in done(lowest / 'mnist_scores', tmp_path / 'kmeans', tmp_path / 'dbscan')


def test_networks_are_asked_for_in_one_sentence(plain, tmp_path):
    command = [plain / 'mnist_cluster', '--features', 'cnn', '--limit', '700', '--out', tmp_path / 'output']
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1
    assert 'mnist_clustering[networks]' in ended.stderr and 'Traceback' not in ended.stderr


def test_what_contributing_shows_works():
    text = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    blocks = re.findall(r'```python\n(.*?)```', text, re.S)
    assert len(blocks) == 2
    use = '''
from mnist_clustering.data import load_mnist
from mnist_clustering.model import ClusterModel
images = load_mnist()[1].images[:300]
assert ClusterModel(features='pixels', clusterer='birch', n_clusters=10).fit(images).n_clusters_ == 10
assert ClusterModel(features='sums', clusterer='kmeans', n_clusters=10).fit(images).n_clusters_ == 10
'''
    done(sys.executable, '-c', '\n'.join([*blocks, use]), cwd=ROOT)


def test_nothing_is_left_out_when_the_notebooks_are_run():
    config = ConfigParser()
    config.read(ROOT / 'settings.ini', encoding='utf-8')
    assert config['DEFAULT']['tst_flags'] == ''
    assert not list((ROOT / 'nbs').rglob('.notest'))
    for path in (ROOT / 'nbs').glob('*.ipynb'):
        assert not re.search(r'skip_exec|#\| *eval: *false', path.read_text(encoding='utf-8')), path

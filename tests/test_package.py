"The package as others get it: built from what git has, installed without the notebooks' tools, and used."
import json
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from conftest import BIN

ROOT = Path(__file__).parent.parent


def done(*command, **options):
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


def test_metadata_are_in_order(built):
    sdist, wheel, said = built
    assert 'deprecat' not in said.lower()
    done(BIN / 'twine', 'check', '--strict', sdist, wheel)
    with ZipFile(wheel) as archive: metadata = archive.read(next(name for name in archive.namelist() if name.endswith('/METADATA'))).decode()
    assert 'License-Expression: MIT' in metadata and '](nbs/' not in metadata


def test_the_wheel_holds_what_runs_and_nothing_else(built):
    names = ZipFile(built[1]).namelist()
    tracked = done('git', 'ls-files', 'mnist_clustering', cwd=ROOT).split()
    assert {name for name in names if '.dist-info/' not in name} == set(tracked)
    assert {'mnist_clustering/data/mnist.npz', 'mnist_clustering/py.typed'} < set(tracked)
    assert any(name.endswith('.dist-info/licenses/LICENSE') for name in names)


@pytest.fixture(scope='module')
def installed(built, tmp_path_factory):
    "The programs of a new environment that holds the wheel and what it requires."
    home = tmp_path_factory.mktemp('installed') / 'venv'
    done(sys.executable, '-m', 'uv', 'venv', '--python', sys.executable, home)
    done(sys.executable, '-m', 'uv', 'pip', 'install', '--python', home, built[1])
    return home / 'bin'


def test_no_notebook_tools_are_asked_for(installed):
    tools = ('IPython', 'ipykernel', 'jupyterlab', 'nbformat', 'nbdev', 'execnb', 'sphinx', 'pytest')
    found = done(installed / 'python', '-c', f'from importlib.util import find_spec; print([name for name in {tools} if find_spec(name)])')
    assert found.strip() == '[]'
    assert done(installed / 'python', '-c', 'from importlib.util import find_spec; print(bool(find_spec("mnist_clustering.cli")))').strip() == 'True'


def test_the_installed_command_clusters(installed, tmp_path):
    done(installed / 'mnist_cluster', '--limit', 2000, '--out', tmp_path / 'output', cwd=tmp_path)
    assert json.loads((tmp_path / 'output' / 'scores.json').read_text())['n'] == 2000
    assert (tmp_path / 'output' / 'report.html').stat().st_size > 10_000

"""One small cache for all tests, apart from the reader's own, and one browser.

The tests run in as many processes as there are cores. A file stays in one process, since its tests share a site,
an environment or a server; the files that take longest come first.
"""

import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from mnist_clustering import cli

BIN = Path(sys.executable).parent
READERS_OWN = dict(os.environ)  # for what may use the reader's own cache


LONGEST_FIRST = [
    'test_commands', 'test_package', 'test_tensorflow', 'test_site', 'test_lab', 'test_review', 'test_estimators'
]


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope='session', autouse=True)
def cache(tmp_path_factory):
    "A network that one process has trained is read by the others."
    base = tmp_path_factory.getbasetemp()
    alone = 'PYTEST_XDIST_WORKER' not in os.environ
    os.environ['MNIST_CLUSTERING_CACHE'] = str((base if alone else base.parent) / 'cache')


@pytest.fixture(scope='session')
def run():
    "Run a console command as a person would; give back how it ended and what it said."

    def run(*command, **env):
        return subprocess.run(
            [BIN / command[0], *map(str, command[1:])], capture_output=True, text=True, env=os.environ | env
        )

    return run


@pytest.fixture
def call(monkeypatch):
    "The same without a new process, which would import everything again."

    def call(*command, **env):
        said, complained = StringIO(), StringIO()
        code = 0
        with monkeypatch.context() as changed, redirect_stdout(said), redirect_stderr(complained):
            for name, value in env.items():
                changed.setenv(name, value)
            try:
                getattr(cli, command[0])(list(map(str, command[1:])))
            except SystemExit as left:
                code = left.code or 0
                if isinstance(code, str):
                    print(code, file=complained)
                    code = 1
        return subprocess.CompletedProcess(command, code, said.getvalue(), complained.getvalue())

    return call


@pytest.fixture(scope='session')
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which('chromium'), args=['--no-sandbox'])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    "Open a page from disk; whatever it complains about or asks of the network fails the test."
    complaints = []

    def visit(path, width=1280, color_scheme='light'):
        page = browser.new_context(viewport=dict(width=width, height=900), color_scheme=color_scheme).new_page()
        page.on('console', lambda message: complaints.append(message.text) if message.type == 'error' else None)
        page.on('pageerror', lambda error: complaints.append(str(error)))
        page.on(
            'request',
            lambda request: complaints.append(request.url) if not request.url.startswith(('file:', 'data:')) else None,
        )
        page.goto(path.as_uri())
        return page

    yield visit
    for context in browser.contexts:
        context.close()
    assert not complaints


def axe_finds(page):
    "What keeps people who see badly or use no mouse from reading a page: the serious part of what axe-core reports."
    found = Axe().run(page, options=dict(preload=False, resultTypes=['violations'])).response['violations']
    return [
        (problem['id'], [node['html'] for node in problem['nodes']][:3])
        for problem in found
        if problem['impact'] in ('serious', 'critical')
    ]

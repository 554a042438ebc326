"""The notebooks as a reader meets them: opened in JupyterLab, run from the menu, saved.

The reader's own cache is used, as nbdev_test does.
"""
import json
import re
import shutil
import socket
import subprocess
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from time import sleep
from urllib.request import urlopen

import numpy as np
import pytest
from conftest import BIN, READERS_OWN
from PIL import Image

ROOT = Path(__file__).parent.parent
SETTINGS = {
    'notebook-extension/tracker': dict(windowingMode='none'), # every cell is on the page, seen or not
    'apputils-extension/notification': dict(fetchNews='false', checkForUpdates=False),
}
# watches for a progress bar from now on
WATCH = '''() => new MutationObserver(
    () => window.bar ||= document.querySelector('.jp-OutputArea .widget-hprogress, .jp-OutputArea [role=progressbar]')
).observe(document.body, {subtree: true, childList: true})'''
PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(prompt => prompt.textContent)"


@pytest.fixture(scope='module')
def lab(tmp_path_factory):
    "A copy of the notebooks, with what they read beside it, and the address of a JupyterLab that shows it."
    home = tmp_path_factory.mktemp('lab')
    for folder in ('nbs', 'bench'):
        shutil.copytree(ROOT / folder, home / 'work' / folder)
    for name, setting in SETTINGS.items():
        path = home / 'settings' / '@jupyterlab' / f'{name}.jupyterlab-settings'
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(setting))
    own = {
        'JUPYTER_CONFIG_DIR': str(home / 'config'),
        'JUPYTERLAB_SETTINGS_DIR': str(home / 'settings'),
        'JUPYTERLAB_WORKSPACES_DIR': str(home / 'workspaces'),
    }
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = [BIN / 'jupyter', 'lab', '--no-browser', '--allow-root', f'--ServerApp.port={port}',
               '--IdentityProvider.token=open']
    with open(home / 'log', 'w') as log:
        server = subprocess.Popen(command, cwd=home / 'work' / 'nbs', env=READERS_OWN | own, stderr=log)
    url = f'http://127.0.0.1:{port}'
    for _ in range(120):
        try:
            urlopen(f'{url}/api?token=open')
            break
        except OSError:
            sleep(.5)
    yield home / 'work' / 'nbs', url
    server.terminate()
    server.wait()


def cells(path):
    return json.loads(path.read_text(encoding='utf-8'))['cells']


def outputs(path):
    return [output for cell in cells(path) for output in cell.get('outputs', [])]


def pictures(path):
    found = [output['data']['image/png'] for output in outputs(path) if 'image/png' in output.get('data', {})]
    return [np.array(Image.open(BytesIO(b64decode(png)))) for png in found]


def headings(path):
    texts = [''.join(cell['source']) for cell in cells(path) if cell['cell_type'] == 'markdown']
    lines = [line for text in texts for line in text.splitlines() if re.match('#+ ', line)]
    return [line.lstrip('# ').replace('`', '') for line in lines]


def saves(response):
    return response.request.method == 'PUT' and '/api/contents/' in response.url


def run_and_save(page, url, name):
    "Open a notebook, run it from the menu, wait, save it; give back whether a progress bar was seen."
    page.goto(f'{url}/lab/workspaces/{name}/tree/{name}.ipynb?token=open') # no tabs of the page before
    page.get_by_text('| Idle').wait_for() # in the status bar: the kernel is there
    assert page.locator('.jp-Dialog').count() == 0, 'nobody has to choose a kernel'
    page.evaluate(WATCH)
    page.locator('.lm-MenuBar-itemLabel', has_text='Run').click()
    page.get_by_role('menuitem', name='Run All Cells', exact=True).click()
    page.wait_for_function(f'() => {PROMPTS}.some(text => /[*0-9]/.test(text))')
    page.wait_for_function(f"() => !{PROMPTS}.some(text => text.includes('*'))", timeout=600_000)
    with page.expect_response(saves):
        page.keyboard.press('Control+s')
    return page.evaluate('() => !!window.bar')


@pytest.mark.parametrize('name', ['index', '02_features', '06_agglomerative'])
def test_a_page_runs_in_jupyterlab(lab, browser, name):
    folder, url = lab
    saved, rerun = ROOT / 'nbs' / f'{name}.ipynb', folder / f'{name}.ipynb'
    with browser.new_page() as page:
        bar = run_and_save(page, url, name)
        assert bar or name != 'index', 'index tries twenty numbers of clusters, and says how far it is'
        if name == 'index':
            page.locator('iframe').scroll_into_view_if_needed() # it is loaded when somebody comes near
            page.frame_locator('iframe').get_by_text('mistakes only').wait_for()
        page.locator('[data-id="table-of-contents"]').click()
        page.locator('.jp-tocItem-content').first.wait_for()
        assert page.locator('.jp-tocItem-content').all_inner_texts() == headings(saved)
    code = [cell for cell in cells(rerun) if cell['cell_type'] == 'code' and cell['source']]
    assert [cell for cell in code if not cell['execution_count']] == []
    for output in outputs(rerun):
        assert output['output_type'] != 'error' and output.get('name') != 'stderr', output
    before, after = pictures(saved), pictures(rerun)
    assert len(after) == len(before) > 0
    for old, new in zip(before, after): # another processor trains another network: its maps may lie otherwise
        np.testing.assert_allclose(new.shape, old.shape, rtol=.05)
        assert new.std() > 10

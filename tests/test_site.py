"The site as readers find it: opened from disk, on a desk and on a phone, by day and by night, by eye and by ear."
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import axe_finds

ROOT = Path(__file__).parent.parent
ROOMS = [path.stem for path in sorted((ROOT / 'nbs').glob('[0-9]*.ipynb'))]
BESIDE = ['functions', 'gallery', 'glossary', 'contributing', 'changelog', 'cite']
NAMES = ['index', *ROOMS, *BESIDE, 'search']


def title(room):
    "The first heading of a notebook."
    cells = json.loads((ROOT / 'nbs' / f'{room}.ipynb').read_text(encoding='utf-8'))['cells']
    return cells[0]['source'][0].removeprefix('# ').strip()


@pytest.fixture(scope='module')
def site():
    made = subprocess.run([sys.executable, 'docs/site.py'], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return ROOT / '_docs'


@pytest.fixture(scope='module')
def anchors(site, browser):
    "Every page with the places in it that a link can lead to."
    page = browser.new_page()
    found = {}
    for path in site.glob('*.html'):
        page.goto(path.as_uri())
        found[path] = {'', *page.eval_on_selector_all('[id]', 'parts => parts.map(part => part.id)')}
    page.close()
    return found


def test_all_pages_are_there(site):
    maps = {path.stem for path in site.glob('*.html')} - set(NAMES)
    pages = ''.join((site / f'{name}.html').read_text(encoding='utf-8') for name in NAMES)
    assert maps == set(re.findall(r'tabindex="0">\s*<iframe\s[^>]*src="(\w+)\.html"', pages)) != set()


def test_the_sidebar_is_a_table_of_contents(site, visit):
    page = visit(site / 'index.html')
    found = page.locator('.bd-sidebar-primary .toctree-l1').all_inner_texts()
    assert [text.strip() for text in found][:len(ROOMS)] == [title(room) for room in ROOMS]
    assert not [text for text in found if re.search(r'_|^[a-z0-9]', text.strip())], 'titles, not names of modules'


def test_the_front_page_names_every_page_of_the_book(site, visit):
    links = visit(site / 'index.html').locator('table a[href*=".html"]')
    assert links.all_inner_texts() == [title(room) for room in ROOMS]


@pytest.mark.parametrize('width, color_scheme', [(1280, 'light'), (390, 'dark')])
@pytest.mark.parametrize('name', NAMES)
def test_page(site, visit, name, width, color_scheme):
    page = visit(site / f'{name}.html', width, color_scheme)
    assert page.evaluate('document.documentElement.dataset.theme') == color_scheme
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    look = 'images => images.map(image => [image.src, image.alt, image.naturalWidth])'
    images = page.eval_on_selector_all('img', look)
    assert not [src for src, alt, wide in images if len(alt) < 20 or not wide]
    assert '#|' not in page.inner_text('main') or name == 'contributing' # which says what to write there
    page.eval_on_selector_all('details', 'folds => folds.forEach(fold => fold.open = true)')
    if width == 1280:
        assert cut_lines(page) == []
    if name != '02_features': # the colours of code are the same everywhere
        page.eval_on_selector_all('pre', 'all => all.forEach(pre => pre.textContent = pre.textContent)')
    assert not axe_finds(page)


def cut_lines(page):
    "The longest line of each block of code or text that is wider than its place."
    return page.eval_on_selector_all('pre', """blocks => blocks
        .filter(block => block.scrollWidth > block.clientWidth)
        .map(block => block.textContent.split('\\n').reduce((a, b) => a.length < b.length ? b : a))""")


def test_the_sections_of_a_page_open_by_their_button(site, visit):
    page = visit(site / '05_dbscan.html')
    page.locator('.bd-header-article .secondary-toggle').click()
    page.locator('#pst-secondary-sidebar-modal a').first.wait_for()


def test_no_link_to_a_service_that_could_not_run_the_page(site):
    assert not [name for name in NAMES if 'colab' in (site / f'{name}.html').read_text(encoding='utf-8')]


@pytest.mark.parametrize('name', NAMES)
def test_links_lead_somewhere(site, visit, anchors, name):
    for link in visit(site / f'{name}.html').eval_on_selector_all('a[href]', 'links => links.map(link => link.href)'):
        path, _, anchor = link.partition('#')
        if path.startswith('file:'):
            path = Path(unquote(path.removeprefix('file://')))
            assert path.is_file(), link
            if path in anchors:
                assert unquote(anchor) in anchors[path], link


def test_search_from_disk(site, visit):
    page = visit(site / 'index.html')
    page.keyboard.press('Control+k')
    page.locator('#pst-search-dialog input').fill('DBSCAN')
    page.keyboard.press('Enter')
    page.locator('#search-results li a', has_text='DBSCAN').first.click()
    assert 'dbscan' in page.url


def test_the_source_is_folded_until_asked_for(site, visit):
    fold = visit(site / '05_dbscan.html').locator('details', has_text='Source of count_clusters')
    assert not fold.locator('pre').is_visible()
    fold.locator('summary').click()
    assert 'def count_clusters(' in fold.locator('pre').inner_text()


def test_dark_switch(site, visit):
    page = visit(site / 'index.html')
    page.locator('.theme-switch-button, .theme-change-button').first.click()
    page.locator('button[data-mode=dark]').click()
    assert page.evaluate('document.documentElement.dataset.theme') == 'dark'
    page.reload()
    assert page.evaluate('document.documentElement.dataset.theme') == 'dark'


def test_functions_are_explained_and_linked(site, visit):
    page = visit(site / '05_dbscan.html')
    row = page.locator('dl.py:has(dt[id="mnist_clustering.dbscan.plot_eps"]) tr', has_text='curve')
    assert row.inner_text().split()[:2] == ['curve', 'pd.DataFrame']
    row.locator('a', has_text='count_clusters').click()
    assert page.url.endswith('#mnist_clustering.dbscan.count_clusters')


def test_the_gallery_leads_to_the_cell_that_drew(site, visit):
    page = visit(site / 'gallery.html')
    assert page.locator('.gallery img').count() == len(list((ROOT / 'build/site/pictures').glob('*.png'))) > 40
    page.locator('.gallery a').nth(5).click()
    page.locator('img:target').wait_for()


def test_the_map_of_all_digits(site, visit):
    page = visit(site / 'index.html')
    assert (site / page.locator('iframe').get_attribute('src')).stat().st_size < 25e6
    page.locator('iframe').scroll_into_view_if_needed()
    frame = page.frame_locator('iframe')
    frame.get_by_placeholder('image, 0 to 69,999').fill('59915') # a four that looks like a seven
    frame.get_by_placeholder('image, 0 to 69,999').press('Enter')
    frame.get_by_text('label 4').wait_for()
    for clusterer in ('KMeans', 'DBSCAN', 'Ward'):
        frame.get_by_text(clusterer).click()


def test_classes_are_explained_by_their_docstrings(site, visit):
    page = visit(site / '06_agglomerative.html')
    ward = page.locator('dl.py.class:has(dt[id="mnist_clustering.agglomerative.Ward"])')
    heads = ward.locator('> dd > .pst-scrollable-table-container th, > dd > table th').all_inner_texts()
    assert {'parameter', 'attribute', 'type', 'what'} <= set(heads)
    assert '>>>' in ward.inner_text() and '----' not in ward.inner_text()

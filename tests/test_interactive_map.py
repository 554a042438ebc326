"The map in a browser: it shows what is pointed at, and its buttons and its search do what they say."
import subprocess
import sys
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from conftest import axe_finds
from PIL import Image

from mnist_clustering.data import load_mnist
from mnist_clustering.draw import NOISE, label_colors
from mnist_clustering.interactive_map import interactive_map, rgba, save_map

N = 2600 # on two sheets of images
SUSPECT = 2580
WORDS = np.array(['zero', 'one', 'two', '<b>three</b>', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'X', 'Y & Z'])
PLACE = '''i => {
    const plot = Bokeh.documents[0].get_model_by_name('map'), view = Bokeh.index.find_one(plot)
    const {x, y} = plot.renderers[1].data_source.data
    const box = view.canvas_view.el.getBoundingClientRect()
    return [box.x + view.frame.x_scale.compute(x[i]), box.y + view.frame.y_scale.compute(y[i])]
}'''
STATE = '''() => {
    const {x_range, renderers: [ground, dots, written]} = Bokeh.documents[0].get_model_by_name('map')
    return {colors: [...dots.data_source.data.color], shown: dots.view.filter.booleans, ground: ground.visible,
            chosen: dots.data_source.selected.indices, width: x_range.end - x_range.start,
            written: [...written.data_source.data.text]}
}'''


@pytest.fixture(scope='module')
def digits():
    return load_mnist()[1][:N]


@pytest.fixture(scope='module')
def clusters(digits):
    "Five mistakes, each cluster's number one more than its digit, and one image that is noise."
    clusters = digits.labels.astype(int) + 1
    clusters[::520] = clusters[::520] % 10 + 1
    clusters[1] = -1
    return clusters


@pytest.fixture(scope='module')
def xy():
    return np.column_stack([np.arange(N) % 60, np.arange(N) // 60])


@pytest.fixture(scope='module')
def made(tmp_path_factory, digits, clusters, xy):
    "A map on a grid, with two clusterings: the second makes no mistakes."
    path = tmp_path_factory.mktemp('map') / 'map.html'
    both = {'first': clusters, 'second': digits.labels.astype(int)}
    save_map(interactive_map(digits.images, xy, both, digits.labels, np.linspace(-1, 1, N)), path, 'A map')
    return path


@pytest.fixture(scope='module')
def worded(tmp_path_factory, digits, clusters, xy):
    "The same with twelve words for labels, in a pandas column with another index."
    number = digits.labels.astype(int)
    number[::97] = 10 + np.arange(len(number[::97])) % 2
    labels = pd.Series(WORDS[number], index=np.arange(N)[::-1])
    path = tmp_path_factory.mktemp('words') / 'map.html'
    save_map(interactive_map(digits.images, xy, clusters, labels), path, 'Words')
    return path, labels.tolist()


def opened(visit, path, width=1280, color_scheme='light'):
    page = visit(path, width, color_scheme)
    page.set_default_timeout(10_000)
    page.wait_for_function('() => window.Bokeh?.documents[0]?.is_idle')
    return page


@pytest.fixture(params=[1280, 390])
def page(request, visit, made):
    return opened(visit, made, request.param)


def card_of(page, i):
    "What the card says when the pointer is on a point."
    x, y = page.evaluate(PLACE, i)
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    card = page.locator('.bk-Tooltip')
    return card, card.locator('div:has(> br)').inner_text().split('\n')


def test_hover_shows_the_image_itself(page, digits, clusters):
    label = digits.labels[SUSPECT]
    card, said = card_of(page, SUSPECT)
    assert said == [f'image {SUSPECT}', f'cluster {label + 1}, named {label}', f'label {label}', 'suspicion 0.985']
    picture = card.get_by_role('img')
    style = picture.evaluate('''part => {
        const style = getComputedStyle(part)
        return [style.backgroundImage.slice(0, 20), style.backgroundPosition]
    }''')
    assert style == ['url("data:image/png;', '-2520px -84px'] # place 80 of the second sheet
    seen = Image.open(BytesIO(picture.screenshot())).convert('L').resize((28, 28), Image.Resampling.BOX)
    away = [abs(np.array(seen, float) - (255. - image)).mean() for image in digits.images]
    assert np.argmin(away) == SUSPECT and away[SUSPECT] < 20


def test_a_mistake_and_noise_in_words(visit, made, digits):
    page = opened(visit, made)
    label = digits.labels[520]
    assert card_of(page, 520)[1][1:3] == [f'cluster {(label + 1) % 10 + 1}, named {(label + 1) % 10}', f'label {label}']
    assert card_of(page, 1)[1][1] == 'no cluster'
    page.get_by_text('second').click()
    assert card_of(page, 1)[1][1] == f'cluster {digits.labels[1]}, named {digits.labels[1]}'


def test_buttons_change_the_colours(page, digits, clusters):
    named = np.where(clusters < 0, -1, clusters - 1)
    assert page.evaluate(STATE)['colors'] == rgba(label_colors(named)).tolist()
    assert page.evaluate(STATE)['written'] == [str(digit) for digit in range(10)]
    page.get_by_text('by truth').click()
    assert page.evaluate(STATE)['colors'] == rgba(label_colors(digits.labels)).tolist()
    page.get_by_text('by cluster').click()
    assert page.evaluate(STATE)['colors'] == rgba(label_colors(clusters)).tolist()
    assert page.evaluate(STATE)['written'] == [str(cluster) for cluster in range(1, 11)]
    page.get_by_text('mistakes only').click()
    state = page.evaluate(STATE)
    assert state['ground'] and (np.array(state['shown']) == (named != digits.labels)).all()
    page.get_by_text('second').click()
    assert not any(page.evaluate(STATE)['shown'])
    page.get_by_text('by name').click()
    state = page.evaluate(STATE)
    assert state['shown'] is None and not state['ground']
    assert state['colors'] == rgba(label_colors(digits.labels)).tolist()


def test_search_by_number(page, digits):
    before = page.evaluate(STATE)['width']
    page.locator('input').fill(str(SUSPECT))
    page.locator('input').press('Enter')
    label = digits.labels[SUSPECT]
    page.get_by_text(f'label {label}').wait_for()
    page.get_by_text(f'cluster {label + 1}, named {label}').wait_for()
    state = page.evaluate(STATE)
    assert state['chosen'] == [SUSPECT] and state['width'] < .6 * before
    page.get_by_text('second').click() # the card follows
    page.get_by_text(f'cluster {label}, named {label}').wait_for()


def test_labels_are_words_and_more_than_ten(visit, worded):
    path, labels = worded
    page = opened(visit, path)
    order = sorted(WORDS)
    page.get_by_text('by truth').click()
    colors = page.evaluate(STATE)['colors']
    assert colors == rgba(label_colors(labels, order)).tolist() and len(set(colors)) == 12
    assert page.evaluate(STATE)['written'] == order
    three, other = labels.index('<b>three</b>'), labels.index('Y & Z')
    assert card_of(page, three)[1] == [f'image {three}', 'cluster 4, named <b>three</b>', 'label <b>three</b>']
    assert card_of(page, other)[1][2] == 'label Y & Z'
    page.locator('input').fill(str(three))
    page.locator('input').press('Enter')
    page.get_by_text('label <b>three</b>').wait_for() # as text, and never as bold


def test_without_labels_there_is_nothing_to_be_wrong_about(visit, tmp_path, digits, clusters, xy):
    save_map(interactive_map(list(digits.images), xy.tolist(), clusters.tolist()), tmp_path / 'map.html', 'No labels')
    page = opened(visit, tmp_path / 'map.html')
    assert card_of(page, SUSPECT)[1] == [f'image {SUSPECT}', f'cluster {clusters[SUSPECT]}']
    assert card_of(page, 1)[1] == ['image 1', 'no cluster']
    assert not page.get_by_text('mistakes only').is_visible()
    assert page.evaluate(STATE)['colors'] == rgba(label_colors(clusters)).tolist()


def test_names_frozen_elsewhere(visit, tmp_path, digits, clusters, xy):
    "One name for two clusters, one that is no label here, one cluster without a name and one that is not here."
    names = {cluster: cluster - 1 for cluster in range(1, 9)} | {1: 7, 9: 77, 55: 3}
    layout = interactive_map(digits.images, xy, clusters, digits.labels, names=names)
    save_map(layout, tmp_path / 'map.html', 'Frozen names')
    page = opened(visit, tmp_path / 'map.html')
    named = np.array([names.get(cluster, -1) for cluster in clusters.tolist()])
    assert page.evaluate(STATE)['colors'] == rgba(label_colors(named)).tolist()
    for cluster, said in ((1, 'named 7'), (9, 'named 77'), (10, 'no name')):
        i = int(np.flatnonzero(clusters == cluster)[5])
        assert card_of(page, i)[1][1] == f'cluster {cluster}, {said}'
    page.get_by_text('mistakes only').click()
    assert (np.array(page.evaluate(STATE)['shown']) == (named != digits.labels)).all()


@pytest.mark.parametrize('color_scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [1280, 390])
def test_nothing_keeps_people_out(visit, made, width, color_scheme):
    page = opened(visit, made, width, color_scheme)
    assert not axe_finds(page)
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    seen = np.array(Image.open(BytesIO(page.screenshot())).convert('L'), float)
    most = np.median(seen)
    assert most > 240 if color_scheme == 'light' else most < 40
    card_of(page, SUSPECT)
    said = Image.open(BytesIO(page.locator('.bk-Tooltip div:has(> br)').screenshot())).convert('L')
    assert np.ptp(np.array(said, float)) > 120 # words that can be read, in either


def test_noise_only_and_many_clusters(digits, xy):
    few = digits.images[:120]
    interactive_map(few, xy[:120], np.full(120, -1), digits.labels[:120])
    layout = interactive_map(few, xy[:120], np.arange(120), np.arange(120))
    written = layout.children[1].renderers[2].data_source.data
    assert len(written['text']) == 50
    source = interactive_map(few, xy[:120], np.full(120, -1)).children[1].renderers[1].data_source
    assert set(source.data['color']) == set(rgba([NOISE]))


def test_what_does_not_fit_is_refused(digits, clusters, xy):
    for wrong, sentence in (
        (dict(xy=xy[:5]), 'not images 2,600, xy 5, clusters 2,600'),
        (dict(clusters={}), 'at least 1'),
        (dict(clusters={'a': clusters, 'b': clusters[:7]}), 'a 2,600, b 7'),
        (dict(labels=digits.labels[:9]), 'labels 9'),
        (dict(labels=[None] * N), '2600 of 2600 are missing'),
        (dict(clusters=clusters + .5), 'clusters must be integers'),
        (dict(xy=xy[:, :1]), 'xy must be finite numbers'),
        (dict(xy=np.full((N, 2), np.nan)), 'xy must be finite numbers'),
        (dict(images=np.zeros((N, 56, 56))), 'resize them first'),
        (dict(labels=digits.labels, names={0: '0'}), 'make both text or both numbers'),
        (dict(labels=digits.labels, names={'0': 0}), 'names must have clusters as their keys'),
        (dict(labels=digits.labels, names={0: 0}, clusters={'a': clusters, 'b': clusters}), 'names must be of one'),
    ):
        with pytest.raises(ValueError, match=sentence):
            interactive_map(**dict(images=digits.images, xy=xy, clusters=clusters) | wrong)


def test_bokeh_wakes_when_a_map_is_made():
    code = "import sys, mnist_clustering.interactive_map; print({'bokeh', 'seaborn'} & set(sys.modules))"
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout == 'set()\n'

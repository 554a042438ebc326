"The map in a browser: it shows what is touched, and its buttons and its search do what they say."
from io import BytesIO

import numpy as np
import pytest
from conftest import axe_finds
from PIL import Image

from mnist_clustering.data import load_mnist
from mnist_clustering.draw import PALETTE
from mnist_clustering.interactive_map import interactive_map, save_map

N = 2600 # on two sheets of images
SUSPECT = 2580
PLACE = '''i => {
    const plot = Bokeh.documents[0].get_model_by_name('map'), view = Bokeh.index.find_one(plot), {x, y} = plot.renderers[1].data_source.data
    const box = view.canvas_view.el.getBoundingClientRect()
    return [box.x + view.frame.x_scale.compute(x[i]), box.y + view.frame.y_scale.compute(y[i])]
}'''
STATE = '''() => {
    const {x_range, renderers: [ground, dots]} = Bokeh.documents[0].get_model_by_name('map')
    return {colors: [...dots.data_source.data.color], shown: dots.view.filter.booleans, ground: ground.visible, chosen: dots.data_source.selected.indices,
            width: x_range.end - x_range.start}
}'''


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "A map of digits on a grid, two clusterings, five mistakes in one and none in the other."
    digits = load_mnist()[1][:N]
    clusters = digits.labels.astype(int)
    clusters[::520] = (clusters[::520] + 1) % 10
    clusters[1] = -1
    xy = np.column_stack([np.arange(N) % 60, np.arange(N) // 60]).astype(float)
    path = tmp_path_factory.mktemp('map') / 'map.html'
    save_map(interactive_map(digits.images, xy, {'first': clusters, 'second': digits.labels.astype(int)}, digits.labels, np.linspace(-1, 1, N)), path, 'A map')
    return path, digits, clusters


@pytest.fixture(params=[1280, 390])
def page(request, visit, made):
    page = visit(made[0], request.param)
    page.wait_for_function('() => window.Bokeh?.documents[0]?.is_idle')
    return page


def rgba(names): return [int(PALETTE[name][1:] + 'ff', 16) for name in names]


def test_hover_shows_the_digit_itself(page, made):
    x, y = page.evaluate(PLACE, SUSPECT)
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    card = page.locator('.bk-Tooltip')
    said = card.locator('div:has(> br)').inner_text().split('\n')
    assert said == [f'image {SUSPECT}', f'cluster {made[2][SUSPECT]}', f'label {made[1].labels[SUSPECT]}', 'suspicion 0.985']
    picture = card.get_by_role('img')
    style = picture.evaluate('part => { const style = getComputedStyle(part); return [style.backgroundImage.slice(0, 20), style.backgroundPosition] }')
    assert style == ['url("data:image/png;', '-2520px -84px'] # place 80 of the second sheet
    seen = np.array(Image.open(BytesIO(picture.screenshot())).convert('L').resize((28, 28), Image.Resampling.BOX), float)
    away = [abs(seen - (255. - image)).mean() for image in made[1].images]
    assert np.argmin(away) == SUSPECT and away[SUSPECT] < 20


def test_buttons_change_the_colours(page, made):
    _, digits, clusters = made
    assert page.evaluate(STATE)['colors'] == rgba(clusters)
    page.get_by_text('by truth').click()
    assert page.evaluate(STATE)['colors'] == rgba(digits.labels)
    page.get_by_text('mistakes only').click()
    state = page.evaluate(STATE)
    assert state['ground'] and np.flatnonzero(state['shown']).tolist() == np.flatnonzero(clusters != digits.labels).tolist()
    page.get_by_text('second').click()
    assert not any(page.evaluate(STATE)['shown'])
    page.get_by_text('by cluster').click()
    state = page.evaluate(STATE)
    assert state['shown'] is None and not state['ground'] and state['colors'] == rgba(digits.labels)


def test_search_by_number(page, made):
    before = page.evaluate(STATE)['width']
    page.locator('input').fill(str(SUSPECT))
    page.locator('input').press('Enter')
    page.get_by_text(f'label {made[1].labels[SUSPECT]}').wait_for()
    state = page.evaluate(STATE)
    assert state['chosen'] == [SUSPECT] and state['width'] < .6 * before


def test_nothing_keeps_people_out(page):
    assert not axe_finds(page)
    assert page.evaluate('document.documentElement.scrollWidth') <= page.viewport_size['width']

"What the page of the drawings cannot show by itself: that colours and tiles are made there, and nowhere else."
import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from mnist_clustering import draw
from mnist_clustering.data import SIZE
from mnist_clustering.draw import NOISE, PALETTE, distinct_colors, montage, show_clusters, show_images

ROOT = Path(__file__).parent.parent
OTHERS = {path.name: path.read_text(encoding='utf-8') for folder in ('mnist_clustering', 'bench', 'docs')
          for path in sorted((ROOT / folder).glob('*.py')) if path.name != 'draw.py'}
for path in sorted((ROOT / 'nbs').glob('*.ipynb')):
    if path.name != '00d_draw.ipynb':
        cells = json.loads(path.read_text(encoding='utf-8'))['cells']
        OTHERS[path.name] = '\n'.join(''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code')


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close('all')


def dot_colors(ax):
    return {to_hex(color).upper() for color in ax.collections[0].get_facecolor()}


@pytest.mark.parametrize('name', OTHERS)
def test_no_other_place_writes_a_colour_of_the_palette(name):
    drawn = re.sub('# .*|test_eq.*', '', OTHERS[name]) # comments and tests may name a colour
    assert not set(re.findall('#[0-9A-F]{6}', drawn.upper())) & {*PALETTE, NOISE}


@pytest.mark.parametrize('name', OTHERS)
def test_no_other_place_tiles_images(name):
    assert not re.search(r'reshape\([^\n]*\b(SIZE|28)\b[^\n]*\)\.(swapaxes|transpose)\(', OTHERS[name])


def test_another_palette_is_one_change(monkeypatch):
    other = np.array([to_hex(color).upper() for color in plt.color_sequences['Set3'][:10]])
    monkeypatch.setattr(draw, 'PALETTE', other)
    monkeypatch.setattr(draw, 'NOISE', '#000000')
    assert draw.label_colors(range(10)).tolist() == other.tolist()
    assert distinct_colors(60)[:10].tolist() == other.tolist()
    assert len(set(distinct_colors(60)) | {'#000000'}) == 61
    xy = np.random.default_rng(0).normal(size=(3, 2))
    assert dot_colors(draw.plot_map(xy, [0, 1, -1])) == {*other[:2], '#000000'}
    assert dot_colors(draw.plot_twin_maps(xy, [2, 2, None], [2, 3, 3])[1]) == set(other[2:4])
    ax = draw.plot_curves([1, 2], [3, 4], [5, 6], 'x', 'left', 'right')
    assert [line.get_color() for axis in ax.figure.axes for line in axis.lines] == other[:2].tolist()
    captions = show_images(np.zeros((1, SIZE, SIZE)), captions=['a']).texts
    assert captions[0].get_color() == other[9]


def test_the_first_ten_colours_are_frozen():
    assert PALETTE.tolist() == ['#332288', '#CC6677', '#117733', '#88CCEE', '#AA4499',
                                '#DDCC77', '#44AA99', '#222222', '#999933', '#882255']
    assert NOISE == '#C8C8C8'


@pytest.mark.parametrize('sight', draw.SIGHTS)
def test_sixty_colours_can_be_told_apart(sight):
    colors = draw.oklab(draw.simulate_sight([*distinct_colors(60), NOISE], sight))
    distances = np.linalg.norm(colors[:, None] - colors, axis=2)[np.triu_indices(61, 1)]
    assert distances.min() > (.06 if sight == 'full' else .03)


WRONG = {
    '56x56': np.zeros((4, 56, 56)), 'half': np.zeros((4, 28, 14)), 'in colour': np.zeros((4, 28, 28, 3)),
    'channels first': np.zeros((4, 1, 28, 28)), 'one image': np.zeros((28, 28)), 'one row': np.zeros(784),
    'of two sizes': [np.zeros((28, 28)), np.zeros((27, 28))], 'nothing': [], 'None': None,
    'text': np.full((4, 784), 'a'), 'complex': np.zeros((4, 784), complex),
    'NaN': np.full((4, 28, 28), np.nan), 'infinity': np.full((4, 28, 28), np.inf)}


def draw_montage(images):
    return montage(images, columns=2)


def draw_clusters(images):
    return show_clusters(images, [0, 0, 1, 1])


@pytest.mark.parametrize('images', WRONG.values(), ids=WRONG)
@pytest.mark.parametrize('picture', [draw_montage, show_images, draw_clusters])
def test_images_that_do_not_fit_get_one_sentence(picture, images):
    with pytest.raises(ValueError, match=r'^images must [^\n]+$'):
        picture(images)


@pytest.mark.parametrize('dtype', [bool, np.uint8, np.int64, np.float16, np.float32, float])
@pytest.mark.parametrize('shape', [(5, 28, 28), (5, 28, 28, 1), (5, 784)])
def test_images_of_any_type_are_drawn_where_they_belong(dtype, shape):
    images = (np.random.default_rng(0).normal(size=shape) * 5).astype(dtype)
    wall = montage(images, columns=2)
    for place, image in enumerate(images.reshape(5, 28, 28)):
        row, column = divmod(place, 2)
        tile = wall[row * SIZE:(row + 1) * SIZE, column * SIZE:(column + 1) * SIZE]
        assert tile.dtype == dtype and (tile == image).all()
    assert (wall[-SIZE:, -SIZE:] == min(images.min(), 0)).all()
    show_clusters(images, [3, 3, -1, 7, 3], k=2)
    show_images(images, captions=range(5))

"""Which strangers are called none of these, without a label: letters and numerals of other scripts.

    python bench/strangers.py FOLDER [--out bench/strangers.csv]

FOLDER holds kannada.npz, usps.npz and omniglot_*.npz, each with `images` (n, 28, 28) uint8 and `labels`. Latin letters
are also drawn in the typefaces that matplotlib has. A row says how many images of a character there are, and how many
of them are called none. Those that are no strangers, images of the same kind as the fitted ones, have the same name.
"""
from collections import Counter
from pathlib import Path
from string import ascii_letters, ascii_lowercase

import numpy as np
import pandas as pd
from fastcore.script import call_parse
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from mnist_clustering.data import load_mnist
from mnist_clustering.distortion import DistortionNeighbors
from mnist_clustering.images import prepare_image
from mnist_clustering.model import STRANGE

FONTS = [f'{family}{style}' for family in ('DejaVuSans', 'DejaVuSerif') for style in ('', '-Bold')]
FONTS += ['DejaVuSans-Oblique', 'DejaVuSerif-Italic', 'DejaVuSansMono', 'STIXGeneral', 'STIXGeneralBol',
          'STIXGeneralItalic', 'cmr10', 'cmb10', 'cmss10', 'cmtt10', 'cmti10']


def draw(letter, font):
    "A letter of a typeface in the form of MNIST."
    page = Image.new('L', (160, 160))
    font = ImageFont.truetype(f'{get_data_path()}/fonts/ttf/{font}.ttf', 70)
    ImageDraw.Draw(page).text((80, 80), letter, fill=255, font=font, anchor='mm')
    return prepare_image(np.asarray(page, np.float32), invert=False).image


def read(folder, name):
    "Images and labels of a set."
    with np.load(folder / f'{name}.npz') as arrays:
        return arrays['images'], arrays['labels']


def count(fitted, strangers):
    "A row for each kind and character of the strangers: how many there are, and how many are called none."
    neighbors = DistortionNeighbors().fit(fitted)
    limit = np.quantile(neighbors.strangeness_, 1 - STRANGE)
    rows = []
    for kind, (images, characters) in strangers.items():
        none = neighbors.strangeness(images, *neighbors.query(images)) > limit
        of_each = Counter(characters)
        none_of_each = Counter(np.asarray(characters)[none])
        for character in sorted(of_each):
            rows.append(dict(strangers=kind, character=character, images=of_each[character],
                             none=none_of_each[character]))
    return pd.DataFrame(rows)


@call_parse
def main(
    data: Path, # the folder of the sets
    out: Path = Path('bench/strangers.csv') # where to write
):
    "Count the strangers for models of MNIST and of Kannada numerals."
    train, test = load_mnist()
    drawn = [(letter, font) for letter in ascii_letters for font in FONTS]
    letters = np.stack([draw(letter, font) for letter, font in drawn])
    others = {'letters of typefaces': (letters, [letter for letter, _ in drawn])}
    for script in ('latin', 'greek', 'korean', 'early_aramaic', 'balinese'):
        images, labels = read(data, f'omniglot_{script}')
        names = [ascii_lowercase[label] for label in labels] if script == 'latin' else labels.astype(str)
        others[f'{script.replace("_", " ").title()}, by hand'] = images, names
    images, labels = read(data, 'kannada')
    order = np.random.default_rng(0).permutation(len(images))
    kannada, last = images[order], labels[order].astype(str)
    usps, usps_labels = read(data, 'usps')
    fits = {
        'MNIST': (train.images, {
            'MNIST': (test.images, test.labels.astype(str)), 'USPS': (usps, usps_labels.astype(str)),
            'Kannada': (kannada[8000:], last[8000:]), **others}),
        'Kannada': (kannada[:8000], {
            'Kannada': (kannada[8000:], last[8000:]), 'MNIST': (test.images[:2000], test.labels[:2000].astype(str)),
            **others})}
    tables = []
    for name, (fitted, strangers) in tqdm(fits.items(), disable=None):
        tables.append(count(fitted, strangers).assign(fitted=name))
    table = pd.concat(tables)[['fitted', 'strangers', 'character', 'images', 'none']]
    table.to_csv(out, index=False)
    sums = table.groupby(['fitted', 'strangers'], sort=False)[['none', 'images']].sum()
    print((sums['none'] / sums['images']).map('{:.1%}'.format))

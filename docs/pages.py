"What readers see of a notebook, for the README and for the site."
import re
from pathlib import Path

import nbformat

RICHEST_FIRST = 'image/png', 'text/html', 'text/markdown', 'text/plain'


def read(name: str):
    "The cells of a notebook that are not hidden, each with its directives apart from its source."
    cells = nbformat.read(Path('nbs') / f'{name}.ipynb', as_version=4).cells
    for cell in cells:
        cell.directives = dict(re.findall(r'^#\|\s*([\w-]+):? *(.*)\n?', cell.source, re.M))
        cell.source = re.sub(r'^#\|.*\n?', '', cell.source, flags=re.M)
    return [cell for cell in cells if 'hide' not in cell.directives]


def title(name: str):
    "The first heading of a notebook."
    return re.match(r'# (.+)', read(name)[0].source)[1]


def outputs(cell):
    "What a cell has printed, returned and drawn: the kind and the data of each."
    for output in cell.get('outputs', []):
        data = output.get('data', {'text/plain': output.get('text')})
        kind = next(kind for kind in RICHEST_FIRST if kind in data)
        yield kind, data[kind].strip('\n')

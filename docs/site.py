"Make the documentation site in _docs/: the notebooks as markdown in build/site/, and Sphinx turns those into pages."
import ast
import re
import shutil
import sys
from base64 import b64decode
from configparser import ConfigParser
from pathlib import Path

import numpy as np
from explain import block, definitions, explained, summary
from pages import outputs, read, title
from sphinx.cmd.build import main

from mnist_clustering.data import load_mnist
from mnist_clustering.interactive_map import interactive_map, save_map

config = ConfigParser()
config.read('settings.ini', encoding='utf-8')
cfg = config['DEFAULT']
GITHUB = f"{cfg['git_url']}/blob/{cfg['branch']}"
SITE = Path('build/site')
ROOMS = [path.stem for path in sorted(Path('nbs').glob('[0-9]*.ipynb'))]
BESIDE = ['functions', 'gallery', 'glossary', 'contributing', 'changelog', 'cite']
KNOWN = {} # the name of each exported function and class, and where Sphinx has it
MAPS = set() # the pages that a notebook shows inside its own
DRAWN = [] # the room of each picture, its number there, and what is seen in it


def module_of(room: str):
    "The module that a notebook makes."
    return room.split('_', 1)[1]


def linked(text: str):
    "Text whose `names` lead to where they are explained, and whose links lead to pages of this site."
    def explanation(found):
        name = found[1]
        return f'{{py:obj}}`{name} <{KNOWN[name]}>`' if name in KNOWN else found[0]

    text = re.sub(r'(?<!\n\| )(?<!`)`(\w+)`(?!`)', explanation, text) # not the name of a parameter in its table
    text = re.sub(r'\]\((?:nbs/)?(\w+)\.ipynb', r'](\1.md', text)
    text = re.sub(r'\]\((?:\.\./)?docs/(\w+)\.md', r'](\1.md', text)
    return re.sub(r'\]\((?:\.\./)?([A-Z]+)\.md', lambda found: f']({found[1].lower()}.md', text)


def exported(source: str, module: str):
    "What a cell adds to the package, and its source for those who want it."
    kinds = {ast.ClassDef: 'class', ast.FunctionDef: 'function'}
    names = []
    for node in ast.parse(source).body:
        if type(node) in kinds:
            names.append(node.name)
            options = [f':module: mnist_clustering.{module}']
            yield linked(explained(node, source.splitlines(), kinds[type(node)], KNOWN, options))
        elif isinstance(node, ast.Assign):
            names.append(ast.unparse(node.targets[0]))
        elif isinstance(node, ast.AnnAssign):
            names.append(ast.unparse(node.target))
    what = ', '.join(names) or 'the imports'
    yield f"<details><summary>Source of {what}</summary>\n\n{block('python', source)}\n\n</details>"


def shown(cell, room: str):
    "What a cell has printed, returned and drawn."
    for kind, data in outputs(cell):
        if kind == 'image/png':
            number = 1 + sum(drawn[0] == room for drawn in DRAWN)
            seen = cell.directives['fig-alt']
            DRAWN.append((room, number, seen))
            name = f'{room}-{number}'
            (SITE / f'pictures/{name}.png').write_bytes(b64decode(data))
            options = [f':alt: {seen}', f':name: picture-{name}', f':target: _images/{name}.png']
            yield block(f'{{image}} pictures/{name}.png', *options)
        elif kind == 'text/html':
            MAPS.update(re.findall(r'<iframe\s[^>]*src="(\w+\.html)"', data))
            data = re.sub(r'<style.*?</style>|border="1"', '', data, flags=re.S)
            yield block('{raw} html', '<div class="output" tabindex="0">', data, '</div>')
        elif kind == 'text/plain':
            yield block('{code-block} text', ':class: output', data)
        else:
            yield data


def page(room: str):
    "A notebook as markdown."
    for i, cell in enumerate(read(room)):
        if cell.cell_type == 'markdown':
            yield linked(cell.source)
        elif 'export' in cell.directives:
            yield from exported(cell.source, module_of(room))
        elif 'echo' not in cell.directives and cell.source:
            yield block('python', cell.source)
        yield from shown(cell, room)
        if i == 0 and room in ROOMS:
            yield (f'Run this page: `make lab`, then `{room}.ipynb` · [on GitHub]({GITHUB}/nbs/{room}.ipynb) · '
                   'words that are new to you are in the [glossary](glossary.md)')


def functions():
    "Every function and class in one line, room by room."
    yield '# Functions and classes\n\n> Everything that can be imported, in one line each'
    for room in ROOMS:
        nodes = [node for cell in read(room) if 'export' in cell.directives for node in definitions(cell.source)]
        rows = [f'| `{node.name}` | {summary(node)} |' for node in nodes if not node.name.startswith('_')]
        if rows:
            head = f'## {title(room)}\n\n`from mnist_clustering.{module_of(room)} import …` · [the page]({room}.md)'
            table = '\n'.join(['| name | what |', '|---|---|', *rows])
            yield re.sub(r'\n\| `(\w+)`', lambda found: f'\n| {linked(found[0][3:])}', f'{head}\n\n{table}')


def gallery():
    "Every picture, each a way to the cell that drew it."
    yield '# Gallery\n\n> Every picture of the book; each leads to the cell that drew it'
    for room in dict.fromkeys(drawn[0] for drawn in DRAWN):
        pictures = [(f'{room}-{number}', seen) for drawn_in, number, seen in DRAWN if drawn_in == room]
        yield f'## {title(room)}'
        links = [f'[![{seen}](pictures/{name}.png)](#picture-{name})' for name, seen in pictures]
        yield block('{container} gallery', *links)


def contents(caption: str, names: list[str]):
    "A part of the sidebar, with the titles of its pages."
    return block('{toctree}', ':hidden:', f':caption: {caption}', '', *names)


shutil.rmtree(SITE, ignore_errors=True)
shutil.rmtree('_docs', ignore_errors=True)
(SITE / 'pictures').mkdir(parents=True)

for room in ROOMS:
    for cell in read(room):
        if 'export' in cell.directives:
            KNOWN |= {node.name: f'mnist_clustering.{module_of(room)}.{node.name}' for node in definitions(cell.source)}

texts = {room: list(page(room)) for room in ['index', *ROOMS]}
texts['index'] += [contents('The book', ROOMS), contents('Reference', BESIDE)]
texts['functions'] = list(functions())
texts['gallery'] = list(gallery())
for source in ('docs/glossary.md', 'docs/cite.md', 'CONTRIBUTING.md', 'CHANGELOG.md'):
    texts[Path(source).stem.lower()] = [linked(Path(source).read_text(encoding='utf-8'))]
for name, parts in texts.items():
    (SITE / f'{name}.md').write_text('\n\n'.join(parts) + '\n', encoding='utf-8')

failed = main(['-q', '-W', '--keep-going', '-c', 'docs', str(SITE), '_docs'])

# the map of all 70,000 images, in the place of the notebooks' own, smaller ones
train, test = load_mnist()
images = train + test
with np.load('bench/map.npz') as found:
    clusters = {name: found[name] for name in ('KMeans', 'DBSCAN', 'Ward')}
    layout = interactive_map(images.images, found['xy'], clusters, images.labels, found['suspicion'])
for name in MAPS:
    save_map(layout, Path('_docs') / name, 'The 70,000 images of MNIST')
sys.exit(failed)

"Make the documentation site in _docs/: the notebooks as markdown in build/site/, and Sphinx turns those into pages."
import ast
import re
import shutil
import sys
from base64 import b64decode
from configparser import ConfigParser
from pathlib import Path

import numpy as np
from sphinx.cmd.build import main

from mnist_clustering.data import load_mnist
from mnist_clustering.interactive_map import interactive_map, save_map
from pages import outputs, read

config = ConfigParser()
config.read('settings.ini', encoding='utf-8')
cfg = config['DEFAULT']
SITE = Path('build/site')
ROOMS = [path.stem for path in sorted(Path('nbs').glob('[0-9]*.ipynb'))]
KNOWN = {} # the name of each exported function and class, and where Sphinx has it
DRAWN = [] # the room of each picture, its number there, and what is seen in it


def block(kind: str, *lines: str):
    "A directive or a fence, with as many backticks as what is inside allows."
    body = '\n'.join(lines)
    ticks = '`' * max(3, *(len(ticks) + 1 for ticks in re.findall('`{3,}', body)), 0)
    return f'{ticks}{kind}\n{body}\n{ticks}'


def definitions(source: str): return [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def linked(text: str):
    "Text whose `names` lead to where they are explained (but those of parameters), and whose links lead to pages of this site."
    text = re.sub(r'(?<!\n\| )(?<!`)`(\w+)`(?!`)', lambda found: f'{{py:obj}}`{found[1]} <{KNOWN[found[1]]}>`' if found[1] in KNOWN else found[0], text)
    return re.sub(r'\]\((\w+)\.ipynb', r'](\1.md', text)


def parameters(node):
    "Each parameter of a function or field of a class: its name, its type, its default, and the line that says what it is."
    if isinstance(node, ast.ClassDef): return [(part.target.id, part.annotation, part.value, part.lineno) for part in node.body if isinstance(part, ast.AnnAssign)]
    given = node.args
    places = [None] * (len(given.args) - len(given.defaults)) + given.defaults
    found = [(arg.arg, arg.annotation, default, arg.lineno) for arg, default in zip(given.args, places) if arg.arg != 'self']
    return found + [(stars + arg.arg, arg.annotation, None, arg.lineno) for stars, arg in (('*', given.vararg), ('**', given.kwarg)) if arg]


def table(node, lines: list[str]):
    "A row for each parameter and for what comes back, with the comments of the source."
    def code(part): return '`' + ast.unparse(part).replace('|', r'\|') + '`' if part else ''
    def what(line):
        said = re.search(r'\s# (.+)', lines[line - 1])
        return re.sub(r'\b\w+_\w+\b', lambda found: f'`{found[0]}`' if found[0] in KNOWN else found[0], said[1].replace('|', r'\|')) if said else ''
    rows = [(f'`{name}`', code(kind), code(default), what(line)) for name, kind, default, line in parameters(node)]
    if isinstance(node, ast.FunctionDef):
        back = '*returns*', code(node.returns), '', what(node.body[0].lineno - 1) if node.body[0].lineno > node.lineno else ''
        if back[1] or back[3] and back[3] not in [row[3] for row in rows]: rows.append(back)
    return '\n'.join(['| parameter | type | default | what |', '|---|---|---|---|'] + [f"| {' | '.join(row)} |" for row in rows]) if rows else ''


def explained(node, lines: list[str], kind: str, *options: str):
    "A function or class as Sphinx shows it: how to call it, its docstring, what it takes, its methods."
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef)] if isinstance(node, ast.ClassDef) else []
    maker = next((method for method in methods if method.name == '__init__'), node)
    call = ', '.join(name if default is None else f'{name}={ast.unparse(default)}' for name, _, default, _ in parameters(maker))
    more = [explained(method, lines, 'method') for method in methods if ast.get_docstring(method) and not method.name.startswith('_')]
    body = '\n\n'.join([ast.get_docstring(node), table(maker, lines), *more])
    return block(f'{{py:{kind}}} {node.name}({call})', *options, '', linked(body))


def exported(source: str, module: str):
    "What a cell adds to the package, and its source for those who want it."
    kinds = {ast.ClassDef: 'class', ast.FunctionDef: 'function'}
    yield from (explained(node, source.splitlines(), kinds[type(node)], f':module: mnist_clustering.{module}') for node in definitions(source))
    names = [node.name for node in definitions(source)] + [ast.unparse(node.targets[0]) for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    yield f"<details><summary>Source of {', '.join(names) or 'the imports'}</summary>\n\n{block('python', source)}\n\n</details>"


def shown(cell, room: str):
    "What a cell has printed, returned and drawn."
    for kind, data in outputs(cell):
        if kind == 'image/png':
            DRAWN.append((room, 1 + sum(drawn[0] == room for drawn in DRAWN), cell.directives['fig-alt']))
            name = '{}-{}'.format(*DRAWN[-1])
            (SITE / f'pictures/{name}.png').write_bytes(b64decode(data))
            yield block(f'{{image}} pictures/{name}.png', f":alt: {cell.directives['fig-alt']}", f':name: picture-{name}', f':target: _images/{name}.png')
        elif kind == 'text/html': yield block('{raw} html', '<div class="output" tabindex="0">', re.sub(r'<style.*?</style>|border="1"', '', data, flags=re.S), '</div>')
        elif kind == 'text/plain': yield block('{code-block} text', ':class: output', data)
        else: yield data


def page(room: str):
    "A notebook as markdown."
    module = room.split('_', 1)[-1]
    for i, cell in enumerate(read(room)):
        if cell.cell_type == 'markdown': yield linked(cell.source)
        elif 'export' in cell.directives: yield from exported(cell.source, module)
        elif 'echo' not in cell.directives and cell.source: yield block('python', cell.source)
        yield from shown(cell, room)
        if i == 0 and room in ROOMS:
            where = f"{cfg['user']}/{cfg['repo']}/blob/{cfg['branch']}/nbs/{room}.ipynb"
            yield f'Open this page: `make lab`, then `{room}.ipynb` · [in Colab](https://colab.research.google.com/github/{where}) · [on GitHub](https://github.com/{where})'


def gallery():
    "Every picture, each a way to the cell that drew it."
    yield '# Gallery\n\n> Every picture of the book; each leads to the cell that drew it'
    for room in dict.fromkeys(drawn[0] for drawn in DRAWN):
        yield f'## {room}'
        yield block('{container} gallery', *(f'[![{alt}](pictures/{name}-{k}.png)](#picture-{name}-{k})' for name, k, alt in DRAWN if name == room))


def contents(caption: str, *names: str): return block('{toctree}', ':hidden:', f':caption: {caption}', '', *names)


shutil.rmtree(SITE, ignore_errors=True)
shutil.rmtree('_docs', ignore_errors=True)
(SITE / 'pictures').mkdir(parents=True)

for room in ROOMS:
    module = room.split('_', 1)[1]
    KNOWN |= {node.name: f'mnist_clustering.{module}.{node.name}' for cell in read(room) if 'export' in cell.directives for node in definitions(cell.source)}
texts = {room: [*page(room)] for room in ['index', *ROOMS]} | {'gallery': [*gallery()]}
texts['index'] += [contents('The book', *(f"{room.replace('_', ' ')} <{room}>" for room in ROOMS)), contents('Beside it', 'gallery', 'glossary', 'cite', 'changelog')]
for source in ('docs/glossary.md', 'docs/cite.md', 'CHANGELOG.md'): texts[Path(source).stem.lower()] = [linked(Path(source).read_text(encoding='utf-8'))]
for name, parts in texts.items(): (SITE / f'{name}.md').write_text('\n\n'.join(parts) + '\n', encoding='utf-8')

failed = main(['-q', '-W', '--keep-going', '-c', 'docs', str(SITE), '_docs'])

train, test = load_mnist()
with np.load('bench/map.npz') as found:
    clusters = {name: found[name] for name in ('KMeans', 'DBSCAN', 'Ward')}
    layout = interactive_map((train + test).images, found['xy'], clusters, (train + test).labels, found['suspicion'])
save_map(layout, Path('_docs/touch.html'), '70,000 digits') # in the place of the notebooks' own, smaller ones
sys.exit(failed)

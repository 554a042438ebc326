"The rules of the house, which nbdev does not check: where modules stand, what loads when, how code and pages read."
import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
import tokenize
from io import StringIO
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

# The pages in the order of the book, and the module that each of them makes. Code imports only from modules above.
HOUSE = {
    '00_data': 'data',
    '00a_machine': 'machine',
    '00a_parameters': 'parameters',
    '00b_images': 'images',
    '00c_store': 'store',
    '00d_draw': 'draw',
    '00e_deskew': 'deskew',
    '01_cnn': 'cnn',
    '02_features': 'features',
    '02b_prepare': 'prepare',
    '03_kmeans': 'kmeans',
    '04_evaluation': 'evaluation',
    '04b_interactive_map': 'interactive_map',
    '05_dbscan': 'dbscan',
    '06_agglomerative': 'agglomerative',
    '07_distortion': 'distortion',
    '07b_communities': 'communities',
    '07c_second_look': 'second_look',
    '08_shapes': 'shapes',
    '09_label_free': 'label_free',
    '10_model': 'model',
    '11_review': 'review',
    '12_scale': 'scale',
    '13_report': 'report',
    '13b_own_run': 'own_run',
    '14_compare': 'compare',
    '14b_bench': 'bench',
    '15_cli': 'cli',
}

WIDTH = 120
HEAVY = ['tensorflow', 'keras', 'umap', 'fast_hdbscan', 'bokeh', 'seaborn', 'pyspark']
OLD_MODULES = ['cache', 'touch'] # of version 0.1
OLD_NAMES = '''Digits show_digits name_digits count_digits show_piles name_piles whole_folder gossip closest lay_out
    two_views find_pieces shared_pieces pieces_ n_pieces_'''.split()

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / 'nbs').glob('*.ipynb'))
PAGES = {path.stem: json.loads(path.read_text(encoding='utf-8'))['cells'] for path in NOTEBOOKS}
ROOMS = {name: cells for name, cells in PAGES.items() if name != 'index'}
MODULES = {path.stem: path.read_text(encoding='utf-8') for path in sorted((ROOT / 'mnist_clustering').glob('*.py'))
           if not path.stem.startswith('_')}
TREES = {name: ast.parse(text) for name, text in MODULES.items()}


def source(cell):
    return ''.join(cell['source'])


def code(cells):
    return [source(cell) for cell in cells if cell['cell_type'] == 'code']


def prose(cells):
    return [source(cell) for cell in cells if cell['cell_type'] == 'markdown']


def is_export(text):
    return bool(re.match(r'#\|\s*exports?\b', text))


def without_magics(text):
    return '\n'.join(line for line in text.splitlines() if not line.lstrip().startswith(('%', '!')))


def is_set(node):
    return isinstance(node.ctx, ast.Store)


def imports(tree):
    "Modules of this package that a module imports, anywhere in it, absolutely or relatively."
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            module = f'mnist_clustering.{node.module or ""}'.rstrip('.') if node.level else node.module
            found |= {module, *(f'{module}.{alias.name}' for alias in node.names)}
    names = {name.split('.')[1] for name in found if name.startswith('mnist_clustering.')}
    return names & {*HOUSE.values(), *MODULES}


def title(name):
    return source(PAGES[name][0]).partition('\n')[0].removeprefix('# ')


# The rooms

def test_every_page_stands_where_the_house_has_it():
    assert list(HOUSE) == list(ROOMS)


def test_every_page_makes_its_module_and_every_module_has_a_page():
    for name, cells in ROOMS.items():
        assert re.findall(r'^#\|\s*default_exp\s+(\S+)', '\n'.join(code(cells)), re.M) == [HOUSE[name]]
    assert sorted(MODULES) == sorted(HOUSE[name] for name in ROOMS)


@pytest.mark.parametrize('module', MODULES)
def test_imports_point_down(module):
    order = list(HOUSE.values())
    above = set(order[:order.index(module)])
    assert imports(TREES[module]) <= above | {module} # a worker of Spark imports by name what it is asked to do


@pytest.mark.parametrize('name', ROOMS)
def test_pages_import_by_absolute_names(name):
    for text in filter(is_export, code(ROOMS[name])):
        relative = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.level]
        assert not relative, text


def test_names_of_the_first_edition_are_gone():
    for module, tree in TREES.items():
        names = {getattr(node, key, None) for node in ast.walk(tree) for key in ('id', 'name', 'attr', 'arg')}
        assert not names & set(OLD_NAMES), module
    for name, cells in PAGES.items():
        assert not re.search(rf'mnist_clustering\.({"|".join(OLD_MODULES)})\b', '\n'.join(map(source, cells))), name


# What is loaded, and when

def loaded_after(statements):
    "The libraries that a fresh process has loaded after these statements."
    command = f'import sys\n{statements}\nprint(*sys.modules)'
    done = subprocess.run([sys.executable, '-c', command], capture_output=True, text=True, check=True)
    return {module.split('.')[0] for module in done.stdout.split()}


def test_heavy_libraries_are_loaded_when_they_are_used():
    loaded = loaded_after('\n'.join(f'import mnist_clustering.{module}' for module in MODULES))
    assert not loaded & set(HEAVY)


def test_the_package_itself_imports_nothing_heavy():
    assert 'numpy' not in loaded_after('import mnist_clustering')


def test_tensorflow_is_imported_in_one_place():
    users = [module for module, tree in TREES.items() for node in ast.walk(tree)
             if isinstance(node, ast.Import | ast.ImportFrom)
             and re.search(r'\b(tensorflow|keras)\b', ast.unparse(node).replace('load_tensorflow', ''))]
    assert set(users) == {'cnn'}


def test_nothing_stands_in_for_a_library():
    loader = 'lazy' + '_loader'
    settings = [ROOT / name for name in ('settings.ini', 'setup.py', 'pyproject.toml')]
    files = [*settings, *NOTEBOOKS, *ROOT.glob('mnist_clustering/*.py'), *ROOT.glob('bench/*.py')]
    assert [path.name for path in files if loader in path.read_text(encoding='utf-8')] == []


# Code that reads at once

def text_lines():
    "Every line of code and its place: modules, code cells of the notebooks, tests, benchmarks, the site."
    files = [ROOT / 'setup.py', ROOT / 'pyproject.toml']
    for folder in ('mnist_clustering', 'tests', 'bench', 'docs'):
        for suffix in ('py', 'css', 'js'):
            files += sorted((ROOT / folder).rglob(f'*.{suffix}'))
    for path in files:
        if path.name == '_modidx.py': # written by nbdev, and read by nobody
            continue
        for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
            yield f'{path.relative_to(ROOT)}:{number}', line
    for name, cells in PAGES.items():
        for number, text in enumerate(code(cells), 1):
            for line in text.splitlines():
                yield f'nbs/{name}.ipynb, code cell {number}', line


def test_no_line_is_too_long():
    too_long = [place for place, line in text_lines() if len(line) > WIDTH]
    assert too_long == []


@pytest.mark.parametrize('module', MODULES)
def test_code_is_not_dense(module):
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Call):
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            walrus = [value for value in values if isinstance(value, ast.NamedExpr)]
            assert not walrus, f'assign, then call: {ast.unparse(node)}'
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            assert len(node.generators) < 3, f'a loop reads better: {ast.unparse(node)}'


@pytest.mark.parametrize('name', ROOMS)
def test_import_cells_hold_only_imports(name):
    for text in filter(is_export, code(ROOMS[name])):
        kinds = {isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(text).body}
        assert len(kinds) == 1, f'imports beside code in {text[:60]!r}'


@pytest.mark.parametrize('name', ROOMS)
def test_a_page_gives_no_other_meaning_to_a_name_of_its_module(name):
    "Exported code reads it from the page when the page is run."
    used, given = set(), set()
    for text in map(without_magics, code(ROOMS[name])):
        for node in ast.parse(text).body:
            if isinstance(node, ast.ImportFrom) and is_export(text):
                used |= {alias.asname or alias.name for alias in node.names}
            elif not is_export(text) and isinstance(node, ast.FunctionDef | ast.ClassDef):
                given.add(node.name)
            elif not is_export(text):
                given |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and is_set(part)}
    assert not used & given


@pytest.mark.parametrize('name', ROOMS)
def test_a_page_leaves_nothing_of_its_own_in_another_module(name):
    "nbdev_test runs one page after the other in one process: a later page would find the classes of an earlier one."
    imported, filled, restored = set(), set(), set()
    for text in map(without_magics, code(ROOMS[name])):
        restored |= set(re.findall(r'^(\w+)\.update\(of_package\)', text, re.M))
        for node in ast.parse(text).body if is_export(text) else ():
            if isinstance(node, ast.ImportFrom):
                imported |= {alias.asname or alias.name for alias in node.names}
            if isinstance(node, ast.Assign):
                targets = [target.value for target in node.targets if isinstance(target, ast.Subscript | ast.Attribute)]
                filled |= imported & {ast.unparse(target) for target in targets}
    assert filled == restored


def test_nothing_is_promised_that_is_not_there():
    assert [module for module, text in MODULES.items() if 'raise NotImplementedError' in text] == []


# What is public says what it takes and does

def public(module):
    "The nodes of all functions and classes that a module exports."
    exported = importlib.import_module(f'mnist_clustering.{module}').__all__
    nodes = [node for node in TREES[module].body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [node for node in nodes if node.name in exported]


def classes():
    "Every public class of the package."
    for module in MODULES:
        for node in public(module):
            if isinstance(node, ast.ClassDef):
                yield getattr(importlib.import_module(f'mnist_clustering.{module}'), node.name)


ESTIMATORS = [cls for cls in classes() if issubclass(cls, BaseEstimator)]
NAMES_OF_ESTIMATORS = {cls.__name__ for cls in ESTIMATORS}
SECTIONS = 'Parameters Attributes Raises Warns Notes References Examples'.split() # in the order of numpydoc


@pytest.mark.parametrize('module', MODULES)
def test_everything_public_has_a_docstring(module):
    silent = []
    for node in public(module):
        methods = node.body if isinstance(node, ast.ClassDef) and node.name in NAMES_OF_ESTIMATORS else []
        for function in [node, *methods]:
            named = isinstance(function, ast.FunctionDef | ast.ClassDef) and not function.name.startswith('_')
            if named and not ast.get_docstring(function):
                silent.append(f'{node.name}.{function.name}')
    assert silent == []


@pytest.mark.parametrize('estimator', ESTIMATORS, ids=lambda cls: cls.__name__)
def test_estimators_are_explained_in_sections(estimator):
    parts = re.split(r'\n\n(\w+)\n-+\n', inspect.getdoc(estimator))
    sections = dict(zip(parts[1::2], parts[2::2]))
    parameters = list(inspect.signature(estimator).parameters)
    assert list(sections) == [name for name in SECTIONS if name in sections]
    assert 'Attributes' in sections
    assert re.findall(r'^(\w+) : ', sections.get('Parameters', ''), re.M) == parameters
    if hasattr(estimator, 'fit'): # else it is only a part of others
        assert '>>> ' in sections.get('Examples', '')


@pytest.mark.parametrize('module', MODULES)
def test_functions_say_what_each_parameter_is(module):
    tokens = tokenize.generate_tokens(StringIO(MODULES[module]).readline)
    commented = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    silent = []
    for node in public(module):
        if isinstance(node, ast.ClassDef):
            continue
        for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
            if argument.end_lineno not in commented:
                silent.append(f'{node.name}({argument.arg})')
        gives_nothing = node.returns is None or ast.unparse(node.returns) in ('None', 'Iterator[None]')
        if not gives_nothing and node.returns.end_lineno not in commented:
            silent.append(f'what {node.name} gives back')
    assert silent == []


@pytest.mark.parametrize('module', MODULES)
def test_pictures_take_axes(module):
    for node in public(module):
        if isinstance(node, ast.FunctionDef) and node.name.startswith(('plot_', 'show_')):
            names = [argument.arg for argument in node.args.args]
            assert {'ax', 'axes'} & set(names), f'{node.name} takes no ax'


@pytest.mark.parametrize('module', sorted(MODULES.keys() - {'cli'}))
def test_errors_name_parameters_and_not_flags(module):
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Raise) or isinstance(node, ast.Call) and ast.unparse(node.func) == 'warnings.warn':
            assert not re.search(r'--[a-z]', ast.unparse(node)), ast.unparse(node)


def test_nobody_names_rooms():
    texts = MODULES | {name: '\n'.join(map(source, cells)) for name, cells in PAGES.items()}
    assert [name for name, text in texts.items() if re.search(r'\brooms? \d', text, re.I)] == []


# Pages that read at once

@pytest.mark.parametrize('name', PAGES)
def test_a_page_opens_with_its_title_and_what_it_is_about(name):
    assert re.match(r'# [A-Z][^\n]*\n+> \S', source(PAGES[name][0]))
    assert '_' not in title(name) and title(name) != HOUSE.get(name)


def test_titles_differ():
    assert len({title(name) for name in PAGES}) == len(PAGES)


@pytest.mark.parametrize('name', ROOMS)
def test_a_page_says_how_long_it_takes(name):
    first = '\n'.join(prose(ROOMS[name][:5]))
    assert re.search(r'\b(second|minute|hour)s?\b', first)


@pytest.mark.parametrize('name', ROOMS)
def test_a_page_has_one_cell_of_imports_which_can_be_seen(name):
    cells = [text for text in code(ROOMS[name]) if not is_export(text)
             and any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(without_magics(text)).body)]
    assert len(cells) == 1, [text[:60] for text in cells]
    assert not re.search(r'^#\|\s*(hide|echo:\s*false|include:\s*false|code-fold)', cells[0], re.M)


@pytest.mark.parametrize('name', PAGES)
def test_a_cluster_is_called_a_cluster(name):
    words = r'\b(piles?|knots?|crowds?|gossip\w*|family tree|families|joints?)\b'
    for cell in PAGES[name]:
        assert not re.findall(words, source(cell), re.I), source(cell)


@pytest.mark.parametrize('name', PAGES)
def test_saved_outputs_are_clean(name):
    for cell in PAGES[name]:
        for output in cell.get('outputs', []):
            text = json.dumps(output)
            assert output['output_type'] != 'error' and output.get('name') != 'stderr', source(cell)
            assert not re.search(r'\d+%\|', text), f'a progress bar in the output of {source(cell)!r}'
            assert not re.search(r'"[^"]*/(home|root|tmp|work)/', text), f'a path in the output of {source(cell)!r}'


@pytest.mark.parametrize('name', PAGES)
def test_pictures_are_described(name):
    for cell in PAGES[name]:
        if any('image/png' in output.get('data', {}) for output in cell.get('outputs', [])):
            assert re.search(r'^#\| fig-alt: .{20}', source(cell), re.M), f'no fig-alt: {source(cell)[:60]!r}'

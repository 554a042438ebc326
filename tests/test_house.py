"The rules that nbdev does not check: one notebook a module, imports that point down, small cells, clean pages."
import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
PAGES = {path.stem: json.loads(path.read_text(encoding='utf-8'))['cells'] for path in sorted((ROOT / 'nbs').glob('*.ipynb'))}
MODULES = {path.stem: path for path in (ROOT / 'mnist_clustering').glob('*.py') if not path.stem.startswith('_')}
JOIN_THE_OTHERS = {'compare', 'cli'}


def source(cell): return ''.join(cell['source'])
def code(cells): return [source(cell) for cell in cells if cell['cell_type'] == 'code']
def exports(cells): return [text for text in code(cells) if re.match(r'#\|\s*exports?\b', text)]
def module_of(cells): return [found[1] for text in code(cells) if (found := re.search(r'^#\|\s*default_exp\s+(\S+)', text, re.M))]
def title_of(name): return 'mnist_clustering' if name == 'index' else name.split('_', 1)[1]
def lines(text): return [line for line in text.splitlines() if line.strip() and not line.startswith('#|')]


ROOMS = {name: cells for name, cells in PAGES.items() if exports(cells)}


def test_each_room_is_one_module_and_each_module_has_a_room():
    modules = [module for cells in ROOMS.values() for module in module_of(cells)]
    assert len(modules) == len(ROOMS)
    assert sorted(modules) == sorted(MODULES)


def test_rooms_are_numbered_and_named_after_their_modules():
    assert all(re.fullmatch(r'\d\d[a-z]?_\w+', name) for name in PAGES if name != 'index')
    assert all(module_of(cells) == [title_of(name)] for name, cells in ROOMS.items())


@pytest.mark.parametrize('name', ROOMS)
def test_imports_point_down(name):
    order = [module_of(cells)[0] for cells in ROOMS.values()]
    module = module_of(ROOMS[name])[0]
    imported = {node.module.split('.')[1] for node in ast.walk(ast.parse(MODULES[module].read_text(encoding='utf-8')))
                if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('mnist_clustering.')}
    assert imported <= set(order[:order.index(module)])
    if module not in JOIN_THE_OTHERS: assert not imported & JOIN_THE_OTHERS


def test_tensorflow_is_loaded_only_where_networks_are_trained():
    users = {name for name, path in MODULES.items() if re.search(r"(import|from) (tensorflow|keras)|load\('tensorflow'\)", path.read_text(encoding='utf-8'))}
    assert users == {'cnn'}
    loaded = subprocess.run([sys.executable, '-c', 'import sys, mnist_clustering.cli; print("tensorflow.python" in sys.modules, "keras" in sys.modules)'],
                            capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == ['False', 'False']


def test_the_package_itself_imports_nothing_heavy():
    loaded = subprocess.run([sys.executable, '-c', 'import sys, mnist_clustering; print("numpy" in sys.modules)'], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == ['False']


def test_export_cells_are_small():
    sizes = [len(lines(text)) for cells in ROOMS.values() for text in exports(cells)]
    assert max(sizes) <= 40
    assert median(sizes) <= 12


def test_import_cells_hold_only_imports():
    for name, cells in ROOMS.items():
        for text in exports(cells):
            kinds = {isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(text).body}
            assert len(kinds) == 1, f'{name}: imports mixed with code in {text[:60]!r}'


@pytest.mark.parametrize('name', PAGES)
def test_a_page_opens_with_its_name_and_what_it_is_about(name):
    first = source(PAGES[name][0])
    assert re.match(rf'# {title_of(name)}\n+> \S', first)


@pytest.mark.parametrize('name', PAGES)
def test_saved_outputs_are_clean(name):
    for cell in PAGES[name]:
        for output in cell.get('outputs', []):
            text = json.dumps(output)
            assert output['output_type'] != 'error' and output.get('name') != 'stderr', source(cell)
            assert not re.search(r'\d+%\|', text), f'a progress bar in the output of {source(cell)!r}'
            assert not re.search(r'"[^"]*/(home|root|tmp|work)/', text), f'a machine path in the output of {source(cell)!r}'


@pytest.mark.parametrize('name', PAGES)
def test_pictures_are_described(name):
    for cell in PAGES[name]:
        if any('image/png' in output.get('data', {}) for output in cell.get('outputs', [])):
            assert re.search(r'^#\| fig-alt: .{20}', source(cell), re.M), f'a picture without fig-alt: {source(cell)[:60]!r}'


def test_public_functions_say_what_they_take_and_do():
    for name, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith('_'):
                assert ast.get_docstring(node), f'{name}.{node.name} has no docstring'


def test_nothing_is_promised_that_is_not_there():
    assert not [name for name, path in MODULES.items() if 'NotImplementedError' in path.read_text(encoding='utf-8')]

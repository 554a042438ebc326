"Tidy what tools leave: wide lists of names, progress bars that were watched, and tables with a random name."
import ast
import json
import re
from pathlib import Path
from textwrap import fill

WIDGET = 'application/vnd.jupyter.widget-view+json'


def wrapped(found: re.Match):
    "The list of exported names, 120 characters wide."
    return fill(f'__all__ = {ast.literal_eval(found[1])}', 120, subsequent_indent=' ' * 11, break_long_words=False)


for path in Path('mnist_clustering').glob('[a-z]*.py'):
    source = path.read_text(encoding='utf-8')
    path.write_text(re.sub(r'^__all__ = (\[.*?\])$', wrapped, source, flags=re.M | re.S), encoding='utf-8')

for path in Path('nbs').glob('*.ipynb'):
    page = json.loads(path.read_text(encoding='utf-8'))
    for cell in page['cells']:
        if 'outputs' in cell:
            outputs = [output for output in cell['outputs'] if WIDGET not in output.get('data', {})]
            text = re.sub(r'\bT_[0-9a-f]{5}(?=[_"\\])', f'T_{cell["id"]}', json.dumps(outputs, ensure_ascii=False))
            cell['outputs'] = json.loads(text)
    path.write_text(json.dumps(page, indent=1, ensure_ascii=False, sort_keys=True) + '\n', encoding='utf-8')

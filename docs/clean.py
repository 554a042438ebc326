"Take out of the saved notebooks what a progress bar leaves behind when it was watched in JupyterLab."
import json
from pathlib import Path

WIDGET = 'application/vnd.jupyter.widget-view+json'

for path in Path('nbs').glob('*.ipynb'):
    page = json.loads(path.read_text(encoding='utf-8'))
    for cell in page['cells']:
        if 'outputs' in cell:
            cell['outputs'] = [output for output in cell['outputs'] if WIDGET not in output.get('data', {})]
    path.write_text(json.dumps(page, indent=1, ensure_ascii=False, sort_keys=True) + '\n', encoding='utf-8')

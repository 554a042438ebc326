"Make README.md from nbs/index.ipynb, its pictures beside the notebooks."
import re
from base64 import b64decode
from pathlib import Path

from pages import outputs, read

pictures = Path('nbs/images')
pictures.mkdir(exist_ok=True)
for stale in pictures.glob('*.png'):
    stale.unlink()

parts = []
for i, cell in enumerate(read('index')):
    if cell.cell_type == 'markdown':
        text = re.sub(r'\]\((\d\d\w*\.ipynb)', r'](nbs/\1', cell.source)
        parts.append(text.replace('](../', ']('))
    elif 'echo' not in cell.directives:
        parts.append(f'```python\n{cell.source}\n```')
    for kind, data in outputs(cell):
        if '<iframe' in data:
            continue # which a page on GitHub may not show
        if kind == 'image/png':
            (pictures / f'index_{i}.png').write_bytes(b64decode(data))
            data = f"![{cell.directives['fig-alt']}]({pictures}/index_{i}.png)"
        elif kind == 'text/plain':
            data = f'```text\n{data}\n```'
        parts.append(data)
Path('README.md').write_text('\n\n'.join(parts) + '\n', encoding='utf-8')

"Make README.md from nbs/index.ipynb, its pictures beside the notebooks."
import re
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter
from traitlets.config import Config

notebook = nbformat.read('nbs/index.ipynb', as_version=4)
notebook.cells = [cell for cell in notebook.cells if not re.match(r'#\|\s*hide', cell.source)]
for cell in notebook.cells:
    if re.match(r'#\|\s*echo: false', cell.source): cell.metadata.tags = ['output only']
    cell.source = re.sub(r'^#\|.*\n', '', cell.source, flags=re.M)

notebook.metadata.language_info = dict(name='python')

config = Config(TagRemovePreprocessor=dict(enabled=True, remove_input_tags=['output only']))
text, resources = MarkdownExporter(config=config).from_notebook_node(notebook, {'output_files_dir': 'nbs/images'})
text = re.sub(r'\]\((\d\d\w*\.ipynb)', r'](nbs/\1', text)
Path('README.md').write_text(re.sub(r'\n{3,}', '\n\n', text).strip() + '\n', encoding='utf-8')

Path('nbs/images').mkdir(exist_ok=True)
for stale in Path('nbs/images').glob('*.png'): stale.unlink()
for name, picture in resources['outputs'].items(): Path(name).write_bytes(picture)

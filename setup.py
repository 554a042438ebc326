"Package data for pip: everything is read from settings.ini, which nbdev shares."
import re
from configparser import ConfigParser
from pathlib import Path
from shlex import split

from setuptools import find_packages, setup

config = ConfigParser(delimiters=['='])
config.read('settings.ini', encoding='utf-8')
cfg = config['DEFAULT']

extras = {name: split(cfg[f'{name}_requirements']) for name in ('networks', 'scale', 'notebooks', 'docs', 'dev')}
extras['dev'] += extras['networks'] + extras['scale'] + extras['notebooks'] + extras['docs']

# a package index has no files beside the page: its links lead to the repository
git_url, branch = cfg['git_url'], cfg['branch']
readme = Path('README.md').read_text(encoding='utf-8')
readme = re.sub(r'\]\((nbs/\S+\.png)\)', rf']({git_url}/raw/{branch}/\1)', readme)
readme = re.sub(r'\]\(((?:nbs|docs)/\S+|[A-Z]+\.md)\)', rf']({git_url}/blob/{branch}/\1)', readme)

status = int(cfg['status'])
maturity = ['Planning', 'Pre-Alpha', 'Alpha', 'Beta', 'Production/Stable', 'Mature', 'Inactive'][status - 1]

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    license_expression=cfg['license'].upper(),
    description=cfg['description'],
    keywords=cfg['keywords'].split(),
    author=cfg['author'],
    author_email=cfg['author_email'],
    url=git_url,
    long_description=readme,
    long_description_content_type='text/markdown',
    project_urls={
        'Source': git_url,
        'Documentation': cfg['doc_host'] + cfg['doc_baseurl'],
        'Changelog': f'{git_url}/blob/{branch}/CHANGELOG.md',
    },
    classifiers=[
        f'Development Status :: {status} - {maturity}',
        f"Intended Audience :: {cfg['audience']}",
        f"Natural Language :: {cfg['language']}",
        'Programming Language :: Python :: 3',
        *(f'Programming Language :: Python :: 3.{minor}' for minor in (11, 12, 13)),
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Recognition',
        'Typing :: Typed',
    ],
    packages=find_packages(include=['mnist_clustering*']),
    package_data={'mnist_clustering': ['data/*.npz', 'py.typed']},
    python_requires=f">={cfg['min_python']}",
    install_requires=split(cfg['requirements']),
    extras_require=extras,
    entry_points={
        'console_scripts': cfg['console_scripts'].split(),
        'nbdev': [f"{cfg['lib_path']}={cfg['lib_path']}._modidx:d"],
    },
    zip_safe=False,
)

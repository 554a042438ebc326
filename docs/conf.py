"How Sphinx makes the site, seen from this folder; docs/site.py writes what it reads."
from configparser import ConfigParser

config = ConfigParser()
config.read('../settings.ini', encoding='utf-8')
cfg = config['DEFAULT']

project = html_title = cfg['title']
author, copyright = cfg['author'], cfg['copyright']
language = 'en'
extensions = ['myst_parser']
myst_heading_anchors = 3
smartquotes = False
add_module_names = False
toc_object_entries_show_parents = 'hide'

html_theme = 'sphinx_book_theme'
html_theme_options = {
    'repository_url': cfg['git_url'],
    'use_download_button': False,
    'use_fullscreen_button': False,
    'show_toc_level': 2,
}
html_static_path = ['_static']
html_css_files = ['site.css']
html_js_files = [('site.js', {'defer': 'defer'})]
html_context = {'default_mode': 'auto'}
html_copy_source = False
html_use_index = False
html_show_search_summary = False # a page from disk may not fetch another

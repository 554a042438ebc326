"""Functions and classes as Sphinx shows them: how to call them, what they do, a table of what they take.

A function says what it takes in the comments beside its parameters (docments), a class in its docstring (numpydoc).
Both become the same kind of table.
"""
import ast
import re
from dataclasses import dataclass

RULE = re.compile(r'^(\w[\w ]*)\n-{3,}\n', re.M) # the heading of a section in a numpydoc docstring
HEADS = {'Attributes': 'attribute', 'Raises': 'error', 'Warns': 'warning'} # of the tables of these sections


@dataclass
class Row:
    "A parameter, a field, an attribute, or what comes back."
    name: str
    kind: str = ''
    default: str = ''
    about: str = ''


def block(kind: str, *lines: str):
    "A directive or a fence, with as many backticks as what is inside allows."
    body = '\n'.join(lines)
    longest = max([len(ticks) for ticks in re.findall('`{3,}', body)], default=2)
    ticks = '`' * (longest + 1)
    return f'{ticks}{kind}\n{body}\n{ticks}'


def definitions(source: str):
    "The functions and classes of a cell."
    return [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def summary(node):
    "The first line of a docstring."
    return (ast.get_docstring(node) or '').partition('\n')[0]


def text_of(node):
    "The source of a part of the syntax tree, empty if there is none."
    return ast.unparse(node) if node is not None else ''


def comment(line: str):
    "What a line of the source says after its code."
    found = re.search(r'\s# (.+)', line)
    return found[1] if found else ''


def sections(docstring: str):
    "A numpydoc docstring in parts: the text before the first section, then the name and the body of each section."
    before, *rest = RULE.split(docstring)
    return before.strip(), {name: body.strip('\n') for name, body in zip(rest[::2], rest[1::2])}


def items(body: str):
    "The rows of a section: `name : kind, default=value`, and below it, indented, what it is."
    rows = []
    for line in body.splitlines():
        if line.strip() and not line.startswith(' '):
            name, _, kind = line.partition(' : ')
            kind, _, default = kind.partition(', default')
            rows.append(Row(name.strip(), kind.strip(), default.strip(' =')))
        elif line.strip() and rows:
            rows[-1].about = f'{rows[-1].about} {line.strip()}'.strip()
    return rows


def arguments(node: ast.FunctionDef, lines: list[str]):
    "The parameters of a function, with the comments beside them."
    given = node.args
    defaults = [None] * (len(given.args) - len(given.defaults)) + given.defaults
    rows = []
    for arg, default in [*zip(given.args, defaults), *zip(given.kwonlyargs, given.kw_defaults)]:
        if arg.arg not in ('self', 'cls'):
            rows.append(Row(arg.arg, text_of(arg.annotation), text_of(default), comment(lines[arg.lineno - 1])))
    for stars, arg in (('*', given.vararg), ('**', given.kwarg)):
        if arg:
            rows.append(Row(stars + arg.arg, text_of(arg.annotation), '', comment(lines[arg.lineno - 1])))
    return rows


def fields(node: ast.ClassDef, lines: list[str]):
    "The fields of a dataclass, with the comments beside them."
    return [Row(part.target.id, text_of(part.annotation), text_of(part.value), comment(lines[part.lineno - 1]))
            for part in node.body if isinstance(part, ast.AnnAssign)]


def returned(node: ast.FunctionDef, lines: list[str], rows: list[Row]):
    "What a function gives back, unless nothing is said about it."
    first = node.body[0].lineno
    about = comment(lines[first - 2]) if first > node.lineno else ''
    if about in [row.about for row in rows]:
        about = '' # the comment belongs to the last parameter, on the same line
    return [Row('returns', text_of(node.returns), '', about)] if node.returns or about else []


def code(text: str):
    "Text as code in a cell of a table."
    return '`' + text.replace('|', r'\|') + '`' if text else ''


def table(rows: list[Row], known=(), heading: str = 'parameter'):
    "A table of what is taken, found or given back; columns that would be empty are left out."
    if not rows:
        return ''

    def linked(text):
        return re.sub(r'(?<!`)\b\w+_\w+\b(?!`)', lambda found: f'`{found[0]}`' if found[0] in known else found[0], text)

    lines = []
    for row in rows:
        name = '*returns*' if row.name == 'returns' else code(row.name)
        about = linked(row.about.replace('``', '`').replace('|', r'\|'))
        lines.append([name, code(row.kind), code(row.default), about])
    heads = [heading, 'type', 'default', 'what']
    used = [i for i in range(4) if i in (0, 3) or any(line[i] for line in lines)]
    written = [[line[i] for i in used] for line in [heads, ['---'] * 4, *lines]]
    return '\n'.join(f"| {' | '.join(line)} |" for line in written)


def prose(text: str):
    "The text of a docstring as markdown."
    text = re.sub(r'^\.\. \[\d+\] ', '- ', text, flags=re.M)
    return text.replace('``', '`')


def example(text: str):
    "A doctest, with the sentences between its lines."
    parts = re.split(r'\n{2,}', text.strip())
    return '\n\n'.join(block('pycon', part) if part.startswith('>>>') else prose(part) for part in parts)


def signature(rows: list[Row]):
    "How to call it, in one line."
    return ', '.join(f'{row.name}={row.default}' if row.default else row.name for row in rows)


def explained(node, lines: list[str], kind: str, known=(), options=()):
    "A function or class: how to call it, its docstring, tables of what it takes and keeps, its methods."
    text, parts = sections(ast.get_docstring(node) or '')
    methods = []
    rows = []
    if isinstance(node, ast.ClassDef):
        methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
        makers = [method for method in methods if method.name == '__init__']
        rows = arguments(makers[0], lines) if makers else fields(node, lines)
        call = signature(rows)
    else:
        rows = arguments(node, lines)
        call = signature(rows)
        rows = rows + returned(node, lines, rows)
    if 'Parameters' in parts:
        defaults = {row.name: row.default for row in rows}
        rows = items(parts.pop('Parameters'))
        for row in rows:
            row.default = row.default or defaults.get(row.name, '')
    elif not any(row.about for row in rows) and kind != 'method':
        rows = []
    body = [prose(text), table(rows, known)]
    for name, part in parts.items():
        if name == 'Examples':
            body += ['**Example**', example(part)]
        elif name in ('Attributes', 'Returns', 'Yields', 'Raises', 'Warns'):
            body += [f'**{name}**', table(items(part), known, HEADS.get(name, 'name'))]
        else:
            body += [f'**{name}**', prose(part)]
    for method in methods:
        if ast.get_docstring(method) and not method.name.startswith('_'):
            body.append(explained(method, lines, 'method', known))
    inside = '\n\n'.join(part for part in body if part)
    return block(f'{{py:{kind}}} {node.name}({call})', *options, '', inside)

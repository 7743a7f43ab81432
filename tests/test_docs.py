"""Checks the documents: lengths, links, files, commands and flags that they name, and the table of faults.

Reads files only, and imports nothing of the project.
"""
import ast
import csv
import functools
import glob
import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORDS = {  # most words of each, counted as `wc -w` does, tables included
    'README.md': 1250, 'CONTRIBUTING.md': 250, 'CHANGELOG.md': 650, 'docs/architecture.md': 750,
    'docs/cluster.md': 1250, 'docs/own-data.md': 1300, 'docs/plan.md': 450, 'docs/predictions.md': 620,
    'docs/reliability.md': 1500,
    'docs/results.md': 1150, 'docs/speed.md': 820, 'benchmarks/results/README.md': 250}
DOCUMENTS = list(WORDS)
# Flags of other programs: sbatch, pip and make's variables, tensorboard.
FOREIGN_FLAGS = {'account', 'array', 'gpus-per-task', 'gres', 'logdir', 'nodes', 'ntasks-per-node'}
FAULT_COLUMNS = ['kind', 'what was done', 'what happens', 'what is lost', 'test']


@functools.lru_cache(None)
def text_of(name):
    with open(os.path.join(ROOT, name), encoding='utf-8') as file:
        return file.read()


def exists(name):
    return os.path.exists(os.path.join(ROOT, name))


def python_files():
    """Returns the paths, relative to ROOT, of the project's Python files."""
    paths = glob.glob(os.path.join(ROOT, '*.py'))
    for folder in ('fcn', 'nets', 'benchmarks', 'docs', 'tests'):
        paths += glob.glob(os.path.join(ROOT, folder, '**', '*.py'), recursive=True)
    return [os.path.relpath(path, ROOT) for path in paths]


def code_of(text):
    """Returns the code of a Markdown text: spans in backquotes and indented lines."""
    return re.findall(r'`([^`\n]+)`', text) + re.findall(r'^    (.+)$', text, re.MULTILINE)


def anchors_of(text):
    """Returns the anchors that GitHub gives to the headings of a Markdown text."""
    headings = re.findall(r'^#+ (.+)$', text, re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def names_in(path):
    """Returns what a Python file defines at its top: functions, classes, imported and assigned names, and __all__."""
    names = set()
    for node in ast.parse(text_of(path)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((alias.asname or alias.name).split('.')[0] for alias in node.names)
        elif isinstance(node, ast.Assign):
            targets = {target.id for target in node.targets if isinstance(target, ast.Name)}
            names |= targets | set(ast.literal_eval(node.value) if '__all__' in targets else [])
    return names


def module_path(module):
    """Returns the file of a module of the project, relative to ROOT, or None."""
    base = module.replace('.', '/')
    return next((path for path in (base + '.py', base + '/__init__.py') if exists(path)), None)


# ---- every document

@pytest.mark.parametrize('name', DOCUMENTS)
def test_length(name):
    assert len(text_of(name).split()) <= WORDS[name]


def test_every_document_has_a_length():
    found = glob.glob(os.path.join(ROOT, '*.md')) + glob.glob(os.path.join(ROOT, 'docs', '*.md'))
    found = {os.path.relpath(path, ROOT).replace(os.sep, '/') for path in found}
    assert found <= set(WORDS)


@pytest.mark.parametrize('name', DOCUMENTS)
def test_links(name):
    links = re.findall(r'\]\(([^)\s]+)\)', text_of(name))
    for link in links:
        if re.match(r'https?:', link):
            continue
        path, _, anchor = link.partition('#')
        target = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
        assert exists(target), link
        if anchor:
            assert anchor in anchors_of(text_of(target)), link


@pytest.mark.parametrize('name', [name for name in DOCUMENTS if name != 'CHANGELOG.md'])  # which may name what is gone
def test_files_that_are_named(name):
    pattern = (r'(?<![\w./$-])((?:benchmarks|docs|fcn|flags|nets|tests)/[\w./-]*\.(?:csv|flags|md|png|py|sh)'
               r'|[A-Z]\w+\.(?:md|py)|\w+FCN\.py|batch\w+\.sh|read_\w+\.py|requirements[\w-]*\.txt)')
    for code in code_of(text_of(name)):
        for path in re.findall(pattern, code):
            assert exists(path), path
    if name == 'benchmarks/results/README.md':
        named = re.findall(r'`(\w+\.csv)`', text_of(name))
        assert set(named) == {os.path.basename(path) for path in glob.glob(
            os.path.join(ROOT, 'benchmarks', 'results', '*.csv'))}


def test_commands_and_imports():
    modules = {}
    for name in DOCUMENTS:
        for code in code_of(text_of(name)):
            for module in re.findall(r'python -m (fcn[\w.]*)', code):
                modules.setdefault(module, name)
            for module, imported in re.findall(r'^from (fcn[\w.]*) import (\w+)', code):
                path = module_path(module)
                assert path and (imported in names_in(path) or module_path('%s.%s' % (module, imported))), code
            for target in re.findall(r'^make ([\w-]+)(?: |$)', code):
                assert re.search(r'^%s:' % target, text_of('Makefile'), re.MULTILINE), code
    assert modules
    for module, name in modules.items():
        assert module_path(module), '%s in %s' % (module, name)


def test_flags():
    source = '\n'.join(text_of(path) for path in python_files() if os.path.basename(path) != 'test_docs.py')
    defined = set(re.findall(r"DEFINE_\w+\(\s*'(\w+)'", source)) | set(re.findall(r"'--([\w-]+)'", source)) | {
        'flagfile', 'help'} | FOREIGN_FLAGS
    for name in DOCUMENTS:
        for code in code_of(text_of(name)):
            for flag in re.findall(r'(?<![\w-])--([a-z][\w-]*)', code):
                assert flag in defined or flag.startswith('no') and flag[2:] in defined, '--%s in %s' % (flag, name)


# ---- the table of faults

def faults():
    """Returns the rows of docs/reliability.csv as dicts."""
    with open(os.path.join(ROOT, 'docs', 'reliability.csv'), newline='', encoding='utf-8') as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert reader.fieldnames == FAULT_COLUMNS
    return rows


def test_every_fault_has_its_test():
    tests = set()
    for path in python_files():
        if os.path.basename(path).startswith('test_') and path.split(os.sep)[0] == 'tests':
            tests.update(node.name for node in ast.walk(ast.parse(text_of(path))) if isinstance(node, ast.FunctionDef))
    rows = faults()
    assert len(rows) >= 45
    for row in rows:
        assert all(row[column] for column in FAULT_COLUMNS) and None not in row, row
        for test in row['test'].split():
            assert test.startswith('test_') and test in tests, row


def test_every_kind_of_fault_is_a_row_of_the_document():
    table = text_of('docs/reliability.md').split('\n## The table\n')[1].split('\n## ')[0]
    lines = [line for line in table.splitlines() if line.startswith('|')]
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert rows[0] == ['kind', 'what happens', 'what is lost']
    assert all(len(row) == 3 and all(row) for row in rows)
    assert [row[0] for row in rows[2:]] == list(dict.fromkeys(row['kind'] for row in faults()))

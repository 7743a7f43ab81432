"""Holds the direction of the tree's imports, and what is free of TensorFlow and of absl.

Reads the source with ast, so that imports inside functions count too.
"""
import ast
import functools
import glob
import os
import subprocess
import sys

from conftest import ROOT

READERS = tuple(sorted(os.path.basename(path)[:-len('.py')] for path in glob.glob(os.path.join(ROOT, 'read_*.py'))))
# An import goes to a lower rank, or stays within one package; see docs/architecture.md.
RANKS = (
    ('fcn.utils',),
    ('TensorflowUtils',),
    ('nets', 'fcn.distributed', 'fcn.data'),
    ('BatchDatSetReader', 'fcn.config') + READERS,
    ('fcn.network', 'fcn.readers', 'fcn.runs'),
    ('fcn.inference',),
    ('fcn.reporting',),
    ('fcn.training',),
    ('inception_FCN', 'fcn.backbone', 'fcn.export', 'fcn.own_data', 'fcn.segmenter', 'fcn.starting_weights'))
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
SAME_RANK = {('read_ShapesData', 'read_PascalVocData')}  # Shapes are written and read in the layout of Pascal VOC
KNOWS_ABSL = {'inception_FCN', 'fcn.utils.command_line'}
WITHOUT_TENSORFLOW = ('fcn.utils', 'fcn.data', 'fcn.reporting', 'fcn.inference.metrics', 'fcn.inference.onnx_model')
DECODES_IN_TENSORFLOW = {'fcn.data.tensor_images'}  # modules of fcn.data that do, and are no part of the above

# Offenders of today. This set must become empty, and an entry that is no longer needed fails.
KNOWN = set()


@functools.lru_cache(None)
def modules():
    """Returns the tree's modules and packages as {dotted name: path}."""
    paths = glob.glob(os.path.join(ROOT, '*.py'))
    for folder in ('fcn', 'nets'):
        paths += glob.glob(os.path.join(ROOT, folder, '**', '*.py'), recursive=True)
    names = {path: os.path.relpath(path, ROOT)[:-len('.py')].replace(os.sep, '.') for path in paths}
    return {name[:-len('.__init__')] if name.endswith('.__init__') else name: path for path, name in names.items()}


@functools.lru_cache(None)
def imports(module):
    """Returns the dotted names that a module imports, anywhere in it: a module's where that is imported from one."""
    with open(modules()[module], encoding='utf-8') as file:
        tree = ast.parse(file.read())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{module}: the tree writes imports in full'
            full = {f'{node.module}.{alias.name}' for alias in node.names}
            found.update(name if name in modules() else node.module for name in full)
    return frozenset(found)


def unit(module):
    """Returns the entry of RANK that a module is or lies in, or None."""
    parts = module.split('.')
    prefixes = ('.'.join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in RANK), None)


def is_allowed(importer, imported):
    """Returns whether the ranks allow an import; a module without a rank is reported by itself."""
    upper, lower = unit(importer), unit(imported)
    return (upper is None or lower is None or upper == lower or RANK[lower] < RANK[upper]
            or (importer, imported) in SAME_RANK)


def offenders():
    """Yields a line for each rule that the tree does not follow."""
    for name in RANK:
        if name not in modules():
            yield f'{name} is not there'
    for module in modules():
        if module != 'fcn' and unit(module) is None:  # fcn/__init__.py loads what is asked for
            yield f'{module} has no rank'
        for imported in imports(module):
            if imported in modules() and not is_allowed(module, imported):
                yield f'{module} imports {imported}'
            if imported.split('.')[0] == 'absl' and module not in KNOWS_ABSL:
                yield f'{module} imports absl'


def circle_through(module, path=()):
    """Returns a list of modules that import each other in a circle, found from `module` on, or None."""
    if module in path:
        return list(path[path.index(module):]) + [module]
    for imported in sorted(imports(module) & set(modules())):
        circle = circle_through(imported, path + (module,))
        if circle:
            return circle
    return None


def test_imports_go_one_way():
    found = set(offenders())
    assert found - KNOWN == set()
    assert KNOWN - found == set(), 'no longer needed in KNOWN'


def test_no_modules_import_each_other_in_a_circle():
    for module in modules():
        assert circle_through(module) is None


def test_imports_are_found():
    """What the other tests rest on: imports in functions, of modules from packages, and of names from modules."""
    assert {'fcn.runs.checkpoints', 'TensorflowUtils', 'fcn.utils.errors'} <= imports('fcn.backbone')
    assert 'nets.inception_v3_fcn' in imports('fcn.runs.checkpoints')
    assert not is_allowed('fcn.utils.files', 'fcn.data.datasets') and is_allowed('fcn.data.datasets', 'fcn.utils.files')
    assert not is_allowed('fcn.data.datasets', 'fcn.distributed.workers')
    assert not is_allowed('fcn.own_data', 'fcn.backbone')


IMPORT_EACH = '''
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    loaded = [other for other in ('tensorflow', 'tf_slim') if other in sys.modules]
    assert not loaded, (name, loaded)
'''


def test_what_needs_no_tensorflow_does_not_load_it():
    names = [name for name in sorted(modules()) if name not in DECODES_IN_TENSORFLOW
             and any(name == prefix or name.startswith(prefix + '.') for prefix in WITHOUT_TENSORFLOW)]
    assert len(names) > 20
    names = ['fcn', 'fcn.segmenter', 'inception_FCN'] + names
    subprocess.run([sys.executable, '-c', IMPORT_EACH] + names, cwd=ROOT, check=True)


def test_one_module_asks_what_the_system_has():
    """What Linux alone has is asked for in fcn/utils/portable.py."""
    for module, path in modules().items():
        with open(path, encoding='utf-8') as file:
            text = file.read()
        if module != 'fcn.utils.portable':
            assert not {'fcntl', 'resource', 'msvcrt'} & imports(module), module
            assert 'sched_getaffinity' not in text and 'signal.SIGUSR' not in text, module


def test_tests_mirror_the_folders():
    packages = [name for name, path in modules().items() if os.path.basename(path) == '__init__.py' and name != 'fcn']
    assert len(packages) > 8
    for name in packages:
        folder = name.split('.', 1)[1] if name.startswith('fcn.') else name
        assert glob.glob(os.path.join(ROOT, 'tests', *folder.split('.'), 'test_*.py')), f'tests of {name}'

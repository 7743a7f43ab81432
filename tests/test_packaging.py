"""pyproject.toml: pip install gives all that the program needs, from any folder, and asks for what the tests run on."""
import glob
import os
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from pip._vendor.packaging.requirements import Requirement

from conftest import ROOT
from fcn.utils import command_line
from fcn.utils.errors import EXIT_FLAG, EXIT_INPUT

try:
    import tomllib
except ImportError:  # before Python 3.11
    from pip._vendor import tomli as tomllib

LISTS = ('requirements.txt', 'requirements-gpu.txt', 'requirements-test.txt')
PYTHONS = ('3.7', '3.10', '3.11', '3.12', '3.13')
WITHOUT_PIN = {'tf2onnx', 'onnx', 'onnxruntime', 'imageio-ffmpeg'}  # optional; the lists need not have them


def metadata():
    with open(os.path.join(ROOT, 'pyproject.toml'), encoding='utf-8') as file:
        return tomllib.loads(file.read())


def normal(name):
    return re.sub(r'[-_.]+', '-', name).lower()


def holding(texts, python):
    """{name: requirement} of those whose markers hold of a Python version."""
    found = (Requirement(text) for text in texts)
    return {normal(one.name): one for one in found
            if one.marker is None or one.marker.evaluate({'python_version': python, 'extra': ''})}


def pins(python, lists=LISTS):
    lines = []
    for name in lists:
        with open(os.path.join(ROOT, name)) as file:
            lines += [line.strip() for line in file if not re.match(r'\s*(#|-r|$)', line)]
    return holding(lines, python)


def test_names_of_the_installed_commands():
    assert list(metadata()['project']['scripts']) == list(command_line.INSTALLED)


@pytest.mark.parametrize('python', PYTHONS)
def test_what_the_tests_run_on_lies_in_the_ranges(python):
    project = metadata()['project']
    wanted = holding(project['dependencies'], python)
    optional = holding(sum(project['optional-dependencies'].values(), []), python)
    pinned = pins(python)
    assert set(pinned) <= set(wanted) | set(optional)
    assert (set(wanted) | set(optional)) - set(pinned) <= WITHOUT_PIN
    assert set(wanted) <= set(pins(python, LISTS[:1]))
    for name, one in pinned.items():
        version, = re.findall('==(.*)', str(one.specifier))
        assert version in {**optional, **wanted}[name].specifier, name


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of what the distribution is built of: building writes into it."""
    folder = str(tmp_path_factory.mktemp('source'))
    for path in glob.glob(os.path.join(ROOT, '*.py')) + [
            os.path.join(ROOT, name) for name in ('pyproject.toml', 'README.md')]:
        shutil.copy(path, folder)
    for name in ('fcn', 'nets', 'flags'):
        shutil.copytree(os.path.join(ROOT, name), os.path.join(folder, name),
                        ignore=shutil.ignore_patterns('__pycache__'))
    return folder


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory):
    """Path of the wheel."""
    version = subprocess.run([sys.executable, '-c', 'import wheel, setuptools; print(setuptools.__version__)'],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True).stdout.strip()
    if not version or int(version.split('.')[0]) < 61:
        pytest.skip(f'needs setuptools from 61 on, and wheel, which pip would download; here is {version or "none"}')
    folder = str(tmp_path_factory.mktemp('wheel'))
    pip('wheel', '--no-deps', '--no-build-isolation', '--no-index', '--wheel-dir', folder, source)
    path, = glob.glob(os.path.join(folder, '*.whl'))
    return path


def pip(*arguments):
    done = subprocess.run([sys.executable, '-m', 'pip', '--disable-pip-version-check'] + list(arguments),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    assert done.returncode == 0, done.stdout


def test_every_file_is_in_the_wheel(wheel, source):
    wanted = {os.path.relpath(path, source).replace(os.sep, '/')
              for path in glob.glob(os.path.join(source, '**'), recursive=True) if os.path.isfile(path)}
    wanted = {re.sub('^flags/', 'fcn/flags/', path) for path in wanted
              if not re.match(r'build/|[\w-]+\.egg-info/|pyproject.toml|README.md', path)}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if '.dist-info/' not in name}
    assert found == wanted and len([name for name in found if not name.endswith('.py')]) > 5


def test_installed_commands_work_from_another_folder(wheel, tmp_path):
    site, work = tmp_path / 'site', tmp_path / 'work'
    work.mkdir()
    pip('install', '--no-deps', '--no-index', '--target', str(site), wheel)

    def run(*arguments):
        done = subprocess.run(arguments, cwd=str(work), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, env=dict(os.environ, PYTHONPATH=str(site)))
        return done.returncode, done.stdout + done.stderr

    program, own_data = (str(site / 'bin' / name) for name in ('fcn-googlenet', 'fcn-own-data'))
    status, said = run(program, '--flagfile=flags/camvid.flags', '--mode=check', '--data_dir=absent')
    assert status == EXIT_INPUT and said.startswith('inception_FCN.py: There is no folder --data_dir=absent'), said
    assert run(program, '--flagfile=flags/none.flags')[0] == EXIT_FLAG
    status, said = run(program, '--help')
    assert status == 0 and '    fcn-googlenet --mode=plan ' in said and command_line.SCRIPT not in said
    status, said = run(own_data, '--images=absent', '--masks=absent', '--out=out')
    assert status == EXIT_INPUT and said.startswith('fcn.own_data: ') and said.count('\n') == 1, said
    for folder in 'images', 'masks':
        (work / folder).mkdir()
        for number in range(2):
            pixels = np.random.RandomState(number).randint(0, 2, (80, 80)).astype('uint8')
            Image.fromarray(pixels).save(str(work / folder / ('%d.png' % number)))
    (work / 'names.txt').write_text('ground\nship\n')
    status, said = run(own_data, '--images=images', '--masks=masks', '--class_names=names.txt', '--out=out')
    assert status == 0 and '    fcn-googlenet --mode=check --data_dir=out ' in said, said
    assert command_line.SCRIPT not in said
    status, said = run(sys.executable, '-c', 'import fcn, sys; print(fcn.__file__, "tensorflow" in sys.modules, '
                       '"Segmenter" in dir(fcn)); from fcn import InputError, Segmenter; Segmenter("absent")')
    assert said.startswith(f'{site}{os.sep}fcn{os.sep}__init__.py False True\n') and status == 1, said
    assert 'InputError: There is no model absent.' in said.splitlines()[-1]


def test_flag_files_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    expand = command_line.with_flag_files
    for arguments in (['--flagfile=flags/demo.flags'], ['-flagfile=flags/demo.flags'],
                      ['--flagfile', 'flags/demo.flags']):
        assert '--dataset=shapes' in expand(arguments)
    assert {'--dataset=camvid', '--skip_layers=4s'} <= set(expand(['--flagfile=flags/camvid.flags']))
    for other in ('--flagfile=flags/none.flags', '--flagfile=demo.flags', '--flagfile=other/flags/demo.flags'):
        assert expand([other]) == [other], "left to absl, which says that it isn't there"
    assert expand(['--', '--flagfile=flags/demo.flags']) == ['--', '--flagfile=flags/demo.flags']
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'deep').write_text('--seed=1\n--flagfile=~/mine\n--seed=2\n')
    (tmp_path / 'mine').write_text('--flagfile=flags/demo.flags\n--batch_size=2\n')
    flags = expand(['--flagfile=deep'])
    assert flags[:2] == ['--seed=1', '--dataset=shapes'] and flags[-2:] == ['--batch_size=2', '--seed=2']
    (tmp_path / 'flags').mkdir()
    (tmp_path / 'flags' / 'demo.flags').write_text('--seed=7\n')
    assert expand(['--flagfile=flags/demo.flags']) == ['--seed=7'], "the user's own goes before"

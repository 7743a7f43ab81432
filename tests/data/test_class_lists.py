"""fcn/data/class_lists.py: the lists of class names that people and other tools write."""
import pytest

from fcn.data import datasets
from small_files import raises, write

ANIMALS = ['background', 'cat', 'dog']


def names_of(tmp_path, text, encoding='utf-8'):
    write(tmp_path / 'names.txt', text.encode(encoding))
    return datasets.read_class_names(str(tmp_path / 'names.txt'))


@pytest.mark.parametrize('text', [
    '__ignore__\nbackground\ncat\ndog\n',  # labelme, whose first is its label -1
    '# classes\n\nbackground\ncat\n\n# more\ndog\n', '// classes\nbackground\ncat\n; more\ndog\n',
    'Pixel Value, Class\n0, background\n1, cat\n2, dog\n',  # Roboflow's _classes.csv
    'id;name\n0;background\n2;dog\n1;cat\n', 'Wert\tKlasse\n0\tbackground\n1\tcat\n2\tdog\n',
    '0 background\n2 dog\n1 cat\n', '2: dog\r\n0: background\r\n1: cat\r\n', '"0","background"\n"1","cat"\n"2","dog"\n',
    '0\tbackground\n1\tcat\n2\tdog', '0) background\n1) cat\n2) dog\n', 'names:\n  0: background\n  1: cat\n  2: dog\n',
    '# id name\n0 background\n\n1 cat\n2 dog\n', '-1 void\n0 background\n1 cat\n2 dog\n255 void\n',
    '__ignore__\n0 background\n1 cat\n2 dog\n', '0 background\n1 cat\n1 cat\n2 dog\n',
    'class,id\ndog,2\nbackground,0\ncat,1\n', 'background: 0\ncat: 1\ndog: 2\n',
    'id,name,r,g,b\n0,background,0,0,0\n1,cat,128,0,0\n2,dog,0,128,0\n', '0,background,0\n1,cat,7\n2,dog,9\n',
    'id,color,name\n0,#000000,background\n1,#ff0000,cat\n2,#00ff00,dog\n',
    'names:\n- background\n- cat\n- dog\n', 'nc: 3\nnames:\n  - background\n  - "cat"\n  - dog\npath: x\n',
    '- background\n- cat\n- dog\n', 'nc: 3\nnames: [background, cat, "dog"]\n', '["background", "cat",\n"dog"]\n',
    'names:\n[\n"background",\n"cat",\n"dog"\n]\n',
    'path: coco8 # root\ntrain: images/train\nval: images/val\ntest: # optional\n\n# Classes\nnames:\n  0: background\n'
    '  1: "cat"\n\n  2: dog\nnc: 3\ndownload: https://x/y.zip\n',  # Ultralytics' data.yaml
    'names:\n0: background\n1: cat\n2 dog\n', 'labels:\n0: background\n1, cat\n2. dog\n---\n',
    'path: x\nnames: {0: background, 2: "dog", 1: cat}\nnc: 3\n',
    'train: a\nval: b\nnames:\n- background\n- cat\n- dog\n',
    'names: [background, cat, dog]\ndownload:\n  - url: x\n    file: y\n',
    'names:\n  0: background\n  1: cat\n  2: dog\naugment:\n  - name: flip\n    p: 0.5\n',
    'background,\ncat,\ndog\n', '"background",\n"cat",\n"dog",\n', "'background'\n'cat'\n'dog'\n",
    'background # of all images\ncat\ndog # and wolf\n'])
def test_lists_of_other_tools(tmp_path, text):
    for encoding in ('utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be'):
        assert names_of(tmp_path, text, encoding) == ANIMALS


@pytest.mark.parametrize('names', [
    ['background', '3 wheeler', '4 wheeler'], ['1 euro', '2 euro', '5 euro'], ['class 0', 'class 1'], ['0', '1', '2'],
    ['road', 'no. 1'], ['_background_', 'cat'], ['label', 'cap', 'bottle'], ['3D print', '2-wheeler'],
    ['chair, armchair', 'wall'], ['traffic light: red', 'traffic light: green'], ['1.5 m', '2.5 m'],
    ['name: one', 'name: two'], ['road', '__ignore__'], ['void', 'road', 'sky'], ['background', '1 euro', '2 euro']])
def test_names_that_only_look_numbered(tmp_path, names):
    assert names_of(tmp_path, '\n'.join(names)) == names


@pytest.mark.parametrize('text', [
    'names: ["wall", "building, edifice", "driver\'s cab", sky]',
    '[\n"wall",\n"building, edifice",\n"driver\'s cab",\nsky]',
    "names: {0: wall, 3: sky, 1: 'building, edifice', 2: driver's cab}"])
def test_commas_within_quotes_are_of_the_name(tmp_path, text):
    assert names_of(tmp_path, text) == ['wall', 'building, edifice', "driver's cab", 'sky']


@pytest.mark.parametrize('heading', ['name', '"name"', 'Class Name', 'class_name,', 'classes', 'Category'])
def test_heading_of_a_column(tmp_path, capsys, heading):
    names = ['"%s"' % name for name in ANIMALS] if '"' in heading else ANIMALS
    assert names_of(tmp_path, '\n'.join([heading] + names)) == ANIMALS
    assert 'names.txt, "%s", is taken for a heading' % heading in capsys.readouterr().out


@pytest.mark.parametrize('text', ['["class", "cat", "dog"]', 'names: [class, cat, dog]', '- class\n- cat\n- dog'])
def test_lists_without_columns_have_no_heading(tmp_path, text):
    assert names_of(tmp_path, text) == ['class', 'cat', 'dog']


def test_gaps_and_a_start_above_0(tmp_path, capsys):
    assert names_of(tmp_path, '1: cat\n4: dog\n') == ['class 0', 'cat', 'class 2', 'class 3', 'dog']
    assert 'names.txt names no class of the labels 0, 2, 3, which are called class 0' in capsys.readouterr().out


@pytest.mark.parametrize('text, words', [
    ('0 road\n1 sky\n1 car\n', ['the label 1 two names', 'line 2 is "1 sky"', 'line 3 is "1 car"']),
    ('id,name\n0,road\n\n0,sky\n', ['the label 0 two names', 'line 2 is "0,road"', 'line 4 is "0,sky"']),
    ('0: road\n1: sky\ncar\n', ['line 1 is "0: road"', 'line 3 is "car"', 'Number all']),
    ('0: road\n1:\n', ['no name in line 2']), ('0: road\n300: sky\n', ['the label 300 in line 2']),
    ('0: road\n255: person\n', ['the label 255 in line 2', '255 is void']),
    ('-2: a\n0: b\n', ['the label -2 in line 1']),
    ('__ignore__\nroad\n', ['names 1 classes']), ('# road\n# sky\n', ['names 0 classes']),
    ('-1: void\n0: road\n', ['names 1 classes']),
    ('name\ncat\n', ['names 1 classes behind the heading "name"']), ('# a\nroad\n\nsky\n', ['line 3 is empty']),
    ('names:\nroad\nsky\n', ['"names:" in line 1', 'no list of names behind it']),
    ('path: x\nnames:\n  0: road\n  0: sky\n', ['the label 0 two names']),
    ('path: x\nnames:\n  0: road\n  1: sky\n  car\n', ['"names:" in line 2', 'no list of names behind it']),
    ('path: x\nnames:\n- road\n- sky\ncar\n', ['"names:" in line 2', 'no list of names behind it']),
    ('path: x\nnames:\n  0: road\nnc: 1\n', ['names 1 classes']),
    ('name,r,g,b\nroad,1,2,3\nsky,4,5,6\n', ['table of colours', 'line 2', '--colours']),
    ('name,color\nroad,#804080\nsky,#4682b4\n', ['table of colours', 'line 2 is "road,#804080"']),
    ('road: "#804080"\nsky: "#4682b4"\n', ['table of colours']),
    ('class,id,color\nsky,1,#4682b4\nroad,0,#804080\n', ['table of colours', 'line 2']),
    ('1 2 3 road\n4 5 6 sky\n', ['table of colours']), ('road:1,2,3::\nsky:4,5,6::\n', ['table of colours'])])
def test_contradictions_are_refused_with_their_lines(tmp_path, text, words):
    with raises(tmp_path / 'names.txt', *words):
        names_of(tmp_path, text)


def test_lines_that_a_run_took_for_names(tmp_path):
    path = str(tmp_path / 'names.txt')
    names_of(tmp_path, '__ignore__\n0: cat\n1: dog\n2: cow\n')
    assert datasets.are_lines_of(path, ['__ignore__', '0: cat', '1: dog', '2: cow'])
    assert not datasets.are_lines_of(path, ['cat', 'dog', 'cow'])


def test_classes_of_one_name_are_told_apart(tmp_path, capsys):
    write(tmp_path / 'names.txt', b'road\nunused\ncar\nunused\nignore\nignore\n')
    names = datasets.read_class_names(str(tmp_path / 'names.txt'))
    assert names == ['road', 'unused (label 1)', 'car', 'unused (label 3)', 'ignore', 'ignore']
    assert 'gives several classes the name unused; their labels are added to it' in capsys.readouterr().out
    assert datasets.find_ignored(names, None) == [4, 5]
    old = ['road', 'unused', 'car', 'unused', 'ignore', 'ignore']
    assert datasets.are_lines_of(str(tmp_path / 'names.txt'), old), 'a run that was begun with them keeps them'


@pytest.mark.parametrize('text', ['item {\n  id: 1\n  name: "cat"\n}\nitem {\n  id: 2\n  name: "dog"\n}\n',
                                  '{\n"1": "cat",\n"2": "dog"\n}\n', '- id: 0\n  name: cat\n- id: 1\n  name: dog\n',
                                  'names:\n  - id: 0\n    name: cat\n  - id: 1\n    name: dog\n'])
def test_nested_data_is_refused(tmp_path, text):
    with raises('names.txt', 'nested data', 'one class name a line'):
        names_of(tmp_path, text)


def test_void_and_one_class(tmp_path):
    names = names_of(tmp_path, 'void\nobject\n')
    with raises('Beside void', '--allow_one_class'):
        datasets.find_ignored(names, None)
    assert datasets.find_ignored(names, None, allow_one_class=True) == [0]

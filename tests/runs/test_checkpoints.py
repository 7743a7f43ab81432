"""Checkpoints: found wherever a user has them, matched by name and shape, damaged ones passed over."""
import errno
import os
import tarfile

import numpy as np
import pytest

from fcn.runs import checkpoints
from fcn.utils.errors import Diverged, InputError
from TensorflowUtils import tf


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def variable(name, shape, value=0.0):
    return tf.get_variable(name, shape, initializer=tf.constant_initializer(value))


def save(path, version=tf.train.SaverDef.V2, **shapes):
    """Writes a checkpoint of variables filled with 7."""
    with tf.Graph().as_default(), tf.Session() as session:
        for name, shape in shapes.items():
            variable(name, shape, 7.0)
        session.run(tf.global_variables_initializer())
        return tf.train.Saver(write_version=version).save(session, str(path), write_meta_graph=False)


def test_found_by_prefix_folder_and_archive(tmp_path):
    prefix = save(tmp_path / 'inception_v3.ckpt', a=[2])
    assert checkpoints.find(prefix) == prefix
    assert checkpoints.find(str(tmp_path)) == prefix
    os.remove(str(tmp_path / 'checkpoint'))  # as in slim's archives
    assert checkpoints.find(str(tmp_path)) == prefix
    archive = tmp_path / 'inception_v3_2016_08_28.tar.gz'
    with tarfile.open(str(archive), 'w:gz') as bundle:
        for name in os.listdir(str(tmp_path)):
            if name.startswith('inception_v3.ckpt'):
                bundle.add(str(tmp_path / name), arcname=name)
    found = checkpoints.find(str(archive))
    assert found == str(tmp_path / 'inception_v3_2016_08_28' / 'inception_v3.ckpt')
    assert tf.train.load_variable(found, 'a').tolist() == [7, 7]


def test_one_file_format_of_2016_is_found_and_restored(tmp_path, session):
    """The published inception_v3.ckpt is one file, in the format before TensorFlow 1.0."""
    save(tmp_path / 'inception_v3.ckpt', version=tf.train.SaverDef.V1, a=[2])
    assert not (tmp_path / 'inception_v3.ckpt.index').exists()
    found = checkpoints.find(str(tmp_path / 'inception_v3.ckpt'))
    one = variable('a', [2])
    report, restore = checkpoints.warm_start(found, [one])
    session.run(tf.global_variables_initializer())
    restore(session)
    assert report.loaded == ['a'] and session.run(one).tolist() == [7, 7]


@pytest.mark.parametrize('make, words', [
    (lambda folder: os.path.join(folder, 'absent.ckpt'), 'There is no checkpoint'),
    (lambda folder: folder, 'holds no checkpoint'),
    (lambda folder: os.path.join(folder, 'absent.tar.gz'), 'There is no file')])
def test_what_is_not_there_is_said(tmp_path, make, words):
    with pytest.raises(InputError, match=words):
        checkpoints.find(make(str(tmp_path)))


@pytest.mark.parametrize('ending', ['.index', '.data-00000-of-00001', '.meta'])
def test_found_by_a_file_of_it(tmp_path, ending):
    prefix = save(tmp_path / 'w.ckpt-3', a=[2])
    (tmp_path / 'w.ckpt-3.meta').write_bytes(b'')
    assert checkpoints.find(prefix + ending) == checkpoints.named(prefix + ending) == prefix


def test_found_by_the_list_of_checkpoints(tmp_path):
    save(tmp_path / 'one' / 'older.ckpt', a=[2])
    prefix = save(tmp_path / 'one' / 'newer.ckpt', a=[2])
    assert checkpoints.find(str(tmp_path / 'one' / 'checkpoint')) == prefix
    (tmp_path / 'one' / 'checkpoint').rename(tmp_path / 'one' / 'list')
    os.rename(str(tmp_path / 'one'), str(tmp_path / 'two'))
    assert checkpoints.find(str(tmp_path / 'two' / 'list')) == str(tmp_path / 'two' / 'newer.ckpt')


@pytest.mark.parametrize('start, words', [
    (b'\x89HDF\r\n\x1a\n', 'cannot be read'), (b'PK\x03\x04', 'is a zip archive, as Keras and PyTorch'),
    (b'\x80\x02\x8a\n', 'is a pickle')])
@pytest.mark.parametrize('name', ['model.h5', 'model.ckpt', 'weights.keras'])
def test_file_of_another_program_is_named(tmp_path, start, words, name):
    (tmp_path / name).write_bytes(start + b'\0' * 999)
    with pytest.raises(InputError, match=f'{name} {words}'):
        checkpoints.find(str(tmp_path / name))


def test_parts_of_checkpoints_are_named(tmp_path):
    prefix = save(tmp_path / 'w.ckpt', a=[2])
    os.rename(prefix + '.index', str(tmp_path / 'renamed'))
    with pytest.raises(InputError, match='renamed is the index of a checkpoint, under another name'):
        checkpoints.find(str(tmp_path / 'renamed'))
    with pytest.raises(InputError, match='00001 is a part of a checkpoint whose index, .*w.ckpt.index, is not there'):
        checkpoints.find(prefix + '.data-00000-of-00001')


def test_several_checkpoints_in_a_folder_want_a_choice(tmp_path):
    save(tmp_path / 'one.ckpt', a=[2])
    save(tmp_path / 'two.ckpt', a=[2])
    os.remove(str(tmp_path / 'checkpoint'))
    with pytest.raises(InputError, match='one.ckpt, two.ckpt'):
        checkpoints.find(str(tmp_path))


def test_warm_start_takes_what_fits_and_reports_the_rest(tmp_path, session):
    prefix = save(tmp_path / 'w.ckpt', fits=[2, 3], shaped=[4], skipped=[1], only_there=[5])
    ours = [variable('fits', [2, 3]), variable('shaped', [3]), variable('skipped', [1]), variable('only_here', [2])]
    report, restore = checkpoints.warm_start(prefix, ours, exclude_scopes=['skipped'])
    session.run(tf.global_variables_initializer())
    restore(session)
    assert report.loaded == ['fits'] and report.missing == ['only_here'] and report.excluded == ['skipped']
    assert report.mismatched == [('shaped', [3], [4])] and report.unused == 1
    assert [float(session.run(one).max()) for one in ours] == [7, 0, 0, 0]
    text = '\n'.join(checkpoints.report_lines(report, ours))
    assert 'shaped: [3] here, [4] there' in text and 'only_here (1)' in text


def test_warm_start_that_matches_nothing_is_an_error(tmp_path, session):
    prefix = save(tmp_path / 'w.ckpt', theirs=[2])
    with pytest.raises(InputError, match='matches nothing'):
        checkpoints.warm_start(prefix, [variable('ours', [2])])


def test_restore_wants_every_variable_and_all_or_none_of_the_optimizer(tmp_path, session):
    prefix = save(tmp_path / 'model.ckpt-3', a=[2], slot=[2])
    a, slot, new = variable('a', [2]), variable('slot', [2]), variable('new_slot', [2])
    session.run(tf.global_variables_initializer())
    assert not checkpoints.restore(session, prefix, [a], [slot, new])
    assert [one.tolist() for one in session.run([a, slot])] == [[7, 7], [0, 0]]
    assert checkpoints.restore(session, prefix, [a], [slot])
    assert session.run(slot).tolist() == [7, 7]
    with pytest.raises(InputError, match='new_slot is .2. in the network and absent in the checkpoint'):
        checkpoints.restore(session, prefix, [a, new])


def test_saved_as_tensorflow_saves(tmp_path, session):
    """In one operation for all variables: their number is felt where a command starts."""
    values = {'a': np.float32([1, 2]), 'b/c': np.float32([[3]]), 'global_step': np.int64(7)}
    variables = [tf.get_variable(name, initializer=value) for name, value in values.items()]
    session.run(tf.global_variables_initializer())
    before = len(session.graph.get_operations())
    saver = checkpoints.Saver(variables[::-1])
    assert len(session.graph.get_operations()) - before < 6
    prefix = checkpoints.save(saver, session, str(tmp_path), 7, keep=1)
    expected = tf.train.Saver().save(session, str(tmp_path / 'tensorflows'), write_meta_graph=False)
    for part in ('.index', '.data-00000-of-00001'):
        assert open(prefix + part, 'rb').read() == open(expected + part, 'rb').read()  # noqa: SIM115


@pytest.mark.parametrize('bad', [np.nan, np.inf])
@pytest.mark.parametrize('shape', [[], [3], [2, 1]])
def test_what_is_not_finite_is_not_saved(tmp_path, session, bad, shape):
    others = [variable('kernel', [2, 2], 1.0), variable('scale', [], 1.0), variable('good', [2], 1.0)]
    one = variable('bad', shape, 1.0)
    saver = checkpoints.Saver(others + [one], checkpoints.finite_check(others + [one]))
    session.run(tf.global_variables_initializer())
    checkpoints.save(saver, session, str(tmp_path), 1, keep=1)
    session.run(one.assign(np.full(shape, bad, 'float32')))
    with pytest.raises(Diverged, match='After step 2 the variable bad is not finite'):
        checkpoints.save(saver, session, str(tmp_path), 2, keep=1)
    assert sorted(os.listdir(str(tmp_path))) == ['checkpoint', 'model.ckpt-1.data-00000-of-00001', 'model.ckpt-1.index']


def test_newest_is_by_step_and_damaged_ones_are_passed_over(tmp_path, capsys):
    for step in (5, 10, 100):
        save(tmp_path / ('model.ckpt-%d' % step), a=[1000])
    assert checkpoints.latest(str(tmp_path)).endswith('model.ckpt-100')
    assert checkpoints.step_of(checkpoints.latest(str(tmp_path))) == 100
    data = tmp_path / 'model.ckpt-100.data-00000-of-00001'
    content = bytearray(data.read_bytes())
    content[2000] ^= 255
    data.write_bytes(bytes(content))
    (tmp_path / 'model.ckpt-10.index').write_bytes(b'')
    assert checkpoints.newest_intact(str(tmp_path)).endswith('model.ckpt-5')
    said = capsys.readouterr().out
    assert 'model.ckpt-100 is damaged' in said and 'model.ckpt-10 is damaged' in said
    assert checkpoints.newest_intact(str(tmp_path / 'empty')) is None
    (tmp_path / 'model.ckpt-5.index').write_bytes(b'')
    with pytest.raises(InputError, match='All checkpoints in .* are damaged'):
        checkpoints.newest_intact(str(tmp_path))


def test_damaged_ones_are_set_aside_with_all_they_hold(tmp_path):
    for step in (5, 10):
        save(tmp_path / ('model.ckpt-%d' % step), a=[1000])
    (tmp_path / 'model.ckpt-10.index').write_bytes(b'cut')
    data = (tmp_path / 'model.ckpt-10.data-00000-of-00001').read_bytes()
    assert checkpoints.newest_intact(str(tmp_path), set_aside=True).endswith('model.ckpt-5')
    assert checkpoints.latest(str(tmp_path)).endswith('model.ckpt-5')
    assert (tmp_path / 'damaged-model.ckpt-10.index').read_bytes() == b'cut'
    assert (tmp_path / 'damaged-model.ckpt-10.data-00000-of-00001').read_bytes() == data


@pytest.mark.parametrize('number', [errno.EACCES, errno.EMFILE, errno.ENOMEM, errno.EIO])
@pytest.mark.parametrize('part', ['.index', '.data-00000-of-00001'])
def test_a_checkpoint_that_cannot_be_read_is_not_damaged(tmp_path, monkeypatch, number, part):
    """It may be whole: an older one in its place would have it deleted by the next save."""
    for step in (5, 10):
        save(tmp_path / ('model.ckpt-%d' % step), a=[1000])
    before = sorted(os.listdir(str(tmp_path)))

    def refuse(path, *arguments, **more):
        if path.endswith('10' + part):
            raise OSError(number, os.strerror(number))
        return open(path, *arguments, **more)
    monkeypatch.setattr(checkpoints, 'open', refuse, raising=False)
    with pytest.raises(InputError, match='model.ckpt-10%s cannot be read: %s' % (part, os.strerror(number))):
        checkpoints.newest_intact(str(tmp_path), set_aside=True)
    assert sorted(os.listdir(str(tmp_path))) == before


@pytest.mark.parametrize('text', ['', '{}', '[]', '{"step": 7, "validation_mean_iou": NaN}', '{"step": "x"}',
                                  '[' * 9999, '{"step": 8, "validation_mean_iou": 0.5}'])
def test_score_of_the_best(tmp_path, text):
    save(tmp_path / 'model.ckpt-7', a=[10])
    assert checkpoints.read_score(str(tmp_path)) is None
    checkpoints.write_score(str(tmp_path), 7, 0.25)
    assert checkpoints.read_score(str(tmp_path)) == (0.25, 7)
    (tmp_path / 'score.json').write_text(text)
    assert checkpoints.read_score(str(tmp_path)) is None


def test_a_damaged_checkpoint_that_was_named_is_said(tmp_path, session):
    prefix = save(tmp_path / 'w.ckpt', a=[1000])
    data = tmp_path / 'w.ckpt.data-00000-of-00001'
    data.write_bytes(data.read_bytes()[:100])
    one = variable('a', [1000])
    session.run(tf.global_variables_initializer())
    with pytest.raises(InputError, match='damaged|cannot be read'):
        checkpoints.restore(session, prefix, [one])
    assert np.all(session.run(one) == 0)


def test_damaged_starting_weights_are_an_error_of_the_input(tmp_path, session):
    prefix = save(tmp_path / 'w.ckpt', a=[1000])
    _, restore = checkpoints.warm_start(prefix, [variable('a', [1000])])
    data = tmp_path / 'w.ckpt.data-00000-of-00001'
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(InputError, match='w.ckpt cannot be restored.*get them again'):
        restore(session)
    for step in (5, 10):
        save(tmp_path / 'run' / ('model.ckpt-%d' % step), a=[1000])
    (tmp_path / 'run' / 'model.ckpt-10.data-00000-of-00001').write_bytes(b'')
    assert checkpoints.find(str(tmp_path / 'run')).endswith('model.ckpt-5'), 'the newest that is whole'


def test_index_without_its_numbers(tmp_path):
    (tmp_path / 'w.ckpt.index').write_bytes(b'x' * 100)
    with pytest.raises(InputError, match='has an index but no numbers.*Copy both'):
        checkpoints.find(str(tmp_path / 'w.ckpt'))


def test_name_that_tensorflow_takes_for_a_pattern(tmp_path, session):
    (tmp_path / 'plain').mkdir()
    save(tmp_path / 'plain' / 'model.ckpt-3', a=[2])
    os.rename(str(tmp_path / 'plain'), str(tmp_path / 'lr[0.1]'))
    folder = str(tmp_path / 'lr[0.1]')
    for use in checkpoints.newest_intact, lambda path: checkpoints.open_reader(checkpoints.find(path)):
        with pytest.raises(InputError, match='Rename it'):
            use(folder)
    assert checkpoints.newest_intact(str(tmp_path / 'none[1]')) is None


def test_checkpoint_that_is_replaced_while_it_is_looked_for(tmp_path, monkeypatch):
    save(tmp_path / 'model.ckpt-3', a=[2])
    open_reader = checkpoints.open_reader

    def replaced(prefix):
        if prefix.endswith('-3'):
            for name in ('model.ckpt-3.index', 'model.ckpt-3.data-00000-of-00001'):
                os.rename(str(tmp_path / name), str(tmp_path / name.replace('-3', '-4')))
        return open_reader(prefix)
    monkeypatch.setattr(checkpoints, 'open_reader', replaced)
    assert checkpoints.newest_intact(str(tmp_path), set_aside=True) == str(tmp_path / 'model.ckpt-4')
    assert sorted(os.listdir(str(tmp_path))) == [
        'checkpoint', 'model.ckpt-4.data-00000-of-00001', 'model.ckpt-4.index']

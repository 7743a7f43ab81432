"""fcn/backbone.py: what it writes restores into slim's own InceptionV3 and gives the features of this program's."""
import os
import shutil

import numpy as np
import pytest

from conftest import network_config
from fcn import backbone
from fcn.config import RunConfig, write_run_config
from fcn.network import builder
from fcn.runs import checkpoints
from fcn.utils.errors import EXIT_FLAG, EXIT_INPUT
from nets import inception_v3_fcn, inception_v3_layers
from TensorflowUtils import inception_v3, slim, tf

CONFIG = network_config(num_classes=3)
IMAGE = np.random.RandomState(0).randint(0, 256, (1, 96, 112, 3)).astype('uint8')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """(folder of a run at step 7, its network's Mixed_7c on IMAGE), with moving statistics as training leaves them."""
    folder = str(tmp_path_factory.mktemp('run'))
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        _, _, end_points = builder.build(tf.constant(IMAGE), CONFIG, False)
        step = tf.train.get_or_create_global_step()
        slot = tf.get_variable('InceptionV3/Conv2d_1a_3x3/weights/Adam', [3, 3, 3, 32])
        session.run(tf.global_variables_initializer())
        random = np.random.RandomState(2)
        moving = [variable for variable in tf.model_variables() if '/moving_' in variable.op.name]
        session.run([variable.assign(random.uniform(0.5, 1.5, variable.shape.as_list())
                                     - ('moving_mean' in variable.op.name)) for variable in moving])
        checkpoints.save(checkpoints.Saver(tf.model_variables() + [step, slot]), session, folder, 7, 5)
        return folder, session.run(end_points['Mixed_7c'])


@pytest.fixture(scope='module')
def written(trained, tmp_path_factory):
    """(prefix that the command wrote, its exit status)."""
    out = str(tmp_path_factory.mktemp('out') / 'new' / 'inception_v3.ckpt')
    return out, backbone.main(['--checkpoint=' + trained[0], '--out=' + out])


def test_slims_own_network_restores_whole_and_sees_the_same(trained, written):
    out, status = written
    assert status == 0
    with tf.Graph().as_default(), tf.Session() as session:
        # slim's defaults but one: its collection of updates takes a path that TensorFlow 2.15 and later no longer have
        with slim.arg_scope(inception_v3.inception_v3_arg_scope(updates_collections='updates')), \
                slim.arg_scope([slim.batch_norm], is_training=False):
            net, _ = inception_v3.inception_v3_base(inception_v3_fcn.scale_images(tf.constant(IMAGE)))
        variables = slim.get_model_variables('InceptionV3')
        held = dict(tf.train.list_variables(out))
        # nothing missing, nothing else
        assert held == {variable.op.name: variable.shape.as_list() for variable in variables}
        assert len(held) == 376 and sum('/moving_' in name for name in held) == 188
        slim.assign_from_checkpoint_fn(out, variables)(session)
        assert session.run(tf.report_uninitialized_variables(variables)).size == 0
        features = session.run(net)
    assert features.std() > 0.01 and features.shape == trained[1].shape
    np.testing.assert_allclose(features, trained[1], rtol=1e-4, atol=1e-5 * features.std())


def test_the_folder_holds_the_checkpoint_alone_and_another_run_starts_from_it(written):
    out, _ = written
    assert sorted(os.listdir(os.path.dirname(out))) == ['inception_v3.ckpt.data-00000-of-00001',
                                                        'inception_v3.ckpt.index']
    assert checkpoints.find(out) == out and checkpoints.find(os.path.dirname(out)) == out


def test_report(capsys, trained):
    lines = backbone.report_lines(os.path.join(trained[0], 'model.ckpt-7'),
                                  [('a/weights', [2, 3]), ('a/BatchNorm/moving_mean', [3])], 'b.ckpt')
    assert '(step 7) to b.ckpt: 2 variables, 1 of them moving statistics; 9 numbers' in lines[0]
    lines = backbone.report_lines(os.path.join(trained[0], 'model.ckpt-7'), [], 'b.safetensors')
    assert "timm's average poolings count the padding" in lines[1] and lines[2].startswith('timm loads it with')
    write_run_config(trained[0], RunConfig(flags={'scale_input': False}, class_names=['a', 'b']))
    assert 'not scaled' in backbone.report_lines(os.path.join(trained[0], 'model.ckpt-7'), [], 'b.ckpt')[1]


def save(prefix, names):
    with tf.Graph().as_default(), tf.Session() as session:
        for name in names:
            tf.get_variable(name, [2])
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, prefix, write_meta_graph=False, write_state=False)
    return prefix


@pytest.mark.parametrize('make, words', [
    (lambda folder, run: os.path.join(folder, 'absent'), 'There is no checkpoint --checkpoint='),
    (lambda folder, run: folder, 'holds no checkpoint'),
    (lambda folder, run: save(os.path.join(folder, 'x.ckpt'), ['InceptionV3/Conv2d_1a_3x3/biases']), 'no batch norm')])
def test_what_cannot_be_taken_is_said(make, words, tmp_path, trained, capsys):
    checkpoint = make(str(tmp_path), trained[0])
    assert backbone.main(['--checkpoint=' + checkpoint, '--out=' + str(tmp_path / 'b.ckpt')]) == EXIT_INPUT
    said = capsys.readouterr().err
    assert words in said and said.count('\n') == 1
    assert not list(tmp_path.glob('b.ckpt*'))


def test_another_network_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(inception_v3_layers, 'build', lambda _: [
        tf.get_variable('a', [2]), tf.get_variable('InceptionV3/b', [3])])
    checkpoint = save(str(tmp_path / 'x.ckpt'), ['a', 'InceptionV3/b'])
    assert backbone.main(['--checkpoint=' + checkpoint, '--out=' + str(tmp_path / 'b.ckpt')]) == EXIT_INPUT
    assert 'lacks 1 of the 2 variables' in capsys.readouterr().err and not list(tmp_path.glob('b.ckpt*'))


def test_what_is_there_is_not_overwritten_and_newest_damaged_is_passed_over(trained, written, tmp_path, capsys):
    assert backbone.main(['--checkpoint=' + trained[0], '--out=' + written[0]]) == EXIT_INPUT
    assert 'is there already' in capsys.readouterr().err
    for name in os.listdir(trained[0]):
        if name.startswith('model.ckpt-7.'):
            os.symlink(os.path.join(trained[0], name), str(tmp_path / name))
    shutil.copy(os.path.join(trained[0], 'model.ckpt-7.index'), str(tmp_path / 'model.ckpt-8.index'))
    assert backbone.find(str(tmp_path)) == str(tmp_path / 'model.ckpt-7')


def test_unknown_flag():
    with pytest.raises(SystemExit) as ended:
        backbone.main(['--checkpoint=a', '--out=b', '--nonsense'])
    assert ended.value.code == EXIT_FLAG

"""The network: the original's graph and numbers, shapes at many sizes, alignment of every score, reuse."""
import collections
import contextlib
import functools
import os
import zlib

import numpy as np
import pytest

from conftest import ROOT, give
from nets import inception_v3_fcn as network
from TensorflowUtils import inception_v3, lower_precision, session_config, slim, tf

DATA = os.path.join(ROOT, 'tests', 'fixtures', 'golden')


def build(images, num_classes=5, use_batch_norm=True, **arguments):
    with slim.arg_scope(network.inception_v3_fcn_arg_scope(use_batch_norm)):
        return network.inception_v3_fcn(images, num_classes, **arguments)


@functools.lru_cache(None)
def static(size, **arguments):
    """What is known without a session of a network for two images of a size.

    Returns ({(variable's name, shape)}, shape of the logits, {end point: shape}).
    """
    with tf.Graph().as_default():
        _, logits, end_points = build(tf.zeros([2, size, size, 3]), is_training=False, **arguments)
        return ({(one.op.name, tuple(one.shape.as_list())) for one in tf.global_variables()}, logits.shape.as_list(),
                {name: tensor.shape.as_list() for name, tensor in end_points.items()})


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
        tf.set_random_seed(0)
        yield session


@pytest.fixture
def one_backbone(monkeypatch):
    """Networks on the same images have one backbone, that of the first."""
    made, base = {}, inception_v3.inception_v3_base

    def once(images, scope):
        if images.name not in made:
            made[images.name] = base(images, scope=scope)
        net, end_points = made[images.name]
        return net, dict(end_points)
    monkeypatch.setattr(inception_v3, 'inception_v3_base', once)


def golden_value(name, shape):
    return _golden_value(name, tuple(shape)).copy()


@functools.lru_cache(None)
def _golden_value(name, shape):
    """Drawn once for all tests: it takes a second for a network."""
    random = np.random.RandomState(zlib.crc32(name.encode()) & 0x7fffffff)
    kind = name.split('/')[-1]
    if kind == 'weights':
        fan = np.prod(shape[:-1])
        if 'Trans' in name:
            fan = shape[-1] * max(1, shape[0] * shape[1] / (64 if shape[0] == 32 else 4))
        drawn = random.standard_normal(shape) * np.sqrt(2.0 / fan)
    elif kind in ('biases', 'beta', 'moving_mean'):
        drawn = random.standard_normal(shape) * 0.1
    else:
        drawn = random.uniform(0.5, 1.5, shape)
    return drawn.astype('float32')


@pytest.mark.parametrize('use_batch_norm, cases', [
    (False, [('no_batch_norm', {}, 1e-3)]),
    (True, [('batch_norm_inference', {'fold_batch_norm': True}, 1e-3), ('batch_norm_inference', {}, 1e-3),
            ('batch_norm_training', {'is_training': True}, 2e-2)])])
def test_features_head_is_the_original(session, use_batch_norm, cases):
    image = np.random.RandomState(7).randint(0, 256, (2, 224, 224, 3)).astype('float32')
    images = tf.constant(image / 127.5 - 1 if use_batch_norm else image)
    networks = [build(images, 22, use_batch_norm, **dict({'is_training': False}, **how), dropout_keep_prob=1.0,
                      upsampling='features', reuse=bool(number))[1] for number, (_, how, _) in enumerate(cases)]
    with open(os.path.join(DATA, 'variables_8s_bn%d.txt' % use_batch_norm)) as file:
        expected = sorted(line.strip() for line in file)
    assert sorted('%s %s' % (one.op.name, 'x'.join(map(str, one.shape.as_list())))
                  for one in tf.global_variables()) == expected
    give(session, {one: golden_value(one.op.name, one.shape.as_list()) for one in tf.global_variables()})
    session.run(tf.get_collection(network.FOLDING))
    with np.load(os.path.join(DATA, 'golden_8s.npz')) as golden:
        for logits, (case, how, tolerance) in zip(networks, cases):
            place, wanted = tuple(golden['index'].T), golden[case]
            std = golden['std'][['no_batch_norm', 'batch_norm_inference', 'batch_norm_training'].index(case)]
            assert np.abs(session.run(logits)[place] - wanted).max() < tolerance * std, (case, how)


def test_logits_have_the_size_of_any_input(session, one_backbone):
    images = tf.placeholder(tf.float32, [None, None, None, 3])
    heads = [(skip, upsampling) for skip in network.SKIPS for upsampling in network.UPSAMPLINGS
             if (skip, upsampling) != ('4s', 'features')]
    networks = {}
    for head in heads:
        with tf.variable_scope('_'.join(head)):
            networks[head] = build(images, skip=head[0], upsampling=head[1], is_training=False)[:2]
    session.run(tf.global_variables_initializer())
    for height, width in ((75, 75), (76, 90), (97, 83), (128, 200)):
        found = session.run(networks, {images: np.random.rand(1, height, width, 3)})
        assert len(found) == 7
        for head, (labels, scores) in found.items():
            assert scores.shape == (1, height, width, 5) and labels.shape == (1, height, width, 1), head
            assert (labels[..., 0] == scores.argmax(3)).all(), head
            assert np.isfinite(scores).all(), head


@pytest.mark.parametrize('classes', [2, 21, 64, 65, 151])
def test_most_likely_class_is_the_first_of_the_largest_logits(session, classes):
    logits = np.random.RandomState(0).randint(-9, 9, (2, 5, 7, classes)).astype('float32')
    assert classes < 21 or ((logits == logits.max(3, keepdims=True)).sum(3) > 1).any()
    found = session.run(network.most_likely(tf.constant(logits)))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, logits.argmax(3)[..., None])


def test_known_sizes_and_end_points():
    for size, cells in ((224, (25, 12, 5)), (299, (35, 17, 8)), (75, (7, 3, 1))):
        _, logits, end_points = static(size)
        assert logits == [2, size, size, 5]
        for name, count, depth in zip(('Mixed_5d', 'Mixed_6e', 'Mixed_7c'), cells, (288, 768, 2048)):
            assert end_points[name] == [2, count, count, depth]


def test_unknown_size_gives_what_a_known_size_gives(session, one_backbone):
    image = np.random.RandomState(0).uniform(-1, 1, (1, 120, 101, 3)).astype('float32')
    of_known_size, of_unknown_size = tf.constant(image), tf.placeholder_with_default(image, [None, None, None, 3])
    for upsampling in network.UPSAMPLINGS:
        with tf.variable_scope(upsampling):
            known = build(of_known_size, is_training=False, upsampling=upsampling)[1]
        with tf.variable_scope(upsampling, reuse=True):
            unknown = build(of_unknown_size, is_training=False, upsampling=upsampling)[1]
        session.run(tf.global_variables_initializer())
        one, other = session.run([known, unknown])
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(one).max())


def test_backbone_variables_are_slims():
    ours = {one for one in static(299)[0] if '/Upsampling/' not in one[0]}
    with tf.Graph().as_default(), slim.arg_scope(inception_v3.inception_v3_arg_scope(
            updates_collections=network.BATCH_NORM_UPDATES)):
        inception_v3.inception_v3(tf.zeros([1, 299, 299, 3]), 1001)
        slims = {(one.op.name, tuple(one.shape.as_list())) for one in tf.global_variables()
                 if not one.op.name.startswith(('InceptionV3/Logits', 'InceptionV3/AuxLogits'))}
    assert len(ours) == 376 and ours == slims


def test_variables_do_not_depend_on_size_or_skip():
    assert static(75, upsampling='features')[0] == static(299, upsampling='features', skip='32s')[0]
    extra = static(75)[0] - static(299, skip='32s')[0]
    assert {name.rsplit('/', 1)[0] for name, _ in extra} == {'InceptionV3/Upsampling/Score_Mixed_6e',
                                                            'InceptionV3/Upsampling/Score_Mixed_5d'}


def test_unknown_values_raise():
    for arguments, words in (({'skip': '2s'}, "skip is '2s'"), ({'upsampling': 'bilinear'}, 'upsampling'),
                             ({'skip': '4s', 'upsampling': 'features'}, "skip '4s' goes with")):
        with tf.Graph().as_default(), pytest.raises(ValueError, match=words):
            build(tf.zeros([1, 224, 224, 3]), **arguments)
    with tf.Graph().as_default(), pytest.raises(ValueError, match='75'):
        build(tf.zeros([1, 224, 74, 3]))


def test_is_training_reaches_every_layer(session):
    images = tf.constant(np.random.RandomState(0).uniform(-1, 1, (2, 75, 75, 3)).astype('float32'))
    build(images, is_training=True, dropout_seeds=tf.zeros([2, 2], tf.int64))
    updates = tf.get_collection(network.BATCH_NORM_UPDATES)
    assert len(updates) == 2 * 94  # mean and variance of each of the backbone's layers
    build(images, is_training=False, reuse=True)
    assert tf.get_collection(network.BATCH_NORM_UPDATES) == updates
    norms = [op for op in tf.get_default_graph().get_operations() if op.type.startswith('FusedBatchNorm')]
    assert sum(op.get_attr('is_training') for op in norms) == 94 and len(norms) == 188


def test_dropout_is_a_function_of_each_images_seed(session):
    image = np.random.RandomState(0).uniform(-1, 1, (1, 75, 75, 3)).astype('float32')
    seeds = tf.placeholder(tf.int64, [3, 2])
    logits = build(tf.constant(np.repeat(image, 3, 0)), dropout_keep_prob=0.5, dropout_seeds=seeds,
                   freeze_batch_norm=True)[1]
    assert not tf.get_collection(network.BATCH_NORM_UPDATES)
    session.run(tf.global_variables_initializer())
    one, same, other = session.run(logits, {seeds: [[1, 2], [1, 2], [1, 3]]})
    np.testing.assert_allclose(one, same, atol=1e-5)
    assert np.abs(one - other).max() > 1e-4
    _, moved, _ = session.run(logits, {seeds: [[5, 2], [1, 3], [1, 2]]})
    np.testing.assert_allclose(moved, other, atol=1e-5)


def test_skip_scores_start_at_zero(session):
    images = tf.constant(np.random.RandomState(0).uniform(-1, 1, (1, 107, 107, 3)).astype('float32'))
    _, _, end_points = build(images, is_training=False)
    session.run(tf.global_variables_initializer())
    scores = session.run({name: end_points['Upsampling/Score_' + name]
                          for name in ('Mixed_5d', 'Mixed_6e', 'Mixed_7c')})
    assert not scores['Mixed_5d'].any() and not scores['Mixed_6e'].any() and scores['Mixed_7c'].any()


@pytest.fixture(scope='module')
def wide():
    """skip -> network on an image 1600 pixels wide: (session, images, logits, end points)."""
    @functools.lru_cache(None)
    def made(skip):
        # The same geometry as the maximum, with a gradient that shows all of it; and every weight positive, so that
        # nothing cancels out.
        with tf.Graph().as_default() as graph, pytest.MonkeyPatch.context() as patch:
            patch.setattr(inception_v3.layers_lib, 'max_pool2d', inception_v3.layers_lib.avg_pool2d)
            images = tf.ones([1, 75, 1600, 3])
            _, logits, end_points = build(images, use_batch_norm=False, is_training=False, skip=skip)
            weights = [one for one in tf.trainable_variables()
                       if one.op.name.endswith('weights') and '/Upsampling/' not in one.op.name]
            start = tf.global_variables_initializer()
        session = sessions.enter_context(contextlib.closing(tf.Session(graph=graph, config=session_config())))
        session.run(start)
        give(session, {one: np.full(one.shape.as_list(), 1.0 / np.prod(one.shape.as_list()[:3])) for one in weights})
        return session, images, logits, end_points
    with contextlib.ExitStack() as sessions:
        yield made


@pytest.mark.parametrize('skip, name, first, stride', [
    ('8s', 'Mixed_5d', 13, 8), ('8s', 'Mixed_6e', 21, 16), ('8s', 'Mixed_7c', 37, 32),
    ('4s', 'Conv2d_4a_3x3', 9, 4), ('4s', 'Mixed_6e', 21, 16)])
def test_scores_land_on_the_centre_of_their_receptive_field(wide, skip, name, first, stride):
    """Along the width: where a cell looks, by the gradient of the backbone, and where its score goes, by the head's."""
    session, images, logits, end_points = wide(skip)
    cell = (800 - first) // stride
    scores, pixels = end_points['Upsampling/Score_' + name], (700, 803, 911)
    with session.graph.as_default():
        gradients = [tf.gradients(end_points[name][:, :, cell], images)[0]] + [
            tf.gradients(logits[:, 37, pixel, 2], scores)[0] for pixel in pixels]
    seen, *reached_of = session.run(gradients)
    seen = seen.sum((0, 1, 3))
    assert seen[0] == 0 or seen[0] < 1e-6 * seen.max()  # the field ends within the image
    centre = (seen * np.arange(1600)).sum() / seen.sum()
    assert abs(centre - (first + stride * cell)) < 0.05

    for pixel, reached in zip(pixels, reached_of):
        reached = reached[0, :, :, 2].sum(0)
        place = (reached * (first + stride * np.arange(len(reached)))).sum() / reached.sum()
        assert abs(place - pixel) < 1e-3


@pytest.mark.parametrize('upsampling', network.UPSAMPLINGS)
def test_shifted_image_gives_shifted_logits(session, upsampling):
    image = np.random.RandomState(0).uniform(-1, 1, (1, 75, 1632, 3)).astype('float32')
    images = tf.placeholder(tf.float32, [1, 75, 1600, 3])
    logits = build(images, is_training=False, upsampling=upsampling)[1]
    session.run(tf.global_variables_initializer())
    give(session, {one: np.random.RandomState(1).normal(0, 0.01, one.shape.as_list())
                   for one in tf.trainable_variables()  # the skips start at zero, where they could not be wrong
                   if 'Score_' in one.op.name})
    here, there = (session.run(logits, {images: image[:, :, start:start + 1600]}) for start in (0, 32))
    border = 700  # half the receptive field: nearer, the convolutions' zero padding shows
    np.testing.assert_allclose(here[:, :, border + 32:-border], there[:, :, border:-border - 32],
                               atol=1e-4 * np.abs(here).max())
    assert np.abs(here[:, :, border:-border - 32] - there[:, :, border:-border - 32]).max() > 1e-2 * np.abs(here).max()


def test_auxiliary_scores_are_of_training_alone_and_on_their_cells(session):
    images = tf.constant(np.random.RandomState(0).uniform(-1, 1, (1, 107, 139, 3)).astype('float32'))
    end_points = build(images, auxiliary=True)[2]
    scores = end_points[network.AUXILIARY]
    assert network.AUXILIARY not in build(images, auxiliary=True, is_training=False, reuse=True)[2]
    assert scores.shape.as_list() == end_points['Mixed_6e'].shape.as_list()[:3] + [5]
    places = tf.constant(np.arange(107 * 139).reshape(1, 107, 139, 1))
    rows, columns = np.divmod(session.run(network.labels_at_cell_centres(places, scores))[0, :, :, 0], 139)
    np.testing.assert_array_equal(rows[:, 0], 21 + 16 * np.arange(int(scores.shape[1])))
    np.testing.assert_array_equal(columns[0], 21 + 16 * np.arange(int(scores.shape[2])))


def test_folded_batch_norm_is_shared_and_of_its_time(session):
    images = tf.constant(np.random.RandomState(0).uniform(-1, 1, (1, 107, 139, 3)).astype('float32'))
    folded = [build(images, is_training=False, fold_batch_norm=True, reuse=reuse)[1] for reuse in (None, True)]
    plain = build(images, is_training=False, reuse=True)[1]
    assert len(tf.local_variables()) == len(tf.get_collection(network.FOLDING)) == 2 * 94
    assert not set(tf.local_variables()) & set(tf.global_variables())
    session.run(tf.global_variables_initializer())
    for factor in 1, 2:  # the fold is of the weights of its time
        give(session, {one: factor * golden_value(one.op.name, one.shape.as_list()) for one in tf.model_variables()
                       if one.op.name.endswith(('beta', 'moving_mean', 'moving_variance'))})
        if factor == 2:
            before, after = session.run([folded[0], plain])
            assert np.abs(before - after).max() > 1e-2 * np.abs(after).max()
        session.run(tf.get_collection(network.FOLDING))
        first, second, expected = session.run(folded + [plain])
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(first, expected, atol=1e-4 * np.abs(expected).max())
    with tf.Session(config=session_config(folded=True)) as again:
        again.run(tf.global_variables_initializer())
        again.run(tf.get_collection(network.FOLDING))
        first, expected = again.run([folded[0], plain])
        np.testing.assert_allclose(first, expected, atol=1e-4 * np.abs(expected).max())


def test_upsampling_by_products(session, one_backbone, monkeypatch):
    """The same logits; the large kernel's convolution, which is slow in bfloat16 on AMX, is not run."""
    monkeypatch.setattr(network, 'ONEDNN_FOR_AMX', True)
    images = tf.constant(np.random.RandomState(0).uniform(-1, 1, (1, 107, 139, 3)).astype('float32'))
    networks = {}
    for skip in '8s', '4s':
        with tf.variable_scope(skip):
            networks[skip] = [build(images, is_training=False, skip=skip, reuse=reuse, in_bfloat16=bool(reuse))[1]
                              for reuse in (None, True)]
    session.run(tf.global_variables_initializer())
    give(session, {one: golden_value(one.op.name, one.shape.as_list()) for one in tf.model_variables()})
    graph = tf.get_default_graph().as_graph_def()
    for skip, (expected, found) in session.run(networks).items():
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
        plain, products = ({node.attr['strides'].list.i[1] for node in tf.graph_util.extract_sub_graph(
            graph, [logits.op.name]).node if node.op == 'Conv2DBackpropInput'} for logits in networks[skip])
        assert max(plain) == (4 if skip == '4s' else 8) and products == {2}


def test_folded_backbone_in_bfloat16(session):
    """Nothing of the backbone is in float32, no weight is cast for an image, and the logits are nearly the same."""
    images = tf.constant(np.random.RandomState(0).uniform(-1, 1, (1, 107, 139, 3)).astype('float32'))
    lower = build(images, is_training=False, fold_batch_norm=True, in_bfloat16=True)[1]
    plain = build(images, is_training=False, reuse=True)[1]
    used = tf.graph_util.extract_sub_graph(tf.get_default_graph().as_graph_def(), [lower.op.name]).node
    types = {}
    for node in used:
        types.setdefault(node.op, []).append(tf.as_dtype(node.attr['T'].type or tf.float32))
    assert collections.Counter(types['Conv2D']) == {tf.bfloat16: 94, tf.float32: 3}  # three are of scores
    assert set(types['Relu'] + types['MaxPool'] + types['AvgPool']) == {tf.bfloat16}
    assert len(types['Cast']) == 1 + 3  # the image, and what the scores come from
    assert {one.dtype.base_dtype for one in tf.local_variables()} == {tf.bfloat16}
    if lower_precision('mixed') != 'bfloat16':
        pytest.skip('this CPU has no bfloat16')
    session.run(tf.global_variables_initializer())
    give(session, {one: golden_value(one.op.name, one.shape.as_list()) for one in tf.model_variables()})
    session.run(tf.get_collection(network.FOLDING))
    found, expected = session.run([lower, plain])
    assert 0 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


def test_weight_decay_covers_the_convolutions_only(session):
    build(tf.zeros([1, 75, 75, 3]))
    losses = tf.losses.get_regularization_losses()
    assert len(losses) == 94 + 3 + 3  # backbone, scores, transposed convolutions
    session.run(tf.global_variables_initializer())
    weights, found = session.run([[one for one in tf.trainable_variables() if one.op.name.endswith('/weights')],
                                  tf.add_n(losses)])
    np.testing.assert_allclose(found, 0.00004 * sum((one ** 2).sum() / 2 for one in weights), rtol=1e-4)

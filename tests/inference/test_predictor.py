"""fcn/inference/predictor.py: what is computed two images at once is what one at a time gives, in order."""
import numpy as np
import pytest
from PIL import Image

from conftest import network_config
from fcn.data import datasets
from fcn.data.palettes import voc_palette
from fcn.distributed.cluster import Cluster
from fcn.distributed.workers import SingleWorker
from fcn.inference import metrics
from fcn.inference import predictor as predictor_module
from TensorflowUtils import tf

pytestmark = pytest.mark.usefixtures('small_backbone_throughout')

CLASSES = 7
CONFIG = network_config(num_classes=CLASSES)
SIZES = [(75, 90), (130, 80), (75, 90), (100, 110), (90, 75), (80, 130)]


@pytest.fixture(scope='module')
def evaluated(tmp_path_factory):
    """Yields (session, Predictor) of images of several sizes."""
    folder, random, made = tmp_path_factory.mktemp('evaluated'), np.random.RandomState(0), []
    for number, size in enumerate(SIZES):
        image, annotation = str(folder / ('%d.png' % number)), str(folder / ('%d labels.png' % number))
        Image.fromarray(random.randint(0, 256, size + (3,)).astype('uint8')).save(image)
        Image.fromarray(random.randint(0, CLASSES, size).astype('uint8')).save(annotation)
        made.append(datasets.record(image, annotation))
    dataset = datasets.Dataset('drawn', [], made, ['class %d' % label for label in range(CLASSES)], 255, None,
                              voc_palette())
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        cluster = Cluster(SingleWorker())
        predictor = predictor_module.Predictor(made, dataset, CONFIG, cluster)
        with cluster.session() as session:
            session.run(tf.global_variables_initializer())
            yield session, predictor


@pytest.mark.parametrize('in_bfloat16', [False, True])
def test_large_upsampling_is_a_product_where_convolutions_are_in_bfloat16(evaluated, in_bfloat16, monkeypatch):
    """A convolution is slow there, and a product where they are in float32."""
    dataset, cluster = evaluated[1].dataset, Cluster(SingleWorker())
    monkeypatch.setattr('nets.inception_v3_fcn.ONEDNN_FOR_AMX', True)
    cluster.in_bfloat16 = in_bfloat16  # as --precision=mixed sets it on such a CPU
    with tf.Graph().as_default() as graph:
        predictor = predictor_module.Predictor(dataset.validation, dataset, CONFIG, cluster)
        used = tf.graph_util.extract_sub_graph(graph.as_graph_def(), [predictor._network.logits.op.name])
    large = [node for node in used.node if node.op == 'Conv2DBackpropInput' and node.attr['strides'].list.i[1] == 8]
    assert len(large) == (0 if in_bfloat16 else 1)


def test_scores_of_pairs_are_those_of_images_alone(evaluated, monkeypatch):
    session, predictor = evaluated
    pairs = predictor.evaluate(session, examples=3)
    monkeypatch.setattr(predictor_module, 'FEW_SCORES', 0)  # every image is large
    alone = predictor.evaluate(session, examples=3)
    assert pairs.confusion.sum() == sum(height * width for height, width in SIZES)
    np.testing.assert_array_equal(pairs.confusion, alone.confusion)
    assert pairs.loss == pytest.approx(alone.loss, rel=1e-6) and pairs.image_scores == alone.image_scores
    assert len(set(pairs.image_scores)) == len(SIZES)
    assert pairs.image_pixels == [height * width for height, width in SIZES]
    assert [one.number for one in pairs.examples] == [0, 1, 2]
    for one, other in zip(pairs.examples, alone.examples):
        for name in ('image', 'annotation', 'labels'):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_large_images_are_scored_in_the_tiles_that_predict_them(evaluated, monkeypatch):
    session, predictor = evaluated
    monkeypatch.setattr(predictor_module, 'MARGIN', 32)

    def argmax(image, probabilities):
        return probabilities.argmax(2).astype('uint8')
    for tile_size in (96, 128):
        found = predictor.evaluate(session, 6, refine=argmax, near_edges=True, tile_size=tile_size)
        predicted = list(predictor.predict(session, tile_size=tile_size))
        for one, other in zip(found.examples, predicted):
            np.testing.assert_array_equal(one.labels, other.labels)
        expected = sum(metrics.confusion_matrix(one.annotation, one.labels, CLASSES, 255) for one in predicted)
        np.testing.assert_array_equal(found.confusion, expected)
        np.testing.assert_array_equal(found.refined_confusion, expected)
        assert len(found.examples) == 6 and (found.bands > 0).any()
    whole = predictor.evaluate(session)
    in_tiles = [predictor._count_in_tiles(session, image, 160, False) for image in predictor._images(session, None)]
    for name in ('loss', 'pixels'):
        assert sum(one[name] for one in in_tiles) == pytest.approx(
            whole.loss * whole.confusion.sum() if name == 'loss' else whole.confusion.sum(), rel=1e-5)
    np.testing.assert_array_equal(sum(one['confusion'] for one in in_tiles), whole.confusion)


def test_pictures_come_in_the_records_order(evaluated):
    session, predictor = evaluated
    pictures = list(predictor.predict(session, lambda image: image.shape[0] == 75))
    assert [one.number for one in pictures] == list(range(len(SIZES)))
    assert [one.labels.shape for one in pictures] == SIZES
    for one, size in zip(pictures, SIZES):
        assert (one.probabilities is not None) == (size[0] == 75)
        if one.probabilities is not None:
            np.testing.assert_array_equal(one.probabilities.argmax(-1), one.labels)


def test_arrays_are_predicted_as_photos_with_these_pixels(evaluated, monkeypatch):
    session, predictor = evaluated
    pictures = list(predictor.predict(session, lambda _: True))
    taken = []

    def arrays():
        for one in pictures:
            taken.append(one.number)
            yield one.image
    found = predictor.predict_arrays(session, arrays(), lambda _: True)
    assert next(found).number == 0 and len(taken) < len(SIZES), 'a film is not read to its end first'
    for one, other in zip(pictures[1:], found):
        assert other.number == one.number and (other.annotation == 255).all()
        np.testing.assert_array_equal(other.image, one.image)
        np.testing.assert_array_equal(other.labels, one.labels)
        np.testing.assert_array_equal(other.probabilities, one.probabilities)
    assert len(taken) == len(SIZES) and list(predictor.predict_arrays(session, [])) == []


def test_arrays_are_squashed_and_no_record_is_needed(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (90, 120, 3)).astype('uint8')
    path = str(tmp_path / 'photo.png')
    Image.fromarray(pixels).save(path)
    dataset = datasets.Dataset('drawn', [], [], ['class %d' % label for label in range(CLASSES)], 255, None,
                               voc_palette())
    images = []
    for records in ([datasets.record(path)], []):
        with tf.Graph().as_default():
            tf.set_random_seed(0)
            cluster = Cluster(SingleWorker())
            predictor = predictor_module.Predictor(records, dataset, CONFIG, cluster, squash_to=80)
            with cluster.session() as session:
                session.run(tf.global_variables_initializer())
                images += list(predictor.predict(session)) if records else predictor.predict_arrays(session, [pixels])
    assert images[0].image.shape == (80, 80, 3) and images[0].labels.shape == (80, 80)
    np.testing.assert_array_equal(images[0].image, images[1].image)


def test_refined_labels_are_counted(evaluated):
    session, predictor = evaluated
    found = predictor.evaluate(session, refine=lambda image, probabilities: np.full(image.shape[:2], 3, 'uint8'))
    assert found.refined_confusion[:, 3].sum() == found.refined_confusion.sum() == found.confusion.sum()
    np.testing.assert_array_equal(found.refined_confusion.sum(1), found.confusion.sum(1))


def test_loss_without_a_labelled_pixel_is_none(tmp_path):
    image, annotation = str(tmp_path / 'image.png'), str(tmp_path / 'labels.png')
    Image.fromarray(np.zeros((75, 80, 3), 'uint8')).save(image)
    Image.fromarray(np.full((75, 80), 255, 'uint8')).save(annotation)
    void = [datasets.record(image, annotation)]
    dataset = datasets.Dataset('void', [], void, ['class %d' % label for label in range(CLASSES)], 255, None,
                               voc_palette())
    with tf.Graph().as_default():
        cluster = Cluster(SingleWorker())
        predictor = predictor_module.Predictor(void, dataset, CONFIG, cluster)
        with cluster.session() as session:
            session.run(tf.global_variables_initializer())
            found = predictor.evaluate(session)
    assert found.loss is None and found.confusion.sum() == 0 and found.image_scores == [(None, None)]

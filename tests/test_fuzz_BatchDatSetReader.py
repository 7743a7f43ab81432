"""Damaged images in TensorFlow's input pipelines: an error that names the file, or a batch."""
import random

import BatchDatSetReader
from fcn.data import annotation_check, datasets
from fcn.data import stream as stream_of_samples
from fcn.inference.predictor import naming_bad_files
from fuzzing import SEED, TIMES, Tally, mutations, write
from picture_files import DATASET, HEIGHT, WIDTH, annotations, jpegs, other_pictures, pngs
from TensorflowUtils import tf


def training_records(folder, count):
    """[(what, record)]: damaged JPEG, PNG and other files as images, each with a whole annotation."""
    annotation = write(folder / 'annotation.png', annotations()['palette.png'])
    files = dict(jpegs(), **pngs())
    files.update((name, data) for name, data in other_pictures().items() if name in ('palette.bmp', 'turned.webp'))
    return [(what, datasets.record(write(folder / ('%d.jpg' % number), data), annotation))
            for number, (what, data) in enumerate(mutations(files, random.Random(SEED), count))]


def stream(tally, batches, named, shape):
    """Takes a batch of each of [(what, record)] out of a tf.data.Dataset that has them in this order."""
    def take(number, one):
        with naming_bad_files(lambda: [one], DATASET):
            fetched = session.run(batch)
        assert fetched['number'] == [number] and fetched['image'].shape == (1,) + shape + (3,)
        assert fetched['annotation'].shape == (1,) + shape + (1,) and fetched['image'].dtype == 'uint8'
        return 'batch'

    batch = tf.data.make_one_shot_iterator(batches).get_next()
    with tf.Session() as session:
        for number, (what, one) in enumerate(named):
            tally.trial(what, one['image'], take, number, one)


def check(record):
    """Checks a record; the outcome of one that passes has no name."""
    annotation_check.check_record(record, DATASET)


def test_images_in_tensorflow(tmp_path):
    tally, usable = Tally(tmp_path), []
    for what, one in training_records(tmp_path, 450 * TIMES):
        before = tally.outcomes['error']
        tally.trial(what, one['image'], check, one)
        if tally.outcomes['error'] == before:
            usable.append((what, one))
    refused = tally.outcomes['error']
    listed = [one for _, one in usable]
    with tf.Graph().as_default():
        stream(tally, BatchDatSetReader.evaluation_images(listed, DATASET), usable, (HEIGHT, WIDTH))
    with tf.Graph().as_default():
        order = [stream_of_samples.draw(SEED, number, len(listed)).index for number in range(len(listed))]
        batches = BatchDatSetReader.training_batches(listed, DATASET, 1, 75, seed=SEED)
        stream(tally, batches, [usable[at] for at in order],
               (75, 75))
    del tally.outcomes[None]  # what the check let pass was counted again
    tally.finish(300 * TIMES, 'error', 'batch')
    assert tally.outcomes['error'] > refused  # TensorFlow's own

"""The training graph: what each replica computes of a step, and what the step returns."""
import contextlib
import math

import BatchDatSetReader
from fcn.data import records
from fcn.network import model
from fcn.utils.errors import InputError
from nets import inception_v3_fcn as network
from TensorflowUtils import histogram_summaries, tf

# With n times the batch the gradient is less noisy: how much longer the steps may be.
SCALINGS = {'none': lambda replicas: 1.0, 'sqrt': math.sqrt, 'linear': float}
SMALL_SQUARE = 176  # pixels; below, what batch norm learns of squares is not true of whole images (docs/results.md)


def notes(dataset, image_size, learns_of_crops):
    """Yields what the user should know of a training before it begins.

    image_size: side of its squares, in pixels; the first training image stands for all. learns_of_crops: whether they
    are cut out of the images, and batch norm's averages learned of them.
    """
    both = {one['image'] for one in dataset.training} & {one['image'] for one in dataset.validation}
    if both:
        yield ('note: %d validation images are training images too, so that their scores are too good; --mode=check '
               'names them' % len(both))
    if learns_of_crops and image_size < SMALL_SQUARE:
        size = (0, 0)
        with contextlib.suppress(InputError), records.opened(dataset.training[0]['image'], 'image') as image:
            size = image.size  # or the check will name it
        if min(size) > image_size:
            yield ('note: squares of --image_size=%d are small for images of %d×%d pixels: the deepest layers see '
                   'little but their edges, and scores of whole images hang on chance; %d is better'
                   % ((image_size,) + size + (min(SMALL_SQUARE, *size),)))


class Step:
    """One training step of a cluster, in the default graph.

    Args:
      cluster: the `fcn.distributed.cluster.Cluster`, in whose scope this is called.
      dataset: the `fcn.data.records.Dataset`.
      settings: of the network, see `fcn.network.model.build`.
      stream: dict of `BatchDatSetReader.training_batches`' batch_size, image_size, seed, first_sample, resize, augment,
        scales, jitter, cache.
      scopes: names of those to train, see `fcn.network.model.variables_to_train`.
      learning_rate: function of the global step that gives the rate, a float32 scalar.
      optimization: dict, see `fcn.network.model.training_operation`.
      class_weights: factors of the classes in the loss, or None.
      auxiliary: weight of the auxiliary scores' loss; 0: there are none.
      histograms: add them.

    Attributes:
      global_step, variables: variable, and list of those that are trained.
      fetches: dict of 'loss', of all replicas, neither weighted nor with the auxiliary one, so that it compares with
        the validation's; 'learning_rate', 'stop' and 'train_op'.
      stop: placeholder; a worker that feeds 1 makes all workers' fetched 'stop' more than 0 in the same step.
      histograms: a summary, or None.

    Raises:
      fcn.network.model.NothingToTrain: the scopes hold nothing to train.
    """

    def __init__(self, cluster, dataset, settings, stream, scopes, learning_rate, optimization, class_weights=None,
                 auxiliary=0.0, histograms=False):
        self.global_step = tf.train.get_or_create_global_step()
        self.stop, self.histograms, self.variables = tf.placeholder_with_default(0.0, [], name='stop'), None, []
        with tf.name_scope('input'):
            batches = [tf.data.make_one_shot_iterator(BatchDatSetReader.training_batches(
                dataset.training, dataset, replica_index=cluster.first_replica + number,
                num_replicas=cluster.replicas, **stream)
            ).get_next() for number in range(cluster.local_replicas)]
        rate = learning_rate(self.global_step)

        def replica(number):
            batch, updates = batches[number], network.BATCH_NORM_UPDATES + ('_%d' % number if number else '')
            seeds = tf.stack([tf.fill(tf.shape(batch['number']), tf.constant(stream['seed'], tf.int64)),
                              batch['number']], 1)
            _, logits, end_points = model.build(
                batch['image'], dict(settings, auxiliary=auxiliary > 0), True, dropout_seeds=seeds, updates=updates)
            with tf.name_scope('loss'):
                labels, ignored = batch['annotation'], dataset.ignore_label
                losses = model.pixelwise_loss(logits, labels, ignored)
                loss = minimized = model.mean_loss(*losses)
                if class_weights is not None:
                    minimized = model.mean_loss(*losses, class_weights)
                if auxiliary:
                    scores = end_points[network.AUXILIARY]
                    losses = model.pixelwise_loss(scores, network.labels_at_cell_centres(labels, scores), ignored)
                    minimized += auxiliary * model.mean_loss(*losses, class_weights)
            self.variables = model.variables_to_train(scopes)
            with tf.name_scope('training'):
                # One replica of each worker adds its part of the weight decay.
                train_op, gradients, (loss, stop) = model.training_operation(
                    minimized, rate, self.global_step, self.variables, optimization, updates,
                    0.0 if number else 1.0 / cluster.workers.count, [loss, 0.0 if number else self.stop])
            if histograms and number == 0:
                self.histograms = histogram_summaries(gradients, end_points)
            return {'train_op': train_op, 'loss': loss, 'stop': stop}
        replicas = cluster.on_replicas(replica)
        self.fetches = dict(replicas[0], learning_rate=rate, train_op=tf.group(*[one['train_op'] for one in replicas]))

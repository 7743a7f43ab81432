"""What is done with a trained model: inception_FCN.py's modes test, visualize and export, by its flags."""
import contextlib
import os

from absl import flags

from fcn.data import records as fcn_records
from fcn.distributed import workers
from fcn.flagged import begin_check, network_settings, own_flags, run_dir, squash_to
from fcn.inference import crf
from fcn.runs import run_folder
from fcn.utils.errors import InputError
from fcn.utils.files import make_folder

FLAGS = flags.FLAGS


def test(dataset, crew):
    """Scores the whole validation split; writes the scores, the confusion matrix, each image's scores, and the page."""
    from fcn.inference import metrics
    from fcn.reporting import model_card
    from fcn.reporting import page as report
    make_folder(FLAGS.results_dir)
    prefix = crew.broadcast(trained_checkpoint)
    with trained_model(dataset.validation, dataset, prefix, crew=crew) as (session, predictions):
        undone = ', class weights taken back by %g' % FLAGS.undo_class_weights if FLAGS.undo_class_weights else ''
        print('testing %s on %d images of %s%s%s' % (
            prefix, len(dataset.validation), dataset.name, ', averaged over ' + averaged() if averaged() else '',
            undone))
        refine = refinement() if FLAGS.crf else None
        found = predictions.scores(session, progress='testing' if crew.chief else None, refine=refine)
    if not crew.chief:
        return 0

    def result_of(confusion):
        return metrics.compute(confusion, dataset.class_names, len(dataset.validation), dataset.ignore_label)
    result = result_of(found.confusion)
    print('\n'.join(metrics.table_lines(result) + ['']
                    + metrics.summary_lines(result) + ['Pixelwise loss: %.4f' % found.loss]))
    written = metrics.write(result, FLAGS.results_dir)
    if found.refined is not None:
        refined = result_of(found.refined)
        print('\n'.join(['', 'With the dense CRF:'] + metrics.summary_lines(refined)))
        written += metrics.write(refined, os.path.join(FLAGS.results_dir, 'crf'))
        large = sum(pixels > crf.MOST_PIXELS for pixels in found.pixels)
        if large:
            print('(%d images of more than %d pixels are in it as they were predicted.)' % (large, crf.MOST_PIXELS))
    else:  # those of an earlier test
        for name in ('metrics.txt', 'metrics.json'):
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(FLAGS.results_dir, 'crf', name))
    report.write_confusion(os.path.join(FLAGS.results_dir, 'confusion_matrix.csv'), found.confusion,
                           dataset.class_names)
    report.write_image_scores(os.path.join(FLAGS.results_dir, 'images.csv'), [
        (one['filename'],) + row for one, row in zip(dataset.validation, found.rows)])
    written.append(model_card.write(
        FLAGS.results_dir, dataset, result, prefix, run_folder.read_config(run_dir()),
        {name: FLAGS[name].default for name in own_flags()}, found.loss, FLAGS.data_dir, averaged(),
        FLAGS.undo_class_weights))
    print('wrote %s and %s. Next: --mode=visualize' % (', '.join(written), write_page(dataset)))
    return 0


def visualize(dataset):
    """Predicts photos or validation images; writes panels, label maps, overlays, and the page that shows them."""
    from fcn.data import inspection
    from fcn.reporting import outputs as visualization
    from fcn.utils import threads as behind
    if FLAGS.compare:
        return compare(dataset)
    prefix, unreadable = trained_checkpoint(), []
    use_crf = crf.available() if FLAGS.crf is None else FLAGS.crf
    refine = refinement() if use_crf else None

    def refinable(image):
        return use_crf and refine.takes(image)

    def show(one):
        refined = refine(one['image'], one['probabilities']) if refinable(one['image']) else None
        shown.add(left[one['number']], one, refined, FLAGS.save_probabilities)
    how = {'averaged over': averaged(), 'crf': use_crf and refine.values, 'tile_size': FLAGS.tile_size,
           'undo_class_weights': FLAGS.undo_class_weights}
    with visualization.Gallery(FLAGS.results_dir, dataset, prefix, bool(FLAGS.image_dir), how) as shown:
        records = shown_records(dataset)
        left = [one for one in records if not shown.is_done(one, FLAGS.save_probabilities)]
        if len(left) < len(records):
            print('%d of %d are done already' % (len(records) - len(left), len(records)))
        if left:
            with trained_model(left, dataset, prefix) as (session, predictions):
                print('visualizing %s on %d images' % (prefix, len(left)))
                with behind.SerialExecutor() as drawing:
                    for one in predictions.pictures(
                            session, lambda image: FLAGS.save_probabilities or refinable(image), 'visualizing',
                            FLAGS.tile_size, unreadable.append if FLAGS.image_dir else None):
                        drawing.submit(show, one)
    inspection.say('skipped', unreadable)
    if FLAGS.crf is None and not use_crf:
        print('without the dense-CRF panel: pip install pydensecrf2 (Python 3.7 to 3.12) adds it')
    print('wrote %d pictures%s to %s: pic_0.png and on, labels/, overlays/, classes.csv. Next: open %s'
          % (len(left) - len(unreadable), ' (%d skipped)' % len(unreadable) if unreadable else '', FLAGS.results_dir,
             write_page(dataset, shown.thumbnails)))
    return 0


def compare(dataset):
    """Draws the predictions of several runs side by side, as the original does of FCN-32s, 16s and 8s."""
    from fcn.reporting import outputs as visualization
    records, comparison = shown_records(dataset), visualization.Comparison(FLAGS.compare)
    for folder in FLAGS.compare:
        prefix, values = comparison.checkpoint(folder, dataset)
        with trained_model(records, dataset, prefix, values) as (session, predictions):
            comparison.add(folder, values, records, predictions.pictures(session, None, folder, FLAGS.tile_size))
    print('wrote %s: %d images, %d runs' % (comparison.write(FLAGS.results_dir, records, dataset), len(records),
                                            len(FLAGS.compare)))
    return 0


def export(dataset):
    """Writes a SavedModel, loads it again and compares it with the checkpoint on the images that visualize shows."""
    from fcn.inference import saved_model
    prefix = trained_checkpoint()
    if squash_to():
        print('note: the run was trained on images squashed to %d×%d pixels, which the SavedModel does not do: squash '
              'them before they go in' % (squash_to(), squash_to()))
    with trained_model(shown_records(dataset), dataset, prefix) as (session, predictions):
        saved_model.export(FLAGS.export_dir, prefix, dataset, network_settings(dataset))
        images, pixels, largest = saved_model.compare(FLAGS.export_dir, predictions.pictures(session, lambda _: True))
    print('wrote %s to %s; on %d images %d pixels have another label than from the checkpoint, and no probability is '
          'more than %.1g off' % (prefix, FLAGS.export_dir, images, pixels, largest))
    return 0


def trained_checkpoint():
    """The prefix of the checkpoint that test, visualize and export take. Raises InputError where there is none."""
    from fcn.runs import checkpoints
    place = FLAGS.train_dir or FLAGS.logs_dir
    prefix = place if checkpoints.exists(place) else checkpoints.newest_intact(place)
    if prefix is None and FLAGS['checkpoint_path'].present and FLAGS.checkpoint_path:
        prefix = checkpoints.find(FLAGS.checkpoint_path)
    if prefix is None:
        raise InputError('There is no checkpoint in %s. Train first, or name the folder that was trained to with '
                         '--logs_dir or --train_dir, or a whole model with --checkpoint_path.' % place)
    return prefix


@contextlib.contextmanager
def trained_model(records, dataset, prefix, values=None, crew=None):
    """Builds the network for prediction and restores a checkpoint. Yields (session, Evaluation).

    values: of the flags that the checkpoint was trained with, where those are another run's.
    """
    from fcn.distributed.cluster import Cluster
    from fcn.inference import predictor as evaluation
    from fcn.network import model
    from fcn.runs import checkpoints
    from nets import inception_v3_fcn as network
    from TensorflowUtils import tf
    crew = crew or workers.SingleWorker()
    checking = begin_check([one for one in records if one['annotation']], dataset, crew)
    with tf.Graph().as_default() as graph:
        settings, exporting = network_settings(dataset, values), FLAGS.mode == 'export'
        folds = settings['use_batch_norm'] and not exporting  # a SavedModel is compared with the network as it is
        cluster = Cluster(crew, FLAGS.deterministic, 'float32' if exporting else FLAGS.precision, folded=folds)
        predictions = evaluation.Evaluation(
            records, dataset, dict(settings, fold_batch_norm=folds), cluster, squash_to(values),
            **({} if exporting else {'scales': scales_to_test(), 'flip': FLAGS.test_flip}))
        with cluster.session() as session:
            checkpoints.restore(session, prefix, model.used_variables())
            session.run(tf.get_collection(network.FOLDING))
            graph.finalize()
            checking.wait()
            yield session, predictions


def shown_records(dataset):
    """The photos; or the named validation images; or a random choice of them, and the best and the worst of all."""
    from fcn.reporting import outputs as visualization
    from fcn.reporting import page as report
    if FLAGS.image_dir:
        return dataset.validation
    records = fcn_records.choose(dataset.validation, FLAGS.image_names, FLAGS.num_images, FLAGS.seed)
    path = os.path.join(FLAGS.results_dir, 'images.csv')
    if not FLAGS.image_names and os.path.isfile(path):
        records = visualization.with_best_and_worst(records, dataset.validation, report.read_image_scores(path))
    return records


def scales_to_test():
    return [float(scale) for scale in FLAGS.test_scales]


def averaged():
    """Says over what the probabilities are averaged in testing: '' where they are not."""
    scales = 'the scales ' + ', '.join('%g' % scale for scale in scales_to_test())
    return ' and '.join(([scales] if scales_to_test() != [1] else []) + ['mirror images'] * FLAGS.test_flip)


def refinement():
    return crf.Refinement(crf.parameters(FLAGS.crf_parameters))


def write_page(dataset, thumbnails=None):
    """Writes index.html over what --results_dir holds, and returns its path. thumbnails: see `report.write`."""
    from fcn.reporting import page as report
    config, logs_dir = run_folder.read_config(run_dir()), os.path.abspath(run_dir())
    if os.path.basename(logs_dir) == 'best':  # the log is beside it
        logs_dir = os.path.dirname(logs_dir)
    return report.write(FLAGS.results_dir, logs_dir, dataset.name, dataset.class_names, dataset.palette,
                        config.get('flags'), dataset.ignore_label, thumbnails)

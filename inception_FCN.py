"""FCN-32s, FCN-16s and FCN-8s on InceptionV3: train, test and visualize semantic segmentation.

    python inception_FCN.py --mode=train --dataset=shapes --checkpoint_path= --max_iterations=300
    python inception_FCN.py --mode=test
    python inception_FCN.py --mode=visualize --image_dir=PHOTOS
    tensorboard --logdir=logs/all

The README walks through the data sets and the two training steps. A finished or an interrupted run goes on from
`--logs_dir` with the same command; test and visualize find there what was trained, and its flags.

Exit status: 0 done; 1 unknown flag or value; 2 bad input, one paragraph says which; 3 the loss stopped being finite;
75 stopped by SIGTERM, SIGINT or SIGUSR1 after writing a checkpoint: the same command goes on.
"""
import contextlib
import glob
import os
import sys
import traceback

import imageio
import numpy as np
from absl import app, flags

import read_MITSceneParsingData
import read_PascalVocData
import read_ShapesData
from fcn import colorize, run_folder
from fcn import records as fcn_records
from fcn.errors import EXIT_DIVERGED, EXIT_INPUT, EXIT_STOPPED, Diverged, InputError

FLAGS = flags.FLAGS
READERS = {'pascal_voc': read_PascalVocData, 'mit_scene_parsing': read_MITSceneParsingData, 'shapes': read_ShapesData}

# What to do, with what, where.
flags.DEFINE_enum('mode', 'train', ['train', 'test', 'visualize', 'export'], 'What to do.')
flags.DEFINE_enum('dataset', 'pascal_voc', sorted(READERS), 'Data set. pascal_voc takes any folder in VOC layout.')
flags.DEFINE_string('data_dir', None, 'Folder of the data set. Default: one in Data_zoo/, downloaded to when absent.')
flags.DEFINE_string('data_url', None, 'Download the data set from here, not from its own host.')
flags.DEFINE_string('class_names', None, 'Text file, a class name a line, line number = label from 0 (pascal_voc).')
flags.DEFINE_string('logs_dir', 'logs/all', 'Folder of checkpoints, progress.jsonl and TensorBoard events.')
flags.DEFINE_string('train_dir', None, 'Folder or checkpoint that test and visualize take the model from. '
                    'Default: --logs_dir.')
flags.DEFINE_string('results_dir', 'results', 'Folder that test and visualize write to.')

# The network. test, visualize and a resumed run take these from logs_dir.
flags.DEFINE_enum('skip_layers', '8s', ['32s', '16s', '8s'], 'Finest features that are fused: FCN-32s, 16s or 8s.')
flags.DEFINE_enum('upsampling', 'scores', ['scores', 'features'], "Head: the FCN paper's, which upsamples scores, "
                  "or the original's, which upsamples features.")
flags.DEFINE_boolean('use_batch_norm', True, 'Batch norm in the backbone. The 2017 checkpoints have none.')
flags.DEFINE_boolean('scale_input', True, 'Scale images to [-1, 1]. The 2017 checkpoints take 0 to 255.')
flags.DEFINE_boolean('void_class', False, "Make void (255) one more class, 'ambiguous', as the original does.")
flags.DEFINE_float('dropout_keep_prob', 0.85, 'Share of Mixed_7c kept in training.', 0.01, 1)

# Starting weights.
flags.DEFINE_string('checkpoint_path', 'Data_zoo/inception_v3/inception_v3.ckpt', 'Weights to start from when '
                    'logs_dir is empty: a prefix, a folder or a .tar.gz. The default is downloaded when absent; empty: '
                    'random weights.')
flags.DEFINE_list('checkpoint_exclude_scopes', 'InceptionV3/Logits,InceptionV3/AuxLogits',
                  'Scopes not to load from it.')
flags.DEFINE_boolean('ignore_missing_vars', True, 'Let variables that it lacks start at random; else that is an error.')

# Training.
flags.DEFINE_list('trainable_scopes', None, 'Train these scopes only, e.g. InceptionV3/Logits,InceptionV3/Upsampling. '
                  'Default: all.')
flags.DEFINE_integer('max_iterations', 100000, 'Step to stop at, steps of resumed runs counted in.', 1)
flags.DEFINE_integer('batch_size', 10, 'Images a step.', 1)
flags.DEFINE_integer('image_size', 224, 'Side of the training images, in pixels.', 75)
flags.DEFINE_enum('resize', 'crop', ['crop', 'squash'], 'crop: train on squares cut out of the images, test at native '
                  "size. squash: resize whole images to the square in training and testing, as the original does.")
flags.DEFINE_boolean('augment', True, 'Random scale from 0.5 to 2 (with crop) and flips.')
flags.DEFINE_float('learning_rate', 0.00032, 'Of Adam.', 0)
flags.DEFINE_enum('schedule', 'constant', ['constant', 'poly'], 'Of the learning rate; poly lets it fall to 0.')
flags.DEFINE_float('weight_decay', 0.00004, "Factor of the weights' L2 norm in the loss.", 0)
flags.DEFINE_float('batch_norm_decay', 0.99, 'Of the moving averages; longer runs can take 0.9997.', 0, 1)
flags.DEFINE_integer('seed', 0, 'Of weights, order, crops and dropout.', 0, 2 ** 31 - 1)
flags.DEFINE_boolean('deterministic', False, 'Same weights every time, bit for bit, from the same flags (CPU); slower.')

# Log.
flags.DEFINE_integer('log_every', 10, 'Steps between lines of progress.jsonl.', 1)
flags.DEFINE_integer('checkpoint_every', 100, 'Steps between checkpoints.', 1)
flags.DEFINE_integer('validate_every', 100, 'Steps between validations; 0: never.', 0)
flags.DEFINE_integer('validation_images', 50, 'Images of a validation, evenly spread over the split; 0: all.', 0)
flags.DEFINE_integer('keep_checkpoints', 5, 'Newest checkpoints that are kept.', 1)
flags.DEFINE_boolean('debug', False, 'Histograms of variables, gradients and activations; stack traces.')

# Visualize and export.
flags.DEFINE_string('image_dir', None, 'Folder of photos to segment, instead of validation images.')
flags.DEFINE_list('image_names', None, 'Validation images to show, without extension. Default: a random choice.')
flags.DEFINE_integer('num_images', 5, 'Size of the random choice.', 1)
flags.DEFINE_string('export_dir', 'results/saved_model', 'New folder that export writes a SavedModel to.')
flags.DEFINE_boolean('crf', None, 'Dense-CRF panel. Default: where pydensecrf is installed.')

# Flags that checkpoints depend on, and flags that save repeating; kept in logs_dir/config.json.
NETWORK_FLAGS = ('dataset', 'void_class', 'skip_layers', 'upsampling', 'use_batch_norm', 'scale_input')
REMEMBERED_FLAGS = ('data_dir', 'image_size', 'resize')


def train(dataset):
    """Trains from --logs_dir, or from --checkpoint_path when that is empty, to --max_iterations."""
    import BatchDatSetReader
    from fcn import checkpoints, evaluation, model, training_log
    from TensorflowUtils import describe_devices, histogram_summaries, session_config, tf

    newest = checkpoints.newest_intact(FLAGS.logs_dir)
    first_step = checkpoints.step_of(newest) if newest else 0
    if first_step >= FLAGS.max_iterations:
        print('%s is at step %d already, and --max_iterations=%d asks for no more. Give a larger one to go on, or '
              'another --logs_dir to begin anew.' % (newest, first_step, FLAGS.max_iterations))
        return 0
    weights = checkpoints.find(FLAGS.checkpoint_path) if FLAGS.checkpoint_path and not newest else None
    fcn_records.check_records(dataset.training + dataset.validation, dataset)

    with tf.Graph().as_default() as graph:
        tf.set_random_seed(FLAGS.seed)
        global_step = tf.train.get_or_create_global_step()
        with tf.name_scope('input'):
            batch = tf.data.make_one_shot_iterator(BatchDatSetReader.training_batches(
                dataset.training, dataset, FLAGS.batch_size, FLAGS.image_size, FLAGS.seed,
                first_step * FLAGS.batch_size, FLAGS.resize, FLAGS.augment)).get_next()
        _, logits, end_points = model.build(batch['image'], network_settings(dataset), True,
                                            dropout_seed=tf.stack([FLAGS.seed, tf.cast(global_step, tf.int32)]))
        with tf.name_scope('loss'):
            loss = model.mean_loss(logits, batch['annotation'], dataset.ignore_label)
        try:
            variables = model.variables_to_train(FLAGS.trainable_scopes)
            with tf.name_scope('training'):
                rate = model.scheduled_learning_rate(
                    FLAGS.schedule, FLAGS.learning_rate, global_step, FLAGS.max_iterations)
                train_op, gradient_norm, gradients = model.training_operation(loss, rate, global_step, variables)
        except ValueError as error:
            raise InputError('--trainable_scopes: %s' % error) from None
        fetches = {'train_op': train_op, 'loss': loss, 'learning_rate': rate, 'gradient_norm': gradient_norm}
        histograms = {'histograms': histogram_summaries(gradients, end_points)} if FLAGS.debug else {}
        if FLAGS.validate_every:
            with tf.name_scope('validation'):
                validation = evaluation.Evaluation(
                    evaluation.evenly(dataset.validation, FLAGS.validation_images), dataset, network_settings(dataset),
                    squash_to(), reuse=True)
        saver = tf.train.Saver(max_to_keep=FLAGS.keep_checkpoints)

        with tf.Session(config=session_config(deterministic=FLAGS.deterministic)) as session:
            session.run(tf.global_variables_initializer())
            if newest:
                checkpoints.resume(session, newest)
            elif weights:
                checkpoints.start_from(session, weights, FLAGS.checkpoint_exclude_scopes, FLAGS.ignore_missing_vars)
            saver.recover_last_checkpoints(checkpoints.saved(FLAGS.logs_dir))
            graph.finalize()
            save_config(dataset)
            print('training %d of %d variables with %d images, step %d to %d, %s' % (
                len(variables), len(tf.trainable_variables()), len(dataset.training), first_step, FLAGS.max_iterations,
                describe_devices(session)))
            log = training_log.TrainingLog(FLAGS.logs_dir, first_step, FLAGS.max_iterations, graph)
            with contextlib.closing(log), run_folder.Signals() as signals:
                step, last = first_step, False
                while not last:
                    step += 1
                    due = step == FLAGS.max_iterations or step % FLAGS.log_every == 0
                    with log.timing(FLAGS.batch_size), evaluation.naming_bad_files(
                            batch_records(dataset, step), dataset):
                        done = session.run(dict(fetches, **(histograms if due else {})))
                    check_finite(step, done, dataset)
                    last = step == FLAGS.max_iterations or bool(signals.received)
                    values = {'step': step, 'loss': float(done['loss']), 'learning_rate': float(done['learning_rate'])}
                    if FLAGS.validate_every and (step == FLAGS.max_iterations or step % FLAGS.validate_every == 0):
                        values.update(validate(session, validation, log, step))
                    if due or last or 'validation_loss' in values:
                        log.write(values)
                    if 'histograms' in done:
                        log.summary('train', step, done['histograms'])
                    if last or step % FLAGS.checkpoint_every == 0:
                        saver.save(session, os.path.join(FLAGS.logs_dir, 'model.ckpt'), step, write_meta_graph=False)
                        log.flush()
    if signals.received and step < FLAGS.max_iterations:
        print('stopped by %s at step %d, saved; the same command goes on' % (signals.received, step))
        return EXIT_STOPPED
    print('trained to step %d: %s-%d. Next: --mode=test, --mode=visualize, or tensorboard --logdir=%s'
          % (step, os.path.join(FLAGS.logs_dir, 'model.ckpt'), step, FLAGS.logs_dir))
    return 0


def validate(session, validation, log, step):
    """Measures loss and mean IoU on the validation images, and shows three of them in TensorBoard."""
    from fcn import metrics
    from TensorflowUtils import image_summary

    loss, confusion, examples = validation.scores(session, examples=3)
    dataset = validation.dataset
    for one in examples:
        strip = np.concatenate([one['image']] + [colorize.colorize(one[labels], dataset.palette)
                                                 for labels in ('annotation', 'prediction')], axis=1)
        log.summary('validation', step, image_summary('input_truth_prediction/%d' % one['number'], strip))
    figures = metrics.scores(confusion, dataset.class_names, len(validation.records), dataset.ignore_label)
    return {'validation_loss': loss, 'validation_mean_iou': figures['mean_iou']}


def batch_records(dataset, step):
    """The records of a step's batch."""
    import BatchDatSetReader
    return [dataset.training[BatchDatSetReader.draw(FLAGS.seed, number, len(dataset.training)).index]
            for number in range((step - 1) * FLAGS.batch_size, step * FLAGS.batch_size)]


def check_finite(step, done, dataset):
    """Raises Diverged when the step's loss or gradient is not finite; its weights are never saved."""
    if not (np.isfinite(done['loss']) and np.isfinite(done['gradient_norm'])):
        raise Diverged('At step %d the loss is %s and the norm of its gradient %s, so training stops; the last '
                       'checkpoint in %s stands. Try a smaller --learning_rate (it is %g), or look at the images of '
                       'the batch: %s.'
                       % (step, done['loss'], done['gradient_norm'], FLAGS.logs_dir, FLAGS.learning_rate,
                          ', '.join(one['image'] for one in batch_records(dataset, step))))


@contextlib.contextmanager
def trained_model(records, dataset):
    """Builds the network for prediction and restores what was trained. Yields (session, Evaluation, checkpoint)."""
    from fcn import checkpoints, evaluation, model
    from TensorflowUtils import session_config, tf
    if records and records[0]['annotation']:
        fcn_records.check_records(records, dataset)
    place = FLAGS.train_dir or FLAGS.logs_dir
    prefix = place if checkpoints.exists(place) else checkpoints.newest_intact(place)
    if prefix is None and FLAGS['checkpoint_path'].present and FLAGS.checkpoint_path:
        prefix = checkpoints.find(FLAGS.checkpoint_path)
    if prefix is None:
        raise InputError('There is no checkpoint in %s. Train first, or name the folder that was trained to with '
                         '--logs_dir or --train_dir, or a whole model with --checkpoint_path.' % place)
    with tf.Graph().as_default() as graph:
        predictions = evaluation.Evaluation(records, dataset, network_settings(dataset), squash_to())
        with tf.Session(config=session_config(deterministic=FLAGS.deterministic)) as session:
            checkpoints.restore(session, prefix, model.used_variables())
            graph.finalize()
            yield session, predictions, prefix


def test(dataset):
    """Scores the whole validation split; writes metrics.txt and metrics.json."""
    from fcn import metrics
    make_folder(FLAGS.results_dir)
    with trained_model(dataset.validation, dataset) as (session, predictions, prefix):
        print('testing %s on %d images of %s' % (prefix, len(dataset.validation), dataset.name))
        loss, confusion, _ = predictions.scores(session, progress='testing')
    result = metrics.scores(confusion, dataset.class_names, len(dataset.validation), dataset.ignore_label)
    print('\n'.join(metrics.table_lines(result) + ['']
                    + metrics.summary_lines(result) + ['Pixelwise loss: %.4f' % loss]))
    print('wrote ' + ' and '.join(metrics.write(result, FLAGS.results_dir)) + '. Next: --mode=visualize')
    return 0


def shown_records(dataset):
    """The photos, the named validation images or a random choice of them."""
    return dataset.validation if FLAGS.image_dir else fcn_records.choose(
        dataset.validation, FLAGS.image_names, FLAGS.num_images, FLAGS.seed)


def visualize(dataset):
    """Draws predictions on photos, named validation images or a random choice; writes panels, label maps, overlays."""
    from fcn import crf
    records = shown_records(dataset)
    use_crf = crf.available() if FLAGS.crf is None else FLAGS.crf
    if use_crf:
        crf.import_densecrf()
    folders = {kind: os.path.join(FLAGS.results_dir, kind) for kind in ('labels', 'overlays')}
    for folder in folders.values():
        make_folder(folder)
    with trained_model(records, dataset) as (session, predictions, prefix):
        print('visualizing %s on %d images' % (prefix, len(records)))
        for number, one in enumerate(predictions.pictures(session, use_crf, 'visualizing')):
            name = records[number]['filename']
            panels = [('Image', one['image'])]
            panels += [('Ground truth', one['annotation'])] if records[number]['annotation'] else []
            panels += [('Prediction', one['prediction'])]
            if use_crf:
                panels += [('Prediction with dense CRF', crf.dense_crf(one['image'], one['probabilities']))]
            colorize.save_panel(os.path.join(FLAGS.results_dir, 'pic_%d.png' % number), panels, dataset.class_names,
                                dataset.palette, dataset.ignore_label, title=name)
            colorize.save_labels(os.path.join(folders['labels'], name + '.png'), one['prediction'], dataset.palette)
            imageio.imwrite(os.path.join(folders['overlays'], name + '.png'),
                            colorize.overlay(one['image'], one['prediction'], dataset.palette))
    if not use_crf:
        print('without the dense-CRF panel: pip install pydensecrf2 (Python 3.7 to 3.12) adds it')
    print('wrote %d panels, pic_0.png and on, and labels/ and overlays/ of the same images to %s'
          % (len(records), FLAGS.results_dir))
    return 0


def export(dataset):
    """Writes a SavedModel, loads it again and compares it with the checkpoint on the images that visualize shows."""
    from fcn import export as saved_model
    with trained_model(shown_records(dataset), dataset) as (session, predictions, prefix):
        saved_model.export(FLAGS.export_dir, prefix, dataset, network_settings(dataset))
        images, pixels, largest = saved_model.compare(FLAGS.export_dir, predictions.pictures(session, True))
    print('wrote %s to %s; on %d images %d pixels have another label than from the checkpoint, and no probability is '
          'more than %.1g off' % (prefix, FLAGS.export_dir, images, pixels, largest))
    return 0


def network_settings(dataset):
    """What `fcn.model.build` needs to know, from the flags and the data set."""
    return {'num_classes': len(dataset.class_names), 'skip': FLAGS.skip_layers, 'upsampling': FLAGS.upsampling,
            'use_batch_norm': FLAGS.use_batch_norm, 'scale_input': FLAGS.scale_input,
            'weight_decay': FLAGS.weight_decay, 'batch_norm_decay': FLAGS.batch_norm_decay,
            'dropout_keep_prob': FLAGS.dropout_keep_prob}


def make_folder(path):
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise InputError('The folder %s cannot be made: %s. Name another with --results_dir.' % (path, error)) from None


def squash_to():
    return FLAGS.image_size if FLAGS.resize == 'squash' else None


def load_dataset(config):
    """Reads the records of --dataset, or lists --image_dir. Returns a `fcn.records.Dataset`."""
    reader = READERS[FLAGS.dataset]
    class_names = list(reader.CLASS_NAMES)
    if FLAGS.class_names:
        if FLAGS.dataset != 'pascal_voc':
            raise InputError('--class_names goes with --dataset=pascal_voc; %s has its own classes.' % FLAGS.dataset)
        class_names = fcn_records.read_class_names(FLAGS.class_names)
        if config.get('class_names', class_names) != class_names:
            raise InputError('--class_names=%s names other classes than %s was trained with: %s.'
                             % (FLAGS.class_names, run_dir(), ', '.join(config['class_names'])))
    elif 'class_names' in config:
        class_names = config['class_names']
    ignore_label, void_label = reader.IGNORE_LABEL, None
    if FLAGS.void_class:
        if ignore_label != 255:
            raise InputError('--void_class goes with data sets whose void is 255; %s has none.' % FLAGS.dataset)
        ignore_label, void_label = None, len(class_names)
        class_names = class_names + ['ambiguous']
    if FLAGS.mode in ('visualize', 'export') and FLAGS.image_dir:
        training, validation = [], fcn_records.list_images(FLAGS.image_dir)
    else:
        training, validation = reader.read_dataset(FLAGS.data_dir or reader.DATA_DIR, FLAGS.data_url)
    return fcn_records.Dataset(FLAGS.dataset, training, validation, class_names, ignore_label, void_label,
                               reader.PALETTE)


def run_dir():
    """The folder of the run that a mode works on."""
    if FLAGS.mode != 'train' and FLAGS.train_dir:
        return FLAGS.train_dir if os.path.isdir(FLAGS.train_dir) else os.path.dirname(FLAGS.train_dir)
    return FLAGS.logs_dir


def recall_flags(config):
    """Takes the flags that the command line leaves out from the run's configuration; refuses what contradicts it."""
    recalled, differences = [], []
    for name, value in sorted(config.get('flags', {}).items()):
        if name not in NETWORK_FLAGS + REMEMBERED_FLAGS:
            continue
        if not FLAGS[name].present:
            if FLAGS[name].value != value:
                recalled.append(name + '=' + str(value))
            setattr(FLAGS, name, value)
        elif name in NETWORK_FLAGS and FLAGS[name].value != value:
            differences.append('%s is %s here, but was %s' % (name, FLAGS[name].value, value))
    if differences:
        raise InputError('%s holds a run with other flags: %s. Leave them out to go on with that run, or name another '
                         '--logs_dir.' % (run_dir(), '; '.join(differences)))
    if recalled:
        print('as %s was trained: --%s' % (run_dir(), ' --'.join(recalled)))


def save_config(dataset):
    """Keeps the run's flags beside its checkpoints."""
    names = [flag.name for flag in FLAGS.get_key_flags_for_module(FLAGS.find_module_defining_flag('mode'))]
    run_folder.write_config(FLAGS.logs_dir, {
        'flags': {name: FLAGS[name].value for name in names}, 'void_label': dataset.void_label,
        'class_names': dataset.class_names[:dataset.void_label]})


def main(argv):
    try:
        if len(argv) > 1:
            raise InputError('%s is no flag. Flags begin with --, and their values follow after =.' % argv[1])
        # A run that was killed before its first checkpoint binds nobody.
        config = run_folder.read_config(run_dir()) if glob.glob(os.path.join(
            glob.escape(run_dir()), 'model.ckpt-*.index')) else {}
        recall_flags(config)
        with contextlib.ExitStack() as stack:
            if FLAGS.mode == 'train':
                stack.enter_context(run_folder.locked(FLAGS.logs_dir))
            run = {'train': train, 'test': test, 'visualize': visualize, 'export': export}[FLAGS.mode]
            return run(load_dataset(config))
    except (InputError, Diverged) as error:
        if FLAGS.debug:
            traceback.print_exc()
        print('inception_FCN.py: %s' % error, file=sys.stderr)
        return EXIT_DIVERGED if isinstance(error, Diverged) else EXIT_INPUT


if __name__ == '__main__':
    app.run(main)

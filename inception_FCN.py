"""FCN-32s, 16s, 8s and 4s on InceptionV3: train, test and visualize semantic segmentation.

    python inception_FCN.py --mode=train --dataset=shapes --checkpoint_path= --max_iterations=300
    python inception_FCN.py --mode=test
    python inception_FCN.py --mode=visualize --image_dir=PHOTOS
    tensorboard --logdir=logs/all

The README walks through the data sets and the two training steps. A finished or an interrupted run goes on from
`--logs_dir` with the same command; test and visualize find there what was trained, and its flags.

Exit status: 0 done; 1 unknown flag or value; 2 bad input, one paragraph says which; 3 the loss stopped being finite;
69 another worker of the job was lost, or did not come; 70 a defect of the program; 75 training was stopped by SIGTERM,
SIGINT or SIGUSR1 after writing a checkpoint: the same command goes on; 130 interrupted elsewhere.
"""
import contextlib
import functools
import gc
import os

from absl import app, flags

import read_MITSceneParsingData
import read_PascalVocData
import read_ShapesData
from fcn import predicting
from fcn.data import class_weights, photos
from fcn.data import records as fcn_records
from fcn.distributed import workers
from fcn.flagged import begin_check, network_settings, own_flags, run_dir, save_config, squash_to
from fcn.inference import crf
from fcn.runs import run_folder
from fcn.utils import command_line
from fcn.utils.errors import EXIT_INPUT, EXIT_STOPPED, InputError
from fcn.utils.files import make_folder

FLAGS = flags.FLAGS
READERS = {'pascal_voc': read_PascalVocData, 'mit_scene_parsing': read_MITSceneParsingData, 'shapes': read_ShapesData}

# What to do, with what, where.
flags.DEFINE_enum('mode', 'train', ['train', 'test', 'visualize', 'export', 'check'], 'What to do. check reads the '
                  'whole data set and lists what is wrong with it.')
flags.DEFINE_enum('dataset', 'pascal_voc', sorted(READERS), 'Data set. pascal_voc takes any folder in VOC layout.')
flags.DEFINE_string('data_dir', None, 'Folder of the data set. Default: one in Data_zoo/, downloaded to when absent.')
flags.DEFINE_string('data_url', None, 'Download the data set from here, not from its own host.')
flags.DEFINE_string('class_names', None, 'Text file, a class name a line, line number = label from 0 (pascal_voc).')
flags.DEFINE_string('logs_dir', 'logs/all', 'Folder of checkpoints, progress.jsonl and TensorBoard events.')
flags.DEFINE_string('train_dir', None, 'Folder or checkpoint that test and visualize take the model from. '
                    'Default: --logs_dir.')
flags.DEFINE_string('results_dir', 'results', 'Folder that test and visualize write to.')

flags.DEFINE_boolean('skip_bad_images', False, 'Read the whole data set first and leave out the images whose files are '
                     'bad, or whose annotations are. Otherwise they are an error.')

# The network. test, visualize and a resumed run take these from logs_dir.
flags.DEFINE_enum('skip_layers', '8s', ['32s', '16s', '8s', '4s'], 'Finest features that are fused: FCN-32s, 16s, 8s '
                  'or, of the scores head, 4s.')
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
flags.DEFINE_integer('batch_size', 10, 'Images a step.', 1, 65536)
flags.DEFINE_integer('image_size', 224, 'Side of the training images, in pixels: 176 or more where the images '
                     'are larger.', 75, 16384)
flags.DEFINE_enum('resize', 'crop', ['crop', 'squash'], 'crop: train on squares cut out of the images, test at native '
                  "size. squash: resize whole images to the square in training and testing, as the original does.")
flags.DEFINE_boolean('augment', True, 'Random flips, and with crop --random_scale and --color_jitter.')
flags.DEFINE_list('random_scale', '0.5,2', 'Smallest and largest scale of the training images (crop only).')
flags.register_validator('random_scale', lambda texts: command_line.are_numbers(texts, 0.1, 10)
                         and len(texts) == 2 and float(texts[0]) <= float(texts[1]),
                         'must be two numbers from 0.1 to 10, the smaller first')
flags.DEFINE_float('color_jitter', 0, 'Brightness, contrast and saturation change by up to this share (crop '
                   'only).', 0, 1)
flags.DEFINE_enum('optimizer', 'adam', ['adam', 'momentum'], 'momentum: stochastic gradient '
                  'descent with --momentum; its --learning_rate is larger, some 0.02.')
flags.DEFINE_float('momentum', 0.9, 'Of that optimizer.', 0, 1)
flags.DEFINE_float('learning_rate', 0.00032, 'At its highest.', 0, 1e30)
flags.DEFINE_enum('schedule', 'constant', ['constant', 'poly'], 'Of the learning rate; poly lets it fall to 0.')
flags.DEFINE_integer('warm_up', 0, 'Steps over which the learning rate grows to its highest.', 0)
flags.DEFINE_float('new_layers_rate', 1, "Factor of the learning rate for the layers that are not the backbone's.", 0,
                   1e6)
flags.DEFINE_float('clip_gradient_norm', 0, 'Longest gradient, all variables together; longer ones are shortened. 0: '
                   'any.', 0)
flags.DEFINE_enum('class_weights', 'none', class_weights.KINDS, 'In the loss: rare classes count more.')
flags.DEFINE_float('auxiliary_loss', 0, "Weight of the loss of Mixed_6e's own scores, in training only.", 0, 100)
flags.DEFINE_float('weight_decay', 0.00004, "Factor of the weights' L2 norm in the loss.", 0)
flags.DEFINE_float('batch_norm_decay', 0.9997, 'Of the moving averages; in the first steps it is less.', 0, 1)
flags.DEFINE_boolean('freeze_batch_norm', False, 'Train with the moving averages as they are, for small batches from '
                     'pretrained weights.')
flags.DEFINE_enum('learning_rate_scaling', 'none', ['none', 'sqrt', 'linear'], 'How the learning rate grows with the '
                  'number of replicas (GPUs), whose images together make the global batch.')
flags.DEFINE_float('cluster_timeout', 300, 'Seconds to wait for the other workers of a job at its beginning.', 1)
flags.DEFINE_enum('precision', 'float32', ['float32', 'mixed'], 'mixed: compute in float16 on GPUs and in bfloat16 on '
                  'CPUs that are fast in it, in all modes but export; weights stay in float32.')
flags.DEFINE_integer('cache_megabytes', 0, 'Memory, of each worker, to keep decoded training images in, for small data '
                     'sets: 3 bytes a pixel.', 0)
flags.DEFINE_integer('seed', 0, 'Of weights, order, crops and dropout.', 0, 2 ** 31 - 1)
flags.DEFINE_boolean('deterministic', False, 'Same weights every time, bit for bit, from the same flags (CPU); slower.')

# Log.
flags.DEFINE_integer('log_every', 10, 'Steps between lines of progress.jsonl.', 1)
flags.DEFINE_integer('checkpoint_every', 100, 'Steps between checkpoints.', 1)
flags.DEFINE_integer('validate_every', 100, 'Steps between validations; 0: never.', 0)
flags.DEFINE_integer('validation_images', 50, 'Images of a validation, evenly spread over the split; 0: all.', 0)
flags.DEFINE_integer('keep_checkpoints', 5, 'Newest checkpoints that are kept.', 1)
flags.DEFINE_boolean('debug', False, 'Histograms of variables, gradients and activations; stack traces.')

# Test, visualize and export.
flags.DEFINE_list('test_scales', '1', 'Predict at these factors of the image size, and average the probabilities.')
flags.register_validator('test_scales', lambda texts: command_line.are_numbers(texts, 0.1, 10),
                         'must be numbers from 0.1 to 10')
flags.DEFINE_boolean('test_flip', False, 'Predict mirror images too, and average the probabilities.')
flags.DEFINE_float('undo_class_weights', 0, 'Share of the effect of --class_weights that predictions take back, 0 to '
                   '1: the more, the fewer and the surer are the predictions of rare classes.', 0, 1)
flags.DEFINE_boolean('crf', None, 'Refine predictions by a dense CRF: visualize draws a panel of it, test scores it '
                     'too. Default: visualize does where pydensecrf is installed.')
flags.DEFINE_list('crf_parameters', '', 'Other values for it, e.g. iterations=5,bilateral_sxy=30. Defaults: '
                  + ', '.join('%s=%s' % pair for pair in crf.PARAMETERS.items()))
flags.register_validator('crf_parameters', command_line.valid(crf.parameters))
flags.DEFINE_string('image_dir', None, 'Photos to segment, instead of validation images: a folder, a file, or a '
                    "pattern in quotes such as 'photos/*.jpg'. What is done already is skipped.")
flags.DEFINE_list('image_names', None, 'Validation images to show, without extension. Default: a random choice, and '
                  'the best and the worst when --mode=test was run.')
flags.DEFINE_integer('num_images', 5, 'Size of the random choice.', 1)
flags.DEFINE_list('compare', None, 'Folders of runs, e.g. logs/32s,logs/16s,logs/8s, whose predictions visualize '
                  'draws side by side.')
flags.DEFINE_integer('tile_size', 2048, 'Larger photos are predicted in tiles of this side, in pixels, that overlap; '
                     '0: never.', 0)
flags.register_validator('tile_size', lambda size: size == 0 or (size >= 1024 and size % 32 == 0),
                         'must be 0, or a multiple of 32 from 1024 up')
flags.DEFINE_boolean('save_probabilities', False, 'Write the probabilities of all classes too, compressed.')
flags.DEFINE_string('export_dir', 'results/saved_model', 'New folder that export writes a SavedModel to.')

HELP_GROUPS = {  # first flag: title
    'mode': 'What to do, with what, where', 'skip_layers': 'The network; all modes take it from a run\'s logs_dir',
    'checkpoint_path': 'Starting weights', 'trainable_scopes': 'Training', 'log_every': 'Log',
    'test_scales': 'Test, visualize and export'}
# Flags that checkpoints depend on, and flags that save repeating; kept in logs_dir/config.json.
NETWORK_FLAGS = ('dataset', 'void_class', 'skip_layers', 'upsampling', 'use_batch_norm', 'scale_input')
REMEMBERED_FLAGS = ('data_dir', 'image_size', 'resize')
# Flags whose change makes a resumed run another than one never stopped.
STREAM_FLAGS = ('seed', 'augment', 'random_scale', 'color_jitter', 'image_size', 'resize', 'skip_bad_images')


def train(dataset, crew, config):
    """Trains from --logs_dir, or from --checkpoint_path when that is empty, to --max_iterations."""
    checking = begin_check(dataset.training + dataset.validation, dataset, crew)  # before TensorFlow loads
    import BatchDatSetReader
    from fcn.data.cache import ImageCache
    from fcn.distributed.cluster import Cluster
    from fcn.inference import predictor as evaluation
    from fcn.network import model
    from fcn.reporting import model_card
    from fcn.runs import checkpoints
    from fcn.training import log as training_log
    from fcn.training import step as training
    from TensorflowUtils import LOSS_SCALES, describe_devices, lower_precision, tf

    def starting_point():
        newest = checkpoints.newest_intact(FLAGS.logs_dir)
        return [newest, checkpoints.find(FLAGS.checkpoint_path) if FLAGS.checkpoint_path and not newest else None]
    newest, weights = crew.broadcast(starting_point)
    first_step = run_folder.step_of(newest) if newest else 0
    if first_step >= FLAGS.max_iterations:
        print('%s is at step %d already, and --max_iterations=%d asks for no more. Give a larger one to go on, or '
              'another --logs_dir to begin anew.' % (newest, first_step, FLAGS.max_iterations))
        return 0
    best_dir = os.path.join(FLAGS.logs_dir, 'best')
    for note in training.notes(dataset, FLAGS.image_size, FLAGS.resize == 'crop' and FLAGS.use_batch_norm
                               and not FLAGS.freeze_batch_norm):
        print(note)

    weights_of_classes = crew.broadcast(lambda: class_weights.class_weights(
        FLAGS.class_weights, dataset.training, dataset))
    if weights_of_classes:
        print(class_weights.describe(weights_of_classes, dataset.class_names))

    started_from = FLAGS.checkpoint_path if not newest else model_card.started_from(config)
    cluster = Cluster(crew, FLAGS.deterministic, FLAGS.precision, training=True)
    global_batch = FLAGS.batch_size * cluster.replicas
    first_sample, batches = run_folder.samples_before(config, first_step, global_batch)
    with tf.Graph().as_default() as graph, cluster.scope():
        tf.set_random_seed(FLAGS.seed)
        lower = lower_precision(FLAGS.precision)
        hint = ', --precision=float32' if lower else ''
        scale = training.SCALINGS[FLAGS.learning_rate_scaling](cluster.replicas)
        try:
            one_step = training.Step(
                cluster, dataset, network_settings(dataset),
                dict({name: FLAGS[name].value for name in ('batch_size', 'image_size', 'seed', 'resize', 'augment')},
                     first_sample=first_sample, scales=tuple(map(float, FLAGS.random_scale)),
                     jitter=FLAGS.color_jitter,
                     cache=ImageCache(10 ** 6 * FLAGS.cache_megabytes)),
                FLAGS.trainable_scopes,
                lambda global_step: scale * model.scheduled_learning_rate(
                    FLAGS.schedule, FLAGS.learning_rate, global_step, FLAGS.max_iterations, FLAGS.warm_up),
                dict({name: FLAGS[name].value for name in ('optimizer', 'momentum', 'clip_gradient_norm',
                                                           'new_layers_rate')},
                     loss_scale=LOSS_SCALES[lower]),
                weights_of_classes, FLAGS.auxiliary_loss, FLAGS.debug)
        except model.NothingToTrain as error:
            raise InputError('--trainable_scopes: %s' % error) from None
        histograms = {'histograms': one_step.histograms} if FLAGS.debug else {}
        if FLAGS.validate_every:
            with tf.name_scope('validation'):
                validation = evaluation.Evaluation(
                    fcn_records.evenly(dataset.validation, FLAGS.validation_images), dataset, network_settings(dataset),
                    cluster, squash_to(), reuse=True)
            best_saver = tf.train.Saver(tf.model_variables() + [one_step.global_step], max_to_keep=0)
        saver = tf.train.Saver(max_to_keep=0)

        with cluster.session() as session:
            session.run(tf.global_variables_initializer())
            if newest:
                checkpoints.resume(session, newest)
            elif weights:
                checkpoints.start_from(session, weights, FLAGS.checkpoint_exclude_scopes, FLAGS.ignore_missing_vars)
            graph.finalize()
            print('training %d of %d variables with %d images, step %d to %d, %s' % (
                len(one_step.variables), len(tf.trainable_variables()), len(dataset.training), first_step,
                FLAGS.max_iterations, describe_devices(session, FLAGS.precision)))
            if cluster.replicas > 1:
                print('global batch %d: %d images on each of %d replicas, %d worker%s; learning rate times %g' % (
                    global_batch, FLAGS.batch_size, cluster.replicas, crew.count, 's' if crew.count > 1 else '', scale))
            log = training_log.NoLog()
            if crew.chief:
                save_config(FLAGS.logs_dir, dataset, batches, weights_of_classes, started_from)
                log = training_log.TrainingLog(FLAGS.logs_dir, first_step, FLAGS.max_iterations, graph, own_flags())
            with contextlib.closing(log), run_folder.Signals() as signals:
                step, last = first_step, False
                while not last:
                    step += 1
                    due = step == FLAGS.max_iterations or step % FLAGS.log_every == 0
                    records = functools.partial(
                        BatchDatSetReader.records_of_samples, dataset.training, FLAGS.seed,
                        first_sample + (step - first_step - 1) * global_batch
                        + cluster.first_replica * FLAGS.batch_size, cluster.local_replicas * FLAGS.batch_size)
                    with log.timing(global_batch), evaluation.naming_bad_files(records, dataset), \
                            model.stopping_at_divergence(step, records, FLAGS.learning_rate, FLAGS.logs_dir, hint):
                        done = session.run(dict(one_step.fetches, **(histograms if due else {})),
                                           {one_step.stop: 1.0} if signals.received else {})
                    # Of several workers all must stop after the same step.
                    stopped = done['stop'] > 0 or crew.count == 1 and bool(signals.received)
                    last = step == FLAGS.max_iterations or stopped
                    validates = FLAGS.validate_every and (
                        step == FLAGS.max_iterations or step % FLAGS.validate_every == 0)
                    saves = last or step % FLAGS.checkpoint_every == 0
                    if due or validates or saves:
                        checking.wait()  # before any figure or checkpoint is written
                    values = {'step': step, 'loss': float(done['loss']), 'learning_rate': float(done['learning_rate'])}
                    if validates:
                        values.update(validation.validate(session, log, step))
                    if not crew.chief:
                        continue
                    best = (due or last or validates) and log.write(values)
                    if 'histograms' in done:
                        log.summary('train', step, done['histograms'])
                    if best:
                        checkpoints.save(best_saver, session, best_dir, step, keep=1)
                        save_config(best_dir, dataset, batches, weights_of_classes, started_from)
                    if saves:
                        newest = checkpoints.save(saver, session, FLAGS.logs_dir, step, FLAGS.keep_checkpoints)
                        log.flush()
    if stopped and step < FLAGS.max_iterations:
        print('stopped by %s at step %d, saved; the same command goes on'
              % (signals.received or 'a signal to another worker', step))
        return EXIT_STOPPED
    if log.best:
        print('best validation: mean IoU %.4f at step %d, kept in %s' % (log.best + (best_dir,)))
    print('trained to step %d: %s. Next: --mode=test, --mode=visualize, or tensorboard --logdir=%s'
          % (step, newest, FLAGS.logs_dir))
    return 0


def check(dataset, problems):
    """Reads every image and annotation, and lists what is wrong. `problems`: those met when the files were listed."""
    from fcn.data import inspection
    report = inspection.inspect(dataset, problems)
    print('\n'.join(inspection.report_lines(report, dataset)))
    print('wrote ' + inspection.write(report, dataset, make_folder(FLAGS.results_dir)))
    return EXIT_INPUT if report.problems else 0


def load_dataset(config, on_problem=None):
    """Reads the records of --dataset, or lists --image_dir; `on_problem` as the readers' own. Returns a `Dataset`."""
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
        training, validation = [], photos.list_photos(FLAGS.image_dir)
    else:
        training, validation = reader.read_dataset(FLAGS.data_dir or reader.DATA_DIR, FLAGS.data_url, on_problem)
    return fcn_records.Dataset(FLAGS.dataset, training, validation, class_names, ignore_label, void_label,
                               reader.PALETTE)


def run(argv):
    """Does what --mode says. Returns the exit status."""
    if len(argv) > 1:
        raise InputError('%s is no flag. Flags begin with --, and their values follow after =.' % argv[1])
    if FLAGS.mode == 'train':
        run_folder.expect_warning()
    with contextlib.ExitStack() as stack:
        crew = stack.enter_context(workers.join(os.environ, FLAGS.cluster_timeout))
        # A run that was killed before its first checkpoint binds nobody.
        of_run = FLAGS.mode != 'check' or FLAGS['logs_dir'].present  # check is of a data set, whatever logs/all holds
        config = run_folder.read_config(run_dir()) if of_run and run_folder.saved(run_dir()) else {}
        command_line.recall(FLAGS, config, run_dir(), NETWORK_FLAGS, REMEMBERED_FLAGS,
                            STREAM_FLAGS if FLAGS.mode == 'train' else ())
        if (FLAGS.skip_layers, FLAGS.upsampling) == ('4s', 'features'):
            raise InputError("--skip_layers=4s goes with --upsampling=scores; the original's head ends at 8s.")
        if not crew.chief and FLAGS.mode not in ('train', 'test'):
            return 0  # the chief does it alone
        if FLAGS.mode == 'train' and crew.chief:
            stack.enter_context(run_folder.locked(FLAGS.logs_dir))
        problems = []
        dataset = crew.chief_first(lambda: load_dataset(
            config, problems.append if FLAGS.mode == 'check' or FLAGS.skip_bad_images else None))
        if FLAGS.mode == 'check':
            return check(dataset, problems)
        if FLAGS.skip_bad_images:
            from fcn.data import inspection
            dataset = inspection.leave_out_bad(dataset, problems, FLAGS.mode == 'train')
        if FLAGS.mode == 'train':
            status = train(dataset, crew, config)
            run_folder.ignore_warning()
            return status
        if FLAGS.mode == 'test':
            return predicting.test(dataset, crew)
        return {'visualize': predicting.visualize, 'export': predicting.export}[FLAGS.mode](dataset)


def main(argv):
    return command_line.run('inception_FCN.py', lambda: run(argv), FLAGS.debug)


def freeze_weights():
    """Has oneDNN rearrange the weights for its convolutions once, not for each image, in processes that never train."""
    os.environ.setdefault('TF_ONEDNN_ASSUME_FROZEN_WEIGHTS', '1')


def main_of_a_process(argv):
    if FLAGS.mode != 'train':
        freeze_weights()
    try:
        return main(argv)
    finally:
        gc.freeze()  # or the interpreter would look through all the graph's objects before it ends, for seconds


if __name__ == '__main__':
    app.run(main_of_a_process, flags_parser=lambda argv: command_line.parse(FLAGS, argv, __doc__, HELP_GROUPS))

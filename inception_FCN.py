"""FCN-32s, 16s, 8s and 4s on InceptionV3: train, test and visualize semantic segmentation.

    python inception_FCN.py --mode=train --dataset=shapes --checkpoint_path= --max_iterations=300
    python inception_FCN.py --mode=test
    python inception_FCN.py --mode=visualize --image_dir=PHOTOS
    python inception_FCN.py --mode=plan --data_dir=DATA --class_names=DATA/labels.txt --minutes=10
    tensorboard --logdir=logs/all

The README walks through the data sets and the two training steps. A finished or an interrupted run goes on from
`--logs_dir` with the same command; test and visualize find there what was trained, and its flags.

Exit status: 0 done; 1 unknown flag or value; 2 bad input, one paragraph says which; 3 the loss stopped being finite;
69 another worker of the job was lost, or did not come; 70 a defect of the program; 75 training was stopped by a signal
(SIGTERM, SIGINT, SIGUSR1, SIGHUP, SIGXCPU) after writing a checkpoint: the same command goes on; 130 interrupted
elsewhere.
"""
import contextlib
import dataclasses
import functools
import gc
import glob
import os
import re
from typing import Any, Callable, Collection, ContextManager, Dict, List, Optional, Tuple

from absl import app, flags

from fcn import config as fcn_config
from fcn.config import Config, RunConfig
from fcn.data import annotation_check, annotations, class_weights, datasets, films, inspection, palettes, photos, splits
from fcn.data.alike import composed
from fcn.data.image_range import check_photos
from fcn.data.problems import Problem
from fcn.data.sixteen_bits import FULL_RANGE
from fcn.distributed import workers as fcn_workers
from fcn.inference import crf
from fcn.readers import READERS
from fcn.runs import run_folder
from fcn.training import signals
from fcn.training.notes import notes
from fcn.utils import command_line
from fcn.utils.checksums import digest_of
from fcn.utils.errors import EXIT_INPUT, EXIT_STOPPED, CheckpointReplaced, InputError, printable
from fcn.utils.files import expand_home, locked, make_folder
from fcn.utils.threads import SerialExecutor, ordered_map

FLAGS = flags.FLAGS

# ---- What to do, with what, where

flags.DEFINE_enum('mode', 'train', ['train', 'test', 'visualize', 'export', 'check', 'plan'], 'What to do. check reads '
                  'the whole data set and lists what is wrong with it; plan looks at it and writes a flag file, '
                  'plan.flags beside it, for a training of --minutes on this machine.')
flags.DEFINE_float('minutes', 10, 'That a training may take, for plan.', 0.01, 1e7)
flags.DEFINE_enum('dataset', 'pascal_voc', sorted(READERS), 'Data set. pascal_voc takes any folder in VOC layout.')
flags.DEFINE_string('data_dir', None, 'Folder of the data set. Default: one in Data_zoo/, downloaded to when absent.')
flags.DEFINE_string('data_url', None, 'Download the data set from here, not from its own host.')
flags.DEFINE_string('train_split', None, 'Training split of pascal_voc: train, or trainaug, of SegmentationClassAug or '
                    "of SBD's benchmark_RELEASE beside VOC2012. Default: trainaug where SegmentationClassAug is there.")
flags.DEFINE_string('split', 'val', 'Images that test, visualize and check take: val, train, test, or a file of names. '
                    'check compares them with the training images.')
flags.DEFINE_string('class_names', None, 'Text file, a class name a line, line number = label from 0 (pascal_voc). '
                    'Default: labels.txt in --data_dir, or VOC\'s classes.')
flags.DEFINE_list('ignore_label', None, 'Labels that neither loss nor scores count, beside 255; none: all classes '
                  'count. Default: the classes that --class_names calls void, unlabelled, ignore, 255 or -1.')
flags.register_validator('ignore_label', lambda texts: texts in (None, ['none']) or texts and all(
    text.isdecimal() and text.isascii() and int(text) <= 255 for text in texts),
                         'must be none, or numbers from 0 to 255')
flags.DEFINE_string('logs_dir', 'logs/all', 'Folder of checkpoints, progress.jsonl and TensorBoard events.')
flags.DEFINE_string('train_dir', None, 'Folder or checkpoint that test and visualize take the model from. '
                    'Default: --logs_dir.')
flags.DEFINE_string('results_dir', 'results', 'Folder that test, visualize, check and export write to.')

flags.DEFINE_boolean('skip_bad_images', False, 'Read the whole data set first and leave out the images whose files are '
                     'bad, or whose annotations are. Otherwise they are an error.')

flags.DEFINE_boolean('allow_one_class', False, 'Train though the training annotations show one class alone, beside '
                     'void. Otherwise that is an error, since 255, say, may be an object.')

flags.DEFINE_boolean('palette_is_labels', False, 'Take pixel values of palette annotations as labels though their '
                     "palettes differ or have another order than VOC's. Otherwise that is an error.")

flags.DEFINE_integer('image_range', None, 'Largest value of 16-bit images, e.g. 4095 of 12-bit cameras, which becomes '
                     "white. Default: 65535, or the run's; images that all stay below 4096 are an error then.", 1,
                     FULL_RANGE)

# ---- The network: test, visualize and a resumed run take these from logs_dir

flags.DEFINE_enum('skip_layers', '8s', ['32s', '16s', '8s', '4s'], 'Finest features that are fused: FCN-32s, 16s, 8s '
                  'or, of the scores head, 4s.')
flags.DEFINE_enum('upsampling', 'scores', ['scores', 'features'], "Head: the FCN paper's, which upsamples scores, "
                  "or the original's, which upsamples features.")
flags.DEFINE_boolean('use_batch_norm', True, 'Batch norm in the backbone. The 2017 checkpoints have none.')
flags.DEFINE_boolean('scale_input', True, 'Scale images to [-1, 1]. The 2017 checkpoints take 0 to 255.')
flags.DEFINE_boolean('void_class', False, "Make void (255) one more class, 'ambiguous', as the original does.")
flags.DEFINE_float('dropout_keep_prob', 0.85, 'Share of Mixed_7c kept in training.', 0.01, 1)

# ---- Starting weights

flags.DEFINE_string('checkpoint_path', 'Data_zoo/inception_v3/inception_v3.ckpt', 'Weights to start from when '
                    'logs_dir is empty: a prefix, a folder, a .tar.gz, or InceptionV3 as .h5, .keras (Keras) or '
                    '.safetensors (timm, torchvision). The default is downloaded when absent; empty: random weights.')
flags.DEFINE_list('checkpoint_exclude_scopes', 'InceptionV3/Logits,InceptionV3/AuxLogits',
                  'Scopes not to load from it.')
flags.DEFINE_boolean('ignore_missing_vars', True, 'Let variables that it lacks start at random; else that is an error.')

# ---- Training

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
flags.DEFINE_integer('warm_up', 0, 'Steps over which the learning rate grows to its highest.', 0,
                     10 ** 12)
flags.DEFINE_float('new_layers_rate', 1, "Factor of the learning rate for the layers that are not the backbone's.", 0,
                   1e6)
flags.DEFINE_float('clip_gradient_norm', 0, 'Longest gradient, all variables together; longer ones are shortened. 0: '
                   'any.', 0, 1e30)
flags.DEFINE_enum('class_weights', 'none', class_weights.KINDS, 'In the loss: rare classes count more.')
flags.DEFINE_float('auxiliary_loss', 0, "Weight of the loss of Mixed_6e's own scores, in training only.", 0, 100)
flags.DEFINE_float('weight_decay', 0.00004, "Factor of the weights' L2 norm in the loss.", 0)
flags.DEFINE_float('batch_norm_decay', 0.9997, 'Of the moving averages; in the first steps it is less.', 0, 1)
flags.DEFINE_boolean('freeze_batch_norm', False, 'Train with the moving averages as they are, for small batches from '
                     'pretrained weights.')
flags.DEFINE_enum('learning_rate_scaling', 'none', ['none', 'sqrt', 'linear'], 'How the learning rate grows with the '
                  'number of replicas (GPUs), whose images together make the global batch.')
flags.DEFINE_float('cluster_timeout', 300, 'Seconds to wait for the other workers of a job at its beginning.', 1, 1e7)
flags.DEFINE_enum('precision', 'float32', ['float32', 'mixed'], 'mixed: compute in float16 on GPUs and in bfloat16 on '
                  'CPUs that are fast in it, in all modes but export; weights stay in float32.')
flags.DEFINE_integer('cache_megabytes', 0, 'Memory, of each worker, to keep decoded training images in, for small data '
                     'sets: 3 bytes a pixel.', 0)
flags.DEFINE_integer('seed', 0, 'Of weights, order, crops and dropout.', 0, 2 ** 31 - 1)
flags.DEFINE_boolean('deterministic', False, 'Same weights every time, bit for bit, from the same flags (CPU); slower.')

# ---- Log

flags.DEFINE_integer('log_every', 10, 'Steps between lines of progress.jsonl.', 1)
flags.DEFINE_integer('checkpoint_every', 100, 'Steps between checkpoints.', 1)
flags.DEFINE_integer('validate_every', 100, 'Steps between validations; 0: never.', 0)
flags.DEFINE_integer('validation_images', 50, 'Images of a validation, evenly spread over the split; 0: all.', 0)
flags.DEFINE_integer('patience', 0, 'Training ends when so many validations in a row were no better than the best '
                     'before them; 0: never.', 0)
flags.DEFINE_float('planned_step_seconds', 0, 'Of a plan: training says where its steps take a third more, or less; 0: '
                   'there is no plan.', 0, 1e7)
flags.DEFINE_integer('keep_checkpoints', 5, 'Newest checkpoints that are kept.', 1)
flags.DEFINE_boolean('debug', False, 'Histograms of variables, gradients and activations; stack traces.')

# ---- Test, visualize and export

flags.DEFINE_list('test_scales', '1', 'Predict at these factors of the image size, and average the probabilities.')
flags.register_validator('test_scales', lambda texts: command_line.are_numbers(texts, 0.1, 10),
                         'must be numbers from 0.1 to 10')
flags.DEFINE_boolean('test_flip', False, 'Predict mirror images too, and average the probabilities.')
flags.DEFINE_float('undo_class_weights', 0, 'Share of the effect of --class_weights that predictions take back, 0 to '
                   '1: the more, the fewer and the surer are the predictions of rare classes.', 0, 1)
flags.DEFINE_boolean('crf', None, 'Refine predictions by a dense CRF: visualize draws a panel of it, or a film by it, '
                     'test scores it too. Default: visualize draws the panel where pydensecrf is installed.')
flags.DEFINE_list('crf_parameters', '', 'Other values for it, e.g. iterations=5,bilateral_sxy=30. Defaults: '
                  + ', '.join('%s=%s' % pair for pair in vars(crf.DEFAULTS).items()))
flags.register_validator('crf_parameters', command_line.valid(crf.parse_parameters))
flags.DEFINE_string('image_dir', None, 'Photos to segment, instead of validation images: a folder, a file, or a '
                    "pattern in quotes such as 'photos/*.jpg'; or one film. What is done already is skipped.")
flags.DEFINE_list('image_names', None, 'Validation images to show, without extension. Default: a random choice, and '
                  'the best and the worst when --mode=test was run.')
flags.DEFINE_integer('num_images', 5, 'Size of the random choice.', 1)
flags.DEFINE_list('compare', None, 'Folders of runs, e.g. logs/32s,logs/16s,logs/8s, whose predictions visualize '
                  'draws side by side.')
flags.DEFINE_integer('tile_size', 2048, 'Larger images are predicted in tiles of this side, in pixels, that overlap; '
                     '0: never.', 0)
flags.register_validator('tile_size', lambda size: size == 0 or (size >= 1024 and size % 32 == 0),
                         'must be 0, or a multiple of 32 from 1024 up')
flags.DEFINE_boolean('save_probabilities', False, 'Write the probabilities of all classes too, compressed.')
flags.DEFINE_boolean('save_labels', False, "Write a label map of each of a film's frames. Photos' are always written.")
flags.DEFINE_boolean('panels', False, 'Draw panels, pic_N.png, of all photos, not only of the first 100, which the '
                     'page shows. Validation images always have theirs.')
flags.DEFINE_enum('overlay_format', 'png', ['png', 'jpeg'], 'Of overlays/NAME.png, or NAME.jpg, which takes a fifth of '
                  'the time and of the disk.')
flags.DEFINE_enum('export_format', 'saved_model', sorted(fcn_config.EXPORT_PLACES), 'What export writes: a SavedModel '
                  'of TensorFlow, an ONNX file (pip install tf2onnx onnxruntime) or, of one image size, a TFLite file.')
flags.DEFINE_string('export_dir', None, 'New folder that export writes to, or new file whose name ends in .onnx or '
                    '.tflite. Default, in --results_dir: ' + ', '.join(sorted(fcn_config.EXPORT_PLACES.values())) + '.')
flags.DEFINE_list('export_size', None, 'Height and width, in pixels, of the images that a TFLite file takes.')
flags.register_validator('export_size', lambda texts: texts is None or len(texts) == 2 and all(
    text.isdecimal() and text.isascii() and 1 <= int(text) <= 16384 for text in texts),
                         'must be two whole numbers from 1 to 16384')
flags.DEFINE_boolean('labels_only', False, 'Export a model that gives no probabilities: less memory and time.')

PATH_FLAGS = ('data_dir', 'data_url', 'train_split', 'split', 'class_names', 'logs_dir', 'train_dir', 'results_dir',
              'checkpoint_path', 'image_dir', 'compare', 'export_dir')  # ~ is the home folder in these
DATA_FLAGS = ('dataset', 'data_dir', 'data_url', 'train_split', 'class_names', 'ignore_label', 'void_class',
              'skip_bad_images', 'allow_one_class', 'palette_is_labels', 'image_range')
NOT_PLANNED = ('mode', 'minutes', 'split', 'debug')
HELP_GROUPS = {  # first flag: title
    'mode': 'What to do, with what, where', 'skip_layers': 'The network; all modes take it from a run\'s logs_dir',
    'checkpoint_path': 'Starting weights', 'trainable_scopes': 'Training', 'log_every': 'Log',
    'test_scales': 'Test, visualize and export'}


# ---- The modes: each does one command with its context, and returns the exit status


@dataclasses.dataclass(frozen=True)
class Context:
    """Holds what a mode works with.

    config: the command's. run: what the folder that it works on keeps of its training. dataset: its records and
    classes. workers: of the job. problems: met when the data set was listed.
    """
    config: Config
    run: RunConfig
    dataset: Any
    workers: Any
    problems: List[Any]


def train(context: Context) -> int:
    """Trains from --logs_dir, or from --checkpoint_path when that is empty, to --max_iterations."""
    config, dataset, workers = context.config, context.dataset, context.workers
    records = [] if config.data.skip_bad_images else dataset.training + dataset.validation  # else all were read before
    started_check = annotation_check.begin_check(  # before TensorFlow loads
        records, dataset, workers, len(dataset.training), resumed=bool(context.run.flags))
    from fcn.runs.checkpoints import read_score
    from fcn.training.trainer import Trainer, find_start
    start = find_start(config, context.run, workers, named_checkpoint(config))
    if start.step >= config.optimizer.max_iterations:
        print(f'{start.resumed} is at step {start.step} already, and '
              f'--max_iterations={config.optimizer.max_iterations} asks for no more. Give a larger one to go on, or '
              'another --logs_dir to begin anew.')
        return 0
    network = config.network(len(dataset.class_names))
    learns_from_crops = config.data.resize == 'crop' and network.use_batch_norm and not network.freeze_batch_norm
    for note in notes(dataset, config.data.image_size, learns_from_crops):
        print(note)
    weights = workers.broadcast(lambda: class_weights.class_weights(
        config.training.class_weights, dataset.training, dataset))
    if weights:
        print(class_weights.describe(weights, dataset.class_names))

    records = {split: datasets.fingerprint(getattr(dataset, split), data_folder(config))
               for split in ('training', 'validation')}
    for line in context.run.changes_of(records, config.flags, start.step) if start.resumed else []:
        print(line)
    trainer = Trainer(config, context.run, dataset, workers, start, weights, started_check, records)
    with trainer.built():  # readers, network, loss, optimizer
        trainer.restore_or_initialize()
        trainer.fit()
    if trainer.stopped_by:
        print(f'stopped by {trainer.stopped_by} at step {trainer.step}, saved; the same command goes on')
        return EXIT_STOPPED
    logs_dir = config.folders.logs_dir
    if trainer.is_over:
        print(f'the last {config.training.patience} validations were no better than the best before, so --patience='
              f'{config.training.patience} ends training; a larger one goes on')
    if trainer.best:
        score, step = read_score(os.path.join(logs_dir, 'best')) or trainer.best
        print(f'best validation: mean IoU {score:.4f} at step {step}, kept in {os.path.join(logs_dir, "best")}')
    print(f'trained to step {trainer.step}: {trainer.newest}. Next: --mode=test, --mode=visualize, or '
          f'tensorboard --logdir={logs_dir}')
    return 0


def test(context: Context) -> int:
    """Scores all images of --split; writes the scores, the confusion matrix, each image's scores, and the page."""
    config, dataset, prediction = context.config, context.dataset, context.config.prediction
    from fcn.inference.trained_model import find_checkpoint, trained_model
    from fcn.reporting import results
    make_folder(config.folders.results_dir)
    prefix = context.workers.broadcast(lambda: find_checkpoint(config, named_checkpoint(config)))
    network_config = network_to_predict(context)
    with trained_model(config, network_config, dataset.validation, dataset, prefix, context.workers) as (
            session, predictor):
        averaged = f', averaged over {prediction.averaged_over}' if prediction.averaged_over else ''
        undone = ''
        if prediction.undo_class_weights:
            undone = f', class weights taken back by {prediction.undo_class_weights:g}'
        of_split = '' if dataset.split == 'val' else f' ({printable(dataset.split)})'
        print(f'testing {prefix} on {len(dataset.validation)} images of {title(context)}{of_split}{averaged}{undone}')
        found = predictor.evaluate(session, progress='testing' if context.workers.chief else None,
                                   refine=refinement(config) if prediction.crf else None, near_edges=True,
                                   tile_size=prediction.tile_size)
    if not context.workers.chief:
        return 0
    with results_locked(config):
        written = results.write_test(found, prefix, config, context.run, dataset,
                                     {name: FLAGS[name].default for name in config.flags})
        print(f'wrote {", ".join(written)} and {write_page(context)}. Next: --mode=visualize')
    return 0


def visualize(context: Context) -> int:
    """Predicts photos or validation images; writes panels, label maps, overlays, and the page that shows them."""
    if context.config.prediction.compare:
        return compare(context)
    with results_locked(context.config):
        return (draw_film if films.is_film(context.config.data.image_dir) else draw_pictures)(context)


def draw_pictures(context: Context) -> int:
    """Does what visualize does of one run."""
    config, dataset, prediction = context.config, context.dataset, context.config.prediction
    from fcn.inference.trained_model import find_checkpoint, trained_model
    from fcn.reporting import manifest, outputs
    prefix, unreadable = find_checkpoint(config, named_checkpoint(config)), []
    uses_crf = crf.available() if prediction.crf is None else prediction.crf
    refine = refinement(config) if uses_crf else None

    def refines(image):
        return uses_crf and refine.takes(image)

    def draw(begun):
        predicted, panel = begun
        refined = refine(predicted.image, predicted.probabilities) if panel and refines(predicted.image) else None
        return writer.draw(left[predicted.number], panel, predicted, refined, prediction.save_probabilities)
    folders, are_photos = config.folders, bool(config.data.image_dir)
    how = dict(config.how_to_predict(dataset, context.run), crf=uses_crf and dataclasses.asdict(refine.parameters))
    if not are_photos:
        how.update(data_dir=config.data.data_dir, split=dataset.split)
    origin, records = manifest.origin(folders.log_dir, prefix, how), records_to_show(context)
    with outputs.PictureWriter(folders.results_dir, dataset, origin, resume=are_photos,
                               all_panels=prediction.panels or not are_photos,
                               overlay_format=prediction.overlay_format,
                               photos=records if are_photos else ()) as writer:
        left = [record for record in records if not writer.is_done(record, prediction.save_probabilities)]
        if len(left) < len(records):
            print(f'{len(records) - len(left)} of {len(records)} are done already')
        if left:
            with trained_model(config, network_to_predict(context), left, dataset, prefix) as (session, predictor):
                print(f'visualizing {prefix} on {len(left)} images')
                begun = ((predicted, writer.begin(left[predicted.number])) for predicted in predictor.predict(
                    session, lambda image: prediction.save_probabilities or refines(image), 'visualizing',
                    prediction.tile_size, unreadable.append if are_photos else None))
                threads = outputs.num_threads()
                for entry in ordered_map(draw, begun, threads, threads, None, lambda begun: outputs.bytes_to_draw(
                        begun[0]), outputs.ROOM):
                    writer.note(entry)
    inspection.print_messages('skipped', unreadable)
    if writer.note_on_others:
        print(printable(writer.note_on_others))
    check_readable(records, unreadable, config)
    if prediction.crf is None and not uses_crf:
        print('without the dense-CRF panel: pip install pydensecrf2 (Python 3.7 to 3.12) adds it')
    skipped = f' ({len(unreadable)} skipped)' if unreadable else ''
    without = sum(not entry['panel'] for entry in writer.pictures)
    left_out = f' (without {without} photos: --panels)' if without else ''
    print(f'wrote {len(left) - len(unreadable)} pictures{skipped} to {folders.results_dir}: pic_0.png and on'
          f'{left_out}, labels/, overlays/, classes.csv. Next: open {write_page(context, writer.thumbnails)}')
    return 0


def draw_film(context: Context) -> int:
    """Does what visualize does of a film: predicts its frames, and writes a film of their overlays.

    The dense CRF refines frames only where --crf asks for it: photos show it beside the prediction, a film instead.
    """
    config, dataset, prediction = context.config, context.dataset, context.config.prediction
    from fcn.inference.trained_model import find_checkpoint, trained_model
    from fcn.reporting import film_writer, manifest
    film, prefix = films.open_film(config.data.image_dir), find_checkpoint(config, named_checkpoint(config))
    refine = refinement(config) if prediction.crf else None
    origin = manifest.origin(config.folders.log_dir, prefix, dict(
        config.how_to_predict(dataset, context.run), crf=refine and dataclasses.asdict(refine.parameters),
        film=digest_of(film.path)))
    kinds = [kind for kind in ('labels', 'probabilities') if config.flags[f'save_{kind}']]
    writer = film_writer.FilmWriter(
        config.folders.results_dir, dataset.validation[0]['filename'], film, dataset, origin, kinds)
    if writer.is_done:
        writer.publish_shares()
        if writer.note_on_others:
            print(printable(writer.note_on_others))
        print(f'{film.path} is done already: {writer.path}. Next: open {write_page(context)}')
        return 0

    def write(predicted):
        if refine:
            predicted = dataclasses.replace(predicted, labels=refine(predicted.image, predicted.probabilities))
        writer.add(predicted)
    with writer, trained_model(config, network_to_predict(context), [], dataset, prefix) as (session, predictor):
        print(f'visualizing {prefix} on {film.path}: {film.width}×{film.height} pixels, '
              f'{float(film.rate):.5g} frames a second')
        with SerialExecutor() as writing:
            for predicted in predictor.predict_arrays(session, films.with_progress(film), lambda _: bool(
                    refine or prediction.save_probabilities), prediction.tile_size):
                writing.submit(write, predicted)
    for note in (film_writer.describe_end(film, writer.count), writer.note_on_others):
        if note:
            print(printable(note))
    print(f'wrote {writer.count} frames to {writer.path}, shares of each class to classes.csv. Next: open '
          f'{write_page(context)}')
    return 0


def compare(context: Context) -> int:
    """Draws the predictions of several runs side by side, as the original does of FCN-32s, 16s and 8s."""
    from fcn.inference.trained_model import trained_model
    from fcn.reporting.comparison import MOST_PHOTOS, Comparison, find_run
    config, dataset, folders = context.config, context.dataset, context.config.prediction.compare
    if config.prediction.undo_class_weights:
        raise InputError('--undo_class_weights does not go with --compare.')
    records, comparison, unreadable = records_to_show(context), Comparison(folders), {}
    are_photos = bool(config.data.image_dir)
    if are_photos and len(records) > MOST_PHOTOS:
        print(f'note: of {len(records)} photos {MOST_PHOTOS} are compared, evenly chosen')
        records = datasets.evenly(records, MOST_PHOTOS)
    validation = datasets.fingerprint(dataset.validation, data_folder(config))
    for folder in folders:
        prefix, run = find_run(folder, dataset)
        if dataset.split == 'val' and not config.data.image_dir and run.has_other_validation(validation):
            print(printable(f'note: {folder} was validated on other images than these, and may have learned from some '
                            'of them'))
        other = config.with_flags_of(run)
        seen = dataset if dataset.image_range_given else dataclasses.replace(dataset, image_range=run.image_range)
        with trained_model(other, other.network(len(dataset.class_names)), records, seen, prefix) as (
                session, predictor):
            comparison.add(folder, run.flags['skip_layers'], records, predictor.predict(
                session, None, folder, config.prediction.tile_size,
                (lambda error: unreadable.setdefault(str(error), error)) if are_photos else None), dataset)
    inspection.print_messages('skipped', list(unreadable.values()))
    check_readable(records, unreadable, config)
    with results_locked(config):
        path = comparison.write(config.folders.results_dir, records, dataset)
    print(f'wrote {path}: {len(records) - len(unreadable)} images, {len(folders)} runs')
    return 0


def export(context: Context) -> int:
    """Writes a SavedModel, an ONNX or a TFLite file, loads it again and compares it with the checkpoint.

    They are compared on the images that visualize shows, of photos on --num_images; where the run's data set is not
    there, they are not.
    """
    from fcn.inference import onnx_model
    config, dataset, folders = context.config, context.dataset, context.config.folders
    path, kind, size = folders.export_dir, folders.export_format, config.prediction.export_size
    if kind == 'onnx':
        onnx_model.import_package('tf2onnx')
    ending = os.path.splitext(path)[1].lower()
    if ending in ('.onnx', '.tflite') and ending != '.' + kind:
        raise InputError(f'--export_dir={path} is the name of another kind of file: add --export_format={ending[1:]}, '
                         'or name a folder.')
    if kind != 'saved_model':
        path = onnx_model.file_of(path, '.' + kind)
    from fcn.inference import saved_model, tflite_model
    from fcn.inference.trained_model import find_checkpoint, trained_model
    prefix, side = find_checkpoint(config, named_checkpoint(config)), config.data.squash_to
    if side:
        print(f'note: the run was trained on images squashed to {side}×{side} pixels, which the exported model does '
              'not do: squash them before they go in')
    if config.prediction.not_exported:
        print(f'note: the exported model does not do {" ".join(config.prediction.not_exported)}: it predicts otherwise '
              'than test and visualize do with that')
    writer, reader = {
        'onnx': (onnx_model.export, onnx_model.OnnxModel), 'saved_model': (saved_model.export, saved_model.Exported),
        'tflite': (functools.partial(tflite_model.export, size=size), tflite_model.TfliteModel)}[kind]
    if kind == 'tflite':
        tflite_model.check_available()
    network_config, missing, unreadable = network_to_predict(context), '', []
    records, are_photos = records_to_show(context) if dataset.validation else [], bool(config.data.image_dir)
    if are_photos:
        records = datasets.evenly(records, config.prediction.num_images)
    with trained_model(config, network_config, records, dataset, prefix, exporting=True) as (session, predictor):
        writer(path, prefix, dataset, network_config, config.prediction.labels_only, side)
        if kind == 'onnx' and not onnx_model.can_load():
            missing = 'onnxruntime: pip install onnxruntime'
        elif not records:
            missing = (f'images: {printable(data_folder(config))} holds none, and --image_dir=PHOTO or --data_dir '
                       'names others')
        if missing:
            print(f'wrote {prefix} to {path}; it was not compared with the checkpoint, which needs {missing}')
            return 0
        predictions = predictor.predict(session, lambda _: not size, None, config.prediction.tile_size,
                                        unreadable.append if are_photos else None)
        if size:
            predictions = tflite_model.predictions_at(size, predictions, prefix, network_config)
        with reader(path) as exported:
            images, pixels, largest = saved_model.compare(
                exported, predictions, 0 if size or side else config.prediction.tile_size)
    inspection.print_messages('skipped', unreadable)
    if not images:
        print(f'wrote {prefix} to {path}; it was not compared with the checkpoint, as no image could be read')
        return 0
    probabilities = '' if largest is None else f', and no probability is more than {largest:.1g} off'
    print(f'wrote {prefix} to {path}; on {images} images {pixels} pixels have another label than from the '
          f'checkpoint{probabilities}')
    return 0


def check(context: Context) -> int:
    """Reads every image and annotation, and lists what is wrong."""
    report = inspection.inspect(context.dataset, context.problems)
    print('\n'.join(inspection.report_lines(report, context.dataset)))
    print('wrote ' + inspection.write(report, context.dataset, make_folder(context.config.folders.results_dir)))
    return EXIT_INPUT if report.problems else 0


def plan(context: Context) -> int:
    """Looks at the data and at the machine, and writes a flag file for a training. Raises InputError."""
    from fcn.training.plan_file import plan_training
    config = context.config
    if FLAGS['planned_step_seconds'].present:
        raise InputError('--planned_step_seconds is of the file of a plan, all of whose flags a new plan would take '
                         'as given, and so change nothing. Leave --flagfile=.../plan.flags out, and give --mode=plan '
                         'the flags of the data, such as --data_dir, and those that are to stay.')
    given = {name: config.flags[name] for name in config.flags if FLAGS[name].present and name not in NOT_PLANNED}
    of_data = {'dataset': config.data.dataset}
    of_data.update({name: given.pop(name) for name in list(given) if name in DATA_FLAGS})
    if config.data.class_names:
        of_data['class_names'] = config.data.class_names  # also where nobody named it
    plan_training(context.dataset, config.data.data_dir or READERS[config.data.dataset].DATA_DIR,
                  config.folders.results_dir, FLAGS.minutes, of_data, given)
    return 0


@dataclasses.dataclass(frozen=True)
class Mode:
    """Holds what a mode is and needs.

    run: the function above. shared: all workers of a job take part; else the chief works alone. trains: it takes the
    lock of --logs_dir, and signals end it after the step. of_run: it works on a run, whose flags it takes; check and
    plan are of a data set, whatever logs/all holds. takes_photos: --image_dir stands in for the data set.
    """
    run: Callable[[Context], int]
    shared: bool = False
    trains: bool = False
    of_run: bool = True
    takes_photos: bool = False


MODES = {
    'train': Mode(train, shared=True, trains=True),
    'test': Mode(test, shared=True),
    'visualize': Mode(visualize, takes_photos=True),
    'export': Mode(export, takes_photos=True),
    'check': Mode(check, of_run=False),
    'plan': Mode(plan, of_run=False),
}


# ---- What the modes share


def results_locked(config: Config) -> ContextManager:
    """Returns a context that one process at a time is in, which writes to --results_dir. Raises InputError."""
    folder = make_folder(config.folders.results_dir)
    return locked(folder, progress=True, lock=os.path.join(folder, '.results.lock'))


def check_trained(config: Config, mode: Mode, run: RunConfig) -> None:
    """Raises InputError where there is no trained model, before a data set is read or even downloaded for nothing.

    run: of `configure`.
    """
    if mode.run is visualize and config.prediction.compare:
        for folder in config.prediction.compare:
            if not run_folder.list_checkpoints(folder):
                raise InputError(f'--compare: {folder} is no folder of a run, with checkpoints and config.json.')
        return
    place, named = config.folders.checkpoint_place, named_checkpoint(config)
    taken = run_folder.list_checkpoints(place)
    if taken and run.leaves_alone(named, taken[-1]):
        print(f'note: {place} holds a run, so that --checkpoint_path={named} is left alone; --train_dir names a folder '
              'or checkpoint to take')
    if not taken:
        if not named and not os.path.isfile(place) and not glob.glob(glob.escape(place) + '?*'):
            raise run_folder.no_checkpoint(place)  # at once; else TensorFlow looks
        from fcn.inference.trained_model import find_checkpoint
        find_checkpoint(config, named)
    share = run.flags.get('undo_class_weights')
    if share and run.class_weights and not FLAGS['undo_class_weights'].present:
        print(f'note: {place} was trained with --undo_class_weights={share}, which is for predictions and not given '
              'here; the --flagfile of training may have more of these')
    if config.flags['upsampling'] == 'features' and not run.exists and not FLAGS['skip_layers'].present:
        print(f'note: --skip_layers={config.flags["skip_layers"]} is taken; nothing in a checkpoint of the '
              "'features' head says whether it is of FCN-32s, 16s or 8s, and another one's scores are bad")


def network_to_predict(context: Context) -> fcn_config.NetworkConfig:
    """Returns the configuration of the network for prediction. Raises InputError: no class weights to take back."""
    config, classes = context.config, len(context.dataset.class_names)
    return config.network(classes, logit_adjustment=context.run.logit_adjustment(
        config.prediction.undo_class_weights, classes, config.folders.run_dir))


def named_checkpoint(config: Config) -> Optional[str]:
    """Returns the checkpoint of a whole model that the command line names, or None."""
    return config.training.checkpoint_path if FLAGS['checkpoint_path'].present else None


def refinement(config: Config) -> crf.Refinement:
    """Returns the dense CRF with its parameters. Raises InputError when its package is missing."""
    return crf.Refinement(crf.parse_parameters(config.prediction.crf_parameters))


def check_readable(records: List[Any], unreadable: Collection[Any], config: Config) -> None:
    """Raises InputError where none of the photos that were to be shown can be read. unreadable: an error of each."""
    if unreadable and len(unreadable) == len(records):
        raise InputError(f'None of the {len(records)} photos in --image_dir={config.data.image_dir} can be read.')


def records_to_show(context: Context) -> List[Any]:
    """Lists the photos; or the named validation images; or some by chance, and the best and the worst of all."""
    from fcn.reporting import outputs
    from fcn.reporting.result_files import read_image_scores
    prediction, validation = context.config.prediction, context.dataset.validation
    if context.config.data.image_dir:
        return validation
    records = datasets.choose(validation, prediction.image_names, prediction.num_images,
                                 context.config.training.seed)
    path = os.path.join(context.config.folders.results_dir, 'images.csv')
    if not prediction.image_names and os.path.isfile(path):
        records = outputs.with_best_and_worst(records, validation, read_image_scores(path))
    return records


def data_folder(config: Config) -> str:
    """Returns the folder of the data set, where --data_dir names none too."""
    return config.data.data_dir or READERS[config.data.dataset].DATA_DIR


def title(context: Context) -> str:
    """Returns what to call the data set: of one in VOC layout with classes of its own, the folder's name."""
    dataset, folder = context.dataset, context.config.data.data_dir
    if context.config.data.dataset != 'pascal_voc' or dataset.has_voc_colours or not folder:
        return dataset.name
    parts = [part for part in os.path.abspath(folder).split(os.sep) if part and not re.match(r'VOC(devkit|\d)', part)]
    return printable(parts[-1]) if parts else dataset.name


def write_page(context: Context, thumbnails: Optional[Dict[str, Any]] = None) -> str:
    """Writes index.html over what --results_dir holds, and returns its path. thumbnails: see `page.write`."""
    from fcn.reporting import page
    folders, dataset = context.config.folders, context.dataset
    return page.write(folders.results_dir, folders.log_dir, title(context), dataset.class_names, dataset.palette,
                      context.run.flags or None, dataset.ignore_label, thumbnails)


# ---- From the command line to a mode


def load_dataset(config: Config, run: RunConfig, mode: Mode,
                 on_problem: Optional[Callable[[Problem], None]] = None) -> datasets.Dataset:
    """Reads the records of --dataset, or lists --image_dir; `on_problem` as the readers' own. Raises InputError."""
    reader, data = READERS[config.data.dataset], config.data
    class_names = list(reader.CLASS_NAMES)
    if data.class_names:
        if data.dataset != 'pascal_voc':
            raise InputError(f'--class_names goes with --dataset=pascal_voc; {data.dataset} has its own classes.')
        if run.class_names and datasets.are_lines_of(data.class_names, run.class_names):
            class_names = run.class_names  # of before numbers and comments were understood
        else:
            class_names = datasets.read_class_names(data.class_names)
        if run.class_names and list(map(composed, run.class_names)) == list(map(composed, class_names)):
            class_names = run.class_names
        if run.class_names not in (None, class_names):
            raise InputError(f'--class_names={data.class_names} names other classes than {config.folders.run_dir} was '
                             f'trained with: {", ".join(run.class_names)}.')
    elif run.class_names:
        class_names = run.class_names
    has_voc_colours = data.dataset == 'pascal_voc' and not data.class_names and class_names == reader.CLASS_NAMES
    ignored = ignored_classes(config, run, class_names)
    ignore_label, void_label = reader.IGNORE_LABEL, None
    if data.void_class:
        if ignore_label != 255:
            raise InputError(f'--void_class goes with data sets whose void is 255; {data.dataset} has none.')
        ignore_label, void_label = None, len(class_names)
        class_names = class_names + ['ambiguous']
    if mode.takes_photos and data.image_dir:
        from fcn.reporting import outputs
        if films.is_film(data.image_dir) and (mode.run is not visualize or config.prediction.compare):
            raise InputError(f'--image_dir={data.image_dir} is a film, which visualize takes alone, without --compare. '
                             'Name photos.')
        training, validation = [], photos.list_photos(data.image_dir, outputs.is_output(config.folders.results_dir))
    elif mode.run is export and not has_data_to_compare(config):
        training, validation = [], []
    else:
        training, validation = read_records(config, mode, on_problem)
    palette = reader.PALETTE
    if data.dataset == 'pascal_voc' and not has_voc_colours:
        palette = (palettes.with_colours(palette, palettes.from_texts(run.palette)) if run.palette else
                   annotations.find_palette(training + validation, len(class_names), palette))
    dataset = datasets.Dataset(data.dataset, training, validation, class_names, ignore_label, void_label, palette,
                               datasets.label_map_of(reader, training + validation), data.allow_one_class,
                               has_voc_colours, data.palette_is_labels,
                               has_own_palette=not (palette == reader.PALETTE).all(),
                               image_range=white_of_images(config, run, mode),
                               image_range_given=data.image_range is not None, split=data.split)
    if mode.takes_photos and data.image_dir and not films.is_film(data.image_dir):
        check_photos(dataset)
    return datasets.ignoring(dataset, ignored)


def has_data_to_compare(config: Config) -> bool:
    """Returns whether the data set is there; export, which needs it for its comparison alone, does not download it.

    Raises InputError where it is not, though --data_dir names it.
    """
    folder, name = data_folder(config), config.data.dataset
    if datasets.is_there(READERS[name], folder):
        return True
    if FLAGS.data_dir:
        raise InputError(f'--data_dir={folder} holds no --dataset={name} to compare the exported model on, and export '
                         'downloads none. Give a folder that holds the data set, or --image_dir=PHOTO; or leave the '
                         'flag out: without images nothing is compared.')
    return False


def read_records(config: Config, mode: Mode, on_problem: Optional[Callable[[Problem], None]]
                 ) -> Tuple[List[Any], List[Any]]:
    """Returns the records of the training split, in modes that need it of --train_split, and of --split.

    Raises InputError.
    """
    if (mode.trains or mode.run is plan) and config.data.split != 'val':
        raise InputError(f'--split={config.data.split} goes with --mode=test, visualize and check; training validates '
                         'on val.')
    reader, data, found = READERS[config.data.dataset], config.data, []
    folder, report = data.data_dir or reader.DATA_DIR, on_problem and found.append
    training, validation = reader.read_dataset(folder, data.data_url, report)
    known = training + validation

    def read(flag, split):
        """Reads another split in place of one, whose problems are of no interest then."""
        part = 'training' if flag == 'train_split' else 'validation'
        found[:] = [problem for problem in found if problem.split != part]
        return splits.read_named(reader, flag, split, folder, known, report)
    if data.train_split and (mode.trains or not mode.of_run or data.split == 'train'):
        training = read('train_split', data.train_split)
        splits.check_annotated(training, data.train_split, 'trained on')
    elif data.train_split:  # which the model card tells of, where it is a list, not to be made of SBD
        training = []
        if data.train_split != 'trainaug':
            with contextlib.suppress(InputError):
                training = read('train_split', data.train_split)
    if data.split == 'train':
        validation, training = training, [] if mode.run is check else training
        found = [problem._replace(split='validation') for problem in found if problem.split == 'training']
    elif data.split != 'val':
        validation = read('split', data.split)
    if mode.run is test:
        splits.check_annotated(validation, data.split, 'scored')
    for problem in found:
        on_problem(problem)
    return training, validation


def white_of_images(config: Config, run: RunConfig, mode: Mode) -> Optional[int]:
    """Returns the largest value of 16-bit images, None as in runs that knew of none; see `datasets.Dataset`.

    A run goes on with that which it began with. Raises InputError where the command line gives another.
    """
    wanted, folder = config.data.image_range, config.folders.run_dir
    if wanted is None:
        return run.image_range if run.exists else FULL_RANGE
    if run.exists and wanted != run.image_range:
        trained = f'--image_range={run.image_range}' if run.image_range else 'no --image_range, as it was not known yet'
        if mode.trains:
            raise InputError(f'--image_range={wanted} goes with a new run: the run in {folder} was trained with '
                             f'{trained}. Leave the flag out to go on with it, or name another --logs_dir.')
        print(f'note: 16-bit images are taken with --image_range={wanted}; {folder} was trained with {trained}')
    return wanted


def ignored_classes(config: Config, run: RunConfig, class_names: List[str]) -> List[int]:
    """Returns the labels of the classes that do not count, and says which; a run keeps those that it began with.

    class_names: list, without void's. Raises InputError.
    """
    data, folder = config.data, config.folders.run_dir
    called_void = data.class_names and not data.void_class
    ignored = run.ignored_labels or []
    if data.ignore_label or not run.exists:
        wanted = datasets.find_ignored(class_names if data.ignore_label or called_void else [], data.ignore_label,
                                       data.allow_one_class)
        if run.exists and wanted != ignored:
            trained_with = ','.join(map(str, ignored)) or 'none'
            raise InputError(f'--ignore_label={",".join(data.ignore_label)} goes with a new run: the run in {folder} '
                             f'was trained with {trained_with}. Leave the flag out to go on with it, or name another '
                             '--logs_dir.')
        ignored = wanted
    if ignored:
        names = ', '.join(f'{printable(class_names[label])} (label {label})' for label in ignored)
        advice = f', as {folder} was trained' if run.exists else '; --ignore_label=none makes all of them classes'
        print(f'note: pixels of {names} count neither in the loss nor in scores{advice}')
    return ignored


def expand_homes(name: str, value: Any) -> Any:
    """Returns a flag's value, of paths with the home folder in place of ~. Raises InputError."""
    if name not in PATH_FLAGS or not value:
        return value
    texts = value if isinstance(value, list) else [value]
    try:
        paths = [expand_home(text) for text in texts]
    except ValueError as error:
        raise InputError(f'--{name}: {error}.') from None
    for text, path in zip(texts, paths):
        if text != path and os.path.lexists(text) and not os.path.lexists(path):
            print(f'note: --{name}={text} is {path}, which is not there; the folder called ~ here is ./{text}')
    return paths if isinstance(value, list) else paths[0]


def configure(mode: Mode) -> Tuple[Config, RunConfig]:
    """Reads the flags, once. Returns (Config, RunConfig of the run that the mode works on, empty where there is none).

    A flag that the command line leaves out and the run's config.json holds is taken from there. Raises InputError.
    """
    names = [flag.name for flag in FLAGS.get_key_flags_for_module(FLAGS.find_module_defining_flag('mode'))]
    values = {name: expand_homes(name, FLAGS[name].value) for name in names}
    given = {name for name in names if FLAGS[name].present}

    def parse(name, value):
        if isinstance(value, str) and printable(value) != value:
            raise ValueError(f'--{name}={value} holds a control character')
        try:
            return None if value is FLAGS[name].default is None else FLAGS[name].parser.parse(value)
        except (flags.Error, TypeError, AttributeError) as error:
            raise ValueError(error) from None
    folder = fcn_config.make_folders(values).run_dir
    if mode.run is visualize and values['compare'] and not given & {'logs_dir', 'train_dir'}:
        folder = values['train_dir'] = values['compare'][0]  # whose data set it is; each network is its run's
        given -= set(fcn_config.NETWORK_FLAGS)
    run = RunConfig()
    # A run that was killed before its first checkpoint binds nobody.
    if (mode.of_run or 'logs_dir' in given) and run_folder.list_checkpoints(folder):
        run = fcn_config.read_run_config(folder)
    values = fcn_config.restore_flags(values, given, run, folder, parse, mode.trains)
    if values['dataset'] == 'pascal_voc' and values['data_dir'] and not values['class_names']:
        listed = os.path.join(values['data_dir'], 'labels.txt')  # as fcn.own_data writes it
        # A run has its own names. Those of another folder of images, and of the list that they came from, must be them.
        kept_from, kept_list = (os.path.abspath(str(run.flags.get(name))) for name in ('data_dir', 'class_names'))
        is_other_folder = 'data_dir' in given and os.path.abspath(values['data_dir']) != kept_from
        must_agree = (is_other_folder or os.path.abspath(listed) == kept_list) and not values['image_dir']
        if os.path.isfile(listed) and (must_agree or not run.exists):
            values['class_names'] = listed
            if not run.exists:
                print(printable(f'note: the classes are those of {listed}; --class_names names another list'))
    return fcn_config.make_config(values), run


def run_mode(mode: Mode, context: Context) -> int:
    """Does what a mode does; once more where a run that trains has replaced the checkpoint. Returns its status."""
    try:
        return mode.run(context)
    except CheckpointReplaced as error:
        if context.workers.count > 1 or mode.trains:
            raise
        print(f'note: {str(error).split(". Run")[0]}; the newest is taken instead')
        return mode.run(context)


def run(argv: List[str]) -> int:
    """Does what --mode says. Returns the exit status. Raises what `command_line.run` explains."""
    if len(argv) > 1:
        raise InputError(f'{argv[1]} is no flag. Flags begin with --, and their values follow after =.')
    mode = MODES[FLAGS.mode]
    if mode.of_run:
        command_line.note_little_memory()
    if mode.trains:
        signals.expect_warning()
    with contextlib.ExitStack() as stack:
        workers = stack.enter_context(fcn_workers.join(
            os.environ, FLAGS.cluster_timeout, [FLAGS.logs_dir, FLAGS.results_dir]))
        config, of_run = configure(mode)
        if not workers.chief and not mode.shared:
            return 0
        if mode.of_run and not mode.trains and workers.chief:
            check_trained(config, mode, of_run)
        if mode.trains and workers.chief:
            stack.enter_context(run_folder.locked(config.folders.logs_dir))
        problems, skips = [], config.data.skip_bad_images
        dataset = workers.chief_first(lambda: load_dataset(
            config, of_run, mode, problems.append if skips or mode.run is check else None))
        # Photos that cannot be read are skipped anyway, and few images of a data set are shown.
        looks_first = not mode.takes_photos or FLAGS['skip_bad_images'].present and not config.data.image_dir
        has_images = dataset.validation or problems  # else export goes without a data set
        if skips and mode.run is not check and looks_first and has_images:
            dataset = inspection.leave_out_bad(dataset, problems, mode.trains or mode.run is plan, bool(of_run.flags))
        status = run_mode(mode, Context(config, of_run, dataset, workers, problems))
        if mode.trains:
            signals.ignore_warning()
        return status


def main(argv: List[str]) -> int:
    """Runs the program in a process that may do other things too. Returns the exit status."""
    return command_line.run('inception_FCN.py', lambda: run(argv), FLAGS.debug)


def freeze_weights() -> None:
    """Has oneDNN rearrange the weights for its convolutions once, not for each image, in processes without training."""
    os.environ.setdefault('TF_ONEDNN_ASSUME_FROZEN_WEIGHTS', '1')


def main_of_a_process(argv: List[str]) -> int:
    """Runs the program in a process of its own. Returns the exit status."""
    if FLAGS.mode not in ('train', 'plan'):  # which times training
        freeze_weights()
    if FLAGS.mode != 'train':
        signals.ignore_warning()  # of a job's time limit, after which training alone has something to save
    try:
        return main(argv)
    finally:
        gc.freeze()  # or the interpreter would look through all the graph's objects before it ends, for seconds


def command() -> None:
    """Runs the program with the flags of the command line, and ends the process with its exit status."""
    app.run(main_of_a_process, flags_parser=lambda argv: command_line.parse(FLAGS, argv, __doc__, HELP_GROUPS))


if __name__ == '__main__':
    command()

"""How fast the program and its network are, as one table: make bench, or python benchmarks/bench.py [--quick].

With --pytorch=PYTHON, an interpreter that has PyTorch, the same network in it (`pytorch_bare.py`) runs in turn too;
with --original=PYTHON, one that has TensorFlow 1.15, the 2017 original's graph.

Each row compares the program (`inception_FCN.py`, on JPEGs and annotations of 500×375 pixels read from disk, with
augmentation, log and summaries) with its bare graph (the same network, loss and train operation on one constant batch),
in turn in one process; figures are medians. The fraction of the ceiling is the share of
the machine's own matrix-multiply rate that the bare graph's convolutions and matrix products reach, by TensorFlow's
count of their operations; a training step counts as three forward passes. Photos are drawn with the network on all
cores, and once more with it on one, which shows whether drawing is hidden where a core is free.
"""
import argparse
import contextlib
import functools
import glob
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from unittest import mock

import numpy as np
from bare_graphs import bare, bare_graph, ceiling, original, timed
from PIL import Image

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
HEIGHT, WIDTH = 375, 500
HEADINGS = ('what', 'program, images/s', 'bare graph, images/s', 'ratio', 'of the ceiling', 'peak GB',
            'PyTorch, images/s', 'original, images/s')
FEW, MORE = 8, 160  # images of a short test, and how many more a long one has
TURN = 4  # training steps of the program, and then of its bare graph; the first turn is not counted


# ---- data

def draw_voc(folder, training, validation, classes):
    """Draws a data set in VOC layout: smooth colours with some noise, annotations of a few rectangles."""
    base, random = os.path.join(folder, 'VOCdevkit', 'VOC2012'), np.random.RandomState(0)
    for name in ('JPEGImages', 'SegmentationClass', os.path.join('ImageSets', 'Segmentation')):
        os.makedirs(os.path.join(base, name))
    names = ['%05d' % number for number in range(training + validation)]
    for name in names:
        small = Image.fromarray(random.randint(0, 256, (12, 16, 3)).astype('uint8'))
        image = np.asarray(small.resize((WIDTH, HEIGHT), Image.BICUBIC), 'int16') + random.randint(-9, 10, (
            HEIGHT, WIDTH, 3))
        Image.fromarray(image.clip(0, 255).astype('uint8')).save(os.path.join(base, 'JPEGImages', name + '.jpg'),
                                                                quality=90)
        labels = np.zeros((HEIGHT, WIDTH), 'uint8')
        for _ in range(6):
            top, left = random.randint(0, HEIGHT), random.randint(0, WIDTH)
            labels[top:top + 120, left:left + 160] = random.randint(classes)
        Image.fromarray(labels).save(os.path.join(base, 'SegmentationClass', name + '.png'))
    for split, own in (('train', names[:training]), ('val', names[training:])):
        with open(os.path.join(base, 'ImageSets', 'Segmentation', split + '.txt'), 'w') as file:
            file.write('\n'.join(own) + '\n')
    with open(os.path.join(folder, 'labels.txt'), 'w') as file:
        file.write('\n'.join('class %d' % label for label in range(classes)) + '\n')


# ---- in processes of their own

def pipeline(data_dir, batches):
    """Returns the seconds of batches of 8 from the input pipeline, alone."""
    import BatchDatSetReader
    import read_PascalVocData
    from fcn.data import datasets
    from TensorflowUtils import session_config, tf
    training, validation = read_PascalVocData.read_dataset(data_dir)
    names = datasets.read_class_names(os.path.join(data_dir, 'labels.txt'))
    dataset = datasets.Dataset('bench', training, validation, names, 255, None, read_PascalVocData.PALETTE)
    batch = tf.data.make_one_shot_iterator(BatchDatSetReader.training_batches(training, dataset, 8, 224)).get_next()
    with tf.Session(config=session_config()) as session:
        return {'seconds': timed(functools.partial(session.run, batch), batches)}


def in_process(function, *arguments, python=sys.executable):
    """Calls a function of this module in a process of its own. Returns (what it returns, its peak memory in GB)."""
    process = subprocess.Popen([python, os.path.abspath(__file__), '--call', json.dumps(
        [function.__name__] + list(arguments))], stdout=subprocess.PIPE)
    text = process.stdout.read()
    peak = ended(process)
    return json.loads(text.decode().splitlines()[-1]), peak


def in_pytorch(python, training, classes, precision, shape, repeats):
    """Runs pytorch_bare.py. Returns what it says."""
    text = subprocess.check_output([python, os.path.join(ROOT, 'benchmarks', 'pytorch_bare.py')] + [
        'train' if training else 'predict', str(classes), precision] + [str(size) for size in shape] + [
            '--repeats=%d' % repeats])
    return json.loads(text.decode())


def ended(process):
    """Waits for a process, which must end well. Returns its peak memory in GB."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        sys.exit('%s failed' % ' '.join(process.args))
    return usage.ru_maxrss / 1e6


# ---- the program

def train_flags(data_dir, folder, upsampling, precision, steps):
    return ['--mode=train', '--data_dir=' + data_dir, '--class_names=%s/labels.txt' % data_dir, '--logs_dir=' + folder,
            '--checkpoint_path=', '--batch_size=8', '--validate_every=0', '--max_iterations=%d' % steps,
            '--log_every=1', '--upsampling=' + upsampling, '--precision=' + precision]


def test_flags(data_dir, folder, precision):
    return ['--mode=test', '--data_dir=' + data_dir, '--logs_dir=' + folder, '--precision=' + precision,
            '--results_dir=' + os.path.join(folder, 'results')]


def photo_flags(data_dir, folder, precision, pattern):
    return ['--mode=visualize', '--image_dir=%s/VOCdevkit/VOC2012/JPEGImages/%s.jpg' % (data_dir, pattern), '--nocrf',
            '--logs_dir=' + folder, '--precision=' + precision,
            '--results_dir=' + os.path.join(folder, 'photos', str(len(pattern)))]


def started(flags):
    """Runs the program in a process of its own. Returns (its peak memory in GB, the seconds it took)."""
    began = time.time()
    peak = ended(subprocess.Popen([sys.executable, os.path.join(ROOT, 'inception_FCN.py')] + flags,
                                  stdout=subprocess.DEVNULL))
    return peak, time.time() - began


def program(flags):
    """Runs the program in this process. Returns the seconds it took."""
    import inception_FCN
    inception_FCN.FLAGS.unparse_flags()
    inception_FCN.FLAGS(['inception_FCN.py'] + flags)
    began = time.time()
    with open(os.devnull, 'w') as nowhere, contextlib.redirect_stdout(nowhere):
        status = inception_FCN.run(['inception_FCN.py'])
    if status:
        sys.exit('inception_FCN.py %s failed' % ' '.join(flags))
    return time.time() - began


def step_times(folder):
    """Returns {step: when it was done}, as TensorBoard is told."""
    from TensorflowUtils import tf
    return {event.step: event.wall_time for path in glob.glob(os.path.join(folder, 'train', '*tfevents*'))
            for event in tf.train.summary_iterator(path)
            if any(value.tag == 'pixelwise_loss' for value in event.summary.value)}


def train_in_turn(data, folder, upsampling, classes, precision, repeats):
    """Trains by the program and its bare graph in turn, `TURN` steps each.

    Returns {what: seconds a step, or their ratio, of each turn}. The first step of each turn, in which the input is a
    batch ahead or catches up, is not counted. All that the program does from one step's beginning to the next one's is
    in it.
    """
    from fcn.training import log as training_log
    found, began, timing = {'train': [], 'bare_train': []}, [], training_log.TrainingLog.timing
    with bare_graph(True, upsampling, classes, precision, [8, 224, 224]) as (step, _):
        def in_turn(log, images):
            began.append(time.time())
            if len(began) == TURN + 1:
                found['train'].append((began[-1] - began[1]) / (TURN - 1))
                found['bare_train'].append(statistics.mean(timed(step, TURN - 1, 1)))
                began[:] = [time.time()]
            return timing(log, images)
        timed(step, 0)
        with mock.patch.object(training_log.TrainingLog, 'timing', in_turn):
            program(train_flags(data, folder, upsampling, precision, TURN * (repeats + 1) + 1))
    found['train_ratio'] = [bare / own for own, bare in zip(found['train'], found['bare_train'])]
    return {what: values[1:] for what, values in found.items()}


def photos(data, folder, precision):
    """Draws 100 photos, and 200. Returns the seconds of each more, which the page only links: they have no panels."""
    few, many = (program(photo_flags(data, folder, precision, pattern)) for pattern in ('000??', '00[01]??'))
    shutil.rmtree(os.path.join(folder, 'photos'))
    return (many - few) / 100


def photos_beside_one_core(data, folder, upsampling, classes, precision, repeats):
    """Draws photos while one core computes the network, one image after the other; decoding and drawing have the rest.

    Returns {what: seconds of each image or step}, of the program and of the bare graph, in turn.
    """
    import inception_FCN
    from fcn.distributed import cluster
    from fcn.inference import predictor
    usual = cluster.session_config

    def session_config(*arguments, **more):
        config = usual(*arguments, **more)
        config.intra_op_parallelism_threads = config.inter_op_parallelism_threads = 1
        return config
    inception_FCN.freeze_weights()
    # Before the first session, whose number of threads is that of all sessions of a process.
    with mock.patch.object(cluster, 'session_config', session_config), mock.patch.object(
            predictor, 'ordered_map', lambda function, items, *_: map(function, items)):
        seconds = [bare(False, upsampling, classes, precision, [1, HEIGHT, WIDTH], repeats)[0], photos(
            data, folder, precision), bare(False, upsampling, classes, precision, [1, HEIGHT, WIDTH], repeats)[0]]
    return {'photos_one_core': [seconds[1]], 'bare_one_core': seconds[0] + seconds[2]}


def test_in_turn(data, less, folder, upsampling, classes, precision, repeats):
    """Tests, and draws photos, by the program and its bare graph in turn.

    Returns {what: seconds of each image or step, or GFLOP}.
    """
    import inception_FCN
    inception_FCN.freeze_weights()
    found = {'bare_test': []}

    def bare_test():
        seconds, found['bare_test_gflop'] = bare(False, upsampling, classes, precision, [1, HEIGHT, WIDTH], repeats)
        found['bare_test'] += seconds
    bare_test()
    short = program(test_flags(less, folder, precision))
    found['test'] = [(program(test_flags(data, folder, precision)) - short) / MORE]
    bare_test()
    found['photos'] = [photos(data, folder, precision)]
    bare_test()
    found['bare_predict'], found['bare_predict_gflop'] = bare(False, upsampling, classes, precision, [8, 224, 224],
                                                              repeats)
    return found


# ---- the table

def measure(arguments, folder):
    """Yields rows of strings, as `HEADINGS`; what is left out at the end is empty."""
    import TensorflowUtils
    runs, repeats = arguments.runs or (1 if arguments.quick else 3), 8 if arguments.quick else 16
    rate = statistics.median(in_process(ceiling, 5)[0]['seconds'])
    peak_rate = 2 * 2.048 ** 3 / rate
    yield 'matrix products 2048×2048', '%.0f GFLOP/s' % peak_rate, '', '', '1'
    kinds = [('scores', 21)] if arguments.quick else [('scores', 21), ('scores', 151), ('features', 21), (
        'features', 151)]
    precisions = arguments.precisions or (['float32'] if arguments.quick else ['float32', 'mixed'])
    for upsampling, classes, precision in [kind + (precision,) for precision in precisions for kind in kinds]:
        data, less = (os.path.join(folder, '%s%d' % (name, classes)) for name in ('data', 'less'))
        if not os.path.isdir(data):
            draw_voc(data, 64, FEW + MORE, classes)
            draw_voc(less, 8, FEW, classes)
            if classes == 21:
                seconds = statistics.median(in_process(pipeline, data, 20)[0]['seconds'])
                yield 'input pipeline alone', '%.0f' % (8 / seconds)
        here = ' (float32 here)' if precision == 'mixed' and not TensorflowUtils.lower_precision('mixed') else ''
        name, figures = '%s, %d classes, %s%s' % (upsampling, classes, precision, here), {}
        for run in range(runs):
            logs_dir = os.path.join(folder, 'logs_%s_%d_%s_%d' % (upsampling, classes, precision, run))
            one, _ = in_process(train_in_turn, data, logs_dir, upsampling, classes, precision, repeats)
            two, _ = in_process(test_in_turn, data, less, logs_dir, upsampling, classes, precision, repeats)
            if len(os.sched_getaffinity(0)) > 1:
                two.update(in_process(photos_beside_one_core, data, logs_dir, upsampling, classes, precision,
                                      repeats)[0])
            for key, value in dict(one, **two).items():
                figures.setdefault(key, []).append(statistics.median(value) if isinstance(value, list) else value)
            began = time.time()
            peak, _ = started(train_flags(data, logs_dir + '_start', upsampling, precision, 3))
            figures.setdefault('peak', []).append(peak)
            figures.setdefault('first', []).append(step_times(logs_dir + '_start')[1] - began)
            _, seconds = started(test_flags(less, logs_dir, precision))
            figures.setdefault('start', []).append(seconds - FEW * figures['test'][-1])
            if arguments.pytorch and upsampling == 'scores':
                for key, training, shape in (('train', True, [8, 224, 224]), ('test', False, [1, HEIGHT, WIDTH]),
                                             ('predict', False, [8, 224, 224])):
                    found = in_pytorch(arguments.pytorch, training, classes, precision, shape, repeats)
                    figures.setdefault('pytorch_' + key, []).append(statistics.median(found['seconds']))
            if arguments.original and (upsampling, classes, precision) == ('scores', 21, 'float32'):
                found, _ = in_process(original, repeats, python=arguments.original)
                figures.setdefault('original_train', []).append(statistics.median(found['seconds']))
        middle = {key: statistics.median(value) for key, value in figures.items()}
        work = {'bare_train': 3 * middle['bare_predict_gflop'], 'bare_predict': middle['bare_predict_gflop'],
                'bare_test': middle['bare_test_gflop']}

        def fraction(key, middle=middle, work=work):
            return '%.2f' % (work[key] / middle[key] / peak_rate)

        def others(key, images, middle=middle):
            return '%.2f' % (images / middle[key]) if key in middle else ''
        yield ('train, %s, 8 of 224×224' % name, '%.2f' % (8 / middle['train']), '%.2f' % (8 / middle['bare_train']),
               '%.2f' % middle['train_ratio'], fraction('bare_train'), '%.2f' % middle['peak'],
               others('pytorch_train', 8), others('original_train', 8))
        yield ('test, %s, 1 of 500×375' % name, '%.2f' % (1 / middle['test']), '%.2f' % (1 / middle['bare_test']),
               '%.2f' % (middle['bare_test'] / middle['test']), fraction('bare_test'), '',
               others('pytorch_test', 1))
        for what, own, other in (('photos', 'photos', 'bare_test'),
                                 ('photos, network on one core', 'photos_one_core', 'bare_one_core')):
            if own in middle:
                yield ('%s, %s, 1 of 500×375' % (what, name), '%.2f' % (1 / middle[own]), '%.2f' % (1 / middle[other]),
                       '%.2f' % (middle[other] / middle[own]))
        yield 'predict, %s, 8 of 224×224' % name, '', '%.2f' % (8 / middle['bare_predict']), '', fraction(
            'bare_predict'), '', others('pytorch_predict', 8)
        yield 'from command to first step, %s' % name, '%.1f s' % middle['first']
        yield 'test without its images, %s' % name, '%.1f s' % middle['start']


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--quick', action='store_true', help='one head, one run')
    parser.add_argument('--precisions', nargs='+', choices=['float32', 'mixed'], help='default: both; quick: float32')
    parser.add_argument('--runs', type=int, help='of each, whose median is taken (default: 3, quick: 1)')
    parser.add_argument('--pytorch', metavar='PYTHON', help='an interpreter that has PyTorch, to compare with')
    parser.add_argument('--original', metavar='PYTHON', help='an interpreter that has TensorFlow 1.15, to compare with')
    parser.add_argument('--call', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.call:
        name, *rest = json.loads(arguments.call)
        print(json.dumps({one.__name__: one for one in (
            train_in_turn, test_in_turn, photos_beside_one_core, bare, original, ceiling, pipeline)}[name](*rest)))
        return
    import TensorflowUtils
    with open('/proc/cpuinfo') as file:
        model = next((line.split(':')[1].strip() for line in file if line.startswith('model name')), platform.machine())
    print('%s, %d cores, TensorFlow %s, Python %s\n' % (model, len(os.sched_getaffinity(0)),
                                                        TensorflowUtils.tf.__version__, platform.python_version()))
    print('| %s |\n|%s' % (' | '.join(HEADINGS), ' --- |' * len(HEADINGS)), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(arguments, folder):
            print('| %s |' % ' | '.join(row + ('',) * (len(HEADINGS) - len(row))), flush=True)


if __name__ == '__main__':
    main()

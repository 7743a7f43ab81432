"""Measures how fast the program and its network are, as one table: make bench, or python benchmarks/bench.py [--quick].

It is printed with the machine's name, and written to --out as CSV, logs/bench.csv by default. With --pytorch=PYTHON, an
interpreter that has PyTorch, the same network in it (`pytorch_bare.py`) runs in turn too, as it is and with the lean
head of most users; with --original=PYTHON, one that has TensorFlow 1.15, the 2017 original's graph.

Each row compares the program (`inception_FCN.py`, on JPEGs and annotations of 500×375 pixels read from disk, with
augmentation, log and summaries) with its bare graph (the same network, loss and train operation on one constant batch),
in turn in one process; figures are medians. The fraction of the ceiling is the share of the machine's own
matrix-multiply rate that the bare graph's convolutions and matrix products reach, by TensorFlow's count of their
operations in the float32 graph; a training step counts as three forward passes. Photos are drawn with the network on
all cores, and once more with it on one, which shows whether drawing is hidden where a core is free. PyTorch runs on the
CPU alone, so that --pytorch is refused where TensorFlow has a GPU.
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
from bare_graphs import bare, bare_graph, ceiling, ceiling_gflops, forward_gflop, original, timed
from PIL import Image
from recipe import write_csv

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
HEIGHT, WIDTH = 375, 500
# Of each column: its name in the CSV file, its heading, its width. The last three are shown where asked for.
COLUMNS = (('what', 'what', 14), ('head', 'head', 13), ('precision', 'precision', 9), ('program', 'program', 7),
           ('bare_graph', 'bare', 6), ('ratio', 'ratio', 5), ('of_ceiling', 'ceiling', 7), ('start_s', 'start', 5),
           ('peak_gb', 'GB', 4), ('pytorch', 'PyTorch', 7), ('pytorch_lean', 'lean', 6), ('original', 'original', 8))
LEGEND = """\
train, predict: 8 images of 224×224; test, photos: 1 of 500×375; images/s. bare: the graph alone;
ceiling: its share of the rate of matrix products. start: seconds to the first step, or of a test
without its images. lean: PyTorch whose last upsampling is F.interpolate."""
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


def in_pytorch(python, training, classes, precision, shape, repeats, lean):
    """Runs pytorch_bare.py. Returns what it prints."""
    text = subprocess.check_output([python, os.path.join(ROOT, 'benchmarks', 'pytorch_bare.py')] + [
        'train' if training else 'predict', str(classes), precision] + [str(size) for size in shape] + [
            '--repeats=%d' % repeats] + ['--lean'] * lean)
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
    with bare_graph(True, upsampling, classes, precision, [8, 224, 224]) as step:
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
        seconds = [bare(False, upsampling, classes, precision, [1, HEIGHT, WIDTH], repeats), photos(
            data, folder, precision), bare(False, upsampling, classes, precision, [1, HEIGHT, WIDTH], repeats)]
    return {'photos_one_core': [seconds[1]], 'bare_one_core': seconds[0] + seconds[2]}


def test_in_turn(data, less, folder, upsampling, classes, precision, repeats, draws):
    """Tests and, if it `draws`, draws photos, by the program and its bare graph in turn.

    Returns {what: seconds of each image or step, or GFLOP}.
    """
    import inception_FCN
    inception_FCN.freeze_weights()
    found = {f'bare_{what}_gflop': forward_gflop(upsampling, classes, shape)
             for what, shape in (('test', [1, HEIGHT, WIDTH]), ('predict', [8, 224, 224]))}
    found['bare_test'] = []

    def bare_test():
        found['bare_test'] += bare(False, upsampling, classes, precision, [1, HEIGHT, WIDTH], repeats)
    bare_test()
    short = program(test_flags(less, folder, precision))
    found['test'] = [(program(test_flags(data, folder, precision)) - short) / MORE]
    bare_test()
    if draws:
        found['photos'] = [photos(data, folder, precision)]
        bare_test()
    found['bare_predict'] = bare(False, upsampling, classes, precision, [8, 224, 224], repeats)
    return found


# ---- the table

def measure(arguments, folder):
    """Yields rows, {name of COLUMNS, or 'unit': text}; those of the machine come first and are no rows of the table."""
    runs, repeats = arguments.runs or (1 if arguments.quick else 3), 8 if arguments.quick else 16
    peak_rate = ceiling_gflops(in_process(ceiling, 5)[0]['seconds'])
    yield {'what': 'matrix products 2048×2048', 'program': f'{peak_rate:.0f}', 'unit': 'GFLOP/s'}
    kinds = [('scores', 21)] if arguments.quick else [('scores', 21), ('scores', 151), ('features', 21), (
        'features', 151)]
    precisions = arguments.precisions or (['float32'] if arguments.quick else ['float32', 'mixed'])
    for upsampling, classes, precision in [kind + (precision,) for precision in precisions for kind in kinds]:
        data, less = (os.path.join(folder, f'{name}{classes}') for name in ('data', 'less'))
        if not os.path.isdir(data):
            draw_voc(data, 64, FEW + MORE, classes)
            draw_voc(less, 8, FEW, classes)
            if classes == 21:
                seconds = statistics.median(in_process(pipeline, data, 20)[0]['seconds'])
                yield {'what': 'input pipeline alone', 'program': f'{8 / seconds:.0f}', 'unit': 'images/s'}
        figures = {}
        for run in range(runs):
            logs_dir = os.path.join(folder, f'logs_{upsampling}_{classes}_{precision}_{run}')
            for key, value in measure_once(arguments, data, less, logs_dir, upsampling, classes, precision,
                                           repeats).items():
                figures.setdefault(key, []).append(statistics.median(value) if isinstance(value, list) else value)
        yield from rows_of({key: statistics.median(values) for key, values in figures.items()}, peak_rate,
                           {'head': f'{upsampling}, {classes}', 'precision': precision})


def measure_once(arguments, data, less, logs_dir, upsampling, classes, precision, repeats):
    """Measures everything about one network once. Returns {what: seconds or a list of them, GB, GFLOP or a ratio}."""
    is_default = (upsampling, classes) == ('scores', 21)
    figures, _ = in_process(train_in_turn, data, logs_dir, upsampling, classes, precision, repeats)
    figures.update(in_process(test_in_turn, data, less, logs_dir, upsampling, classes, precision, repeats,
                              is_default)[0])
    if is_default and len(os.sched_getaffinity(0)) > 1:
        figures.update(in_process(photos_beside_one_core, data, logs_dir, upsampling, classes, precision, repeats)[0])
    began = time.time()
    figures['peak'], _ = started(train_flags(data, logs_dir + '_start', upsampling, precision, 3))
    figures['first'] = step_times(logs_dir + '_start')[1] - began
    _, seconds = started(test_flags(less, logs_dir, precision))
    figures['start'] = seconds - FEW * statistics.median(figures['test'])
    if arguments.pytorch and upsampling == 'scores':
        for key, training, shape in (('train', True, [8, 224, 224]), ('test', False, [1, HEIGHT, WIDTH]),
                                     ('predict', False, [8, 224, 224])):
            for head, lean in (('pytorch_', False), ('pytorch_lean_', True)):
                figures[head + key] = in_pytorch(arguments.pytorch, training, classes, precision, shape, repeats,
                                                 lean)['seconds']
    if arguments.original and is_default and precision == 'float32':
        figures['original_train'] = in_process(original, repeats, python=arguments.original)[0]['seconds']
    return figures


def rows_of(middle, peak_rate, kind):
    """Yields the rows of one network. middle: medians of what `measure_once` returns; peak_rate: GFLOP/s."""
    work = {'train': 3 * middle['bare_predict_gflop'], 'predict': middle['bare_predict_gflop'],
            'test': middle['bare_test_gflop']}
    start = {'train': ('first', 'peak'), 'test': ('start', None)}
    for what, images in (('train', 8), ('test', 1), ('predict', 8)):
        bare_seconds = middle['bare_' + what]
        row = dict(kind, what=what, bare_graph=f'{images / bare_seconds:.2f}', unit='images/s',
                   of_ceiling=f'{work[what] / bare_seconds / peak_rate:.2f}')
        if what in middle:
            row.update(program=f'{images / middle[what]:.2f}',
                       ratio=f'{middle.get(what + "_ratio", bare_seconds / middle[what]):.2f}')
        for column, key in zip(('start_s', 'peak_gb'), start.get(what, ())):
            if key:
                row[column] = f'{middle[key]:.{1 if column == "start_s" else 2}f}'
        for other in ('pytorch', 'pytorch_lean', 'original'):
            if f'{other}_{what}' in middle:
                row[other] = f'{images / middle[f"{other}_{what}"]:.2f}'
        yield row
        if what == 'test':
            for name, own, other in (('photos', 'photos', 'bare_test'),
                                     ('photos, 1 core', 'photos_one_core', 'bare_one_core')):
                if own in middle:
                    yield dict(kind, what=name, program=f'{1 / middle[own]:.2f}', unit='images/s',
                               bare_graph=f'{1 / middle[other]:.2f}', ratio=f'{middle[other] / middle[own]:.2f}')


def columns_of(arguments):
    """Returns the COLUMNS that are shown."""
    hidden = ([] if arguments.pytorch else ['pytorch', 'pytorch_lean']) + ([] if arguments.original else ['original'])
    return [column for column in COLUMNS if column[0] not in hidden]


def markdown_line(cells, widths):
    """Returns a line of a Markdown table whose columns are aligned; text left, numbers right."""
    padded = [cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width) for cell, width in zip(cells, widths)]
    return f'| {" | ".join(padded)} |'


def markdown(rows):
    """Returns rows of cells, the first being the headings, as a Markdown table whose columns are aligned."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [markdown_line(row, widths) for row in [rows[0], ['-' * width for width in widths]] + rows[1:]]
    return '\n'.join(lines)


def gpus():
    """Returns the names of the GPUs that TensorFlow has; of TensorFlow 1.15 their numbers, GPU:0 and so on."""
    from TensorflowUtils import tf
    # TensorFlow 1.15 cannot tell their names unless it takes their memory
    details = getattr(tf.config.experimental, 'get_device_details', lambda device: {})
    return [details(device).get('device_name', device.name.replace('/physical_device:', ''))
            for device in tf.config.experimental.list_physical_devices('GPU')]


def refuse_gpus(parser):
    """Ends the program with one line where this program would run on a GPU while PyTorch, here, never does."""
    if gpus():
        parser.exit(2, f'{parser.prog}: PyTorch runs on the CPU here, but TensorFlow on {", ".join(gpus())}: set '
                       'CUDA_VISIBLE_DEVICES=-1 to compare both on the CPU, or leave PyTorch out\n')


def describe_machine(pytorch=None):
    """Returns {'machine', 'cores', 'tensorflow', 'python': text}.

    And 'gpus' where there are any; 'torch', the version that the interpreter `pytorch` has; and 'remark' where mixed
    precision gains nothing.
    """
    import TensorflowUtils
    models = [line.split(':')[1].strip() for line in TensorflowUtils.cpu_features().splitlines()
              if line.startswith('model name')]
    machine = {'machine': (models or [platform.machine()])[0], 'cores': str(len(os.sched_getaffinity(0))),
               'tensorflow': TensorflowUtils.tf.__version__, 'python': platform.python_version()}
    if gpus():
        machine['gpus'] = ', '.join(gpus())
    if pytorch:
        version = subprocess.check_output([pytorch, '-c', 'import torch; print(torch.__version__)'])
        machine['torch'] = version.decode().strip()
    if not TensorflowUtils.lower_precision('mixed'):
        machine['remark'] = 'mixed is float32 here'
    return machine


def machine_line(machine):
    """Returns what `describe_machine` returns as a line of text."""
    forms = dict.fromkeys(('machine', 'gpus', 'remark'), '{}')
    forms['cores'] = '{} core' if machine['cores'] == '1' else '{} cores'
    return ', '.join(forms.get(name, f'{name} {{}}').format(value) for name, value in machine.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--quick', action='store_true', help='one head, one run')
    parser.add_argument('--precisions', nargs='+', choices=['float32', 'mixed'], help='default: both; quick: float32')
    parser.add_argument('--runs', type=int, help='of each, whose median is taken (default: 3, quick: 1)')
    parser.add_argument('--pytorch', metavar='PYTHON', help='an interpreter that has PyTorch, to compare with')
    parser.add_argument('--original', metavar='PYTHON', help='an interpreter that has TensorFlow 1.15, to compare with')
    parser.add_argument('--out', default=os.path.join(ROOT, 'logs', 'bench.csv'), help='a CSV file')
    parser.add_argument('--call', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.call:
        name, *rest = json.loads(arguments.call)
        print(json.dumps({one.__name__: one for one in (
            train_in_turn, test_in_turn, photos_beside_one_core, bare, original, ceiling, pipeline)}[name](*rest)))
        return
    if arguments.pytorch:
        refuse_gpus(parser)
    machine, rows = describe_machine(arguments.pytorch), []
    print(machine_line(machine), flush=True)
    columns = columns_of(arguments)
    widths = [width for _, _, width in columns]
    names = [name for name, _, _ in COLUMNS] + ['unit'] + list(machine)
    os.makedirs(os.path.dirname(os.path.abspath(arguments.out)), exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(arguments, folder):
            rows.append({name: dict(row, **machine).get(name, '') for name in names})
            write_csv(rows, arguments.out)
            if 'head' not in row:
                print(f'{row["what"]}: {row["program"]} {row["unit"]}', flush=True)
                continue
            if not any(before['head'] for before in rows[:-1]):
                print(f'{LEGEND}\n\n' + markdown([[heading.ljust(width) for _, heading, width in columns]]), flush=True)
            print(markdown_line([row.get(name, '') for name, _, _ in columns], widths), flush=True)


if __name__ == '__main__':
    main()

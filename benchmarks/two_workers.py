"""Measures what a second worker costs: two processes of one core each against one, and the bytes sent a step.

    python benchmarks/two_workers.py --steps=12

Draws a small data set and trains: one process on core 0; two that know nothing of each other on cores 0 and 1, since
cores share memory and caches; two workers there. Each process has the same batch. It compares the medians of their
steps' times. The bytes are those of the loopback interface between two log lines, the machine's other traffic included.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)


def sent_bytes():
    """Returns how many bytes the loopback interface has sent since the machine started."""
    with open('/proc/net/dev') as file:
        return next(int(line.split()[9]) for line in file if line.strip().startswith('lo:'))


def start(data_dir, logs_dir, index, addresses, arguments):
    """Starts a training process on the core of this index.

    addresses: of the workers of its job, the process being the one of this index; or None: it trains alone.
    """
    cluster = {'cluster': {'worker': addresses}, 'task': {'type': 'worker', 'index': index}}
    return subprocess.Popen([
        'taskset', '-c', str(index), sys.executable, os.path.join(ROOT, 'inception_FCN.py'), '--mode=train',
        '--dataset=shapes', f'--data_dir={data_dir}', '--checkpoint_path=', '--log_every=1', '--validate_every=0',
        '--checkpoint_every=100000', f'--max_iterations={arguments.steps}', f'--image_size={arguments.image_size}',
        f'--batch_size={arguments.batch_size}', f'--logs_dir={logs_dir}'],
        stdout=subprocess.DEVNULL, env=dict(os.environ, TF_CONFIG=json.dumps(cluster) if addresses else ''))


def train(data_dir, folder, count, together, arguments):
    """Trains in `count` processes, as workers of one job (`together`) or not.

    Returns (seconds a step, bytes a step) of the first process, medians over the steps behind the third.
    """
    logs_dir = os.path.join(folder, '0')
    addresses = [f'127.0.0.1:{arguments.port + index}' for index in range(count)] if together else None
    processes = [start(data_dir, logs_dir if together else os.path.join(folder, str(index)), index, addresses,
                       arguments) for index in range(count)]
    path, counts = os.path.join(logs_dir, 'progress.jsonl'), []
    while processes[0].poll() is None:
        lines = open(path).read().count('\n') if os.path.exists(path) else 0  # noqa: SIM115
        if lines > len(counts):
            counts += [sent_bytes()] * (lines - len(counts))
        time.sleep(0.01)
    if max(process.wait() for process in processes):
        sys.exit('training failed')
    with open(path) as file:
        seconds = [json.loads(line)['seconds'] for line in file]
    return tuple(statistics.median(after - before for before, after in zip(values[2:-2], values[3:-1]))
                 for values in (seconds, counts))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    for name, default in (('steps', 12), ('batch_size', 8), ('image_size', 224), ('port', 23450), ('runs', 3)):
        parser.add_argument('--' + name, type=int, default=default)
    arguments = parser.parse_args()
    import read_ShapesData
    from TensorflowUtils import tf
    with tempfile.TemporaryDirectory() as folder:
        data_dir = os.path.join(folder, 'shapes')
        read_ShapesData.draw_dataset(data_dir, training_images=64, validation_images=1)
        measured = []
        for run in range(arguments.runs):
            single, _ = train(data_dir, f'{folder}/one-{run}', 1, False, arguments)
            apart, _ = train(data_dir, f'{folder}/apart-{run}', 2, False, arguments)
            workers, sent = train(data_dir, f'{folder}/two-{run}', 2, True, arguments)
            measured.append((single, apart, workers, apart / single, workers / apart, workers / single, sent))
            print(f'seconds a step: one process {single:.2f}, two apart {apart:.2f}, two workers {workers:.2f}; '
                  f'{sent / 1e6:.1f} MB sent a step', flush=True)
        variables = tf.train.list_variables(tf.train.latest_checkpoint(f'{folder}/two-0/0'))
    gradient = sum(4 * tf.TensorShape(shape).num_elements() for name, shape in variables if name.endswith('/Adam'))
    single, apart, workers, apart_single, workers_apart, workers_single, sent = (
        statistics.median(column) for column in zip(*measured))
    print(f'medians of {arguments.runs} runs: {single:.2f}, {apart:.2f} and {workers:.2f} seconds a step')
    print(f'two apart take {apart_single:.2f} times as long as one; two workers {workers_apart:.2f} times as long as '
          f'two apart, {workers_single:.2f} times as long as one')
    print(f'sent a step by both: {sent / 1e6:.1f} MB; gradient: {gradient / 1e6:.1f} MB, so '
          f'{sent / 2 / gradient:.2f} times for each worker')


if __name__ == '__main__':
    main()

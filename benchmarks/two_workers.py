"""What a second worker costs: two processes of one core each against one, and the bytes that they send a step.

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
    with open('/proc/net/dev') as file:
        return next(int(line.split()[9]) for line in file if line.strip().startswith('lo:'))


def train(data_dir, folder, count, together, arguments):
    """Trains in `count` processes. Returns (seconds a step, bytes a step), medians over the steps behind the third."""
    processes, logs_dir = [], os.path.join(folder, '0')
    for index in range(count):
        cluster = {'cluster': {'worker': ['127.0.0.1:%d' % (arguments.port + one) for one in range(count)]},
                   'task': {'type': 'worker', 'index': index}}
        processes.append(subprocess.Popen([
            'taskset', '-c', str(index), sys.executable, os.path.join(ROOT, 'inception_FCN.py'), '--mode=train',
            '--dataset=shapes', '--data_dir=' + data_dir, '--checkpoint_path=', '--log_every=1', '--validate_every=0',
            '--checkpoint_every=100000', '--max_iterations=%d' % arguments.steps,
            '--image_size=%d' % arguments.image_size, '--batch_size=%d' % arguments.batch_size,
            '--logs_dir=%s' % (logs_dir if together else os.path.join(folder, str(index)))],
            stdout=subprocess.DEVNULL, env=dict(os.environ, TF_CONFIG=json.dumps(cluster) if together else '')))
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
        figures = []
        for run in range(arguments.runs):
            place = '%s/%%s-%d' % (folder, run)
            one, _ = train(data_dir, place % 'one', 1, False, arguments)
            apart, _ = train(data_dir, place % 'apart', 2, False, arguments)
            two, sent = train(data_dir, place % 'two', 2, True, arguments)
            figures.append((one, apart, two, apart / one, two / apart, two / one, sent))
            print('seconds a step: one process %.2f, two apart %.2f, two workers %.2f; %.1f MB sent a step'
                  % (one, apart, two, sent / 1e6), flush=True)
        names = tf.train.list_variables(tf.train.latest_checkpoint('%s/two-0/0' % folder))
    gradient = sum(4 * tf.TensorShape(shape).num_elements() for name, shape in names if name.endswith('/Adam'))
    one, apart, two, apart_one, two_apart, two_one, sent = (statistics.median(column) for column in zip(*figures))
    print('medians of %d runs: %.2f, %.2f and %.2f seconds a step' % (arguments.runs, one, apart, two))
    print('two apart take %.2f times as long as one; two workers %.2f times as long as two apart, %.2f times as '
          'long as one' % (apart_one, two_apart, two_one))
    print('sent a step by both: %.1f MB; gradient: %.1f MB, so %.2f times for each worker'
          % (sent / 1e6, gradient / 1e6, sent / 2 / gradient))


if __name__ == '__main__':
    main()

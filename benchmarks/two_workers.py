"""What a second worker costs: two processes of one core each against one, and the bytes they send a step.

    python benchmarks/two_workers.py --steps=12

Draws a small data set, trains one worker on core 0 and then two workers on cores 0 and 1, each with its own batch, and
compares the medians of their steps' times (so that the first steps weigh nothing). The bytes are those of the loopback
interface between two log lines, other traffic of the machine included.
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


def train(data_dir, logs_dir, workers, arguments):
    """Trains, and returns (seconds a step, bytes a step), medians over the steps behind the third."""
    command = [sys.executable, os.path.join(ROOT, 'inception_FCN.py'), '--mode=train', '--dataset=shapes',
               '--data_dir=' + data_dir, '--checkpoint_path=', '--logs_dir=' + logs_dir, '--log_every=1',
               '--validate_every=0', '--checkpoint_every=100000', '--max_iterations=%d' % arguments.steps,
               '--image_size=%d' % arguments.image_size, '--batch_size=%d' % arguments.batch_size]
    processes = []
    for index in range(workers):
        cluster = {'cluster': {'worker': ['127.0.0.1:%d' % (arguments.port + one) for one in range(workers)]},
                   'task': {'type': 'worker', 'index': index}}
        processes.append(subprocess.Popen(['taskset', '-c', str(index)] + command, stdout=subprocess.DEVNULL,
                                          env=dict(os.environ, TF_CONFIG=json.dumps(cluster))))
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
            one, _ = train(data_dir, '%s/one-%d' % (folder, run), 1, arguments)
            two, sent = train(data_dir, '%s/two-%d' % (folder, run), 2, arguments)
            figures.append((one, two, two / one, sent))
            print('one worker %.2f s a step; two, each with the same batch, %.2f s: %.2f times; %.1f MB sent a step'
                  % (one, two, two / one, sent / 1e6), flush=True)
        names = tf.train.list_variables(tf.train.latest_checkpoint('%s/two-0' % folder))
    gradient = sum(4 * tf.TensorShape(shape).num_elements() for name, shape in names if name.endswith('/Adam'))
    one, two, ratio, sent = (statistics.median(column) for column in zip(*figures))
    print('median of %d runs: %.2f and %.2f s a step, %.2f times; %.1f MB sent a step by both, gradient %.1f MB: %.2f '
          'times for each worker' % (arguments.runs, one, two, ratio, sent / 1e6, gradient / 1e6, sent / 2 / gradient))


if __name__ == '__main__':
    main()

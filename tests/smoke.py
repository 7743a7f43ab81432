"""Trains, goes on, tests, visualizes and exports with the TensorFlow of this Python: `make smoke TENSORFLOW=2.15.1`.

A few steps on a small drawn data set. Ends with an error where a command fails or its result is not there.
"""
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)


def main():
    import numpy
    import tensorflow

    import read_ShapesData
    with tempfile.TemporaryDirectory() as folder:
        data_dir, logs_dir, results_dir = (os.path.join(folder, name) for name in ('data', 'logs', 'results'))
        read_ShapesData.draw_dataset(data_dir, training_images=8, validation_images=3)
        common = ['--dataset=shapes', f'--data_dir={data_dir}', f'--logs_dir={logs_dir}',
                  f'--results_dir={results_dir}']
        train = ['--mode=train', '--checkpoint_path=', '--image_size=96', '--batch_size=2', '--skip_layers=4s'] + common

        def run(*flags):
            print('== ' + ' '.join(flags), flush=True)
            subprocess.run([sys.executable, os.path.join(ROOT, 'inception_FCN.py'), *flags], check=True, cwd=folder)
        run(*train, '--max_iterations=3')
        run(*train, '--max_iterations=6', '--validate_every=3')
        run('--mode=test', *common)
        run('--mode=visualize', '--num_images=2', *common)
        run('--mode=export', '--num_images=2', f'--export_dir={folder}/saved_model', *common)
        with open(os.path.join(logs_dir, 'progress.jsonl'), encoding='utf-8') as file:
            assert [json.loads(line)['step'] for line in file][-1] == 6
        with open(os.path.join(results_dir, 'metrics.json'), encoding='utf-8') as file:
            assert json.load(file)['images'] == 3
        for path in (f'{results_dir}/pic_0.png', f'{results_dir}/index.html', f'{folder}/saved_model/saved_model.pb'):
            assert os.path.getsize(path) > 100, path
    print('It works with TensorFlow %s, Python %s and NumPy %s.' % (
        tensorflow.__version__, sys.version.split()[0], numpy.__version__))


if __name__ == '__main__':
    main()

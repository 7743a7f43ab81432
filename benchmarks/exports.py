"""Compares exported models with their checkpoint, and measures what an image costs each on one core.

    python benchmarks/exports.py --logs_dir=logs/all --images=PHOTOS --openvino=PYTHON

exports the run's newest checkpoint as a SavedModel and as an ONNX file, predicts the images by each, and three other
sizes of the first, and prints labels and probabilities that differ from the checkpoint's in float32. A process of its
own, one after the other, measures each program: CPU time of a prediction, median of all images, labels and
probabilities fetched, so that what else runs on the machine counts little. PYTHON has openvino and numpy.
"""
import argparse
import contextlib
import glob
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
HELD = contextlib.ExitStack()
PROGRAMS = ('checkpoint', 'checkpoint, mixed', 'SavedModel', 'onnxruntime', 'OpenVINO', 'OpenVINO, bfloat16')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--logs_dir', required=True, help='a run')
    parser.add_argument('--images', required=True, help='folder of images, .jpg or .png')
    parser.add_argument('--number', type=int, default=10, help='of images')
    parser.add_argument('--rounds', type=int, default=5, help='times that each is predicted')
    parser.add_argument('--openvino', help='Python that has openvino')
    parser.add_argument('--program', choices=PROGRAMS, help=argparse.SUPPRESS)
    parser.add_argument('--folder', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.program:
        measure(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        np.savez(os.path.join(folder, 'images.npz'), *read_images(arguments))
        for kind, name in (('saved_model', 'saved_model'), ('onnx', 'model.onnx')):
            subprocess.run([sys.executable, os.path.join(ROOT, 'inception_FCN.py'), '--mode=export', '--num_images=1',
                            '--export_format=' + kind, '--logs_dir=' + arguments.logs_dir, '--results_dir=' + folder,
                            '--export_dir=' + os.path.join(folder, name)], check=True)
        for program in PROGRAMS:
            python = arguments.openvino if 'OpenVINO' in program else sys.executable
            if python:
                subprocess.run([python, __file__, '--program=' + program, '--folder=' + folder] + sys.argv[1:],
                               check=True)


def read_images(arguments):
    """Returns the images, uint8 [H, W, 3], and three of other sizes cut out of the first or repeating it."""
    from PIL import Image
    paths = sorted(path for kind in ('jpg', 'png') for path in glob.glob(os.path.join(arguments.images, '*.' + kind)))
    images = [np.array(Image.open(path).convert('RGB')) for path in paths[:arguments.number]]
    twice = np.concatenate([images[0], images[0][:, ::-1]], 1)
    return images + [images[0][:60, :70], images[0][5:228, 3:316], np.concatenate([twice, twice[::-1]])[:601, :799]]


def measure(arguments):
    """Predicts the images by one program; prints its line of the table."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with np.load(os.path.join(arguments.folder, 'images.npz')) as file:
        images = [file[name] for name in file.files]
    predict, times = load(arguments), []
    for image in images[:2]:
        predict(image)  # warms up
    results = [predict(image) for image in images]
    for _ in range(arguments.rounds):
        for image in images[:-3]:
            begun = time.process_time()
            predict(image)
            times.append(time.process_time() - begun)
    path = os.path.join(arguments.folder, 'checkpoint.npz')
    if arguments.program == 'checkpoint':
        np.savez(path, *[result[name] for result in results for name in ('labels', 'probabilities')])
    with np.load(path) as file:
        expected = [file[name] for name in file.files]
    other, surer, largest, pixels = 0, 0, 0.0, 0
    for result, labels, probabilities in zip(results, expected[::2], expected[1::2]):
        best = np.sort(probabilities, -1)
        differs = result['labels'] != labels
        other += int(differs.sum())
        surer += int((differs & (best[..., -1] - best[..., -2] > 1e-4)).sum())
        largest = max(largest, float(np.abs(result['probabilities'] - probabilities).max()))
        pixels += labels.size
    print(json.dumps({'program': arguments.program, 'ms': round(1000 * float(np.median(times)), 1),
                      'least ms': round(1000 * min(times), 1), 'pixels': pixels, 'other labels': other,
                      'of them surer than 1e-4': surer, 'largest difference': float('%.2g' % largest)}), flush=True)
    HELD.close()


def load(arguments):
    """Returns a program as a function of one image, uint8 [H, W, 3], that gives its labels and probabilities."""
    folder, program = arguments.folder, arguments.program
    if 'OpenVINO' in program:
        import openvino
        compiled = openvino.Core().compile_model(os.path.join(folder, 'model.onnx'), 'CPU', {
            'INFERENCE_NUM_THREADS': 1, 'INFERENCE_PRECISION_HINT': 'bf16' if 'bfloat16' in program else 'f32'})

        def predict(image):
            found = compiled(image[None])
            return {name: found[name][0] for name in ('labels', 'probabilities')}
        return predict
    if program == 'onnxruntime':
        from fcn.inference.onnx_model import OnnxModel
        return OnnxModel(folder)
    from fcn.inference.saved_model import Exported
    if program == 'SavedModel':
        return Exported(os.path.join(folder, 'saved_model'))
    return checkpoint_model(arguments, 'mixed' if 'mixed' in program else 'float32')


def checkpoint_model(arguments, precision):
    """Returns the run's newest checkpoint, as test and visualize predict with it, as such a function."""
    from fcn.config import NetworkConfig, read_run_config
    from fcn.distributed.cluster import Cluster
    from fcn.distributed.workers import SingleWorker
    from fcn.network import builder
    from fcn.runs import checkpoints
    from nets import inception_v3_fcn as network
    from TensorflowUtils import tf
    run = read_run_config(arguments.logs_dir)
    fields = {name: run.flags[name] for name in NetworkConfig.__dataclass_fields__ if name in run.flags}
    HELD.enter_context(tf.Graph().as_default())
    cluster = Cluster(SingleWorker(), False, precision, folded=run.flags['use_batch_norm'])
    config = NetworkConfig(num_classes=len(run.class_names), **dict(
        fields, fold_batch_norm=run.flags['use_batch_norm'], in_bfloat16=cluster.in_bfloat16))
    images = tf.placeholder(tf.uint8, [1, None, None, 3])
    prediction, logits = builder.averaged_prediction(images, config, (1,), False)
    outputs = {'labels': tf.cast(prediction[0, :, :, 0], tf.uint8), 'probabilities': tf.nn.softmax(logits[0])}
    session = HELD.enter_context(cluster.session())
    checkpoints.restore(session, checkpoints.newest_intact(arguments.logs_dir), builder.used_variables())
    session.run(tf.get_collection(network.FOLDING))
    return lambda image: session.run(outputs, {images: image[None]})


if __name__ == '__main__':
    os.environ.setdefault('TF_ONEDNN_ASSUME_FROZEN_WEIGHTS', '1')  # as --mode=test and visualize do
    main()

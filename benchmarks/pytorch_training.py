"""Trains the network of pytorch_bare.py by a recipe of this project: the PyTorch side of minutes_to_score.py.

    PYTHON benchmarks/pytorch_training.py JOB.json --weights=INCEPTION_V3.safetensors --logs_dir=DIR

PYTHON has torch, numpy and Pillow; TensorFlow is not needed. JOB.json holds what `minutes_to_score.write_job` writes:
the program's flags and the files of the data set. DIR gets progress.jsonl, with lines as the program's, the best
weights, and metrics.json: scores after the last step with logit adjustment, which validations are without, as the
program's.

What a PyTorch user does for speed on CPUs is done: channels last, fused Adam, autocast to bfloat16, a DataLoader with a
worker for each core, inference mode in validation. The last upsampling is F.interpolate. What differs from the program:
Adam's weight decay comes after the clipping, and images that shrink are smoothed, as Pillow does.
"""
import argparse
import json
import math
import os
import sys
import time

import numpy as np
import torch
from PIL import Image
from pytorch_bare import Convolution, Network
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from fcn.data.augmentation import draw_color_factor, draw_scale  # noqa: E402 (needs the path above; NumPy alone)
from fcn.data.crops import crop_labels, crop_window  # noqa: E402
from fcn.inference import metrics  # noqa: E402
from fcn.utils import safetensors  # noqa: E402

PADDING_COLOUR = 128  # as in fcn/data/tensor_images.py
LARGEST_WEIGHT = 10.0  # as in fcn/data/class_weights.py


# ---- data

class Images(Dataset):
    """Whole images, uint8 [H, W, 3], and their labels, uint8 [H, W]. records: (image's path, annotation's path)."""

    def __init__(self, records, label_map):
        self.records, self.label_map = records, None if label_map is None else np.array(label_map, 'uint8')

    def __len__(self):
        return len(self.records)

    def labels(self, index):
        labels = np.array(Image.open(self.records[index][1]))
        return labels if self.label_map is None else self.label_map[labels]

    def __getitem__(self, index):
        return np.array(Image.open(self.records[index][0]).convert('RGB')), self.labels(index)


class Crops(Images):
    """Random crops of the images, at random scales, in random colours, half of them mirrored."""

    def __init__(self, records, label_map, ignore_label, flags):
        super().__init__(records, label_map)
        self.ignore_label, self.flags = ignore_label, flags
        self.scales = [float(scale) for scale in flags['random_scale']]

    def __getitem__(self, index):
        size, jitter = self.flags['image_size'], self.flags['color_jitter']
        scale, flip, top, left, *colors = torch.rand(7).tolist()
        scale = draw_scale(scale, self.scales)
        labels = self.labels(index)
        rows, columns = (crop_window(length, size, scale, place) for length, place in zip(labels.shape, (top, left)))
        with Image.open(self.records[index][0]) as image:
            cut = image.convert('RGB').resize((columns.size, rows.size), Image.BILINEAR, box=(
                columns.start, rows.start, columns.start + columns.length, rows.start + rows.length))
        pixels = np.asarray(cut)
        if jitter:
            pixels = color_jitter(pixels.astype('float32'), *(draw_color_factor(color, jitter) for color in colors))
        crop = np.full([size, size, 3], PADDING_COLOUR, 'uint8')
        crop[rows.offset:rows.offset + rows.size, columns.offset:columns.offset + columns.size] = pixels
        labels = crop_labels(labels, (rows, columns), size, self.ignore_label)
        if flip < 0.5:
            crop, labels = crop[:, ::-1], labels[:, ::-1]
        return np.ascontiguousarray(crop), np.ascontiguousarray(labels)


def color_jitter(image, brightness, contrast, saturation):
    """As `fcn.data.augmentation.color_jitter`, in NumPy: float32 [h, w, 3] from 0 to 255."""
    grey = np.array([0.299, 0.587, 0.114], 'float32')
    image = image * brightness
    mean = (image @ grey).mean()
    image = mean + contrast * (image - mean)
    shades = (image @ grey)[..., None]
    return (shades + saturation * (image - shades)).clip(0, 255).round().astype('uint8')


def endless(loader):
    """Yields batches, one epoch after the other; ends the program with one line where there is none."""
    if not len(loader):
        sys.exit(f'{len(loader.dataset)} training images make no batch of {loader.batch_size}; give a --batch_size of '
                 'so many at most')
    while True:
        yield from loader


def class_weights(images, kind, classes, ignore_label):
    """As `fcn.data.class_weights.class_weights`: float32 [C], or None."""
    if kind == 'none':
        return None
    pixels, labelled = np.zeros(classes), np.zeros(classes)
    for index in range(len(images)):
        labels = images.labels(index)
        counts = np.bincount(labels[labels != ignore_label], minlength=classes)
        pixels += counts
        labelled += np.where(counts, counts.sum(), 0)
    frequency = pixels / np.maximum(labelled, 1)
    weights = np.median(frequency[pixels > 0]) / np.maximum(frequency, 1e-12)
    weights = np.minimum(weights ** (0.5 if kind.startswith('sqrt') else 1), LARGEST_WEIGHT)
    weights[pixels == 0] = weights[pixels > 0].max()
    return torch.tensor(weights, dtype=torch.float32)


# ---- network

def load_backbone(network, path):
    """Loads a file that `python -m fcn.backbone --out=FILE.safetensors` wrote, whose layers are in slim's order.

    slim's batch norm has no scale, so that here it stays 1.
    """
    tensors = safetensors.read_header(path)
    names = [name[:-len('conv.weight')] for name in tensors if name.endswith('.conv.weight')]
    convolutions = [module for module in network.modules() if isinstance(module, Convolution)]
    assert len(names) == len(convolutions)
    for name, convolution in zip(names, convolutions):
        convolution.load_state_dict({own: torch.from_numpy(safetensors.read_tensor(path, tensors[name + theirs]))
                                     for own, theirs in (('convolution.weight', 'conv.weight'),
                                                         ('norm.weight', 'bn.weight'), ('norm.bias', 'bn.bias'),
                                                         ('norm.running_mean', 'bn.running_mean'),
                                                         ('norm.running_var', 'bn.running_var'))}, strict=False)
        convolution.norm.weight.requires_grad_(False)


def make_optimizer(network, flags):
    """Returns (Adam, the schedule of its rates): new layers with a rate of their own, weights alone decayed."""
    groups = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            is_new, is_weight = name.startswith(('scores', 'upsampling')), parameter.dim() == 4
            groups.setdefault((is_new, is_weight), []).append(parameter)
    rate, warm_up, steps = flags['learning_rate'], flags['warm_up'], flags['max_iterations']
    optimizer = torch.optim.Adam([
        {'params': parameters, 'lr': rate * (flags['new_layers_rate'] if is_new else 1),
         'weight_decay': flags['weight_decay'] if is_weight else 0.0}
        for (is_new, is_weight), parameters in groups.items()], lr=rate, fused=True)

    def factor(step):
        grown = min((step + 1) / warm_up, 1) if warm_up else 1
        return grown * (max(1 - step / steps, 0) ** 0.9 if flags['schedule'] == 'poly' else 1)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def to_input(images):
    """Returns uint8 [N, H, W, 3] as float32 [N, 3, H, W], channels last."""
    return images.permute(0, 3, 1, 2).float()


class Training:
    """A training run. job: what JOB.json holds; weights: path; logs_dir: gets its files."""

    def __init__(self, job, weights, logs_dir):
        self.job, self.flags, self.logs_dir = job, job['flags'], logs_dir
        self.classes, self.ignore_label = len(job['class_names']), job['ignore_label']
        torch.manual_seed(self.flags['seed'])
        cores = len(os.sched_getaffinity(0))
        torch.set_num_threads(cores)
        self.network = Network(self.classes, self.flags['skip_layers'], True, 1 - self.flags['dropout_keep_prob'])
        load_backbone(self.network, weights)
        self.network.to(memory_format=torch.channels_last)
        self.norms = [module for module in self.network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        self.optimizer, self.schedule = make_optimizer(self.network, self.flags)
        crops = Crops(job['training'], job['label_map'], self.ignore_label, self.flags)
        self.class_weights = class_weights(crops, self.flags['class_weights'], self.classes, self.ignore_label)
        workers = {'num_workers': cores, 'persistent_workers': True}
        self.batches = endless(DataLoader(crops, self.flags['batch_size'], shuffle=True, drop_last=True, **workers))
        self.validation = DataLoader(Images(job['validation'], job['label_map']), **workers)

    def autocast(self):
        return torch.autocast('cpu', torch.bfloat16, enabled=self.flags['precision'] == 'mixed')

    def step(self, step):
        """Trains step 0, 1, ... Returns the loss, weighted, a tensor."""
        images, labels = next(self.batches)
        for norm in self.norms:  # averages that forget what they began with soon, as fcn/network/builder.py
            norm.momentum = 1 - min(self.flags['batch_norm_decay'], (1 + step) / (10 + step))
        with self.autocast():
            logits = self.network(to_input(images))
        self.optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(logits.float(), labels.long(), self.class_weights,
                                        ignore_index=self.ignore_label)
        loss.backward()
        if self.flags['clip_gradient_norm']:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.flags['clip_gradient_norm'])
        self.optimizer.step()
        self.schedule.step()
        return loss.detach()

    def evaluate(self, undo_class_weights=0.0):
        """Returns the scores of all validation images at their own size, as metrics.json has them."""
        offsets = torch.zeros(self.classes)
        if undo_class_weights and self.class_weights is not None:
            offsets = undo_class_weights * self.class_weights.log()
        confusion = torch.zeros(self.classes ** 2, dtype=torch.int64)
        self.network.eval()
        with torch.inference_mode(), self.autocast():
            for images, labels in self.validation:
                predicted = (self.network(to_input(images)) - offsets[:, None, None]).argmax(1)
                counted = labels != self.ignore_label
                pairs = labels[counted].long() * self.classes + predicted[counted]
                confusion += torch.bincount(pairs, minlength=self.classes ** 2)
        self.network.train()
        return metrics.compute(confusion.reshape(self.classes, -1).numpy(), self.job['class_names'],
                               len(self.job['validation']), self.ignore_label)

    def fit(self):
        """Trains to the last step; what is due is logged, validated and saved."""
        last, best, seconds = self.flags['max_iterations'], 0.0, 0.0
        self.network.train()
        with open(os.path.join(self.logs_dir, 'progress.jsonl'), 'w') as file:
            for step in range(1, last + 1):
                begun = time.perf_counter()
                loss = self.step(step - 1)
                seconds += time.perf_counter() - begun
                validates = self.flags['validate_every'] and (step % self.flags['validate_every'] == 0 or step == last)
                if not validates and step % self.flags['log_every'] and step != last:
                    continue
                line = {'step': step, 'loss': loss.item(), 'seconds': round(seconds, 2)}
                if not math.isfinite(line['loss']):
                    sys.exit(f'the loss is {line["loss"]} at step {step}')
                if validates:
                    line['validation_mean_iou'] = self.evaluate()['mean_iou']
                file.write(json.dumps(line) + '\n')
                file.flush()
                score = f', validation mean_iou {line["validation_mean_iou"]:.4f}' if validates else ''
                print(f'step {step} of {last}: loss {line["loss"]:.4f}{score}', flush=True)
                if line.get('validation_mean_iou', 0) > best:
                    best = line['validation_mean_iou']
                    torch.save(self.network.state_dict(), os.path.join(self.logs_dir, 'best.pt'))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('job')
    parser.add_argument('--weights', required=True)
    parser.add_argument('--logs_dir', required=True)
    arguments = parser.parse_args()
    with open(arguments.job) as file:
        job = json.load(file)
    os.makedirs(arguments.logs_dir, exist_ok=True)
    training = Training(job, arguments.weights, arguments.logs_dir)
    training.fit()
    print('trained; testing, with logit adjustment', flush=True)
    with open(os.path.join(arguments.logs_dir, 'metrics.json'), 'w') as file:
        json.dump(training.evaluate(training.flags['undo_class_weights']), file, indent=1)


if __name__ == '__main__':
    main()

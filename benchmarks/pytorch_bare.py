"""The same network in PyTorch, on one constant batch: what bench.py --pytorch=PYTHON compares this project with.

    PYTHON benchmarks/pytorch_bare.py train 21 float32 8 224 224 --repeats=10 --lean

PYTHON is one with PyTorch, which this project does not need otherwise (measured with torch 2.13). Prints a line of
JSON: {'seconds': of each step, 'version'}. It is FCN-8s on InceptionV3 with the 'scores' head, eager, channels last,
with fused Adam and, for 'mixed', autocast to bfloat16: PyTorch's own advice for speed on CPUs. --lean upsamples last by
F.interpolate, as most users do, where this project's head has a learned kernel, 15×15.
"""
import argparse
import json
import os
import time

import torch
from torch import nn
from torch.nn import functional


class Convolution(nn.Module):
    """Convolution, batch norm, ReLU; `size` is (height, width) of the kernel, padded to keep the size or not at all."""

    def __init__(self, inputs, outputs, size=(1, 1), stride=1, same=True):
        super().__init__()
        padding = tuple(side // 2 for side in size) if same else 0
        self.convolution = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=0.001, momentum=0.01)

    def forward(self, x):
        return functional.relu(self.norm(self.convolution(x)), inplace=True)


def chain(inputs, *layers):
    """A branch; layers are (outputs, kernel height, kernel width), with 'reduce' behind for stride 2, no padding."""
    modules = []
    for outputs, height, width, *rest in layers:
        modules.append(Convolution(inputs, outputs, (height, width), 2 if rest else 1, not rest))
        inputs = outputs
    return nn.Sequential(*modules)


class Branches(nn.ModuleList):
    """Its members' outputs, side by side."""

    def forward(self, x):
        return torch.cat([branch(x) for branch in self], 1)


def pooled(inputs, outputs):
    return nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), Convolution(inputs, outputs))


def mixed_5(inputs, outputs):
    return Branches([chain(inputs, (64, 1, 1)), chain(inputs, (48, 1, 1), (64, 5, 5)),
                     chain(inputs, (64, 1, 1), (96, 3, 3), (96, 3, 3)), pooled(inputs, outputs)])


def mixed_6(width):
    return Branches([chain(768, (192, 1, 1)), chain(768, (width, 1, 1), (width, 1, 7), (192, 7, 1)),
                     chain(768, (width, 1, 1), (width, 7, 1), (width, 1, 7), (width, 7, 1), (192, 1, 7)),
                     pooled(768, 192)])


def mixed_7(inputs):
    def split(*layers):
        return nn.Sequential(chain(inputs, *layers), Branches([chain(384, (384, 1, 3)), chain(384, (384, 3, 1))]))
    return Branches([chain(inputs, (320, 1, 1)), split((384, 1, 1)), split((448, 1, 1), (384, 3, 3)),
                     pooled(inputs, 192)])


class Upsampling(nn.Module):
    """As `nets.inception_v3_fcn._upsample`: cell i of the scores lands on position centre + factor·i of the target.

    learned: by a transposed convolution that begins as bilinear interpolation; else by that interpolation itself.
    """

    def __init__(self, classes, factor, centre, learned=True):
        super().__init__()
        self.factor, self.centre, self.layer = factor, centre, None
        if learned:
            self.layer = nn.ConvTranspose2d(classes, classes, 2 * factor - 1, factor)
            line = 1 - (torch.arange(2 * factor - 1) - factor + 1).abs() / factor
            with torch.no_grad():
                self.layer.bias.zero_()
                self.layer.weight.copy_(torch.eye(classes)[:, :, None, None] * torch.outer(line, line))

    def forward(self, scores, target):
        before = -(-self.centre // self.factor)
        first = self.factor * before - self.centre
        # Cells that the target's last rows and columns need behind the last one.
        after = [max(-(-(first + size - 1) // self.factor) + 1 - before - cells, 0)
                 for size, cells in zip(target.shape[2:], scores.shape[2:])]
        scores = functional.pad(scores, (before, after[1], before, after[0]), mode='replicate')
        if self.layer is None:
            wide = functional.interpolate(scores, [self.factor * (cells - 1) + 1 for cells in scores.shape[2:]],
                                          mode='bilinear', align_corners=True)
        else:
            wide, first = self.layer(scores), first + self.factor - 1
        return wide[:, :, first:first + target.shape[2], first:first + target.shape[3]]


class Network(nn.Module):
    """FCN-8s or, with `skip` '4s', FCN-4s, with the 'scores' head. Images float [N, 3, H, W], 0 to 255 → logits.

    lean: the last upsampling is not learned. The convolutions are in the order of `nets.inception_v3_layers.layers`.
    """

    def __init__(self, classes, skip='8s', lean=False, dropout=0.15):
        super().__init__()
        self.dropout = dropout
        self.stem = nn.Sequential(
            Convolution(3, 32, (3, 3), 2, False), Convolution(32, 32, (3, 3), 1, False), Convolution(32, 64, (3, 3)),
            nn.MaxPool2d(3, 2), Convolution(64, 80), Convolution(80, 192, (3, 3), 1, False))
        self.fifth = nn.Sequential(nn.MaxPool2d(3, 2), mixed_5(192, 32), mixed_5(256, 64), mixed_5(288, 64))
        self.sixth = nn.Sequential(
            Branches([chain(288, (384, 3, 3, 'reduce')), chain(288, (64, 1, 1), (96, 3, 3), (96, 3, 3, 'reduce')),
                      nn.MaxPool2d(3, 2)]), mixed_6(128), mixed_6(160), mixed_6(160), mixed_6(192))
        self.seventh = nn.Sequential(
            Branches([chain(768, (192, 1, 1), (320, 3, 3, 'reduce')),
                      chain(768, (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3, 'reduce')), nn.MaxPool2d(3, 2)]),
            mixed_7(1280), mixed_7(2048))
        depths, last = ((2048, 768, 288, 192), (4, 9)) if skip == '4s' else ((2048, 768, 288), (8, 13))
        self.scores = nn.ModuleList(nn.Conv2d(depth, classes, 1) for depth in depths)
        self.upsampling = nn.ModuleList([Upsampling(classes, 2, 1) for _ in depths[1:]]
                                        + [Upsampling(classes, *last, learned=not lean)])
        for score in self.scores:  # skips begin at zero, as in the FCN paper, section 4.3
            nn.init.zeros_(score.weight)
            nn.init.zeros_(score.bias)
        nn.init.trunc_normal_(self.scores[0].weight, std=0.01, a=-0.02, b=0.02)

    def end_points(self, inputs):
        """Returns Mixed_7c, Mixed_6e, Mixed_5d and Conv2d_4a_3x3 of inputs in [-1, 1], each float [N, C, h, w]."""
        finest = self.stem(inputs)
        fine = self.fifth(finest)
        middle = self.sixth(fine)
        return [self.seventh(middle), middle, fine, finest]

    def forward(self, images):
        inputs = images / 127.5 - 1.0
        coarse, *finer = self.end_points(inputs)
        scores = self.scores[0](functional.dropout(coarse, self.dropout, self.training))
        for score, upsampling, features in zip(self.scores[1:], self.upsampling, finer):
            scores = upsampling(scores, features) + score(features)
        return self.upsampling[-1](scores, inputs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('kind', choices=['train', 'predict'])
    parser.add_argument('classes', type=int)
    parser.add_argument('precision', choices=['float32', 'mixed'])
    parser.add_argument('shape', type=int, nargs=3, metavar='SIZE', help='images, height, width')
    parser.add_argument('--repeats', type=int, default=10)
    parser.add_argument('--lean', action='store_true', help='the last upsampling is not learned')
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    count, height, width = arguments.shape
    training = arguments.kind == 'train'
    network = Network(arguments.classes, lean=arguments.lean).to(memory_format=torch.channels_last).train(training)
    images = torch.randint(0, 256, (count, 3, height, width)).float().to(memory_format=torch.channels_last)
    labels = torch.randint(0, arguments.classes, (count, height, width))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5, eps=1e-8, weight_decay=4e-5, fused=True)

    def step():
        with torch.autocast('cpu', torch.bfloat16, enabled=arguments.precision == 'mixed'):
            logits = network(images)
        assert logits.shape == (count, arguments.classes, height, width)
        if not training:
            return logits.argmax(1)
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(logits.float(), labels, ignore_index=255).backward()
        return optimizer.step()

    seconds = []
    with torch.set_grad_enabled(training):
        for _ in range(arguments.repeats + 3):
            begun = time.time()
            step()
            seconds.append(time.time() - begun)
    print(json.dumps({'seconds': seconds[3:], 'version': torch.__version__}))


if __name__ == '__main__':
    main()

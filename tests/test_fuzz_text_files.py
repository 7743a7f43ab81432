"""Hostile class-name and split files: an error that names the file, or what it says."""
import os
import random

import read_PascalVocData
from fcn.data import datasets
from fuzzing import SEED, TEXTS, TIMES, Tally, mutated, write


def test_class_names_and_split_files(tmp_path, work_folder):
    def names():
        found = datasets.read_class_names('names.txt')
        assert 2 <= len(found) <= 255 and all(name and name == name.strip() for name in found)
        return 'names'

    def split(on_problem=None):
        listed = read_PascalVocData.read_split(root, 'train', on_problem)
        assert all(os.path.isfile(one['image']) and os.path.isfile(one['annotation']) for one in listed)
        return 'split'

    tally, rng, root = Tally(tmp_path), random.Random(SEED), os.path.join('DATA', 'SET', 'VOC2012')
    path = os.path.join(root, 'ImageSets', 'Segmentation', 'train.txt')
    good = b'one\ntwo\none\n'
    for data in TEXTS + [mutated(good, rng, good)[1] for _ in range(60 * TIMES)]:
        what = repr(data[:50])
        write('names.txt', data)
        tally.trial(what, 'names.txt', names)
        write(path, data)
        tally.trial(what, path, split)
        tally.trial(what, path, split, [].append)
    tally.finish(200, 'error', 'names', 'split')

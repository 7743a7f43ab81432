"""The inspection of data sets with damaged files: each record is reported as bad, or is usable."""
import collections
import dataclasses
import random

import pytest

from fcn.data import annotation_check, datasets, image_files, inspection
from fuzzing import SEED, TIMES, Tally, mutations, watched, write
from picture_files import DATASET, NAMES, annotations, jpegs, pngs


def write_records(folder, rng, count):
    """Records of which a good part have a bad image, a bad annotation, or both, or miss one."""
    images, labels = dict(jpegs(), **pngs()), annotations()
    bad_images, bad_labels = mutations(images, rng, count), mutations(labels, rng, count)
    written = []
    for number in range(count):
        image = str(folder / ('%d.jpg' % number))
        one = datasets.record(image, image[:-4] + '.png')
        for path, whole, bad in ((one['image'], images['baseline.jpg'], bad_images),
                                 (one['annotation'], labels['palette.png'], bad_labels)):
            data = rng.choice([whole, next(bad)[1]])
            if rng.random() < 0.98:
                write(path, data)
        written.append(one)
    return written


@pytest.mark.parametrize('run, void', [(0, None), (1, None), (2, 3), (3, None)])
def test_doctor(tmp_path, capfd, run, void):
    def judged(one):
        if (one['image'], one['annotation']) in report.bad:
            assert said[one['image']] or said[one['annotation']]
            return 'bad'
        if one['annotation']:
            annotation_check.check_record(one, dataset)
        assert image_files.open_image(one['image']).ndim == 3
        return 'usable'

    written = write_records(tmp_path, random.Random(4 * SEED + run), 70 * TIMES)
    if run == 3:  # photos
        written = [dict(one, annotation=None) for one in written]
    half = len(written) // 2
    dataset = dataclasses.replace(DATASET, training=written[:half], validation=written[half:], void_label=void,
                               ignore_label=None if void else 255, class_names=NAMES + ['ambiguous'] * bool(void))
    with watched():
        report = inspection.inspect(dataset)
        assert inspection.report_lines(report, dataset, most=10 ** 6)
        inspection.write(report, dataset, str(tmp_path))
    tally, said = Tally(tmp_path), collections.defaultdict(list)
    for problem in report.problems:
        said[problem.file].append(problem.message)
        assert problem.kind in inspection.KINDS and (problem.file is None or problem.file in problem.message)
    for one in written:
        tally.trial('record', one['image'], judged, one)
    assert capfd.readouterr().err == ''
    tally.finish(50 * TIMES, 'bad', 'usable')
    assert set(tally.outcomes) == {'bad', 'usable'}

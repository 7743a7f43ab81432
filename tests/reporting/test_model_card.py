"""fcn/reporting/model_card.py: the card says what is so, keeps what its author wrote, and reads as Markdown."""
import dataclasses
import re

import numpy as np
import pytest

from fcn.config import RunConfig
from fcn.data import datasets
from fcn.data.palettes import voc_palette
from fcn.inference import metrics
from fcn.reporting import model_card
from fcn.utils.errors import InputError

NAMES = ['sky', 'car|van', 'tree', 'whale']
CONFUSION = np.array([[80, 10, 10, 0], [0, 1, 49, 0], [10, 0, 40, 0], [0, 0, 0, 0]])  # the last class never annotated
FLAGS = {'skip_layers': '8s', 'upsampling': 'scores', 'batch_size': 8, 'image_size': 112, 'max_iterations': 300,
         'checkpoint_path': '', 'augment': True, 'resize': 'crop', 'mode': 'train', 'seed': 1, 'trainable_scopes': None,
         'checkpoint_exclude_scopes': ['a', 'b'], 'data_dir': 'my photos', 'use_batch_norm': True}
DEFAULTS = dict(FLAGS, batch_size=10, image_size=224, checkpoint_path='w.ckpt', data_dir=None, seed=0)
MODEL_FIELDS = {field.name for field in dataclasses.fields(model_card.ScoredModel)}


def write(folder, training=40, **changes):
    def split(count, first):
        return [datasets.record('%d.jpg' % number, '%d.png' % number) for number in range(first, first + count)]
    dataset = datasets.Dataset('pascal_voc', split(training, 0), split(12, 40), NAMES, 255, None, voc_palette())
    model = {'dataset': dataset, 'metrics': metrics.compute(CONFUSION, NAMES, 12, 255), 'loss': 0.5,
             'checkpoint': 'logs/all/model.ckpt-150'}
    arguments = {'config': {'flags': FLAGS}, 'defaults': DEFAULTS, 'date': '2026-01-02',
                 'versions': {'Python': '3.x', 'TensorFlow': '2.y'}}
    for name, value in changes.items():
        (model if name in MODEL_FIELDS else arguments)[name] = value
    config = arguments.pop('config') or {'flags': {}}
    arguments['run'] = RunConfig(**dict({'started_from': config['flags'].get('checkpoint_path')}, **config))
    path = model_card.write(str(folder), model_card.ScoredModel(**model), **arguments)
    assert path == str(folder / 'model-card.md')
    with open(path, encoding='utf-8') as file:
        return file.read()


def test_every_fact_is_there(tmp_path):
    card = write(tmp_path)
    for fact in ('# Model card: FCN-8s, my photos (pascal_voc)\n', '2026-01-02',
                 'Training: 40 images. Validation: 12 images',
                 '4 classes: sky, car\\|van, tree, whale', '(void) are ignored',
                 'Checkpoint `logs/all/model.ckpt-150`, step 150 of 300: about 30 passes', 'from random weights',
                 '- Pixel accuracy: 0.6050', '- Pixelwise loss: 0.5000', 'Python 3.x, TensorFlow 2.y',
                 '| sky | 0.727 | 0.800 | 50.0% |', '| whale | n/a | n/a | 0.0% |',
                 '*To be filled in: what this model'):
        assert fact in card, (fact, card)
    assert '$' not in card


def test_changed_flags_come_first_and_the_rest_after(tmp_path):
    table, rest = re.search(r'\| flag \|.*?\n\n(At their defaults: .*?)\n', write(tmp_path), re.DOTALL).group(0, 1)
    assert '| `--batch_size` | `8` | `10` |' in table and '| `--checkpoint_path` | empty | `w.ckpt` |' in table
    assert '| `--seed` | `1` | `0` |' in table  # 1 and 0 are not yes and no
    assert '`--checkpoint_exclude_scopes`: `a,b`' in rest and '`--trainable_scopes`: none' in rest
    assert '`--augment`: yes' in rest and 'batch_size' not in rest and '--mode' not in table + rest


def test_limits_are_derived(tmp_path):
    limits = write(tmp_path).split('## Limits')[1]
    assert 'no pixel of the validation images has them: whale.' in limits
    assert 'IoU below 0.1: car\\|van (0.017).' in limits and 'tree' not in limits
    assert 'Learned from 40 images and scored on 12' in limits and 'too good' not in limits
    assert 'squares of 112×112 pixels cut out of images scaled by 0.5 to 2, and tested at native size' in limits
    assert 'from random weights' in limits and 'chosen by' not in limits
    limits = write(tmp_path, training=42, checkpoint='logs/all/best/model.ckpt-150',
                   config={'flags': dict(FLAGS, resize='squash', checkpoint_path='w.ckpt')}).split('## Limits')[1]
    assert '2 of the images scored were trained on' in limits and 'chosen by its mean IoU' in limits
    assert 'squashed to 112×112' in limits and 'random weights' not in limits


def test_classes_that_do_not_count_are_named(tmp_path):
    """They are no classes of the card, and are not missed in the validation images."""
    names = ['void', 'un_labelled', 'road', 'car']
    dataset = datasets.ignoring(datasets.Dataset('pascal_voc', [], [], names, 255, None, voc_palette()), [0, 1])
    card = write(tmp_path, dataset=dataset, metrics=metrics.compute(np.diag([0, 0, 5, 5]), names, 12, 0, [0, 1]))
    assert '2 classes: road, car. ' in card and 'Not scored' not in card
    assert 'scores, pixels of void (label 0), un\\_labelled (label 1) are ignored.' in card
    card = write(tmp_path, dataset=dataclasses.replace(dataset, ignored_classes=[]))
    assert 'scores, pixels of void (label 0) are ignored.' in card, "as MIT Scene Parsing's other"


def test_runs_that_went_on(tmp_path):
    """With another batch, on more replicas; the last command's flags name another checkpoint than the first's did."""
    config = {'flags': dict(FLAGS, checkpoint_path='w.ckpt'), 'batches': [[0, 8], [100, 64]], 'started_from': ''}
    card = write(tmp_path, config=config)
    assert 'step 150 of 300: about 100 passes' in card  # (100 · 8 + 50 · 64) / 40
    assert 'Training began from random weights.' in card and '- Trained from random weights' in card


def test_nothing_known_of_the_training(tmp_path):
    card = write(tmp_path, training=0, config={}, defaults=None, loss=None, checkpoint='old/inception.ckpt',
                 metrics=metrics.compute(np.zeros((4, 4)), NAMES, 0, 255))
    assert 'is not known' in card and '# Model card: pascal_voc' in card and 'Pixel accuracy: n/a' in card
    assert 'flags' not in card and 'loss' not in card


def test_tested_on_other_data_than_trained(tmp_path):
    card = write(tmp_path, data_dir='elsewhere/other')
    assert 'FCN-8s, other (pascal_voc)' in card and 'Training: another data set, `my photos`. Validation: 12' in card
    assert 'passes' not in card and '- Scored on 12.' in card
    assert 'Training: 40 images' in write(tmp_path, data_dir='./my photos/')
    card = write(tmp_path, data_dir='elsewhere/other', config={'flags': FLAGS, 'records': {'training': [80, 'ab']}})
    assert 'Training: 80 images of another data set, `my photos`.' in card and '- Scored on 12.' in card


def test_number_of_images_is_the_runs_own(tmp_path):
    """Not that of the training list as it is now, or of a part of it; overlaps are found all the same."""
    config = {'flags': FLAGS, 'batches': [[0, 8]], 'records': {'training': [80, 'ab'], 'validation': [12, 'cd']}}
    card = write(tmp_path, training=42, config=config)
    assert 'Training: 80 images. Validation: 12' in card and 'about 15 passes' in card  # 150 · 8 / 80
    assert 'Learned from 80 images and scored on 12' in card and '2 of the images scored were trained on' in card
    assert 'Training: 80 images.' in write(tmp_path, training=0, config=config)


def test_the_authors_text_stays(tmp_path):
    card = write(tmp_path)
    mine = 'For counting trees, $5 a piece, \\1 and ÄÖÜ.\n\n- not for traffic\n'
    marked = re.sub(r'(?<=<!-- author: intended use -->\n).*?(?=<!-- end -->)', lambda _: mine, card, flags=re.DOTALL)
    (tmp_path / 'model-card.md').write_text(marked.replace('150', 'wrong'), encoding='utf-8')
    again = write(tmp_path)
    assert again == marked


def test_the_authors_text_without_its_comments_is_kept_aside(tmp_path, capsys):
    card = write(tmp_path)
    mine = re.sub(r'<!-- (author: .*?|end) -->\n?', '', card).replace('$', 'mine')
    (tmp_path / 'model-card.md').write_text(mine, encoding='utf-8')
    assert write(tmp_path) == card and 'is kept as model-card.old.md' in capsys.readouterr().out
    assert write(tmp_path) == card and capsys.readouterr().out == ''
    (tmp_path / 'model-card.md').write_text('mine alone', encoding='utf-8')
    assert write(tmp_path) == card and 'is kept as model-card.old2.md' in capsys.readouterr().out
    assert [(tmp_path / name).read_text(encoding='utf-8') for name in ('model-card.old.md', 'model-card.old2.md')] == [
        mine, 'mine alone']


def test_another_template(tmp_path):
    template = tmp_path / 'mine.md'
    template.write_text('$title costs 5 $$\n', encoding='utf-8')
    assert write(tmp_path, template=str(template)) == 'FCN-8s, my photos (pascal_voc) costs 5 $\n'
    for text, words in (('$tittle', 'placeholder $tittle'), ('5 $', 'cannot be filled in')):
        template.write_text(text, encoding='utf-8')
        with pytest.raises(InputError, match=re.escape(words)):
            write(tmp_path, template=str(template))
    with pytest.raises(InputError, match='cannot be read'):
        write(tmp_path, template=str(tmp_path / 'absent.md'))
    assert sorted(one.name for one in tmp_path.iterdir()) == ['mine.md', 'model-card.md']


def test_versions_are_those_installed():
    versions = model_card.installed_versions()
    assert set(versions) == {'Python', 'TensorFlow', 'NumPy', 'Pillow'} and all(versions.values())

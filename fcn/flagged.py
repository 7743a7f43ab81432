"""What several modes take from the flags, which inception_FCN.py defines."""
import os

from absl import flags

from fcn.data import class_weights
from fcn.data import records as fcn_records
from fcn.data.annotation_check import AnnotationCheck
from fcn.runs import run_folder
from fcn.utils.errors import InputError

FLAGS = flags.FLAGS


def begin_check(records, dataset, crew):
    """Begins to check that annotations fit. Returns the `AnnotationCheck`; of several workers' it is over then."""
    unread = [] if FLAGS.skip_bad_images else records  # it has read them all
    if crew.count == 1:
        return AnnotationCheck(unread, dataset)
    crew.broadcast(lambda: fcn_records.check_records(unread, dataset))
    return AnnotationCheck([], dataset)


def network_settings(dataset, values=None):
    """What `fcn.network.model.build` needs to know, from the data set and the flags, or other values of them."""
    offsets = None
    if FLAGS.undo_class_weights and FLAGS.mode != 'train':
        if values:
            raise InputError('--undo_class_weights does not go with --compare.')
        weights = run_folder.read_config(run_dir()).get('class_weights')
        if not weights or len(weights) != len(dataset.class_names):
            raise InputError('--undo_class_weights: %s/config.json holds no class weights of a training with '
                             '--class_weights.' % run_dir())
        offsets = class_weights.logit_offsets(weights, FLAGS.undo_class_weights)
    values = values or FLAGS.flag_values_dict()
    return dict({name: values[name] for name in ('upsampling', 'use_batch_norm', 'scale_input', 'weight_decay',
                                                 'batch_norm_decay', 'freeze_batch_norm', 'dropout_keep_prob')},
                num_classes=len(dataset.class_names), skip=values['skip_layers'], logit_offsets=offsets)


def squash_to(values=None):
    """Side of the square that whole images are resized to, or None: they keep their size. values: of other flags."""
    values = values or FLAGS.flag_values_dict()
    return values['image_size'] if values['resize'] == 'squash' else None


def run_dir():
    """The folder of the run that a mode works on."""
    if FLAGS.mode != 'train' and FLAGS.train_dir:
        return FLAGS.train_dir if os.path.isdir(FLAGS.train_dir) else os.path.dirname(FLAGS.train_dir)
    return FLAGS.logs_dir


def save_config(folder, dataset, batches, weights_of_classes, started_from):
    """Keeps the run's flags, and what they don't tell of runs that went on, beside its checkpoints."""
    run_folder.write_config(folder, {'flags': own_flags(), 'void_label': dataset.void_label, 'batches': batches,
                                     'class_weights': weights_of_classes, 'started_from': started_from,
                                     'class_names': dataset.class_names[:dataset.void_label]})


def own_flags():
    """The flags that inception_FCN.py defines, and their values: a dict."""
    return {flag.name: flag.value for flag in FLAGS.get_key_flags_for_module(FLAGS.find_module_defining_flag('mode'))}

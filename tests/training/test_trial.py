"""fcn/training/trial.py: the time of training steps here, with the flags that are planned."""
import pytest

import inception_FCN
from fcn.training import trial
from fcn.training.step import Step
from fcn.utils.errors import InputError
from TensorflowUtils import tf

SMALL = {'skip_layers': '32s', 'precision': 'float32', 'image_size': 75, 'batch_size': 1}


def test_flags_that_are_left_out_are_at_their_defaults():
    defaults = {name: inception_FCN.FLAGS[name].default for name in trial.DEFAULTS}
    assert defaults == trial.DEFAULTS


def test_it_is_the_median_of_steps_after_the_first(monkeypatch):
    """Of a clock that only the steps move on."""
    clock, lasting = [0.0], iter([30.0, 9.0, 1.0, 7.0, 2.0, 100.0])

    def run():
        clock[0] += next(lasting)
    monkeypatch.setattr(trial.time, 'perf_counter', lambda: clock[0])
    assert trial._time(run) == [1.0, 7.0]
    lasting = iter([1.0] * trial.WARM_UP + [0.1] * trial.MOST)
    assert trial._time(run) == pytest.approx([0.1] * trial.MOST)


@pytest.mark.usefixtures('small_backbone')
def test_it_trains_what_the_flags_say(monkeypatch):
    """Scopes, the auxiliary loss and frozen batch norm all change what a step costs."""
    steps = []
    monkeypatch.setattr(trial, 'Step', lambda *arguments: steps.append(Step(*arguments)) or steps[-1])
    flags = dict(SMALL, trainable_scopes=['InceptionV3/Upsampling', 'InceptionV3/Logits'], auxiliary_loss=0.4,
                 optimizer='momentum', freeze_batch_norm=True, seed=7, logs_dir='unknown to it')
    assert 0 < trial.step_seconds(flags, 3) < 60
    names = {variable.op.name for variable in steps[0].variables}
    assert names and all(name.startswith(('InceptionV3/Upsampling', 'InceptionV3/Logits')) for name in names)
    assert [node for node in steps[0].global_step.graph.get_operations() if 'Aux_Score_Mixed_6e' in node.name]
    with pytest.raises(InputError, match='--trainable_scopes: '):
        trial.step_seconds(dict(SMALL, trainable_scopes=['InceptionV3/Nothing']), 3)


def test_a_step_that_memory_does_not_hold_is_refused(monkeypatch):
    def allocate(*_):
        raise tf.errors.ResourceExhaustedError(None, None, 'OOM when allocating tensor')
    monkeypatch.setattr(trial, 'Step', allocate)
    with pytest.raises(InputError, match='no memory for a training step of 1 crops of 75 pixels.*--batch_size'):
        trial.step_seconds(SMALL, 3)

"""TensorflowUtils.py: what --precision comes to on which machine. (The rest is tested by those that use it.)"""
import os
import platform
import subprocess
import sys

import pytest

import TensorflowUtils
from TensorflowUtils import rewriter_config_pb2, tf

ON = rewriter_config_pb2.RewriterConfig.ON
HAS_BFLOAT16 = 'auto_mixed_precision_onednn_bfloat16' in rewriter_config_pb2.RewriterConfig.DESCRIPTOR.fields_by_name


def machine(monkeypatch, gpus, features, vendor='GenuineIntel'):
    monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind: ['gpu'] * gpus)
    monkeypatch.setattr(TensorflowUtils, 'cpu_features', lambda: 'vendor_id : %s\nflags : fpu avx2 %s\n' % (
        vendor, features))


BFLOAT16 = 'bfloat16' if HAS_BFLOAT16 else None


@pytest.mark.parametrize('gpus, features, vendor, expected', [
    (0, '', 'AuthenticAMD', None), (0, 'avx512f avx512_bf16', 'AuthenticAMD', BFLOAT16),
    (0, 'avx512f avx512_bf16', 'GenuineIntel', None), (0, 'avx512_bf16 amx_bf16', 'GenuineIntel', BFLOAT16),
    (1, 'amx_bf16', 'GenuineIntel', 'float16')])
def test_mixed_precision_is_what_the_machine_is_fast_in(monkeypatch, gpus, features, vendor, expected):
    machine(monkeypatch, gpus, features, vendor)
    assert TensorflowUtils.lower_precision('mixed') == expected
    assert TensorflowUtils.lower_precision('float32') is None
    rewriting = TensorflowUtils.session_config(precision='mixed').graph_options.rewrite_options
    assert (rewriting.auto_mixed_precision == ON) == (expected == 'float16')
    if HAS_BFLOAT16:
        assert (rewriting.auto_mixed_precision_onednn_bfloat16 == ON) == (expected == 'bfloat16')
    assert TensorflowUtils.session_config().graph_options.rewrite_options.auto_mixed_precision != ON
    monkeypatch.setenv('TF_ENABLE_ONEDNN_OPTS', '0')
    assert TensorflowUtils.lower_precision('mixed') == ('float16' if gpus else None)


@pytest.mark.parametrize('precision', ['float32', 'mixed'])
def test_training_on_a_cpu_optimizes_no_graph_but_keeps_the_precision(monkeypatch, precision):
    machine(monkeypatch, 0, 'amx_bf16')
    lower = TensorflowUtils.lower_precision(precision)
    config = TensorflowUtils.session_config(precision=precision)
    TensorflowUtils.leave_out_graph_optimizer(config)
    rewriting = config.graph_options.rewrite_options
    assert rewriting.disable_meta_optimizer == (lower is None)
    if lower:
        assert [field.name for field, value in rewriting.ListFields() if value == ON and 'iterations' not in field.name
                and 'memory' not in field.name] == ['auto_mixed_precision_onednn_bfloat16']
        assert rewriting.constant_folding == rewriting.layout_optimizer == rewriter_config_pb2.RewriterConfig.OFF
        assert rewriting.remapping == rewriter_config_pb2.RewriterConfig.DEFAULT


def test_what_mixed_precision_comes_to_is_said(monkeypatch):
    with tf.Session() as session:
        machine(monkeypatch, 0, '')
        assert 'all in float32: it has nothing faster' in TensorflowUtils.describe_devices(session, 'mixed')
        assert 'float' not in TensorflowUtils.describe_devices(session)
        monkeypatch.setattr(TensorflowUtils, 'lower_precision', lambda _: 'bfloat16')
        assert 'bfloat16 and float32 mixed' in TensorflowUtils.describe_devices(session, 'mixed')


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='only glibc is told')
def test_freed_memory_is_kept_for_the_next_step():
    """A second block of 64 MB costs no page faults: 16,384, or 32 huge ones, if glibc had given the first one back."""
    program = """if True:
        import resource, TensorflowUtils
        text = b'x'
        def faults():
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        block = text * 2 ** 26; del block; before = faults(); block = text * 2 ** 26; print(faults() - before)"""

    environment = {name: value for name, value in os.environ.items() if name != 'GLIBC_TUNABLES'}
    assert int(subprocess.check_output([sys.executable, '-c', program], env=environment)) < 20


def test_layers_are_of_the_mode_that_is_asked_for():
    version_utils = pytest.importorskip('tensorflow.python.keras.utils.version_utils')

    class OfEager:
        pass

    class OfGraphs(OfEager):
        pass

    class Layer(OfEager):
        pass

    class Special(Layer):
        pass
    for in_eager in (False, False, True, True, False):
        assert version_utils.swap_class(Special, OfEager, OfGraphs, in_eager) is Special
        assert issubclass(Layer, OfGraphs) == (not in_eager)

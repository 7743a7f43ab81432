"""TensorflowUtils.py: what --precision comes to on which machine. (The rest is tested by those that use it.)"""
import pytest

import TensorflowUtils
from TensorflowUtils import rewriter_config_pb2, tf

ON = rewriter_config_pb2.RewriterConfig.ON
HAS_BFLOAT16 = 'auto_mixed_precision_onednn_bfloat16' in rewriter_config_pb2.RewriterConfig.DESCRIPTOR.fields_by_name


def machine(monkeypatch, gpus, features, vendor='GenuineIntel'):
    monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind: ['gpu'] * gpus)
    monkeypatch.setattr(TensorflowUtils, '_cpu_features', lambda: 'vendor_id : %s\nflags : fpu avx2 %s\n' % (
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


def test_what_mixed_precision_comes_to_is_said(monkeypatch):
    with tf.Session() as session:
        machine(monkeypatch, 0, '')
        assert 'all in float32: it has nothing faster' in TensorflowUtils.describe_devices(session, 'mixed')
        assert 'float' not in TensorflowUtils.describe_devices(session)
        monkeypatch.setattr(TensorflowUtils, 'lower_precision', lambda _: 'bfloat16')
        assert 'bfloat16 and float32 mixed' in TensorflowUtils.describe_devices(session, 'mixed')

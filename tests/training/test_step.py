"""fcn/training/step.py: what a training step computes in; what it trains is tested with whole runs."""
import numpy as np
import pytest

from conftest import network_config
from fcn.config import LossConfig, OptimizerConfig
from fcn.distributed.cluster import Cluster
from fcn.distributed.workers import SingleWorker
from fcn.training.step import Step
from TensorflowUtils import tf

BATCH = {'image': np.zeros((1, 96, 96, 3), 'uint8'), 'annotation': np.zeros((1, 96, 96, 1), 'uint8'),
         'number': np.zeros(1, 'int64')}


@pytest.mark.usefixtures('small_backbone')
@pytest.mark.parametrize('in_bfloat16', [False, True])
def test_large_upsampling_is_a_product_where_convolutions_are_in_bfloat16(in_bfloat16, monkeypatch):
    """As in predictions, see tests/inference/test_predictor.py; weights stay float32, for checkpoints hold that."""
    monkeypatch.setattr('nets.inception_v3_fcn.ONEDNN_FOR_AMX', True)
    cluster = Cluster(SingleWorker(), training=True)
    cluster.in_bfloat16 = in_bfloat16  # as --precision=mixed sets it on such a CPU
    with tf.Graph().as_default() as graph:
        step = Step(cluster, lambda _: tf.data.Dataset.from_tensors(BATCH), network_config(num_classes=3),
                    LossConfig(), OptimizerConfig())
        run = tf.graph_util.extract_sub_graph(graph.as_graph_def(), [step.fetches['train_op'].name])
        assert {one.dtype.base_dtype for one in step.variables} == {tf.float32}
    large = [node for node in run.node if node.op == 'Conv2DBackpropInput' and node.attr['strides'].list.i[1] == 8]
    assert len(large) == (0 if in_bfloat16 else 1)

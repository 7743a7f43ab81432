"""The only door to TensorFlow, the same on TensorFlow 1.15 and on TensorFlow 2.21.

    from TensorflowUtils import slim, tf

`tf` is `tensorflow.compat.v1` in graph mode, the same on both; `slim` is tf-slim, made to load on the newer one, and
`inception_v3` its network. Nothing else imports tensorflow or tf_slim: they must be imported in this order.
"""
import contextlib
import ctypes
import functools
import importlib.machinery
import io
import logging
import os
import sys
import tempfile
import threading
import warnings
from typing import Dict, Iterable, Iterator, List, Optional, Tuple

import numpy as np
from PIL import Image

# Before TensorFlow loads: its C++ start-up notes say nothing a user can act on, nor, where there is no NVIDIA device,
# does the error that CUDA found none. An exported value wins.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2' if os.path.exists('/dev/nvidiactl') else '3')


@functools.lru_cache(maxsize=1)
def cpu_features() -> str:
    """Returns the text that Linux has about the CPUs, their instruction sets among it; '' elsewhere."""
    try:
        with open('/proc/cpuinfo') as file:
            return file.read()
    except OSError:
        return ''


_AVX2_ONLY = ' avx2' in cpu_features() and ' avx512' not in cpu_features()
# TensorFlow 2 switches oneDNN's convolutions on by itself for AVX-512 only, but with AVX2 they train faster too.
if _AVX2_ONLY:
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
# Python warnings that no user can act on either: of NumPy's future (1.15) and of TensorFlow's own layers (2.21).
warnings.filterwarnings('ignore', module='tensor(flow|board)|tf_slim')


def _keep_freed_memory():
    """Lets glibc keep large blocks that are freed, for the next step.

    Otherwise it hands them back to the kernel, which clears them page by page when they are asked for again: 70,000
    page faults, a tenth of a training step (docs/speed.md). GLIBC_TUNABLES wins, and other C libraries are let be.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # the last: Windows
        return
    if 'glibc.malloc' not in os.environ.get('GLIBC_TUNABLES', ''):
        mallopt(-4, 0)  # M_MMAP_MAX: no block by mmap
        mallopt(-1, 2 ** 31 - 1)  # M_TRIM_THRESHOLD: nor given back from the heap's top


_keep_freed_memory()


@contextlib.contextmanager
def quiet(*names: str) -> Iterator[List[str]]:
    """Holds back what Python's loggers of these names say, as converters do of their work. Yields a list of errors."""
    errors, loggers = [], [logging.getLogger(name) for name in names]
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: errors.append(record.getMessage())
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        logger.addHandler(handler)
    try:
        yield errors
    finally:
        for logger, (level, propagate) in zip(loggers, before):
            logger.setLevel(level)
            logger.propagate = propagate
            logger.removeHandler(handler)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Holds back what C++ code writes to the error stream; lets it out when the import fails."""
    with tempfile.TemporaryFile() as held:
        stream = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stream, held.read())
            raise
        finally:
            os.dup2(stream, 2)
            os.close(stream)


class _LaterKeras:
    """Finds Keras for this thread, but has it not be loaded. A finder of modules, and a loader."""

    def __init__(self):
        self._thread = threading.get_ident()

    def find_spec(self, fullname, path=None, target=None):
        if fullname != 'keras' or threading.get_ident() != self._thread:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec:
            spec.loader = self
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        raise ImportError('Keras is loaded later')


@contextlib.contextmanager
def _without_keras():
    """Has `import tensorflow` not load Keras: that takes a second, and nothing here uses it.

    TensorFlow does without, and loads it when somebody asks for tf.keras.
    """
    finder = _LaterKeras()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


with quiet_stderr(), _without_keras():  # TensorFlow 2.21 reports a missing GPU before it reads its own log level
    import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import rewriter_config_pb2  # noqa: E402
from tensorflow.python.framework import ops as _ops  # noqa: E402
from tensorflow.python.ops import control_flow_ops as _control_flow_ops  # noqa: E402

from fcn.utils import portable  # noqa: E402

# tf-slim 1.1.0 looks for two names where TensorFlow kept them before 2.15.
if not hasattr(_ops, 'Tensor'):
    _ops.Tensor = tf.Tensor
if not hasattr(_control_flow_ops, 'cond'):
    _control_flow_ops.cond = tf.cond

import tf_slim as slim  # noqa: E402
from tf_slim.nets import inception_v3  # noqa: E402

tf.logging.set_verbosity(tf.logging.ERROR)
tf.disable_v2_behavior()


def _adapt_layers_once():
    """Has TensorFlow 2 adapt the classes of its layers to graphs once, where it would for each layer that is built.

    That took a tenth of building the network. What does it has no public name; where it is not found, all is as before.
    """
    try:
        from tensorflow.python.keras.utils import version_utils
        adapt = version_utils.swap_class
    except (ImportError, AttributeError):
        return
    adapted = {}

    def swap_class(cls, v2_cls, v1_cls, use_v2):
        if adapted.get('use_v2') != use_v2:
            adapted.clear()
            adapted['use_v2'] = use_v2
        key = cls, v2_cls, v1_cls
        found = adapted.get(key)
        if found is None:
            found = adapted[key] = adapt(cls, v2_cls, v1_cls, use_v2)
        return found
    version_utils.swap_class = swap_class


_adapt_layers_once()
# TensorFlow 1.15 has no oneDNN.
ONEDNN_FOR_AVX2 = _AVX2_ONLY and os.environ['TF_ENABLE_ONEDNN_OPTS'] == '1' and not tf.__version__.startswith('1.')
ONEDNN_FOR_AMD_AVX512 = (' avx512' in cpu_features() and 'AuthenticAMD' in cpu_features()
                         and os.environ.get('TF_ENABLE_ONEDNN_OPTS') != '0' and not tf.__version__.startswith('1.'))
ONEDNN_FOR_AMX = ' amx_bf16' in cpu_features() and not tf.__version__.startswith('1.')

__all__ = ['LOSS_SCALES', 'ONEDNN_FOR_AMD_AVX512', 'ONEDNN_FOR_AMX', 'ONEDNN_FOR_AVX2', 'cpu_features',
           'describe_devices', 'histogram_summaries', 'image_summary', 'inception_v3', 'leave_out_graph_optimizer',
           'lower_precision', 'quiet', 'quiet_stderr', 'session_config', 'slim', 'tf']

# The loss is multiplied by this before its gradient is taken, and the gradient divided by it after: small gradients
# are lost in float16, whose smallest number is 6e-8, but not in bfloat16.
LOSS_SCALES = {None: 1, 'bfloat16': 1, 'float16': 512}


def lower_precision(precision: str) -> Optional[str]:
    """Returns the type that convolutions compute in, 'float16' or 'bfloat16', or None for float32.

    Args:
      precision: value of --precision. 'float32' gives None; 'mixed' gives the type in which a GPU, or the CPU's
        instructions, are faster than in float32, or None where there is none, or oneDNN is turned off.
    """
    if precision == 'float32':
        return None
    if tf.config.experimental.list_physical_devices('GPU'):
        return 'float16'
    toggles = rewriter_config_pb2.RewriterConfig.DESCRIPTOR.fields_by_name
    # Intel's AVX-512 multiplies as many numbers a cycle in bfloat16 as in float32, so that the conversions are lost
    # time: a training step takes 1.5 times as long. Intel's AMX and AMD's AVX-512 multiply more.
    features = cpu_features()
    fast = ' amx_bf16' in features or ' avx512_bf16' in features and 'AuthenticAMD' in features
    has_it = 'auto_mixed_precision_onednn_bfloat16' in toggles and os.environ.get('TF_ENABLE_ONEDNN_OPTS') != '0'
    return 'bfloat16' if fast and has_it else None


def session_config(deterministic: bool = False, precision: str = 'float32', folded: bool = False) -> tf.ConfigProto:
    """Returns the `tf.ConfigProto` of every session.

    Args:
      deterministic: one thread an operation and one operation at a time, so that sums are always taken in one order.
        Otherwise all cores that this process may run on are used: its affinity, which SLURM sets.
      precision: 'float32', or 'mixed': what gains by it is computed in `lower_precision`, weights stay in float32.
      folded: whether convolutions compute batch norm, see `nets.inception_v3_fcn.folded_batch_norm`.
    """
    config = tf.ConfigProto(allow_soft_placement=True)
    config.gpu_options.allow_growth = True  # two runs can share a card, and a small run doesn't take all of it
    if ONEDNN_FOR_AVX2 and not folded:
        # Its convolution fused with batch norm has no AVX2 code and falls back to one many times slower.
        config.graph_options.rewrite_options.remapping = rewriter_config_pb2.RewriterConfig.OFF
    toggle = {'float16': 'auto_mixed_precision', 'bfloat16': 'auto_mixed_precision_onednn_bfloat16', None: None}[
        lower_precision(precision)]
    if toggle:
        setattr(config.graph_options.rewrite_options, toggle, rewriter_config_pb2.RewriterConfig.ON)
    config.intra_op_parallelism_threads = 1 if deterministic else portable.num_cores()
    config.inter_op_parallelism_threads = 1 if deterministic else 0
    return config


def leave_out_graph_optimizer(config: tf.ConfigProto) -> None:
    """Has sessions with this configuration optimize no graph, but lower the precision where that was asked for.

    The optimizer takes seconds before the first step, and a CPU's training step is no faster by it. Where it runs for
    the precision, it still fuses operations, for the sake of validations.
    """
    options = config.graph_options.rewrite_options
    toggles = [field.name for field in options.DESCRIPTOR.fields
               if field.enum_type and field.enum_type.name == 'Toggle']
    if not any(getattr(options, name) == rewriter_config_pb2.RewriterConfig.ON for name in toggles):
        options.disable_meta_optimizer = True
        return
    for name in toggles:
        if name != 'remapping' and getattr(options, name) == rewriter_config_pb2.RewriterConfig.DEFAULT:
            setattr(options, name, rewriter_config_pb2.RewriterConfig.OFF)
    options.memory_optimization = rewriter_config_pb2.RewriterConfig.NO_MEM_OPT
    options.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE


def describe_devices(session: tf.Session, precision: str = 'float32') -> str:
    """Returns 'on N GPUs' or 'on the CPU, N cores', and the types that --precision=mixed computes in there.

    Adds a warning when a GPU is there but not in reach.
    """
    gpus = sum(device.device_type == 'GPU' for device in session.list_devices())
    lower, types = lower_precision(precision), ''
    if precision != 'float32':
        types = f', {lower} and float32 mixed' if lower else ', all in float32: it has nothing faster'
    if gpus:
        return f"on {gpus} GPU{'s' if gpus > 1 else ''}{types}"
    text = f'on the CPU, {portable.num_cores()} cores{types}'
    if os.path.exists('/dev/nvidiactl'):
        text += ' (there is an NVIDIA GPU, but TensorFlow finds no CUDA for it: pip install -r requirements-gpu.txt)'
    return text


def histogram_summaries(gradients_and_variables: Iterable[Tuple[tf.Tensor, tf.Variable]],
                        end_points: Dict[str, tf.Tensor]) -> tf.Tensor:
    """Adds the original's `--debug` histograms: variables, gradients and activations. Returns the merged summary."""
    summaries = []
    for gradient, variable in gradients_and_variables:
        name = variable.op.name
        summaries.append(tf.summary.histogram('variable_histograms/' + name, variable))
        summaries.append(tf.summary.histogram('gradient_histograms/' + name, gradient))
    for name, tensor in sorted(end_points.items()):
        summaries.append(tf.summary.histogram('activations/' + name, tensor))
        summaries.append(tf.summary.scalar('sparsity/' + name, tf.nn.zero_fraction(tensor)))
    return tf.summary.merge(summaries)


def image_summary(tag: str, image: np.ndarray) -> tf.Summary:
    """Returns a summary that shows an image, uint8 [H, W, 3], under `tag`."""
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, 'png')
    picture = tf.Summary.Image(encoded_image_string=encoded.getvalue(), height=image.shape[0], width=image.shape[1],
                               colorspace=3)
    return tf.Summary(value=[tf.Summary.Value(tag=tag, image=picture)])

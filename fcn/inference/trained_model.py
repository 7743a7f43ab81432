"""A trained network, restored from its checkpoint and ready to predict."""
import contextlib
import dataclasses
from typing import Any, Dict, Iterator, List, Optional, Tuple

from fcn.config import Config, NetworkConfig
from fcn.data import annotation_check
from fcn.distributed.cluster import Cluster
from fcn.distributed.workers import SingleWorker
from fcn.inference.predictor import Predictor
from fcn.network import builder
from fcn.runs import checkpoints, run_folder
from nets import inception_v3_fcn as network
from TensorflowUtils import tf


def find_checkpoint(config: Config, checkpoint_path: Optional[str]) -> str:
    """Returns the prefix of the checkpoint that test, visualize and export take.

    Args:
      config: of the command.
      checkpoint_path: of a whole model, to take where the run's folder holds none; or None.

    Raises:
      InputError: there is none.
    """
    place = config.folders.checkpoint_place
    prefix = checkpoints.named(place) or checkpoints.newest_intact(place)
    if prefix is None and checkpoint_path:
        prefix = checkpoints.find_whole_model(checkpoint_path)
    if prefix is None:
        raise run_folder.no_checkpoint(place, checkpoint_path)
    return prefix


def restore(session: tf.Session, prefix: str) -> None:
    """Restores a checkpoint into the default graph, folds batch norm where it was asked for; the graph is final then.

    Raises InputError as `fcn.runs.checkpoints.restore` does.
    """
    checkpoints.restore(session, prefix, builder.used_variables())
    session.run(tf.get_collection(network.FOLDING))
    session.graph.finalize()


@contextlib.contextmanager
def trained_model(config: Config, network_config: NetworkConfig, records: List[Dict[str, Any]], dataset: Any,
                  prefix: str, workers: Optional[Any] = None, exporting: bool = False
                  ) -> Iterator[Tuple[tf.Session, Predictor]]:
    """Builds the network for prediction and restores a checkpoint. Yields (session, Predictor).

    Args:
      config: of the command.
      network_config: of the network.
      records: to predict.
      dataset: the `Dataset` whose labels they hold.
      prefix: of the checkpoint.
      workers: that share the records, or None.
      exporting: predict exactly as the network is, to be compared with: float32, one scale, batch norm not folded.

    Raises:
      InputError: the checkpoint is of another network, or an annotation is bad.
    """
    workers = workers or SingleWorker()
    annotations = annotation_check.begin_check(
        [record for record in records if record['annotation'] and not config.data.skip_bad_images], dataset, workers,
        0 if records is dataset.validation else None)  # training images: none
    folds = network_config.use_batch_norm and not exporting
    with tf.Graph().as_default():
        cluster = Cluster(workers, config.deterministic, 'float32' if exporting else config.precision, folded=folds)
        averaging = {} if exporting else {'scales': config.prediction.test_scales, 'flip': config.prediction.test_flip}
        predictor = Predictor(records, dataset, dataclasses.replace(network_config, fold_batch_norm=folds), cluster,
                              config.data.squash_to, **averaging)
        with cluster.session() as session:
            restore(session, prefix)
            annotations.wait()
            yield session, predictor

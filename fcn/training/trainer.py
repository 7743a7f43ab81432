"""The training of a run: from its beginning, or its newest checkpoint, to its last step."""
import contextlib
import dataclasses
from typing import Any, Dict, Iterator, List, Optional

import BatchDatSetReader
from fcn.config import Config, RunConfig
from fcn.data import datasets, palettes
from fcn.data.cache import ImageCache
from fcn.data.datasets import Dataset
from fcn.data.stream import records_of_samples
from fcn.distributed.cluster import Cluster
from fcn.inference.predictor import Predictor, naming_bad_files
from fcn.network.divergence import stopping_at_divergence
from fcn.network.optimizer import NothingToTrain
from fcn.runs import checkpoints, run_folder
from fcn.training.checkpointing import Checkpoints, NoCheckpoints
from fcn.training.log import NoLog, TrainingLog
from fcn.training.pace import Pace
from fcn.training.schedule import Schedule
from fcn.training.signals import Signals
from fcn.training.step import SCALINGS, Step
from fcn.training.validation import validate
from fcn.utils.errors import InputError
from TensorflowUtils import LOSS_SCALES, describe_devices, lower_precision, tf


@dataclasses.dataclass(frozen=True)
class Start:
    """Holds where a run begins. resumed: its newest checkpoint, or None. weights: a checkpoint of others, or None."""
    resumed: Optional[str]
    weights: Optional[str]

    @property
    def step(self) -> int:
        """Returns the last step that is trained already."""
        return run_folder.step_of(self.resumed) if self.resumed else 0


def find_start(config: Config, run: RunConfig, workers: Any, named: Optional[str] = None) -> Start:
    """Finds the newest intact checkpoint of logs_dir or, where it holds none, the weights of --checkpoint_path.

    The chief decides for all workers. run: in logs_dir. named: the weights, where the command line gives them; that
    they are left alone is said where the run began from others. Raises InputError: all checkpoints are damaged, or
    there are no such weights.
    """
    def decide():
        newest = checkpoints.newest_intact(config.folders.logs_dir, set_aside=True)
        path = config.training.checkpoint_path
        if newest and run.leaves_alone(named, newest):
            print(f'note: the run goes on from {newest}, and --checkpoint_path={named} is left alone; to begin from '
                  'that, name another --logs_dir')
        return [newest, checkpoints.find(path) if path and not newest else None]
    return Start(*workers.broadcast(decide))


class Trainer:
    """Trains a network. Use: `with trainer.built(): trainer.restore_or_initialize(); trainer.fit()`.

    Args:
      config: of the command.
      run: the run's `RunConfig` until now.
      dataset: the `Dataset`.
      workers: of the job.
      start: see `find_start`.
      class_weights: factors of the classes in the loss, or None.
      annotations: the `AnnotationCheck`, which must be over before a number or a checkpoint is written.
      records: of `RunConfig`.

    Attributes:
      step: the last that was trained.
      stopped_by: name of the signal that ended `fit` before the last step, or None.
      best: (validation mean IoU, step) of the best validation, or None.
      is_over: whether --patience has ended training.
    """

    def __init__(self, config: Config, run: RunConfig, dataset: Dataset, workers: Any, start: Start,
                 class_weights: Optional[List[float]], annotations: Any, records: Dict[str, List[Any]]):
        self.config, self.dataset, self.workers, self.start = config, dataset, workers, start
        self.step, self.stopped_by, self.best, self.is_over = start.step, None, None, False
        self._annotations, self._cache = annotations, ImageCache(10 ** 6 * config.data.cache_megabytes)
        self._class_weights = class_weights
        self._cluster = Cluster(workers, config.deterministic, config.precision, training=True)
        self._batch_size = config.training.batch_size
        self._global_batch = self._batch_size * self._cluster.replicas
        self._first_sample, batches = run.samples_before(start.step, self._global_batch)
        self._run = RunConfig(
            flags=config.flags, class_names=dataset.class_names[:dataset.void_label], void_label=dataset.void_label,
            batches=batches, class_weights=class_weights,
            started_from=run.started_from if start.resumed else config.training.checkpoint_path,
            ignored_labels=dataset.ignored_classes, image_range=dataset.image_range, records=records,
            begun=run.begun_with(config.flags, start.step),
            validated=run.validated_with(config.flags, records, start.step),
            palette=palettes.to_texts(dataset.palette[:len(dataset.class_names)]) if dataset.has_own_palette else None)
        self._schedule = Schedule(config.optimizer.max_iterations, config.training.log_every,
                                  config.training.checkpoint_every, config.training.validate_every)
        self._lower_precision = lower_precision(config.precision)

    @property
    def newest(self) -> Optional[str]:
        """Returns the prefix of the newest checkpoint of the run, or None."""
        return self._checkpoints.newest or self.start.resumed

    @contextlib.contextmanager
    def built(self) -> Iterator[None]:
        """Builds readers, network, loss and optimizer in a graph of their own; within it there is a session."""
        with tf.Graph().as_default() as self._graph, self._cluster.scope():
            tf.set_random_seed(self.config.training.seed)
            self._build()
            with self._cluster.session() as self._session:
                yield

    def _build(self):
        config, network_config = self.config, self.config.network(len(self.dataset.class_names))
        optimizer_config = dataclasses.replace(config.optimizer, loss_scale=LOSS_SCALES[self._lower_precision])
        loss_config = config.loss(self.dataset.ignore_label, self._class_weights)
        try:
            self._train_step = Step(self._cluster, self._reader(), network_config, loss_config, optimizer_config,
                                    config.training.trainable_scopes, config.training.seed, config.debug)
        except NothingToTrain as error:
            raise InputError(f'--trainable_scopes: {error}') from None
        self._validation = None
        if config.training.validate_every:
            with tf.name_scope('validation'):
                self._validation = Predictor(
                    datasets.evenly(self.dataset.validation, config.training.validation_images), self.dataset,
                    network_config, self._cluster, config.data.squash_to, reuse=True)
        self._checkpoints = NoCheckpoints()
        if self.workers.chief:
            self._checkpoints = Checkpoints(config.folders.logs_dir, self._run, config.training.keep_checkpoints,
                                            self._train_step.global_step, self._validation is not None)

    def _reader(self):
        """Returns the function of a replica's number that gives its training batches."""
        data = self.config.data
        return lambda replica_index: BatchDatSetReader.training_batches(
            self.dataset.training, self.dataset, self._batch_size, data.image_size, seed=self.config.training.seed,
            first_sample=self._first_sample, resize=data.resize, replica_index=replica_index,
            num_replicas=self._cluster.replicas, cache=self._cache, **dataclasses.asdict(self.config.augmentation))

    def restore_or_initialize(self) -> None:
        """Gives all variables their values, and says which come from where. Raises InputError."""
        training, restored = self.config.training, []
        if self.start.resumed:
            restored = checkpoints.resume(self._session, self.start.resumed)
        elif self.start.weights:
            restored = checkpoints.start_from(self._session, self.start.weights, training.checkpoint_exclude_scopes,
                                              training.ignore_missing_vars)
        # Random weights take a while to draw, and would be overwritten.
        others = set(tf.global_variables()) - set(restored)
        self._session.run(tf.variables_initializer(sorted(others, key=lambda variable: variable.op.name)))
        self._graph.finalize()

    def fit(self) -> None:
        """Trains to the last step, or until a signal or --patience ends it; what is due is logged, validated and saved.

        Raises:
          InputError: bad data, or nothing can be written.
          Diverged: the loss or its gradient is not finite.
        """
        last = stopped = False
        with contextlib.closing(self._open_log()) as log, Signals() as signals:
            self._update_is_over(log)
            while not (last or self.is_over):
                self.step += 1
                done = self._run_step(log, bool(signals.received))
                # Of several workers all must stop after the same step.
                stopped = done['stop'] > 0 or self.workers.count == 1 and bool(signals.received)
                due = self._schedule.due(self.step, stopped)
                last = due.last
                if due.anything:
                    self._annotations.wait()
                self._log_and_save(log, due, done)
        self.best = log.best
        if stopped and not self.is_over and self.step < self._schedule.max_iterations:
            self.stopped_by = signals.received or 'a signal to another worker'

    def _run_step(self, log, asked_to_stop):
        """Trains one step. Returns its fetches."""
        fetches = dict(self._train_step.fetches)
        if self.config.debug and self._schedule.logs(self.step):
            fetches['histograms'] = self._train_step.histograms
        hint = ', --precision=float32' if self._lower_precision else ''
        with log.timing(self._global_batch), naming_bad_files(self._records_of_step, self.dataset), \
                stopping_at_divergence(self.step, self._records_of_step, self.config.optimizer.learning_rate,
                                       self.config.folders.logs_dir, hint):
            return self._session.run(fetches, {self._train_step.stop: 1.0} if asked_to_stop else {})

    def _records_of_step(self):
        """Lists the records of this process's part of the step's batch."""
        first = self._first_sample + (self.step - self.start.step - 1) * self._global_batch
        return records_of_samples(
            self.dataset.training, self.config.training.seed,
            first + self._cluster.first_replica * self._batch_size, self._cluster.local_replicas * self._batch_size)

    def _log_and_save(self, log, due, done):
        """Does what is due after a step; of the workers only the chief has a log and checkpoints."""
        values = {'step': self.step, 'loss': float(done['loss']), 'learning_rate': float(done['learning_rate'])}
        if due.validate:
            values.update(validate(self._validation, self._session, log, self.step,
                                   self.config.prediction.tile_size))
        is_best = due.write_line and log.write(values)
        if 'histograms' in done:
            log.summary('train', self.step, done['histograms'])
        if is_best:
            self._checkpoints.save_best(self._session, self.step, log.best[0])
        if due.validate:
            self._update_is_over(log)
        if due.save or self.is_over:
            self._checkpoints.save(self._session, self.step)
            log.flush()

    def _update_is_over(self, log):
        """Asks the chief, who has the log, whether the validations since the best one are too many."""
        patience = self.config.training.patience
        self.is_over = patience > 0 and self.workers.broadcast(lambda: log.validations_since_best >= patience)

    def _open_log(self):
        """Prints what is trained, and opens the log. Raises InputError."""
        maximum = self._schedule.max_iterations
        print(f'training {len(self._train_step.variables)} of {len(tf.trainable_variables())} variables with '
              f'{len(self.dataset.training)} images, step {self.start.step} to {maximum}, '
              f'{describe_devices(self._session, self.config.precision)}')
        replicas, count = self._cluster.replicas, self.workers.count
        if replicas > 1:
            scaling = SCALINGS[self.config.optimizer.learning_rate_scaling](replicas)
            print(f'global batch {self._global_batch}: {self._batch_size} images on each of {replicas} replicas, '
                  f'{count} worker{"s" if count > 1 else ""}; learning rate times {scaling:g}')
        if not self.workers.chief:
            return NoLog()
        if not self.start.resumed:
            self._checkpoints.write_config()
        return TrainingLog(self.config.folders.logs_dir, self.start.step, maximum, self._graph, self.config.flags,
                           max(self._run.begun, self._run.validated), self._run.validated,
                           Pace(self.config.training.planned_step_seconds, self.start.step, maximum))

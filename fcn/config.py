"""The configuration: frozen dataclasses made once of the flags, and the run's saved `config.json`.

The main script reads the flags and hands their values over as a dict; `make_config` makes dataclasses of them, which
everything else takes. A field that has a flag's name holds that flag's value. `config.json`, which a run keeps beside
its checkpoints, is written, read, checked and compared with the command line here alone. Needs neither absl nor
TensorFlow.
"""
import dataclasses
import json
import os
import re
from typing import Any, Callable, Collection, Dict, List, Optional, Tuple

from fcn.data import class_weights, palettes
from fcn.data.augmentation import AugmentationConfig
from fcn.data.sixteen_bits import FULL_RANGE
from fcn.utils.errors import InputError
from fcn.utils.files import write_atomic

# What a run that goes on, or is tested, does with the flags in its config.json.
NETWORK_FLAGS = ('skip_layers', 'upsampling', 'use_batch_norm', 'scale_input')
IMMUTABLE_FLAGS = ('dataset', 'void_class') + NETWORK_FLAGS
# Taken from there, unless the command line gives them.
DEFAULT_FLAGS = ('data_dir', 'train_split', 'image_size', 'resize', 'skip_bad_images', 'allow_one_class',
                 'palette_is_labels', 'image_range')
# Their change makes a resumed run another than one never stopped, which is said.
WARN_ON_CHANGE_FLAGS = ('seed', 'image_size', 'resize', 'skip_bad_images') + tuple(
    field.name for field in dataclasses.fields(AugmentationConfig))
# Those that a run goes on with as they are now, which is said where they were others.
TRAINING_FLAGS = ('data_dir', 'train_split', 'batch_size', 'precision', 'trainable_scopes', 'class_weights',
                  'auxiliary_loss', 'weight_decay', 'batch_norm_decay', 'freeze_batch_norm', 'dropout_keep_prob',
                  'optimizer', 'momentum', 'learning_rate', 'schedule', 'warm_up', 'new_layers_rate',
                  'clip_gradient_norm', 'learning_rate_scaling')
# Values of --export_format, and what each is called in --results_dir unless --export_dir says.
EXPORT_PLACES = {'onnx': 'model.onnx', 'saved_model': 'saved_model', 'tflite': 'model.tflite'}

# What predictions of a run depend on: what its config.json has where it does not say, which is the flag's default, and
# the values that are known, None: any of that type.
FLAGS_OF_PREDICTIONS = {
    'dataset': ('pascal_voc', None), 'skip_layers': ('8s', ('32s', '16s', '8s', '4s')),
    'upsampling': ('scores', ('scores', 'features')), 'use_batch_norm': (True, None), 'scale_input': (True, None),
    'void_class': (False, None), 'resize': ('crop', ('crop', 'squash')), 'image_size': (224, None)}

Flags = Dict[str, Any]


@dataclasses.dataclass(frozen=True)
class FolderConfig:
    """Holds where a command reads and writes."""
    logs_dir: str
    train_dir: Optional[str]
    results_dir: str
    export_format: str
    export_dir: str  # the folder or the file, where the flag names none too
    trains: bool  # whether the command trains, which it does in logs_dir whatever train_dir says

    @property
    def checkpoint_place(self) -> str:
        """Returns the folder or checkpoint that a trained model is taken from."""
        return self.train_dir if self.train_dir and not self.trains else self.logs_dir

    @property
    def run_dir(self) -> str:
        """Returns the folder of the run that the command works on."""
        place = self.checkpoint_place
        return place if place == self.logs_dir or os.path.isdir(place) else os.path.dirname(place)

    @property
    def log_dir(self) -> str:
        """Returns the folder of that run's log: of a run's best checkpoint it is the folder around."""
        folder = os.path.abspath(self.run_dir)
        is_best = os.path.basename(folder) == 'best' and not os.path.exists(os.path.join(folder, 'progress.jsonl'))
        return os.path.dirname(folder) if is_best else folder


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The data set, and what becomes of its images before the network sees them."""
    dataset: str
    data_dir: Optional[str]
    data_url: Optional[str]
    train_split: Optional[str]
    split: str
    class_names: Optional[str]
    ignore_label: Optional[Tuple[str, ...]]
    void_class: bool
    skip_bad_images: bool
    allow_one_class: bool
    palette_is_labels: bool
    image_range: Optional[int]
    image_dir: Optional[str]
    image_size: int
    resize: str
    cache_megabytes: int

    @property
    def squash_to(self) -> Optional[int]:
        """Returns the side of the square that whole images are resized to, in pixels; None: they keep their size."""
        return self.image_size if self.resize == 'squash' else None


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Holds what `fcn.network.builder.build` needs to know.

    num_classes: C. auxiliary: in training, add scores of Mixed_6e. logit_adjustment: in prediction, C numbers that are
    taken from the logits, or None. fold_batch_norm: in a graph that never trains, see
    `nets.inception_v3_fcn.folded_batch_norm`. in_bfloat16: convolutions compute in it on a CPU. The others are
    flags.
    """
    num_classes: int
    skip_layers: str
    upsampling: str
    use_batch_norm: bool
    scale_input: bool
    weight_decay: float
    batch_norm_decay: float
    freeze_batch_norm: bool
    dropout_keep_prob: float
    auxiliary: bool = False
    logit_adjustment: Optional[Tuple[float, ...]] = None
    fold_batch_norm: bool = False
    in_bfloat16: bool = False


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Holds what is minimized, see `fcn.network.losses`.

    ignore_label: label that does not count, or None. class_weights: factors of the C classes, or None. auxiliary_loss:
    the flag, weight of the loss of the scores of Mixed_6e; 0: there are none.
    """
    ignore_label: Optional[int] = None
    class_weights: Optional[Tuple[float, ...]] = None
    auxiliary_loss: float = 0.0


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Holds how the weights are changed. loss_scale: see `TensorflowUtils.LOSS_SCALES`. The others are flags."""
    optimizer: str = 'adam'
    momentum: float = 0.9
    learning_rate: float = 0.00032
    schedule: str = 'constant'
    warm_up: int = 0
    max_iterations: int = 100000
    new_layers_rate: float = 1.0
    clip_gradient_norm: float = 0.0
    learning_rate_scaling: str = 'none'
    loss_scale: int = 1


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Holds how a run begins, goes on, and what it writes when."""
    checkpoint_path: str
    checkpoint_exclude_scopes: Tuple[str, ...]
    ignore_missing_vars: bool
    trainable_scopes: Optional[Tuple[str, ...]]
    batch_size: int
    class_weights: str
    seed: int
    log_every: int
    checkpoint_every: int
    validate_every: int
    validation_images: int
    patience: int
    planned_step_seconds: float
    keep_checkpoints: int


@dataclasses.dataclass(frozen=True)
class PredictionConfig:
    """Holds how trained networks are tested and shown."""
    test_scales: Tuple[float, ...]
    test_flip: bool
    undo_class_weights: float
    crf: Optional[bool]
    crf_parameters: Tuple[str, ...]
    image_names: Optional[Tuple[str, ...]]
    num_images: int
    compare: Optional[Tuple[str, ...]]
    tile_size: int
    save_probabilities: bool
    save_labels: bool
    labels_only: bool
    export_size: Optional[Tuple[int, int]]
    panels: bool
    overlay_format: str

    @property
    def averaged_over(self) -> str:
        """Returns over what the probabilities are averaged in testing: '' where they are not."""
        parts = []
        if self.test_scales != (1,):
            parts.append('the scales ' + ', '.join(f'{scale:g}' for scale in self.test_scales))
        if self.test_flip:
            parts.append('mirror images')
        return ' and '.join(parts)

    @property
    def not_exported(self) -> List[str]:
        """Returns the flags, with their values, that change predictions in testing and not those of exported models."""
        scales = '--test_scales=' + ','.join(f'{scale:g}' for scale in self.test_scales)
        flags = ((scales, self.test_scales != (1,)), ('--test_flip', self.test_flip), ('--crf', self.crf))
        return [flag for flag, given in flags if given]


@dataclasses.dataclass(frozen=True)
class Config:
    """One command's configuration. flags: {name: value} of all flags of the program."""
    debug: bool
    deterministic: bool
    precision: str
    folders: FolderConfig
    data: DataConfig
    augmentation: AugmentationConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    prediction: PredictionConfig
    flags: Flags

    def network(self, num_classes: int, **more: Any) -> NetworkConfig:
        """Returns the configuration of a network of `num_classes`. more: those of its fields that are no flags."""
        return _from_flags(NetworkConfig, self.flags, num_classes=num_classes, **more)

    def loss(self, ignore_label: Optional[int], class_factors: Optional[List[float]]) -> LossConfig:
        """Returns what is minimized on a data set with this ignored label. class_factors: of the classes, or None."""
        factors = None if class_factors is None else tuple(class_factors)
        return _from_flags(LossConfig, self.flags, ignore_label=ignore_label, class_weights=factors)

    def how_to_predict(self, dataset: Any, run: 'RunConfig') -> Flags:
        """Returns {name: value} of the flags that predictions of a checkpoint depend on.

        Those of the network and of the image size are left out where they are the run's, or the default where there is
        no run. dataset: of the images.
        """
        prediction = self.prediction
        how = {'test_scales': prediction.test_scales, 'test_flip': prediction.test_flip, 'precision': self.precision,
               'undo_class_weights': prediction.undo_class_weights, 'tile_size': prediction.tile_size}
        if dataset.image_range_given:
            how['image_range'] = dataset.image_range
        if dataset.has_own_palette:
            how['palette'] = palettes.to_texts(dataset.palette[:len(dataset.class_names)])
        for name, (default, _) in FLAGS_OF_PREDICTIONS.items():
            if self.flags[name] != run.flags.get(name, default) and (name != 'image_size' or self.data.squash_to):
                how[name] = self.flags[name]
        return how

    def with_flags_of(self, run: 'RunConfig') -> 'Config':
        """Returns this configuration for the network and the image size of another run."""
        names = {field.name for field in dataclasses.fields(NetworkConfig)} | {'image_size', 'resize'}
        return make_config(dict(self.flags, **{name: run.flags[name] for name in names if name in run.flags}))


def make_config(flags: Flags) -> Config:
    """Makes the configuration of the values of all flags, {name: value}. Raises InputError for values that clash."""
    if (flags['skip_layers'], flags['upsampling']) == ('4s', 'features'):
        raise InputError("--skip_layers=4s goes with --upsampling=scores; the original's head ends at 8s.")
    if flags['patience'] and not flags['validate_every']:
        raise InputError(f"--patience={flags['patience']} counts validations, and --validate_every=0 makes none. Give "
                         'the steps between two.')
    size = flags['export_size']
    if (flags['export_format'] == 'tflite') != bool(size) and flags['mode'] == 'export':
        raise InputError('--export_format=tflite goes with --export_size=HEIGHT,WIDTH of the images in pixels, and no '
                         'other format with it.')
    return _from_flags(
        Config, flags, flags=dict(flags), data=_from_flags(DataConfig, flags), augmentation=_from_flags(
            AugmentationConfig, flags, random_scale=tuple(float(scale) for scale in flags['random_scale'])),
        folders=make_folders(flags),
        optimizer=_from_flags(OptimizerConfig, flags), training=_from_flags(TrainingConfig, flags),
        prediction=_from_flags(
            PredictionConfig, flags, test_scales=tuple(float(scale) for scale in flags['test_scales']),
            export_size=tuple(int(side) for side in size) if size else None))


def make_folders(flags: Flags) -> FolderConfig:
    """Returns the folders that the flags name, which are known before the flags of the run in them are."""
    return _from_flags(FolderConfig, flags, trains=flags['mode'] == 'train',
                       export_dir=flags['export_dir'] or os.path.join(
                           flags['results_dir'], EXPORT_PLACES[flags['export_format']]))


def _from_flags(kind: type, source: Flags, **computed: Any) -> Any:
    """Makes a dataclass of the flags that its fields are named after, lists as tuples, and of computed fields."""
    values = {field.name: source[field.name] for field in dataclasses.fields(kind) if field.name in source}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return kind(**dict(values, **computed))


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Holds what a run's `config.json` holds; all empty where there is none.

    flags: {name: value} of the last training command. class_names: list, index = label, without void's. void_label: of
    `fcn.data.datasets.Dataset`. batches: list of [step, images a step from there on, of all replicas], from step 0.
    class_weights: factors of the classes in the loss, or None. started_from: path of the weights that the run began
    from, '' for random ones, None where it is not known. ignored_labels: of the classes that neither loss nor scores
    count, None in runs that knew of none. palette: the colours of the classes, '#rrggbb' each, where the data set has
    its own, or None. image_range: white of 16-bit images, None in runs that knew of none, see
    `fcn.data.datasets.Dataset`. records: {'training', 'validation'}, of each what `fcn.data.datasets.fingerprint`
    returns, or None where it is not known. begun: step from which on the run was trained with the flags that it has;
    --patience counts from there. validated: step from which on validations were of the images that they are of now;
    scores before cannot be compared.
    """
    flags: Flags = dataclasses.field(default_factory=dict)
    class_names: Optional[List[str]] = None
    void_label: Optional[int] = None
    batches: List[List[int]] = dataclasses.field(default_factory=list)
    class_weights: Optional[List[float]] = None
    started_from: Optional[str] = None
    ignored_labels: Optional[List[int]] = None
    palette: Optional[List[str]] = None
    image_range: Optional[int] = None
    records: Optional[Dict[str, List[Any]]] = None
    begun: int = 0
    validated: int = 0

    @property
    def exists(self) -> bool:
        """Returns whether there is a run, which keeps its classes and what they mean."""
        return bool(self.flags or self.class_names)

    def leaves_alone(self, checkpoint_path: Optional[str], taken: str) -> bool:
        """Checks whether --checkpoint_path names other weights than `taken`, and than those that the run began from.

        taken: prefix of a checkpoint in the run's folder, which goes before.
        """
        if not checkpoint_path:
            return False
        named = re.sub(r'\.(index|data-\d+-of-\d+)$', '', checkpoint_path)
        known = [taken, os.path.dirname(taken)] + [self.started_from] * bool(self.started_from)
        return os.path.abspath(named) not in map(os.path.abspath, known)

    def samples_before(self, step: int, batch_size: int) -> Tuple[int, List[List[int]]]:
        """Counts the images that the run has seen before the end of `step`, whatever its batches were.

        Args:
          step: the run's last.
          batch_size: images a step, of all replicas, from there on.

        Returns:
          (their number, the `batches` to write from there on).
        """
        known = self.batches or [[0, self.flags.get('batch_size', batch_size)]]
        known = [pair for pair in known if pair[0] < step]
        ends = [pair[0] for pair in known[1:]] + [step]
        seen = sum((end - begin) * images for (begin, images), end in zip(known, ends))
        return seen, known if known and known[-1][1] == batch_size else known + [[step, batch_size]]

    def begun_with(self, flags: Flags, step: int) -> int:
        """Returns the `begun` of the run that goes on from `step` with these flags."""
        return step if changed_flags(flags, self.flags) else min(step, self.begun)

    def validated_with(self, flags: Flags, records: Dict[str, List[Any]], step: int) -> int:
        """Returns the `validated` of the run that goes on from `step` with these flags and `records`."""
        return step if self.validates_otherwise(flags, records) else min(step, self.validated)

    def has_other_validation(self, fingerprint: List[Any]) -> bool:
        """Checks whether the run's last validation images are known to be others than those of a fingerprint."""
        known = (self.records or {}).get('validation')
        return known is not None and list(known) != list(fingerprint)

    def validates_otherwise(self, flags: Flags, records: Dict[str, List[Any]]) -> bool:
        """Checks whether the run's validations until now are known to be of other images than with these flags."""
        count, now, before = records['validation'][0], flags['validation_images'], self.flags.get('validation_images')
        has_others = type(before) is int and min(before or count, count) != min(now or count, count)
        return has_others or self.has_other_validation(records['validation'])

    def changes_of(self, records: Dict[str, List[Any]], flags: Flags, step: int) -> List[str]:
        """Returns lines of text: what a run that goes on from `step` does otherwise than until now.

        records: as the class has them, of now. flags: {name: value} of now.
        """
        lines = []
        for split, (count, digest) in sorted(records.items()):
            before, digest_before = (self.records or {}).get(split, (count, digest))
            if count != before:
                lines.append(f'note: there are {count} {split} images, and were {before} until now')
            elif digest != digest_before:
                lines.append(f'note: the {count} {split} images have other names, or another order, than until now')
        if flags['validate_every'] and self.flags.get('validate_every') and self.validates_otherwise(flags, records):
            lines.append('note: validations are of other images than until now; the best score and --patience count '
                         'from here on')
        warm_up = flags['warm_up']
        if 0 < warm_up <= step and warm_up != self.flags.get('warm_up', warm_up):
            lines.append(f'note: --warm_up={warm_up} counts from step 0, so that it is over; the learning rate is '
                         'whole at once')
        return lines

    def logit_adjustment(self, share: float, num_classes: int, folder: str) -> Optional[Tuple[float, ...]]:
        """Returns what takes a share of the class weights back from C logits, or None where the share is 0.

        Raises InputError when the run, whose `folder` is given for the message, was trained without class weights.
        """
        if not share:
            return None
        if not self.class_weights or len(self.class_weights) != num_classes:
            raise InputError(f'--undo_class_weights: {folder}/config.json holds no class weights of a training with '
                             '--class_weights.')
        return tuple(class_weights.logit_offsets(self.class_weights, share))


def flags_of_predictions(run: RunConfig, folder: str) -> Flags:
    """Returns {name: value} of FLAGS_OF_PREDICTIONS in a run, whose `folder` is given for the message.

    Raises InputError when one holds what no run writes.
    """
    found = {}
    for name, (default, choices) in FLAGS_OF_PREDICTIONS.items():
        found[name] = value = run.flags.get(name, default)
        if type(value) is not type(default) or choices and value not in choices or value == 0 and name == 'image_size':
            raise InputError(f'{folder}/config.json is damaged: its flag {name} is {value!r}.')
    return found


def network_of_run(run: RunConfig, folder: str, num_classes: int, undo_class_weights: float = 0.0) -> NetworkConfig:
    """Returns the configuration of a run's network for prediction, from its `config.json` alone.

    Args:
      run, folder: see `flags_of_predictions`.
      num_classes: C.
      undo_class_weights: the flag.

    Raises:
      InputError: as `flags_of_predictions`; no class weights to take back.
    """
    flags = flags_of_predictions(run, folder)
    return _from_flags(NetworkConfig, flags, num_classes=num_classes, weight_decay=0.0, batch_norm_decay=0.9997,
                       freeze_batch_norm=False, dropout_keep_prob=1.0,
                       logit_adjustment=run.logit_adjustment(undo_class_weights, num_classes, folder))


def write_run_config(folder: str, run: RunConfig) -> None:
    """Writes `folder`/config.json whole or not at all. Raises InputError."""
    write_atomic(os.path.join(folder, 'config.json'), json.dumps(dataclasses.asdict(run), indent=1, sort_keys=True))


def read_run_config(folder: str) -> RunConfig:
    """Reads `folder`/config.json; empty where there is none. Raises InputError when it is damaged."""
    path = os.path.join(folder, 'config.json')
    if not os.path.isfile(path):
        return RunConfig()
    try:
        with open(path, encoding='utf-8') as file:
            saved = json.load(file)
        _check_saved(saved)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path} is damaged: {error}. Delete it, and give the run\'s flags on the command line.'
                         ) from None
    known = {field.name: saved[field.name] for field in dataclasses.fields(RunConfig)
             if saved.get(field.name) is not None}
    # The first runs did not keep it, but their flags are those they began with.
    started_from = saved.get('started_from', saved.get('flags', {}).get('checkpoint_path'))
    return RunConfig(**dict(known, started_from=started_from))


def _check_saved(saved: Any) -> None:
    """Raises ValueError, which says what is wrong, when a config.json holds what no run writes."""
    if not isinstance(saved, dict) or not isinstance(saved.get('flags', {}), dict):
        raise ValueError('it is no JSON object with flags')
    names = saved.get('class_names', ['', ''])
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise ValueError('its class_names are no list of names')
    ignored = saved.get('ignored_labels')
    if ignored is not None and not (isinstance(ignored, list) and all(
            type(label) is int and 0 <= label < len(names) for label in ignored)):
        raise ValueError('its ignored_labels are no list of labels')
    batches = saved.get('batches', [])
    if not (isinstance(batches, list) and all(isinstance(pair, list) and [type(number) for number in pair] == [int, int]
                                              and 0 <= pair[0] < 1e12 and 0 < pair[1] < 1e9 for pair in batches)
            and sorted(batches) == batches and not (batches and batches[0][0])):
        raise ValueError('its batches are no list of [step, images a step] from step 0 on')
    weights = saved.get('class_weights')
    if weights is not None and not (isinstance(weights, list) and all(
            type(weight) in (int, float) and 0 < weight < 1e6 for weight in weights)):
        raise ValueError('its class_weights are no list of positive numbers')
    if not isinstance(saved.get('started_from', ''), (str, type(None))):
        raise ValueError('its started_from is no path')
    colours = saved.get('palette')
    if colours is not None and not (isinstance(colours, list) and len(colours) <= 256 and all(
            isinstance(colour, str) and re.fullmatch('#[0-9a-f]{6}', colour) for colour in colours)):
        raise ValueError('its palette is no list of colours such as "#804080"')
    image_range = saved.get('image_range')
    if image_range is not None and not (type(image_range) is int and 1 <= image_range <= FULL_RANGE):
        raise ValueError(f'its image_range is no number from 1 to {FULL_RANGE}')
    records = saved.get('records')
    if records is not None and not (isinstance(records, dict) and all(
            isinstance(pair, list) and [type(value) for value in pair] == [int, str] for pair in records.values())):
        raise ValueError('its records are no [number, digest] of each split')
    for name in ('begun', 'validated'):
        if not (type(saved.get(name, 0)) is int and 0 <= saved.get(name, 0) < 1e12):
            raise ValueError(f'its {name} is no step')


def restore_flags(flags: Flags, given: Collection[str], run: RunConfig, folder: str,
                  parse: Callable[[str, Any], Any], trains: bool = False) -> Flags:
    """Returns the flags with those of a run in place of what the command line leaves out, and says which.

    Args:
      flags: {name: value}.
      given: names of those that the command line gives.
      run: of the run.
      folder: of the run, for messages.
      parse: function of a flag's name and its saved value that returns the value as the flag takes it; raises
        ValueError where it is none.
      trains: whether the run goes on, so that the change of a flag of training is said, also when it is left out.

    Raises:
      InputError: the command line contradicts IMMUTABLE_FLAGS, or a saved value is none of its flag.
    """
    restored, differences, said = dict(flags), [], []
    warn_on_change = WARN_ON_CHANGE_FLAGS if trains else ()
    for name, saved in sorted(run.flags.items()):
        if name not in IMMUTABLE_FLAGS + DEFAULT_FLAGS and name not in warn_on_change:
            continue
        changed = flags[name] != saved
        if name in given:
            if changed and name in IMMUTABLE_FLAGS:
                differences.append(f'{name} is {flags[name]} here, but was {saved}')
            elif changed and name in warn_on_change:
                print(f'note: {name} is {flags[name]}, but was {saved} until now: the images to come are others than '
                      'would have come')
        elif name not in IMMUTABLE_FLAGS + DEFAULT_FLAGS:
            if changed:
                print(f'note: {name}, left out, is {flags[name]}, but was {saved} until now: the images to come are '
                      'others than would have come')
        else:
            if changed:
                said.append(f'{name}={saved}')
            try:
                restored[name] = parse(name, saved)
            except ValueError as error:
                raise InputError(f'{folder}/config.json is damaged: {error}. Delete it, and give the run\'s flags on '
                                 'the command line.') from None
    if differences:
        raise InputError(f'{folder} holds a run with other flags: {"; ".join(differences)}. Leave them out to go on '
                         'with that run, or name another --logs_dir.')
    if said:
        print(f'as {folder} was trained: --{" --".join(said)}')
    changes = changed_flags(restored, run.flags) if trains else []
    if changes:
        print('note: the run goes on with ' + ', '.join(changes))
    return restored


def changed_flags(flags: Flags, before: Flags) -> List[str]:
    """Returns texts: which flags of training are others than before, and what they were."""
    def text(value):
        value = ','.join(map(str, value)) if isinstance(value, (list, tuple)) else value
        return 'unset' if value in (None, '') else str(value)
    names = list(TRAINING_FLAGS)
    if 'poly' in (flags.get('schedule'), before.get('schedule')):  # else it is where the run ends, and no more
        names.append('max_iterations')

    def is_same(name):
        one, other = text(flags[name]), text(before[name])
        return one == other or name == 'data_dir' and os.path.abspath(one) == os.path.abspath(other)
    return [f'{name} {text(flags[name])} (was {text(before[name])})' for name in names
            if name in before and not is_same(name)]

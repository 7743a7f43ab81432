"""The plan of a training: rules that choose flags by the data, the machine and the minutes.

Each rule is of something that was measured, and its reason says where that stands; where nothing was measured, the
default stays, and the reason says so. All of it is a pure function of what it is given.
"""
import math
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from fcn.data.survey import DataSurvey
from fcn.training import speed
from fcn.training.machine import Machine
from fcn.training.notes import SMALL_CROP

RECIPE_SIDE = 320  # pixels, of the crops of both recipes in docs/results.md
SMALLEST_SIDE = 75  # pixels that the network takes
RECIPE_STEPS = 1250  # of flags/fine_tune.flags
MOST_PASSES = 60  # over the images, from pretrained weights: docs/own-data.md
STEPS_FOR_UNDOING = 2160  # from random weights: --undo_class_weights gains 0.009 then, and lost 0.008 after 800
SHORTEST_MEASURED = 260  # steps
FEWEST_STEPS = 50
SHARE_OF_VALIDATION = 0.1  # of the time
VALIDATIONS = ((3, 50), (1, 50), (1, 20), (1, 10))  # (their number, images of each) that are tried in turn
SHARE_OF_MEMORY = 0.8  # that a training may take of what is free
SHARE_OF_CACHE = 0.25
LARGE_IMAGE = 16  # times a crop's pixels
FEW_IMAGES = 50
MOST_CLASSES = 21  # of data sets that recipes were tried on
THIN = 8  # pixels; CamVid's poles, whose scores docs/results.md gives, are 3 wide

ORDER = ('checkpoint_path', 'trainable_scopes', 'skip_layers', 'precision', 'image_size', 'batch_size', 'augment',
         'random_scale', 'color_jitter', 'class_weights', 'undo_class_weights', 'learning_rate', 'new_layers_rate',
         'schedule', 'clip_gradient_norm', 'max_iterations', 'planned_step_seconds', 'validate_every',
         'validation_images', 'checkpoint_every', 'cache_megabytes')  # of the flag file

Value = Union[str, int, float, bool, List[str]]


class Weights(NamedTuple):
    """Holds where a training starts. path: of --checkpoint_path, '' for random weights; reason: why."""
    path: str
    reason: str


class Choice(NamedTuple):
    """A flag of the plan. value: None: it is left at its default. reason: why, and where it was measured."""
    flag: str
    value: Optional[Value]
    reason: str


class Plan(NamedTuple):
    """Holds what was decided.

    Attributes:
      choices: list of Choice, in the order of the flag file.
      notes: list of lines, of what no flag mends.
      minutes: that training is thought to take.
      summary: line that says what they are made of.
    """
    choices: List[Choice]
    notes: List[str]
    minutes: float
    summary: str

    def values(self) -> Dict[str, Value]:
        """Returns {flag: value} of the flags that the plan sets."""
        return {choice.flag: choice.value for choice in self.choices if choice.value is not None}


class _Choices:
    """Gathers choices; the user's own stand in place of the plan's. given: {flag: value} of those."""

    def __init__(self, given: Dict[str, Value]):
        self.given = given
        self.all: List[Choice] = []

    def add(self, choice: Choice) -> Any:
        """Adds a choice, or the user's own in its place. Returns the value."""
        if choice.flag in self.given:
            choice = Choice(choice.flag, self.given[choice.flag], 'as given with the plan')
        self.all.append(choice)
        return choice.value

    def values(self) -> Dict[str, Any]:
        """Returns {flag: value} of the choices and of what the user gave besides."""
        return dict(self.given, **{choice.flag: choice.value for choice in self.all if choice.value is not None})


def make_plan(survey: DataSurvey, machine: Machine, minutes: float, weights: Weights,
              time_step: Callable[[Dict[str, Any]], float], given: Optional[Dict[str, Value]] = None) -> Plan:
    """Plans a training.

    Args:
      survey: of the data.
      machine: that trains.
      minutes: that training may take, from the command to its end.
      weights: where it starts.
      time_step: function of {flag: value} of a training that returns the seconds of a step, its data left out.
      given: {flag: value} of those that the user has chosen already, which stay.

    Returns:
      Plan.
    """
    choices = _Choices(dict(given or {}))
    _choose_recipe(choices, survey, machine, weights)
    time, summary = _choose_steps(choices, survey, machine, minutes, bool(weights.path), time_step)
    values = choices.values()
    notes = notes_on_data(survey, values['image_size'], bool(weights.path))
    notes += notes_on_time(minutes, time, values['max_iterations']) + notes_on_gpus(machine, values['batch_size'])
    choices.all.sort(key=lambda choice: ORDER.index(choice.flag))
    return Plan(choices.all, notes, time / 60, summary)


def _choose_recipe(choices, survey, machine, weights):
    """Chooses all that the time of a step depends on, and what goes with it."""
    pretrained = bool(weights.path)
    choices.add(Choice('checkpoint_path', weights.path, weights.reason))
    choices.add(Choice('trainable_scopes', None, 'all layers in one step, as both recipes of docs/results.md; a first '
                       'step of the new layers alone was no better in three minutes (benchmarks/results/'
                       'three_minutes.csv)'))
    choices.add(skip_layers(survey, choices.given.get('upsampling')))
    choices.add(precision(machine))
    for choice in (*crops(survey, machine), *augmentation(survey, pretrained)):
        choices.add(choice)
    choices.add(Choice('class_weights', 'sqrt_median_frequency',
                       'without, 0.076 less (docs/results.md, What each part is worth)'))
    for choice in learning_rate(pretrained, choices.given.get('optimizer')):
        choices.add(choice)
    choices.add(cache_megabytes(survey, machine))


def _choose_steps(choices, survey, machine, minutes, pretrained, time_step):
    """Chooses how many steps there are, and what is done between them. Returns (seconds in all, what they are of)."""
    given, recipe = choices.given, choices.values()
    images_a_step = recipe['batch_size'] * max(machine.gpus, 1)
    step = time_step(recipe)
    pace = speed.megapixels_per_s(step, recipe['batch_size'], recipe['image_size'])  # of one GPU, as validation has
    start = speed.start_seconds(pace)
    not_cached = max(1 - recipe.get('cache_megabytes', 0) / survey.decoded_megabytes, 0)
    step += speed.decoding_seconds(images_a_step, not_cached * survey.megapixels, machine.cores)
    each, every = step + speed.CHECKPOINT / choices.add(checkpoint_every(step)), given.get('validate_every')

    def one_validation(images):
        count = min(images or survey.validation, survey.validation)
        return speed.validation_seconds(pace, count, survey.megapixels)
    seconds, with_validations = 60 * minutes - start, each
    if every is None:
        times, images = validations(given, SHARE_OF_VALIDATION * 60 * minutes, one_validation)
        seconds -= times * one_validation(images)
    else:
        _, images = validations(given, SHARE_OF_VALIDATION * every * each, one_validation, once=True)
        with_validations += one_validation(images) / every if every else 0
    steps = given.get('max_iterations') or count_steps(seconds, with_validations, survey.training, images_a_step,
                                                       pretrained)
    choices.add(undo_class_weights(recipe['class_weights'], pretrained, steps))
    choices.add(Choice('max_iterations', steps, why_so_many(
        steps, step, minutes, survey.training, images_a_step, pretrained)))
    if every is None:
        every = steps if times == 1 else max(math.ceil(0.4 * steps), 1)
        choices.add(Choice('validate_every', every, f'{times} of them: they take a tenth of the time at most'))
    else:
        choices.add(Choice('validate_every', every, ''))
    images = choices.add(Choice('validation_images', images, 'of each, evenly spread; the default is 50'))
    times = math.ceil(steps / every) if every else 0
    seconds = start + steps * each + times * one_validation(images)
    summary = (f'some {seconds / 60:.2g} minutes: {start:.0f} s to start and end, {steps:,} steps of {step:.2g} s, '
               f'{times} validation{"s" if times != 1 else ""} of {one_validation(images):.0f} s')
    choices.add(Choice('planned_step_seconds', float(f'{step:.3g}'), summary + '. Training says in its first minute '
                       'where steps take a third more, or less'))
    return seconds, summary


# ---- The rules


def skip_layers(survey: DataSurvey, upsampling: Optional[Value] = None) -> Choice:
    """Chooses the finest features that are fused. upsampling: the flag, where it is given."""
    if upsampling == 'features':
        return Choice('skip_layers', '8s', 'the finest of that head, 0.18 better than 32s '
                      '(benchmarks/results/three_minutes.csv)')
    thin, text = survey.thinnest, ''
    if thin and thin.width <= THIN:
        text = f'; {thin.name} is {thin.width:g} pixels wide'
    return Choice('skip_layers', '4s', f'0.019 better than 8s, 0.068 than 16s (benchmarks/results/'
                  f'three_minutes.csv){text}')


def precision(machine: Machine) -> Choice:
    """Chooses what convolutions compute in."""
    if machine.lower:
        return Choice('precision', 'mixed', f'the machine is faster in {machine.lower} (docs/speed.md)')
    return Choice('precision', 'float32', 'this machine has nothing faster (docs/speed.md)')


def crops(survey: DataSurvey, machine: Machine) -> Tuple[Choice, Choice]:
    """Chooses the side of the crops and the images of a step."""
    side = max(min(RECIPE_SIDE, survey.small_side), SMALLEST_SIDE)
    why = f'as both recipes of docs/results.md; images are {survey.size[0]}×{survey.size[1]} pixels'
    if side < RECIPE_SIDE:
        why = f'no larger than the images, {survey.size[0]}×{survey.size[1]} pixels'
    if side >= SMALL_CROP:
        batch = Choice('batch_size', 4, 'as both recipes, and the demo with crops of 176 (docs/results.md)')
    else:
        batch = Choice('batch_size', 10, 'the default; for images so small no other was measured')
    free = machine.free_megabytes
    if free is not None and not machine.gpus:
        sides = [side] + [less for less in (256, 224, SMALL_CROP) if less < side]
        fitting = [smaller for smaller in sides if speed.memory_megabytes(batch.value, smaller, survey.num_classes)
                   <= SHARE_OF_MEMORY * free] or sides[-1:]
        if fitting[0] < side:
            side, why = fitting[0], f'{free / 1000:.1f} GB of memory are free (docs/speed.md, What growth costs)'
    return Choice('image_size', side, why), batch


def augmentation(survey: DataSurvey, pretrained: bool) -> List[Choice]:
    """Chooses flips, scales and colours."""
    if pretrained:
        return [Choice('augment', True, 'flips: it is assumed that mirror images are as good; --noaugment where not, '
                       'as with text'),
                Choice('random_scale', ['0.6', '2'], 'as flags/fine_tune.flags; 0.8 to 1.5 was no better '
                       '(docs/results.md, From ImageNet weights)'),
                Choice('color_jitter', 0.3, 'as flags/fine_tune.flags; 0.5 was no better')]
    if survey.is_alike:
        return [Choice('augment', False, 'won nothing from random weights where images are alike (docs/results.md)')]
    return [Choice('augment', True, 'flips and scales, the default: nothing was measured from random weights where '
                   'neighbours are not alike. --noaugment where mirror images are not as good')]


def learning_rate(pretrained: bool, optimizer: Optional[Value] = None) -> List[Choice]:
    """Chooses the learning rate, its course, and the longest gradient. optimizer: the flag, where it is given."""
    if optimizer == 'momentum':
        rates = [Choice('learning_rate', 0.02, 'the only one tried with momentum, and worse than Adam '
                        '(docs/results.md, Limits)')]
    elif pretrained:
        rates = [Choice('learning_rate', 0.0006, 'better than 0.0003 or 0.001 on images held back '
                        '(docs/results.md, From ImageNet weights)'),
                 Choice('new_layers_rate', 3.0, 'with that learning rate')]
    else:
        rates = [Choice('learning_rate', 0.001, 'as flags/small_data.flags')]
    return rates + [
        Choice('schedule', 'poly', 'constant: 0.081 less (docs/results.md, What each part is worth)'),
        Choice('clip_gradient_norm', 1.0, 'without: 0.041 less')]


def undo_class_weights(weighting: str, pretrained: bool, steps: int) -> Choice:
    """Chooses the share of the class weights that testing takes back."""
    if weighting == 'none':
        return Choice('undo_class_weights', None, 'there are no class weights')
    if pretrained:
        return Choice('undo_class_weights', 1.0, 'as flags/fine_tune.flags')
    if steps >= STEPS_FOR_UNDOING:
        return Choice('undo_class_weights', 1.0, f'gains 0.009 after {STEPS_FOR_UNDOING:,} steps (docs/results.md)')
    return Choice('undo_class_weights', None, 'lost 0.008 after 800 steps (docs/results.md)')


def cache_megabytes(survey: DataSurvey, machine: Machine) -> Choice:
    """Chooses the memory for decoded images: that of all, where it is there."""
    needed = math.ceil(1.05 * survey.decoded_megabytes) + 1
    if machine.free_megabytes is not None and needed <= SHARE_OF_CACHE * machine.free_megabytes:
        return Choice('cache_megabytes', needed, 'all decoded training images; saves 1 ms of a core an image of '
                      '500×375 (docs/speed.md)')
    return Choice('cache_megabytes', None, f'decoded, the training images take {survey.decoded_megabytes / 1000:.1f} '
                  'GB, over a quarter of the free memory')


def checkpoint_every(step: float) -> Choice:
    """Chooses the steps between checkpoints, which are what is lost when a run is killed. step: its seconds."""
    every = max(100, int(60 / step) // 100 * 100)
    return Choice('checkpoint_every', every, f'{every * step / 60:.2g} minutes, which are lost at most; 100 is the '
                  'default, and each takes half a second')


def validations(given: Dict[str, Value], seconds: float, one_validation: Callable[[int], float], once: bool = False
                ) -> Tuple[int, int]:
    """Chooses of VALIDATIONS the first that take no more than `seconds`, or else the last.

    Args:
      given: as in `make_plan`.
      seconds: that they may take.
      one_validation: function of the images of a validation, its seconds.
      once: whether `seconds` are for one validation, whatever their number.

    Returns:
      (number of validations, images of each).
    """
    options = [(times, given.get('validation_images', images)) for times, images in VALIDATIONS]
    return next(((times, images) for times, images in options
                 if (1 if once else times) * one_validation(images) <= seconds), options[-1])


def most_steps(images: int, batch: int) -> int:
    """Returns the steps from pretrained weights beyond which nothing was gained, or measured."""
    return max(math.ceil(MOST_PASSES * images / batch), RECIPE_STEPS)


def count_steps(seconds: float, step: float, images: int, batch: int, pretrained: bool) -> int:
    """Returns the steps that fit into `seconds` of steps of `step` seconds, on a number of images."""
    steps = int(max(seconds, 0) / step)
    steps = steps // 10 * 10 if steps > 100 else steps
    if pretrained:
        steps = min(steps, most_steps(images, batch))
    return max(steps, FEWEST_STEPS)


def why_so_many(steps: int, step: float, minutes: float, images: int, batch: int, pretrained: bool) -> str:
    """Returns the reason of `count_steps`' number. step: seconds of one; the others are as there, or of the plan."""
    if not pretrained or steps != most_steps(images, batch):
        return f'{60 * minutes:,.0f} s, less start and validations, are {steps:,} steps of {step:.2g} s, as timed here'
    if steps == RECIPE_STEPS:
        return 'as flags/fine_tune.flags; from so few images more were not measured'
    return f'{MOST_PASSES} passes over the images; more gain little (docs/own-data.md)'


def notes_on_data(survey: DataSurvey, side: int, pretrained: bool) -> List[str]:
    """Returns lines about the data that no flag mends."""
    notes, thin = [], survey.thinnest
    if survey.unreadable:
        notes.append(f'note: {survey.unreadable} of the files looked at cannot be read; --mode=check names them')
    if survey.splits_are_alike:
        notes.append('note: validation images are as alike to training images as neighbours are: where they are frames '
                     'of the same videos, scores will be too good; split by video or place')
    if sum(entry.width is not None for entry in survey.classes) == 1:
        notes.append('note: the annotations looked at show one class alone; --mode=check says more')
    if survey.training < FEW_IMAGES and pretrained:
        notes.append(f'note: {survey.training} training images are few: some dozens that show each class are needed')
    if not pretrained:
        notes.append(f'note: from random weights {survey.training} images give a rough result; ImageNet weights won '
                     '0.08 on CamVid (docs/results.md)')
    if survey.num_classes > MOST_CLASSES:
        notes.append(f'note: of {survey.num_classes} classes no recipe was measured, only the time of a step')
    if survey.size[0] * survey.size[1] > LARGE_IMAGE * side ** 2:
        notes.append(f'note: crops of {side} pixels are small parts of images of {survey.size[0]}×{survey.size[1]}. '
                     'Nothing was measured on such: scale them down, or give a larger --image_size, where objects are '
                     'larger than that')
    if thin and thin.width <= THIN:
        notes.append(f'note: {thin.name} is {thin.width:g} pixels wide: expect a low score of it (docs/results.md, '
                     'Limits)')
    return notes


def notes_on_gpus(machine: Machine, batch: int) -> List[str]:
    """Returns a line where several GPUs take `batch` images each."""
    if machine.gpus < 2:
        return []
    return [f'note: a step takes {batch * machine.gpus} images, {batch} on each of {machine.gpus} GPUs; no learning '
            f'rate was measured but that of {batch}, see --learning_rate_scaling']


def notes_on_time(minutes: float, seconds: float, steps: int) -> List[str]:
    """Returns lines about what the time is worth."""
    notes = []
    if seconds > 1.05 * 60 * minutes:
        notes.append(f'note: {minutes:g} minutes are too few for a start and {steps} steps; it will take '
                     f'{seconds / 60:.2g}')
    elif steps < SHORTEST_MEASURED:
        notes.append(f'note: {steps} steps are fewer than were ever measured, {SHORTEST_MEASURED}: give more --minutes '
                     'for a useful result')
    return notes

"""Gets the starting weights of a training, and checks that they can be read.

    python -m fcn.starting_weights
    python -m fcn.starting_weights --checkpoint_path=weights/inception_v3_2016_08_28.tar.gz

Without --checkpoint_path they are slim's published InceptionV3, which is downloaded and unpacked where it is absent.
The environment variable INCEPTION_V3_URL gives a mirror of that archive, a URL or a local path.
Run this where there is a network; training then finds them at the same place, see --checkpoint_path of
inception_FCN.py.

Exit status: 0 done; 1 unknown flag or value; 2 bad input, or no network.
"""
import sys
from typing import Optional, Sequence

from fcn.utils import command_line
from fcn.utils.errors import printable


def get(path: Optional[str]) -> str:
    """Finds starting weights; downloads or unpacks them where needed. Returns a line that tells where they are.

    Args:
      path: a checkpoint's prefix, its folder, a .tar.gz or a file of weights (see fcn/runs/weight_files.py); None: the
        published weights.

    Raises:
      InputError: there are none, they cannot be downloaded, or they cannot be read.
    """
    from fcn.runs import checkpoints  # TensorFlow: seconds that --help need not take
    prefix = checkpoints.find(checkpoints.PUBLISHED if path is None else path)
    return f'the starting weights are there: {prefix}, {checkpoints.check_whole(prefix)} variables'


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs the command. Returns its exit status."""
    parser = command_line.Parser('python -m fcn.starting_weights', allow_abbrev=False,
                                 description=__doc__.split('\n')[0])
    parser.add_argument('--checkpoint_path', type=command_line.path, help='A prefix, a folder, a .tar.gz, which is '
                        'unpacked, or InceptionV3 as .h5, .keras or .safetensors. Default: the published weights in '
                        'Data_zoo/inception_v3, downloaded when absent.')
    parser.add_argument('--debug', action='store_true', help='Stack traces.')
    options = parser.parse_args(argv)

    def work():
        print(printable(get(options.checkpoint_path)))
    return command_line.run('fcn.starting_weights', work, options.debug)


if __name__ == '__main__':
    sys.exit(main())

"""manifest.json: of which run, checkpoint and flags the files in a folder of results are.

{name of a file: its origin}. An origin is a dict that JSON can hold: 'run', the run's folder; 'checkpoint', its prefix;
'checksum', of its index, since another training may write a checkpoint of the same name; 'how', the flags that matter.
A file that is being written has null for an origin. Files of before there was a manifest have none.
"""
import contextlib
import json
import os
from typing import Any, Dict, Iterator, Optional, Sequence

from fcn.utils.checksums import digest_of
from fcn.utils.files import write_atomic

NAME = 'manifest.json'
Origin = Dict[str, Any]


def checksum_of_checkpoint(prefix: str) -> Optional[str]:
    """Returns the checksum of a checkpoint's index, which holds those of its numbers; None where it is gone."""
    with contextlib.suppress(OSError):
        return digest_of(prefix + '.index' if os.path.isfile(prefix + '.index') else prefix)
    return None


def origin(run_dir: str, prefix: str, how: Dict[str, Any]) -> Origin:
    """Returns the origin of what the checkpoint `prefix` of the run in `run_dir` predicts with the flags `how`."""
    return json.loads(json.dumps({'run': os.path.abspath(run_dir), 'checkpoint': prefix,
                                  'checksum': checksum_of_checkpoint(prefix), 'how': how}))


def read(results_dir: str) -> Dict[str, Optional[Origin]]:
    """Returns the manifest of a folder, {} where there is none or it is damaged."""
    try:
        with open(os.path.join(results_dir, NAME), encoding='utf-8') as file:
            found = json.load(file)
        return {name: entry for name, entry in found.items() if entry is None or isinstance(entry, dict)}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


@contextlib.contextmanager
def writing_together(results_dir: str, names: Sequence[str], whole: Origin) -> Iterator[None]:
    """A context in which these files are written; they count only behind it, all of one origin. Raises InputError.

    Those that were removed in it, or were not written, are not listed.
    """
    _write(results_dir, dict(read(results_dir), **dict.fromkeys(names)))
    yield
    found = {name: entry for name, entry in read(results_dir).items() if name not in names}
    found.update({name: whole for name in names if os.path.exists(os.path.join(results_dir, name))})
    _write(results_dir, found)


def _write(results_dir, found):
    text = json.dumps(found, indent=1, sort_keys=True)
    write_atomic(os.path.join(results_dir, NAME), text + '\n')


def why_not(found: Dict[str, Optional[Origin]], name: str, run_dir: Optional[str]) -> Optional[str]:
    """Returns why a file has no place on the page of a run, or None.

    Args:
      found: the manifest of its folder.
      name: of the file.
      run_dir: folder of the run; None: any.
    """
    if name not in found:
        return None
    entry = found[name]
    if entry is None:
        return 'the command that wrote it was stopped'
    if run_dir and entry.get('run') != os.path.abspath(run_dir):
        return f'it is of another run, {entry.get("run")}'
    if checksum_of_checkpoint(str(entry.get('checkpoint'))) not in (None, entry.get('checksum')):
        return f'{entry.get("checkpoint")} was trained anew since'
    return None

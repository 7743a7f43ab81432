#!/bin/bash
# One SLURM job that runs inception_FCN.py. Submit it from the clone:
#     sbatch batchpyjobunix.sh                                    trains with the default flags
#     sbatch batchpyjobunix.sh --dataset=mit_scene_parsing        any flags are passed on
#     sbatch --time=01:00:00 batchpyjobunix.sh --mode=test        sbatch's own options go first
# Make the environment on the login node before: make .venv/installed REQUIREMENTS=requirements-gpu.txt

# The name in squeue, and the file that gets all output: name and job number.
#SBATCH --job-name=fcn-googlenet
#SBATCH --output=%x-%j.out
# Time limit. USR1 comes five minutes before it: the run writes a checkpoint, and the same command goes on from it.
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@300
# One node, one task, and cores that decode images beside it: 4 to 8 for each GPU are usual.
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
# Most clusters want these two as well: take one # away and fill in your own.
##SBATCH --account=YOUR_ACCOUNT
##SBATCH --gres=gpu:1

# SLURM runs a copy of this file, so the clone is where sbatch was called.
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")}" || exit 1
if [ ! -x .venv/bin/python ]; then
    echo 'There is no .venv here. On the login node: make .venv/installed REQUIREMENTS=requirements-gpu.txt' >&2
    exit 1
fi

# The signal goes to the tasks that srun starts.
exec srun --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" .venv/bin/python inception_FCN.py "$@"

#!/bin/bash
# A SLURM job that runs inception_FCN.py, on one GPU or on many nodes. Submit it from the clone:
#     sbatch batchpyjobunix.sh                                      trains with the default flags
#     sbatch batchpyjobunix.sh --dataset=mit_scene_parsing          any flags are passed on
#     sbatch --nodes=2 --ntasks-per-node=4 batchpyjobunix.sh        trains on 8 GPUs; sbatch's own options go first
#     sbatch --array=8,16,32 batchpyjobunix.sh                      FCN-8s, 16s and 32s side by side, in logs/8s, ...
#     bash batchpyjobunix.sh --mode=train                           makes .venv where there is none, then submits itself
# docs/cluster.md tells more: other clusters, what the logs say, what several GPUs bring.

# ---- What to fill in. Most clusters want an account and GPUs: take one # away.
##SBATCH --account=YOUR_ACCOUNT
##SBATCH --partition=gpu
##SBATCH --gpus-per-task=1
# Nodes, and tasks on each: one task for each GPU.
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
# Cores of a task, which decode images beside the GPU: 4 to 8 are usual.
#SBATCH --cpus-per-task=2
#SBATCH --time=24:00:00

# ---- What need not change.
#SBATCH --job-name=fcn-googlenet
# All output goes to one file, named by job and number. A requeued job adds to it.
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
# This script gets USR1 five minutes before the time limit; the job then saves, and queues itself again.
#SBATCH --signal=B:USR1@300
#SBATCH --requeue

VENV=${VENV:-.venv}
# A module's own TensorFlow (2.12 on) instead, once `python3 -m pip install --user .` was run with it in the clone:
#     module load tensorflow; JOB_PYTHON=python3
JOB_PYTHON=${JOB_PYTHON:-$VENV/bin/python}
environment="make $VENV/installed VENV=$VENV REQUIREMENTS=requirements-gpu.txt"

# Outside a job, on the login node, which reaches the network: make the environment, and submit.
if [ -z "$SLURM_JOB_ID" ]; then
    cd "$(dirname "$0")" && { command -v "$JOB_PYTHON" >/dev/null || $environment; } && exec sbatch "$(basename "$0")" "$@"
    exit 1
fi

# In a job SLURM runs a copy of this file: the clone is where sbatch was called.
cd "$SLURM_SUBMIT_DIR" || exit 1
# Clusters that keep software in modules may want some here; TensorFlow 2.21 brings its own CUDA.
#     module load PDC
if ! command -v "$JOB_PYTHON" >/dev/null; then
    echo "There is no $JOB_PYTHON in $PWD. On the login node: $environment" >&2
    exit 1
fi
if [ -n "$SLURM_ARRAY_TASK_ID" ]; then
    set -- "$@" --skip_layers="${SLURM_ARRAY_TASK_ID}s" --logs_dir="logs/${SLURM_ARRAY_TASK_ID}s" \
        --results_dir="results/${SLURM_ARRAY_TASK_ID}s"
fi

# The warning goes on to all tasks. They finish the step, save, and end with status 75.
warnings=0
trap 'warnings=$((warnings + 1)); : ${warned:=$SECONDS}; [ -z "$tasks" ] || kill -USR1 $tasks' USR1

# srun starts the tasks, which find each other; when one is lost, the others end. Status 75 of the first to end must not
# kill the rest, which are about to.
srun --kill-on-bad-exit=0 --wait=60 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
    "$JOB_PYTHON" -u inception_FCN.py "$@" &
tasks=$!
[ $warnings -eq 0 ] || kill -USR1 $tasks
while true; do
    before=$warnings
    wait $tasks
    status=$?
    if [ $warnings -eq $before ]; then break; fi  # else the warning ended the wait, not the tasks
done

# One task of an array has a number of its own: that of the first is the array's too, of which all would be queued again.
job=$SLURM_JOB_ID
[ -z "$SLURM_ARRAY_JOB_ID" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
reason=
if [ $status -eq 75 ]; then
    if [ $warnings -gt 0 ]; then
        reason='reached its time limit'
    elif scontrol show job "$job" | grep -q 'PreemptTime=[0-9]'; then
        reason='was preempted'  # SLURM queues again by itself only what does not end in the time of grace
    fi
fi
if [ "$reason" ] && [ "${warned:-60}" -lt 60 ]; then
    echo "$(date '+%F %T'): job $job was warned of its time limit in its first minute, saved and ends: --time must be more" \
        "than the seconds of --signal, 300 unless you changed them, by what some steps take" >&2
elif [ "$reason" ]; then
    echo "$(date '+%F %T'): job $job $reason; it asks to be queued again, and goes on from its checkpoint"
    if scontrol requeue "$job"; then
        sleep 60  # SLURM ends this script; its own end must not count as the next one's
    else
        echo "SLURM does not queue it again. Submit it again, and it goes on" >&2
    fi
fi
exit $status

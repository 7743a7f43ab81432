#!/bin/bash
# Brings up SLURM on this machine, as one node, for tests/test_slurm.py: root on a Debian or Ubuntu, from its packages.
# Does nothing where a SLURM answers already.
set -e
if sinfo --noheader >/dev/null 2>&1; then exit 0; fi
if ! { command -v slurmctld && command -v slurmd && command -v munged; } >/dev/null; then
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends slurmctld slurmd slurm-client munge
fi
host=$(hostname -s)
cpus=$(nproc)
if [ "$cpus" -lt 2 ]; then cpus=2; fi  # jobs of two tasks shall run
mkdir -p /etc/slurm /run/munge /var/tmp/slurm/state /var/tmp/slurm/d
cat > /etc/slurm/slurm.conf <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmdParameters=config_overrides
AuthType=auth/munge
StateSaveLocation=/var/tmp/slurm/state
SlurmdSpoolDir=/var/tmp/slurm/d
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
chown munge /run/munge
pgrep -x munged >/dev/null || su -s /bin/bash munge -c 'munged --force'
# -c: without the jobs of a suite that was ended in their midst, which would hold the node
pgrep -x slurmctld >/dev/null || slurmctld -c
pgrep -x slurmd >/dev/null || slurmd
for _ in $(seq 30); do
    if sinfo --noheader --format=%T 2>/dev/null | grep -q '^idle'; then exit 0; fi
    sleep 1
done
echo 'SLURM was started, but its node is not idle:' >&2
sinfo >&2
exit 1

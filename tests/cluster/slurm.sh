#!/usr/bin/env bash
# usage: slurm.sh COMMAND [ARGUMENTS]
# Runs a command with a single-node Slurm cluster on this machine. All files of the cluster are in a
# temporary folder, it listens only on the loopback interface, and it is stopped after the command.
set -euo pipefail
command -v slurmctld >/dev/null && command -v munged >/dev/null || {
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
}
state=$(mktemp -d)
node=$(hostname -s)
mkdir "$state"/{controller,spool,log,run}
cat > "$state/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$node(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
SlurmctldPort=16817
SlurmdPort=16818
AuthInfo=socket=$state/run/munge.socket
StateSaveLocation=$state/controller
SlurmdSpoolDir=$state/spool
SlurmctldPidFile=$state/run/slurmctld.pid
SlurmdPidFile=$state/run/slurmd.pid
SlurmctldLogFile=$state/log/slurmctld.log
SlurmdLogFile=$state/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MinJobAge=86400
SchedulerParameters=sched_interval=2,defer_batch
PropagateResourceLimits=NONE
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=8000
PartitionName=cpu Nodes=$node Default=YES MaxTime=INFINITE OverSubscribe=NO
PartitionName=gpu Nodes=$node MaxTime=INFINITE OverSubscribe=NO
END
export SLURM_CONF=$state/slurm.conf

# Stop the daemons one after the other, because jobs may still be running.
stop() {
    scancel --user "$(id -un)" 2>/dev/null || true
    for name in slurmd slurmctld munged; do
        pid=$(cat "$state/run/$name.pid" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null || continue
        tail --pid="$pid" -f /dev/null
    done
    rm -rf "$state"
}
trap stop EXIT

head -c 128 /dev/urandom > "$state/munge.key"
chmod 400 "$state/munge.key"
munged --force --key-file="$state/munge.key" --socket="$state/run/munge.socket" \
    --pid-file="$state/run/munged.pid" --log-file="$state/log/munged.log" \
    --seed-file="$state/run/munge.seed"
slurmctld -i
slurmd -N "$node"
timeout 60 sh -c 'until [ "$(sinfo --noheader --format=%T --partition=cpu)" = idle ]; do sleep 1; done'
BIDS_STROKE_SLURM=1 "$@"

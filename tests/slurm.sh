#!/bin/bash
# A real Slurm of one node runs the job scripts: training in jobs that are too short for it, then phase 2, nobody looking on.
# What they leave is compared with a training in one job. Needs slurmctld, slurmd, the Slurm commands and munge, and root:
#     apt-get install slurmctld slurmd slurm-client munge; bash tests/slurm.sh
# PYTHON is the Python that has mapmpi's requirements (default: that of .venv). Takes about six minutes.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-$here/../.venv/bin/python}
export PYTHONPATH=${here%/tests}
dir=$(mktemp -d /tmp/mapmpi-slurm-XXXXXX)
daemons=()

end() {
    code=$?
    trap - EXIT INT TERM
    [ $code -eq 0 ] || tail -n 30 "$dir"/*.log "$dir"/work/*.out || true
    scancel --state=PENDING,RUNNING --user="$(id -un)" 2> /dev/null || true
    for _ in $(seq 40); do
        [ -n "$(squeue --noheader 2> /dev/null)" ] || break
        sleep 1
    done
    [ ${#daemons[@]} -eq 0 ] || kill "${daemons[@]}" 2> /dev/null || true
    wait
    rm -rf "$dir"
    exit $code
}
trap end EXIT
trap 'exit 1' INT TERM

# ---- munge and Slurm, all of whose files lie in one folder
ports=($("$PYTHON" -c '
import socket
ends = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(end.getsockname()[1] for end in ends))'))
mkdir -m 755 "$dir/munge" "$dir/state" "$dir/spool" "$dir/work"
head -c 128 /dev/urandom > "$dir/munge/key"
chmod 600 "$dir/munge/key"
chmod 755 "$dir"
cat > "$dir/slurm.conf" << EOF
ClusterName=mapmpi
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
KillWait=15
MinJobAge=86400
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=4
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE
EOF
export SLURM_CONF=$dir/slurm.conf
munged --foreground --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" \
    --seed-file="$dir/munge/seed" > "$dir/munged.log" 2>&1 &
daemons+=($!)
until [ -S "$dir/munge/socket" ]; do
    kill -0 "${daemons[0]}"
    sleep 0.2
done
slurmctld -D > "$dir/slurmctld.log" 2>&1 &
daemons+=($!)
slurmd -D > "$dir/slurmd.log" 2>&1 &
daemons+=($!)
for second in $(seq 60); do
    [ "$(sinfo --noheader --format=%T 2> /dev/null)" != idle ] || break
    [ "$second" -lt 60 ] || { echo "Slurm does not come up"; exit 1; }
    sleep 1
done
echo "Slurm $(sinfo --version | cut -d ' ' -f 2) runs"

# ---- chains of jobs; the first knows no time limit that it meets, and starts its ranks by mpiexec
cd "$dir/work"
"$PYTHON" -m mapmpi.prepare labyrinth maze --seed 1 --obstacles 60 --length 13 --distance 6 > /dev/null
write() { # NAME TIME WORDS…: writes the scripts of a training and sends the first job
    cp maze.yaml "$1.yaml"
    "$PYTHON" -m mapmpi.jobs "$1.yaml" --scheduler slurm --nodes 1 --ranks-per-node 3 --time "$2" --partition test \
        --run-dir "$1" --set train.stop.actions=2000 --set train.stop.job_margin=20 --set learning.batch=32 \
        --set 'network.channels=[8,16]' --set network.hidden=32 "${@:3}"
    sbatch "$1-train.slurm"
}
wait_for_all() {
    for _ in $(seq 600); do
        [ -n "$(squeue --noheader)" ] || return 0
        sleep 1
    done
    echo "jobs are still there after ten minutes"
    squeue
    return 1
}
write whole 00:30:00
wait_for_all
write chain 00:01:00 --launch "srun --mpi=pmi2" --max-jobs 12
wait_for_all
squeue --states=all --sort=i --format="%.5i %20j %10T %6M %r"

[ "$(ls whole-train-*.out | wc -l)" -eq 1 ] || { echo "'whole' is not from one job"; exit 1; }
[ "$(ls chain-train-*.out | wc -l)" -ge 2 ] || { echo "'chain' had no second job"; exit 1; }
[ "$(ls chain-pneb-*.out | wc -l)" -eq 1 ] || { echo "phase 2 of 'chain' did not come just once"; exit 1; }
[ -z "$(squeue --noheader --states=all --format=%T | grep -v COMPLETED)" ] || { echo "a job failed"; exit 1; }
"$PYTHON" "$here/same_kind.py" chain whole

# ---- a chain that its user cancels sends no successor
write cancelled 00:10:00
for _ in $(seq 120); do
    [ ! -s cancelled/metrics.csv ] || break
    sleep 1
done
scancel --name=cancelled-train
wait_for_all
[ "$(ls cancelled-*.out | wc -l)" -eq 1 ] || { echo "a cancelled chain went on"; exit 1; }
"$PYTHON" -m mapmpi.check cancelled > /dev/null
echo "a cancelled chain ended, and its files are whole"

# ---- ranks that srun starts on a node with two GPUs; in the place of the training a program that says what it sees
printf '#!/bin/bash\necho sees $CUDA_VISIBLE_DEVICES\nexit 1\n' > seeing
chmod +x seeing
sed 's/^GPUS=.*/GPUS=2/; s|^PYTHON=.*|PYTHON=./seeing|' chain-train.slurm > seeing.slurm
sbatch --job-name=seeing seeing.slurm
wait_for_all
[ "$(grep -h ^sees seeing-*.out | sort | tr '\n' ' ')" = "sees 0 sees 0 sees 1 " ] || { echo "wrong GPUs"; exit 1; }
grep -h "failed with exit code 1" seeing-*.out
echo "each rank sees its GPU, and a chain that fails ends"

#!/usr/bin/env bash
# slurm-local.sh - a private Slurm on this one machine, from Debian's packages, for testing job scripts.
#
#   slurm-local.sh start DIR [-g GPUS] [-c CPUS] [-n NODES] [-a munge|none] [-x 'slurm.conf line']...
#   slurm-local.sh stop DIR       cancel its jobs and end exactly the daemons recorded in DIR (by PID)
#   slurm-local.sh status DIR     0 when all daemons live and all nodes are usable
#   slurm-local.sh env DIR        print the exports a shell needs (eval "$(slurm-local.sh env DIR)")
#   slurm-local.sh exec DIR CMD...    run CMD with those exports
#   slurm-local.sh wait DIR JOBID [SECONDS]   wait for a job's end; prints "STATE EXITCODE RESTARTS"
#
# GPUS, CPUS are per node; defaults: 4 GPUS, 8 CPUS, 1 node. The CPUs are declared, not measured
# (SlurmdParameters=config_overrides), the GPUs are character devices nobody opens.
# Needs: apt-get install --no-install-recommends slurm-wlm munge     (Slurm 22.05 in Debian 12)
# Works as root and as an ordinary user (then all jobs run as that user).
set -u
PATH=$PATH:/usr/sbin:/sbin
die() { echo "slurm-local: $*" >&2; exit 1; }
usage() { sed -n '3,10p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2; }

[ $# -ge 2 ] || usage
cmd=$1; dir=$2; shift 2
case $cmd in start) mkdir -p "$dir" || exit 1 ;; esac
[ -d "$dir" ] || { [ "$cmd" = stop ] && exit 0; die "no such directory: $dir"; }
dir=$(cd "$dir" && pwd -P) || exit 1
conf=$dir/slurm.conf run=$dir/run log=$dir/log
me=$(id -un) uid=$(id -u) host=$(hostname -s 2>/dev/null || hostname); host=${host%%.*}

# ---- processes: a record is "PID STARTTIME"; only a live process with that same start time is ours
starttime() { local s; s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1; read -ra s <<<"${s##*) }"; [ "${s[0]}" != Z ] && echo "${s[19]}"; }
record() { # name pid
  local st; st=$(starttime "$2") || return 1; echo "$2 $st" > "$run/$1.proc"; }
ourpid() { # name -> pid if it lives and is the one we started
  local p st; read -r p st 2>/dev/null < "$run/$1.proc" || return 1
  [ "$(starttime "$p")" = "$st" ] && echo "$p"; }
endproc() { # name: TERM, then KILL after 5 s
  local p i; p=$(ourpid "$1") || { rm -f "$run/$1.proc"; return 0; }
  kill -TERM "$p" 2>/dev/null
  for i in $(seq 100); do ourpid "$1" >/dev/null || break; sleep 0.05; done
  p=$(ourpid "$1") && { kill -KILL "$p" 2>/dev/null; sleep 0.2; }
  rm -f "$run/$1.proc"; }
launch() { # name pidfile command...: the command daemonises and writes the pidfile
  local name=$1 pf=$2 i p; shift 2
  ourpid "$name" >/dev/null && return 0
  rm -f "$pf" "$run/$name.proc"
  "$@" </dev/null >>"$log/$name.start" 2>&1 9>&- || { cat "$log/$name.start" >&2; return 1; }
  for i in $(seq 100); do
    p=$(cat "$pf" 2>/dev/null); [ -n "$p" ] && record "$name" "$p" && return 0
    sleep 0.05
  done
  echo "slurm-local: $name wrote no pidfile; see $log" >&2; return 1; }
# one node carries the real host name: else mpirun takes it for a remote one and starts orted through srun
nodelist() { local i; [ "$NODES" = 1 ] && { echo "$host"; return; }; for ((i = 0; i < NODES; i++)); do echo "n$i"; done; }
alldaemons() { [ "$AUTH" = munge ] && echo munged; echo slurmctld; local n; for n in $(nodelist); do echo "slurmd.$n"; done; }
allup() { local d; for d in $(alldaemons); do ourpid "$d" >/dev/null || return 1; done; }
usable() { [ "$(SLURM_CONF=$conf sinfo -h -N -p debug -o %T 2>/dev/null | grep -cE '^(idle|mixed|allocated|completing)$')" = "$NODES" ]; }
# slurmstepd processes of this cluster (their environment names our slurm.conf)
stepds() { local p; for p in /proc/[0-9]*; do
    [ "$(cat "$p/comm" 2>/dev/null)" = slurmstepd ] || continue
    tr '\0' '\n' 2>/dev/null <"$p/environ" | grep -qxF "SLURM_CONF=$conf" && echo "${p#/proc/}"
  done; }

freeports() { # first base with 2+NODES ports nobody listens on
  local n=$1 b i used
  used=" $(awk '$4=="0A"{split($2,a,":"); print a[2]}' /proc/net/tcp /proc/net/tcp6 2>/dev/null | while read -r h; do echo $((16#$h)); done | tr '\n' ' ')"
  for ((b = 21817; b < 32000; b += 40)); do
    for ((i = 0; i < n + 2; i++)); do case $used in *" $((b + i)) "*) continue 2 ;; esac; done
    echo $b; return; done; return 1; }

gpufiles() { # the File= of n fake GPUs: private device nodes (root), else existing character devices
  local n=$1 i
  mkdir -p "$dir/dev"
  for ((i = 0; i < n; i++)); do [ -c "$dir/dev/nvidia$i" ] || mknod "$dir/dev/nvidia$i" c 1 3 2>/dev/null; done
  if [ -c "$dir/dev/nvidia$((n - 1))" ]; then echo "$dir/dev/nvidia[0-$((n - 1))]"; return; fi
  if [ -c /dev/tty0 ] && [ -c "/dev/tty$((n - 1))" ]; then echo "/dev/tty[0-$((n - 1))]"; return; fi
  return 1; }

writeconf() {
  local f n i
  mkdir -p "$dir/state" "$dir/spool" "$dir/tmp" "$log" "$run"
  [ "$AUTH" = munge ] && { mkdir -p "$dir/munge"; chmod 711 "$dir/munge"; [ -s "$dir/munge/key" ] || ( umask 077; head -c 1024 /dev/urandom > "$dir/munge/key" ); }
  for n in $(nodelist); do mkdir -p "$dir/spool/$n" "$dir/tmp/$n"; chmod 1777 "$dir/tmp/$n"; done
  {
    echo "ClusterName=local"
    echo "SlurmctldHost=$host(127.0.0.1)"
    echo "SlurmUser=$me"; echo "SlurmdUser=$me"
    echo "SlurmctldPort=$PORT"; echo "SlurmdPort=$((PORT + 1))"
    if [ "$AUTH" = munge ]; then
      # cred_expire: seconds a requeued job waits before it may start again (default 120, least 5)
      echo "AuthType=auth/munge"; echo "CredType=cred/munge"; echo "AuthInfo=socket=$dir/munge/sock,cred_expire=5"
    else echo "AuthType=auth/none"; echo "CredType=cred/none"; echo "AuthInfo=cred_expire=5"; fi
    cat <<E
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
TmpFS=$dir/tmp/%n
SlurmctldPidFile=$run/slurmctld.pid
SlurmdPidFile=$run/slurmd.%n.pid
SlurmctldLogFile=$log/slurmctld.log
SlurmdLogFile=$log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$log/jobcomp.txt
MailProg=/bin/true
MpiDefault=pmix
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,sched_interval=1,bf_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
MinJobAge=3600
JobRequeue=1
E
    [ "$GPUS" -gt 0 ] && echo "GresTypes=gpu"
    i=0; for n in $(nodelist); do
      echo "NodeName=$n NodeHostname=$host NodeAddr=127.0.0.1 Port=$((PORT + 2 + i)) CPUs=$CPUS RealMemory=$((CPUS * 1000))$([ "$GPUS" -gt 0 ] && echo " Gres=gpu:$GPUS") State=UNKNOWN"
      i=$((i + 1)); done
    echo "PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 State=UP PriorityTier=10 PreemptMode=OFF"
    # jobs in "low" are preempted (signal of --signal, GraceTime, requeue) by jobs in "debug"
    echo "PartitionName=low Nodes=ALL MaxTime=INFINITE DefaultTime=10 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=10"
    for f in "${EXTRA[@]+"${EXTRA[@]}"}"; do echo "$f"; done
  } > "$conf"
  echo "CgroupPlugin=cgroup/v1" > "$dir/cgroup.conf"
  if [ "$GPUS" -gt 0 ]; then
    f=$(gpufiles "$GPUS") || die "no character devices for $GPUS fake GPUs (not root, no /dev/tty*)"
    echo "NodeName=$(nodelist | paste -sd,) Name=gpu File=$f" > "$dir/gres.conf"
  else rm -f "$dir/gres.conf"; fi
  { echo "export SLURM_CONF=$conf"
    [ "$uid" = 0 ] && echo "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
    # Open MPI believes Slurm's CPU count and would spin; with fewer real cores than ranks that costs 1000x
    echo "export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_rmaps_base_oversubscribe=1"
    # all fake nodes share one host name: shared-memory files of two nodes would collide, so tcp over lo
    [ "$NODES" -gt 1 ] && echo "export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,tcp OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_oob_tcp_if_include=lo"
    # as jobs/common.bash has it, and says why
    [ "$NODES" -gt 1 ] && echo "export SLURM_PMIX_FENCE=ring"
    true; } > "$dir/env.sh"
}

case $cmd in
start)
  GPUS=4 CPUS=8 NODES=1 AUTH=munge EXTRA=()
  while getopts g:c:n:a:x: o; do case $o in
    g) GPUS=$OPTARG ;; c) CPUS=$OPTARG ;; n) NODES=$OPTARG ;; a) AUTH=$OPTARG ;; x) EXTRA+=("$OPTARG") ;; *) usage ;; esac; done
  for t in slurmctld slurmd sinfo $([ "$AUTH" = munge ] && echo munged); do command -v "$t" >/dev/null || die "$t not found: apt-get install --no-install-recommends slurm-wlm munge"; done
  [ ${#dir} -le 80 ] || die "the path of DIR is too long for a socket (80 characters at most): $dir"
  case $dir in *[[:space:]]*) die "Slurm takes no blanks in paths: $dir" ;; esac
  mkdir -p "$run" "$log"
  exec 9> "$dir/.lock"; flock 9
  want="GPUS=$GPUS CPUS=$CPUS NODES=$NODES AUTH=$AUTH EXTRA=${EXTRA[*]+${EXTRA[*]}}"
  if [ -f "$dir/params" ] && [ "$(cat "$dir/params")" != "$want" ]; then
    for f in "$run"/*.proc; do d=${f##*/}; d=${d%.proc}
      ourpid "$d" >/dev/null && die "already running with other parameters ($(cat "$dir/params")); stop it first"; done
    rm -f "$dir/port"; rm -rf "$dir/state"
  fi
  if allup && usable; then echo "slurm-local: already up: SLURM_CONF=$conf"; exit 0; fi
  if allup; then :; else
    if ! ourpid slurmctld >/dev/null; then PORT=$(freeports "$NODES") || die "no free ports"; echo "$PORT" > "$dir/port"; for n in $(nodelist); do endproc "slurmd.$n"; done; fi
    PORT=$(cat "$dir/port"); echo "$want" > "$dir/params"
    writeconf
    export SLURM_CONF=$conf
    if [ "$AUTH" = munge ]; then
      ourpid munged >/dev/null || rm -f "$dir/munge/sock" "$dir/munge/sock.lock"
      launch munged "$run/munged.pid" munged --force --num-threads=2 --key-file="$dir/munge/key" --socket="$dir/munge/sock" \
        --pid-file="$run/munged.pid" --log-file="$log/munged.log" --seed-file="$dir/munge/seed" || exit 1; fi
    launch slurmctld "$run/slurmctld.pid" slurmctld -f "$conf" || exit 1
    for n in $(nodelist); do launch "slurmd.$n" "$run/slurmd.$n.pid" slurmd -f "$conf" -N "$n" || exit 1; done
  fi
  for i in $(seq 200); do usable && { echo "slurm-local: up: SLURM_CONF=$conf"; exit 0; }; sleep 0.1; done
  SLURM_CONF=$conf sinfo -R >&2; tail -n 5 "$log"/slurm*.log >&2; die "not usable after 20 s; see $log" ;;
stop)
  [ -f "$dir/params" ] || exit 0
  exec 9> "$dir/.lock"; flock 9
  eval "$(sed 's/ EXTRA=.*//' "$dir/params")"
  if ourpid slurmctld >/dev/null; then
    export SLURM_CONF=$conf
    mapfile -t ids < <(timeout 10 squeue -h -o %A 2>/dev/null | sort -u)
    if [ ${#ids[@]} -gt 0 ]; then timeout 10 scancel "${ids[@]}" 2>/dev/null
      for i in $(seq 80); do [ -z "$(timeout 5 squeue -h -o %A 2>/dev/null)" ] && break; sleep 0.1; done; fi
  fi
  for n in $(nodelist); do endproc "slurmd.$n"; done
  endproc slurmctld
  for p in $(stepds); do kill -KILL "$p" 2>/dev/null; done
  [ "$AUTH" = munge ] && endproc munged
  echo "slurm-local: stopped $dir" ;;
status)
  [ -f "$dir/params" ] || die "never started: $dir"
  eval "$(sed 's/ EXTRA=.*//' "$dir/params")"; rc=0
  for d in $(alldaemons); do if p=$(ourpid "$d"); then echo "$d pid $p"; else echo "$d down"; rc=1; fi; done
  [ $rc = 0 ] && { SLURM_CONF=$conf sinfo; usable || rc=1; }; exit $rc ;;
env) cat "$dir/env.sh" ;;
exec) # shellcheck disable=SC1091 # written by start
  . "$dir/env.sh"; exec "$@" ;;
wait)
  id=${1:?job id} lim=${2:-120}; export SLURM_CONF=$conf; end=$((SECONDS + lim))
  while :; do
    j=$(scontrol -o show job "$id" 2>/dev/null) || die "unknown job $id"
    st=${j#*JobState=}; st=${st%% *}; ex=${j#* ExitCode=}; ex=${ex%% *}; rs=${j#*Restarts=}; rs=${rs%% *}
    case $st in PENDING|CONFIGURING|RUNNING|COMPLETING|SUSPENDED|REQUEUED|PREEMPTED*) ;; *) echo "$st $ex $rs"; exit 0 ;; esac
    [ $SECONDS -lt $end ] || { echo "$st $ex $rs"; exit 124; }
    sleep 0.1
  done ;;
*) usage ;;
esac

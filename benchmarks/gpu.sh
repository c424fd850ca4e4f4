#!/usr/bin/env bash
# All tables on a machine with a CUDA device, in under nine minutes, into one JSON file; the steps also in one table.
#
#   bash benchmarks/gpu.sh [FILE]               default: ./gpu.json
#   TINY=1 bash benchmarks/gpu.sh FILE          that it all works: small networks on the CPU, figures without meaning
#
# The first line states what could be imported. Python is PYTHON, or .venv/bin/python if it starts here, or python3. The
# steps need torch, numpy, Pillow and tqdm, and find them in the packages of a .venv that was carried along, too, after
# those of Python itself. Where dominate is missing, which writes the pages, inference leaves the page out, and the parts
# that run train.py say so and end.
#
# Every part has a time limit of its own and writes what it has after each round: one that fails, or that is stopped,
# leaves its error in the file and costs the others nothing. The most telling ones come first; those that the device
# has no part in come last, side by side.
set -uo pipefail

case ${1:-gpu.json} in /*) out=$1 ;; *) out=$PWD/${1:-gpu.json} ;; esac
cd "$(dirname "$0")/.."
python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python3
    if .venv/bin/python -c '' 2>/dev/null; then python=.venv/bin/python; fi
fi
carried=$("$python" -c 'import sys; print(".venv/lib/python%d.%d/site-packages" % sys.version_info[:2])')
if [ -d "$carried" ]; then
    # Behind the packages of Python itself: site.addsitedir() and .pth files come after PYTHONPATH.
    own=$("$python" -c 'import site, os; print(os.pathsep.join(site.getsitepackages()))')
    export PYTHONPATH="$own:$PWD/$carried${PYTHONPATH:+:$PYTHONPATH}"
fi
"$python" benchmarks/gather.py --imports || exit 2

all=${BUDGET:-525} # seconds for all parts together
budget=$all
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# part NAME LIMIT PROGRAM [WORDS]: run benchmarks/PROGRAM for at most LIMIT seconds, and add what it found to the file
part() {
    local name=$1 limit=$2 program=$3 start=$SECONDS code
    shift 3
    if ((limit > budget - SECONDS)); then limit=$((budget - SECONDS)); fi
    echo "== $name"
    if ((limit < 5)); then
        code=1
        echo "left out: the time for all parts is used up" >"$work/$name.err"
    else
        # Its own limit is earlier: what would take too long to prepare (compilation may) is left out, the rest measured.
        timeout --kill-after=5 "$limit" "$python" "benchmarks/$program" "$@" --time_limit "$((limit * 6 / 10))" \
            --json "$work/$name.json" 2>"$work/$name.err"
        code=$?
    fi
    printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$code" "$((SECONDS - start))" "$limit" "$program $*" >>"$work/parts"
    "$python" benchmarks/gather.py "$work" "$out"
}

table() {
    echo "== all steps"
    "$python" benchmarks/gather.py --table "$out"
}

if [ -n "${TINY:-}" ]; then
    one=(--device cpu --threads 1 --rounds 1)
    net=(--ngf 4 --ndf 4 --netG resnet_6blocks)
    variants=(--variant "fp32=--precision fp32" --variant "bf16=--precision bf16")
    part cycle_gan 300 steps.py "${one[@]}" --models cycle_gan@32 cycle_gan@32x2 "${variants[@]}" "${net[@]}" \
        --no_memory --layers
    part costs 300 costs.py "${one[@]}" --models cycle_gan@32 dclgan@32 "${net[@]}"
    part models 300 steps.py "${one[@]}" --models cut@32 --variants "${net[@]}"
    part feeding 300 feeding.py "${one[@]}" --models cycle_gan@32x2 --workers 1 --batches 2 "${net[@]}"
    part inference 300 inference.py "${one[@]}" --models cycle_gan@32 --batches 1 2 --images 2 "${net[@]}"
    part growth 300 growth.py "${one[@]}" --files 10 20 --epochs 1 20 --steps 2 4
    part startup 300 startup.py --device cpu --rounds 1
    table
    exit
fi

# --capture replays whole steps; it is off in the variants that do not name it.
off="" on=""
if "$python" train.py --help_all 2>/dev/null | grep -q -- --capture; then off="--capture no" on="--capture yes"; fi
half="--precision bf16"
last="$half --channels_last"
tf32=(--variant "tf32=$off")
bf16=(--variant "bf16=$half $off")
layout=(--variant "bf16 channels_last=$last $off")
captured=()
if [ -n "$on" ]; then
    captured=(--variant "bf16 captured=$half $on" --variant "bf16 channels_last captured=$last $on")
fi

# Both batches of CycleGAN without the minutes of compilation, then compiled; then each other model.
eager=("${tf32[@]}" --variant "fp32=--precision fp32 $off" "${bf16[@]}" "${layout[@]}" "${captured[@]}")
compiled=("${bf16[@]}" --variant "bf16 blocks=$half --compile blocks $off")
compiled+=(--variant "bf16 compiled=$half --compile default $off")
compiled+=(--variant "bf16 replayed=$half --compile reduce-overhead $off")
if [ -n "$on" ]; then compiled+=(--variant "bf16 compiled captured=$half --compile default $on"); fi
short=("${tf32[@]}" "${bf16[@]}" "${captured[@]:0:2}")
few=(--rounds 3 --steps 10 --layers)

budget=$((all - 75)) # the last three have theirs to themselves
part cycle_gan 80 steps.py --models cycle_gan@256 cycle_gan@256x16 "${eager[@]}" "${few[@]}"
part cycle_gan_compiled 120 steps.py --models cycle_gan@256 "${compiled[@]}" "${few[@]}" --no_originals
part models 110 steps.py --models pix2pix@256 cut@256 dclgan@256 stargan@256x1 fastcut@256 simdcl@256 "${short[@]}" "${few[@]}"
part models_16 60 steps.py --models pix2pix@256x16 cut@256x16 stargan@256x16 "${short[@]}" "${few[@]}"
part costs 40 costs.py --models cycle_gan@256 dclgan@256 --variant "tf32=$off" --variant "bf16=$half $off" --steps 5
part feeding 30 feeding.py --models cycle_gan@256x8 --workers 8 --precision bf16 --channels_last
part inference 30 inference.py --rounds 3 --variant default= --variant "bf16=$half"
budget=$all
part growth 70 growth.py --rounds 1 --epochs 1 100 --steps 100 1000 &
part startup 70 startup.py --rounds 2 &
part data 70 data.py --workers 8 --rounds 2 &
wait
table

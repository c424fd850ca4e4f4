#!/usr/bin/env bash
# All tables on a machine with a CUDA device, in under nine minutes, into one JSON file.
#
#   bash benchmarks/gpu.sh [FILE]               default: ./gpu.json
#   TINY=1 bash benchmarks/gpu.sh FILE          that it all works: small networks on the CPU, figures without meaning
#
# Needs Python (PYTHON names another one than python3) with torch, torchvision, numpy, Pillow and tqdm. Where dominate
# is missing, which writes the pages, inference leaves the page out, and the parts that run train.py say so and end.
# Every part has a time limit of its own and writes what it has after each round: one that fails, or that is stopped,
# leaves its error in the file and costs the others nothing. The most telling ones come first; those that the device
# has no part in come last, side by side.
set -uo pipefail

case ${1:-gpu.json} in /*) out=$1 ;; *) out=$PWD/${1:-gpu.json} ;; esac
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
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

plain="--precision fp32 --economies no"
half="--precision bf16"
last="$half --channels_last"

if [ -n "${TINY:-}" ]; then
    one=(--device cpu --threads 1 --rounds 1)
    net=(--ngf 4 --ndf 4 --netG resnet_6blocks)
    variants=(--variant "plain=$plain" --variant "bf16=$half")
    part cycle_gan 300 steps.py "${one[@]}" --models cycle_gan@32 cycle_gan@32x2 "${variants[@]}" "${net[@]}" --no_memory
    part costs 300 costs.py "${one[@]}" --models cycle_gan@32 dclgan@32 "${net[@]}"
    part models 300 steps.py "${one[@]}" --models cut@32 --variants "${net[@]}"
    part feeding 300 feeding.py "${one[@]}" --models cycle_gan@32x2 --workers 1 --batches 2 "${net[@]}"
    part inference 300 inference.py "${one[@]}" --models cycle_gan@32 --batches 1 2 --images 2 "${net[@]}"
    part growth 300 growth.py "${one[@]}" --files 10 20 --epochs 1 20 --steps 2 4
    part startup 300 startup.py --device cpu --rounds 1
    exit
fi

# Both batches of CycleGAN, without the minutes of compilation; then each with them, beside the same references.
eager=(--variant "plain=$plain" --variant "fp32=--precision fp32" --variant "tf32=--precision tf32")
eager+=(--variant "bf16=$half" --variant "bf16 channels_last=$last")
compiled=(--variant "plain=$plain" --variant "bf16 channels_last=$last")
compiled+=(--variant "compiled=$last --compile default" --variant "replayed=$last --compile reduce-overhead")
compiled+=(--variant "bf16 replayed=$half --compile reduce-overhead")
fewer=(--variant "plain=$plain" --variant "bf16 channels_last=$last")
fewer+=(--variant "replayed=$last --compile reduce-overhead")
two=(--variant "plain=$plain" --variant "bf16=$half")
few=(--rounds 4 --steps 10)

budget=$((all - 75)) # the last three have theirs to themselves
part cycle_gan 90 steps.py --models cycle_gan@256 cycle_gan@256x8 "${eager[@]}" "${few[@]}"
part cycle_gan_compiled 140 steps.py --models cycle_gan@256 "${compiled[@]}" --rounds 4 --steps 20
part cycle_gan_8_compiled 110 steps.py --models cycle_gan@256x8 "${compiled[@]}" "${few[@]}"
part dclgan 80 steps.py --models dclgan@256 "${fewer[@]}" "${few[@]}"
part costs 60 costs.py --models cycle_gan@256 dclgan@256 --variant "plain=$plain" --variant "fast=$last" --steps 5
part feeding 40 feeding.py --models cycle_gan@256x8 --workers 8 --precision bf16 --channels_last
part inference 40 inference.py --rounds 3 --variant default= --variant "bf16=$half"
part models 80 steps.py --size 256 "${two[@]}" --rounds 3 --steps 5
budget=$all
part growth 70 growth.py --rounds 1 --epochs 1 100 --steps 100 1000 &
part startup 70 startup.py --rounds 2 &
part data 70 data.py --workers 8 --rounds 2 &
wait

#!/usr/bin/env bash
# A complete example without a download: draw images, train CycleGAN, test it, compare the results with the true images.
#
#   bash scripts/demo.sh            less than 5 minutes on two CPU cores, after the installation
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh dashboard
export PATH="$PWD/.venv/bin:$PATH"

data=demo/shapes
python datasets/make_shapes.py --to "$data" --kind unpaired --size 64 --train 200 --test 20

where=(--dataroot "$data" --checkpoints_dir demo/checkpoints --name shapes)
python train.py "${where[@]}" --overwrite --model cycle_gan --netG resnet_6blocks --ngf 16 --ndf 16 --load_size 64 --crop_size 64 \
    --n_epochs 3 --n_epochs_decay 2 --seed 1 --num_threads 1 --print_freq 100 --display_freq 200 --update_html_freq 200

python test.py "${where[@]}" --results_dir demo/results
page=demo/results/shapes/test_latest
python scripts/measure.py --results "$page/images" --truth "$data/testB" --input "$data/testA" --mean "$data/trainB"

echo
echo "Results:        file://$PWD/$page/index.html"
echo "Training page:  file://$PWD/demo/checkpoints/shapes/web/index.html"
echo "Live:           http://localhost:8097 (visdom; the server keeps running, the output above contains the command that stops it)"

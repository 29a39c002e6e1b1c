#!/usr/bin/env bash
# What a GPU that is there for some minutes is asked, in the order of its worth. Each part has its own time, and its
# results lie in $OUT as soon as they are there; a second call goes on with what is left.
#
#   .venv/bin/python -m benchmarks.gpu_pack --data=DIR     # before, where there is a package registry: build/gpu
#   OUT=results bash benchmarks/gpu_session.sh             # there, in the root of the repository
#   OUT=results DEVICE=cpu PYTHON=python3.12 bash benchmarks/gpu_session.sh    # a rehearsal on small models
#
# SECONDS_IN_ALL (570): when the last part ends; STUDY_SECONDS (300): how long studies may take, 0 for none. On the
# machine: Python 3.12, JAX for its GPU, flax, optax, orbax, transformers, PyTorch.
set -u
OUT=${OUT:?a folder for the results}
DEVICE=${DEVICE:-cuda}
PYTHON=${PYTHON:-python3}
SECONDS_IN_ALL=${SECONDS_IN_ALL:-570}
STUDY_SECONDS=${STUDY_SECONDS:-300}
PACK=$PWD/build/gpu
SITE=$PWD/build/gpu_site
STUDIES=build/gpu_studies
mkdir -p "$OUT"
SMALL=()
SLOWER=1  # a rehearsal takes longer: a few cores do the work of the card, and of sixteen
test "$DEVICE" = cpu && SMALL=(--small) && SLOWER=10 && export JAX_PLATFORMS=cpu
test -d "$SITE" || "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$SITE" "$PACK"/wheels/*.whl || exit 2
export PYTHONPATH=$PWD:$SITE PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
export STABLEFIT_CACHE=$PWD/build/gpu_programs

# part NAME SECONDS COMMAND: at most so long, and never beyond the end of all. A part that is done is not done again.
part() {
  local name=$1 limit=$(($2 * SLOWER)) left=$((SECONDS_IN_ALL - SECONDS)) since=$SECONDS code
  shift 2
  if test -e "$OUT/$name.done" || test "$left" -lt 15 || test "$limit" -lt 15; then return; fi
  timeout --signal=TERM --kill-after=10 "$((limit < left ? limit : left))" "$@" >>"$OUT/$name.log" 2>&1
  code=$?
  test $code = 0 && touch "$OUT/$name.done"
  echo "$name: exit code $code after $((SECONDS - since)) s" | tee -a "$OUT/parts.txt"
  tail -n 40 "$OUT/$name.log"
}

gpu() { # NAME SECONDS CASES: steps beside PyTorch's
  part "$1" "$2" "$PYTHON" -m benchmarks.gpu --device="$DEVICE" "${SMALL[@]}" --rounds=5 --only="$3" --out="$OUT/gpu.json"
}

works() { # KIND SECONDS: is it right?
  part "$1" "$2" "$PYTHON" -m benchmarks.gpu_works --device="$DEVICE" "${SMALL[@]}" --only="$1" --out="$OUT/works.json"
}

"$PYTHON" -c 'import jax; print(jax.__version__, jax.devices())' | tee "$OUT/device.txt"
works numbers 90
if test "$DEVICE" = cpu; then gpu tiny 200 tiny; else
  gpu minilm 220 "MiniLM-L6 32x128" # each program compiles for more than a minute
fi
test "$DEVICE" = cpu && set -- --at-once=2 --config.seeds=0,1 --config.max_steps=2 --config.evaluations=1
left=$(((SECONDS_IN_ALL - SECONDS) / SLOWER - 20))
left=$((left < STUDY_SECONDS ? left : STUDY_SECONDS))
part studies $((left + 10)) "$PYTHON" -m benchmarks.gpu_cells --out="$STUDIES" --seconds=$((left * SLOWER)) "$@"
test -d "$STUDIES" && (cd "$STUDIES" && find . -name predictions.npz -size +1000k >large.txt) &&
  tar -czf "$OUT/studies.tgz" --exclude=state --exclude=bundle --exclude-from="$STUDIES/large.txt" -C "$STUDIES" .
works resume 150
works methods 300
if test "$DEVICE" != cpu; then
  gpu base 130 BERT-base
  gpu large 220 BERT-large
fi
gpu attention 40 attention
test "$DEVICE" = cpu || XLA_FLAGS=--xla_gpu_exclude_nondeterministic_ops=false part any_order 100 "$PYTHON" \
  -m benchmarks.gpu --rounds=5 --only="MiniLM-L6 32x128" --out="$OUT/gpu_any_order.json"
test "$DEVICE" = cpu || part layers 60 "$PYTHON" -m benchmarks.layers --out="$OUT/layers.json"
cat "$OUT/parts.txt"

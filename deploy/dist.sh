#!/usr/bin/env bash
# Builds what other machines install, into FOLDER (dist): the wheel, one self-contained file for provisioning hosts, the
# versions of all dependencies, an SBOM, and SHA256SUMS of them. ARCH=aarch64 builds for another processor than this one's.
#
#   deploy/dist.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath "${1:-dist}")
uv=${UV:-uv}
arch=${ARCH:-$(uname -m)}
version=$("$uv" version --short)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rm -f "$out"/memberflow-* "$out"/constraints.txt "$out"/SHA256SUMS
rm -rf build # of an earlier version: setuptools would pack what was in it
"$uv" build --quiet --wheel --out-dir "$out"
"$uv" export --quiet --frozen --no-dev --no-emit-project --output-file "$work/locked.txt" >/dev/null
"$uv" export --quiet --frozen --no-dev --no-emit-project --no-hashes --no-annotate --no-header \
    --output-file "$out/constraints.txt" >/dev/null
"$uv" export --quiet --frozen --no-dev --format cyclonedx1.5 --preview-features sbom-export \
    --output-file "$out/memberflow-$version.cdx.json" >/dev/null

# The compiled modules of each Python have names of their own, so one folder holds them all.
for python in 3.11 3.12 3.13 3.14; do
    "$uv" pip install --quiet --python-version "$python" --python-platform "$arch-manylinux_2_28" \
        --target "$work/$python" --require-hashes --requirements "$work/locked.txt"
    cp -r --no-clobber "$work/$python/." "$work/site"
done
"$uv" pip install --quiet --no-deps --target "$work/site" "$out"/*.whl
find "$work/site" -name __pycache__ -prune -exec rm -rf {} +
"$uv" pip install --quiet --target "$work/shiv" --require-hashes --requirements deploy/shiv.txt
PYTHONPATH="$work/shiv" "$uv" run --quiet --no-project python -m shiv.cli --compressed --console-script memberflow \
    --python '/usr/bin/env python3' --site-packages "$work/site" \
    --output-file "$out/memberflow-$version-linux-$arch.pyz"

cd "$out"
sha256sum -- memberflow-* constraints.txt >SHA256SUMS

#!/bin/sh
# Build the images cpu and gpu where no registry is, as root on Debian with debootstrap and buildah:
#   infra/build_images.sh [OPTION of `buildah build` …]
# The base is a minimal Debian: SUITE says which (bookworm), MIRROR where from (debootstrap's own). The images are called
# localhost/daycast:cpu and localhost/daycast:gpu. What pip needs to know here is mounted while it installs, and is in no image:
#   infra/build_images.sh --volume /etc/pip.conf:/etc/pip.conf:ro --volume /srv/wheels:/srv/wheels:ro --build-arg TORCH_INDEX=
# With TORCH_INDEX= (empty) torch comes from where pip takes the rest, in both images.
set -eu
cd "$(dirname "$0")/.."
base=localhost/daycast-base
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "${SUITE:-bookworm}" "$folder" ${MIRROR:+"$MIRROR"}
made=$(buildah from scratch)
buildah copy --quiet "$made" "$folder" /
buildah commit --quiet --rm "$made" "$base"
for target in cpu gpu; do
    buildah build --isolation chroot --build-arg BASE="$base" --target "$target" --tag "localhost/daycast:$target" \
        --ignorefile infra/Dockerfile.dockerignore --file infra/Dockerfile "$@" .
done

#!/bin/sh
# Builds labelloop's image and runs it as it is meant to run: a user without rights, a read-only root, the
# state in one volume; stopped and started again, with nothing lost. `make image` calls it.
#
#   BASE=localhost/debian:bookworm-slim     the image to begin with, where there is no registry
#   BUILD_ARGS='--volume ...'               for buildah, such as a proxy's certificates
#   RUN_ARGS='--runtime runc ...'           for podman
#   BUILD=no                                to try the image that is there
set -eu
cd "$(dirname "$0")/.."
IMAGE=${IMAGE:-localhost/labelloop}
BASE=${BASE:-docker.io/library/debian:bookworm-slim}
NAME=labelloop-tried-$$
PORT=${PORT:-8500}
WORK=$(mktemp -d)
say() { echo "image: $*"; }
end() {
    podman rm --force --time 10 "$NAME" >/dev/null 2>&1 || true
    podman volume rm --force "$NAME" >/dev/null 2>&1 || true
    rm -rf "$WORK"
}
trap end EXIT

if [ "${BUILD:-yes}" != no ]; then
    say "building $IMAGE from $BASE"
    # shellcheck disable=SC2086
    buildah bud --quiet --isolation chroot ${BUILD_ARGS:-} --build-arg BASE="$BASE" \
        --ignorefile .containerignore --file deploy/Containerfile --tag "$IMAGE" .
fi
say "$(podman image inspect --format '{{.Size}}' "$IMAGE") bytes"

mkdir "$WORK/config" "$WORK/inputs"
cat >"$WORK/config/labelloop.toml" <<'TOML'
[project]
name = "tried"
classes = ["cat", "dog"]
[store]
uri = "/inputs"
[label_studio]
url = "http://127.0.0.1:9"
api_key = "nobody answers there"
[state]
ledger = "sqlite:////state/ledger.db"
warehouse = "/state/log"
catalog = "sqlite:////state/catalog.db"
datasets = "/state/datasets"
[service]
run_every = "5 seconds"
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 5
TOML
# inputs in a folder, each with its prediction beside it
for n in 1 2 3 4 5 6 7 8; do
    printf 'input %s' "$n" >"$WORK/inputs/$n.png"
    printf '{"predicted_class": "cat", "confidence": 0.5, "timestamp": "%s"}' \
        "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$WORK/inputs/$n.png.json"
done
chmod -R a+rX "$WORK"

run() {
    # shellcheck disable=SC2086
    podman run ${RUN_ARGS:-} --read-only --cap-drop all --security-opt no-new-privileges \
        --network host --volume "$NAME:/state:U" --volume "$WORK/config:/config:ro" \
        --volume "$WORK/inputs:/inputs:ro" "$@"
}
in_it() { run --rm "$IMAGE" "$@"; }
answers() { # the service answers within a minute
    for _ in $(seq 120); do
        if curl --silent --fail --max-time 2 "http://127.0.0.1:$PORT/readyz" >/dev/null; then return 0; fi
        sleep 0.5
    done
    podman logs "$NAME" >&2
    say "it doesn't answer"
    return 1
}
rounds() { # what a status of the same state says of rounds and tasks
    in_it status --json | python3 -c '
import json, sys
found = json.load(sys.stdin)["result"]
print(found["last_round"], sorted((q["queue"], sorted(q["by_state"].items())) for q in found["queues"]))'
}

say "$(in_it --version)"
test "$(run --rm --entrypoint id "$IMAGE" -u)" = 10001
say "it runs as user 10001"
if run --rm --entrypoint sh "$IMAGE" -c 'echo x >/opt/labelloop/x' 2>/dev/null; then
    say "its root can be written to"
    exit 1
fi
say "its root is read-only"

run --detach --name "$NAME" "$IMAGE" serve --port "$PORT" >/dev/null
answers
say "it serves"
for _ in $(seq 120); do
    before=$(rounds)
    case $before in None*) sleep 0.5 ;; *) break ;; esac
done
say "it drew a round: $before"
podman stop --time 60 "$NAME" >/dev/null
test "$(podman inspect --format '{{.State.ExitCode}}' "$NAME")" = 0
say "stopped with exit code 0"
test "$(rounds)" = "$before"
podman start "$NAME" >/dev/null
answers
test "$(rounds)" = "$before"
say "started again: nothing is lost"
podman kill "$NAME" >/dev/null
podman start "$NAME" >/dev/null
answers
test "$(rounds)" = "$before"
say "killed and started again: nothing is lost"

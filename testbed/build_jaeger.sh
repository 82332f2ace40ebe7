#!/usr/bin/env bash
# Builds a real Jaeger for the tests, once, into .cache/jaeger. Needs a Go toolchain; says so and does
# nothing where there is none. The module's own go.sum vouches for what it is built from.
#
# v1.76.0 of the Go module is the release that carries Jaeger v2.13.0: the newest that Go's module
# mirror serves by tag (the /v2 tags do not fit the module's path). Its UI is a placeholder page.
set -euo pipefail
cd "$(dirname "$0")/.."

version=v1.76.0
checksum="h1:sWCOOF1dr+NL0PLil7mFo3BqqQL8k4WiM7aguFbc14g="
binary=$PWD/.cache/jaeger/jaeger-$version

if [ -x "$binary" ]; then
  exit 0
fi
if ! command -v go >/dev/null 2>&1; then
  echo "==> no Go toolchain: the tests against a real Jaeger will be skipped"
  exit 0
fi
echo "==> building Jaeger $version for the tests (the first time only, a few minutes)"
mkdir -p .cache/jaeger
module=$(cd .cache/jaeger && go mod download -json "github.com/jaegertracing/jaeger@$version") || {
  echo "==> Jaeger could not be downloaded: the tests against a real Jaeger will be skipped" >&2
  exit 0
}
field() { printf '%s' "$module" | sed -n "s/^[[:space:]]*\"$1\": \"\(.*\)\",\{0,1\}$/\1/p"; }
if [ "$(field Sum)" != "$checksum" ]; then
  echo "Jaeger $version has checksum $(field Sum), expected $checksum: not building it" >&2
  exit 2
fi
source=$(mktemp -d)
trap 'chmod -R u+w "$source"; rm -rf "$source"' EXIT
cp -R "$(field Dir)/." "$source"
chmod -R u+w "$source"
(cd "$source" && go build -trimpath -ldflags="-s -w" -o "$binary.part" ./cmd/jaeger)
mv "$binary.part" "$binary"
echo "==> built $binary"

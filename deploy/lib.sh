# shellcheck shell=bash
# What deploy/demo, deploy/test and deploy/bench share: Debian packages, the Python environment, the build.
# Sourced, never run. Everything it says goes to standard error, so that a caller's standard output stays its own.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
FIELDPOST_CONFIGURATION=${FIELDPOST_CONFIGURATION:-release}
VENV=$ROOT/.build/deploy-venv

# A real RTSP server that nobody here wrote, and what it encodes with.
# shellcheck disable=SC2034 # used by the scripts that source this file
RTSP_PACKAGES=(python3 python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-x glib-networking fonts-dejavu-core)
# shellcheck disable=SC2034
BUILD_PACKAGES=(pkg-config libavformat-dev libavcodec-dev libswscale-dev libzstd-dev libsqlite3-dev libxml2-dev)

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

is_installed() {
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# Installs the named Debian packages that are missing. Nothing is asked, and nothing is done if all are there.
ensure_packages() {
    local missing=() as_root=() name
    for name in "$@"; do is_installed "$name" || missing+=("$name"); done
    [[ ${#missing[@]} -gt 0 ]] || return 0
    command -v apt-get >/dev/null || die "These packages are missing and this is no Debian with apt-get: ${missing[*]}"
    if [[ $(id -u) -ne 0 ]]; then
        if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
            die "These Debian packages are missing, and installing them needs root or sudo without a password: ${missing[*]}"
        fi
        as_root=(sudo -n)
    fi
    say "Installing from Debian: ${missing[*]}"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600)
    # A package list may be absent or too old to fetch from: only then is it renewed.
    if ! "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >&2; then
        "${apt[@]}" update >&2
        "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >&2 || die "apt-get could not install: ${missing[*]}"
    fi
}

# Makes the Python environment under .build (Debian's own python3 beneath it) and installs the named packages into it.
ensure_python() {
    ensure_packages python3 python3-venv
    if [[ ! -x $VENV/bin/pip ]]; then
        mkdir -p "$ROOT/.build"
        /usr/bin/python3 -m venv --system-site-packages "$VENV"
    fi
    local missing=() name
    for name in "$@"; do "$VENV/bin/pip" -q show "$name" >/dev/null 2>/dev/null || missing+=("$name"); done
    [[ ${#missing[@]} -eq 0 ]] || "$VENV/bin/pip" -q --disable-pip-version-check install "${missing[@]}" >&2
}

ensure_swift() {
    command -v swift >/dev/null && return 0
    if [[ -x /opt/swift/usr/bin/swift ]]; then PATH=/opt/swift/usr/bin:$PATH; return 0; fi
    die "Swift is not on the PATH. Fieldpost needs Swift 6.1 or later: https://www.swift.org/install/linux/debian/"
}

# Builds the three programs; BIN is then the folder they are in. FIELDPOST_BIN names one where they are already.
build_programs() {
    if [[ -n ${FIELDPOST_BIN:-} ]]; then BIN=$FIELDPOST_BIN; return 0; fi
    ensure_swift
    local program
    for program in fieldpost-edge fieldpost-hub fieldpost; do
        swift build --package-path "$ROOT" -c "$FIELDPOST_CONFIGURATION" --product "$program" >&2
    done
    # shellcheck disable=SC2034 # for the caller
    BIN=$(swift build --package-path "$ROOT" -c "$FIELDPOST_CONFIGURATION" --show-bin-path)
}

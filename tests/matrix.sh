#!/usr/bin/env bash
# Train, resume and predict with every Python that is found here. Then load the
# files of each in all the others.
#
#     tests/matrix.sh [VERSION ...]      (default: 2.7 and 3.8 to 3.14)
#     tests/matrix.sh --find VERSION     (prints the path of this Python)
#
# It needs uv.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
[ $# -gt 0 ] || set -- 2.7 3.8 3.9 3.10 3.11 3.12 3.13 3.14

find_python() {
    # On the PATH, or among pyenv's; one that starts and is this version.
    for candidate in "$(command -v "python$1" || true)" \
            "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/"python$1"; do
        if [ -x "$candidate" ] && "$candidate" -c "import sys
sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2> /dev/null; then
            echo "$candidate"
            return
        fi
    done
}

install() {
    # Python 2.7 has no venv, and uv no Python 2.7: a folder of packages.
    local to="$scratch/packages$2"
    case "$2" in
    2.7)  # the last versions that support it, without the tokenizer
        "$1" -m pip install -q --no-warn-script-location \
            --disable-pip-version-check --target "$to" theano==1.0.5 \
            numpy==1.16.6 scipy==1.2.3 six==1.17.0 setuptools==44.1.1
        ;;
    3.12)  # the README's commands for pip
        "$1" -m venv "$to"
        "$to/bin/pip" install -q setuptools "$root/lstm_support/theano_fixes/build"
        "$to/bin/pip" install -q --no-compile --no-build-isolation \
            -r "$root/requirements.txt"
        ;;
    *)
        UV_PROJECT_ENVIRONMENT="$to" uv sync -q --project "$root" \
            --python "$1"
    esac > "$scratch/log" 2>&1 || { cat "$scratch/log"; return 1; }
}

run() {
    local python="$scratch/packages$2/bin/python" no_bytecode=
    # Python 2 would write bytecode next to the sources; the others do not.
    [ "$2" != 2.7 ] || { python=$1; no_bytecode=1; }
    # -O0, since there are seven times as many modules as in the test suite,
    # whose tests of the model compile as users do.
    PYTHONPATH="$scratch/packages$2:$root" \
        PYTHONDONTWRITEBYTECODE="$no_bytecode" \
        PYTHONPYCACHEPREFIX="$scratch/bytecode" \
        THEANO_FLAGS="gcc.cxxflags=-O0 -g0 -std=gnu++11" \
        "$python" "$root/tests/matrix_job.py" "${@:3}"
}

if [ "$1" = --find ]; then
    find_python "$2"
    exit
fi
cd "$scratch"
found=()
for version in "$@"; do
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        echo "Python $version: not found"
        continue
    fi
    install "$python" "$version"
    run "$python" "$version" train "$version"
    found+=("$version")
done
for version in "${found[@]}"; do
    run "$(find_python "$version")" "$version" load "${found[@]}"
done
[ ${#found[@]} -gt 0 ] || { echo 'no Python to test with'; exit 1; }
echo "Python ${found[*]}: trained, resumed and read one another's files"

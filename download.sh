#!/bin/sh
# Download the Large Movie Review Dataset and preprocess it for lstm.py:
#
#     ./download.sh
#
# The archive (84 MB) goes into data/; once its SHA-256 is verified, imdb.py
# turns it into data/imdb.pkl. If the connection breaks, run this again: the
# download resumes. Needs curl or wget.
#
# Environment variables, all optional:
#   PYTHON       the Python interpreter; by default "uv run python" where uv is
#                installed, otherwise python or python3
#   IMDB_URL     where to download the archive from instead
#   IMDB_SHA256  the SHA-256 it must have instead
set -eu

url=${IMDB_URL:-https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz}
bytes=84125825
sum=c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe
if [ -n "${IMDB_SHA256:-}" ]; then
    bytes=  # unknown; the SHA-256 suffices
    sum=$(echo "$IMDB_SHA256" | tr A-F a-f)
fi
archive=data/aclImdb_v1.tar.gz
part=$archive.part
child=

have() { command -v "$1" >/dev/null 2>&1; }
fail() { echo "download.sh: $*" >&2; exit 1; }

# Run a downloader so that a signal sent to this script alone ends it, too.
run() {
    "$@" &
    child=$!
    code=0
    wait "$child" || code=$?
    child=
}

stop() {
    trap '' INT TERM
    [ -z "$child" ] || { kill "$child" && wait "$child"; } 2>/dev/null || :
    rm -f data/imdb.pkl.*.partial  # if imdb.py was killed, too
    [ -s "$part" ] || rm -f "$part"
    echo "download.sh: interrupted; run it again to go on" >&2
    exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM

# Is file $1 the archive? If not, $problem says why.
verify() {
    size=$(($(wc -c <"$1")))
    if have sha256sum; then got=$(sha256sum <"$1")
    elif have shasum; then got=$(shasum -a 256 <"$1")
    else got=$(openssl dgst -sha256 -r <"$1"); fi
    got=${got%% *}
    problem="it has $size bytes instead of $bytes"
    [ -z "$bytes" ] || [ "$size" -eq "$bytes" ] || return 1
    problem="its SHA-256 is $got instead of $sum"
    [ "$got" = "$sum" ]
}

# Download the missing rest of $part, in up to three attempts.
fetch() {
    if have curl; then tool=curl
    elif have wget; then tool=wget
    else fail "curl or wget is needed to download $url"; fi
    echo "Downloading $url"
    for pause in 0 2 2; do
        sleep "$pause"
        if [ "$tool" = curl ]; then
            # --retry is for a busy server, the loop for a broken connection.
            run curl -fL --retry 2 --retry-delay 2 -C - -o "$part" "$url"
        else
            run wget -t 1 -c -O "$part" "$url"
        fi
        case $tool-$code in
            *-0) return 0 ;;
            curl-33) rm -f "$part" ;;  # the server cannot resume: start over
            curl-22)  # an HTTP error; 416 means that $part is not too short
                [ -s "$part" ] || break
                status=$(curl -sL -r "$(($(wc -c <"$part")))-" -o /dev/null \
                    -w '%{http_code}' "$url") || :
                [ "$status" = 416 ] || break
                return 0 ;;
            curl-7 | curl-18 | curl-35 | curl-5[256] | curl-92 | wget-[14]) ;;
            *) break ;;
        esac
    done
    kept="; $part has the bytes so far: run this again to resume, or remove it"
    [ -s "$part" ] || { rm -f "$part"; kept=; }
    fail "could not download $url ($tool ended with status $code)$kept"
}

[ $# -eq 0 ] || fail "takes no arguments; the comment at its top explains it"
case ${PYTHON:-} in
    /*) ;;
    */*) PYTHON=$PWD/$PYTHON ;;
esac
CDPATH='' cd -- "$(dirname -- "$0")"

if [ -f data/imdb.pkl ]; then
    echo "Nothing to do: data/imdb.pkl is there." \
        "To make it again, remove it and run this again."
    exit
fi

# Look for all programs that are needed before the download starts.
if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"
elif have uv; then set -- uv run python
elif have python; then set -- python
else set -- python3; fi
have "$1" || fail "no Python: there is no command $1; PYTHON can name one"
have sha256sum || have shasum || have openssl ||
    fail "sha256sum, shasum or openssl is needed to verify the download"

mkdir -p data
if [ -f "$archive" ]; then
    verify "$archive" ||
        fail "$archive is not the right file: $problem; remove it and run again"
else
    # A part that turns out to be complete needs no server.
    if [ ! -f "$part" ] || ! verify "$part"; then
        fetch
        verify "$part" || {
            rm -f "$part"
            fail "downloaded a wrong file, and removed it: $problem"
        }
    fi
    mv "$part" "$archive"
fi
echo "$archive is verified; preprocessing it"
"$@" imdb.py "$archive" ||
    fail "imdb.py ended with status $?; $archive is fine and is kept"
echo "Done. $archive may be deleted now. To train: $* lstm.py"

#!/bin/sh
# Installs culvert from the directory that this script is in. Touches nothing but the files it
# names, starts nothing, and asks the network nothing.
set -eu
umask 022 # what root installs is for everybody, whatever root's own files are

usage() {
  cat <<'TEXT'
usage: ./install.sh [--prefix DIRECTORY | --user] [--dry-run]
       ./install.sh --uninstall [--prefix DIRECTORY | --user] [--dry-run]

  --prefix DIRECTORY  where to (default /usr/local)
  --user              to ~/.local, for this user alone
  --dry-run           say what would be done
  --uninstall         remove what this version installed; configuration stays

systemd finds units in /usr and /usr/local only; elsewhere they are left out.
TEXT
}
die() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

prefix=/usr/local dry_run='' uninstall=''
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) [ $# -ge 2 ] || die "--prefix needs a directory"; prefix=$2; shift ;;
    --prefix=*) prefix=${1#--prefix=} ;;
    --user) [ -n "${HOME:-}" ] || die "HOME is not set"; prefix=$HOME/.local ;;
    --dry-run) dry_run=1 ;;
    --uninstall) uninstall=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "no such option: $1" ;;
  esac
  shift
done
case $prefix in
  /*) ;;
  *) die "the prefix must begin with '/': $prefix" ;;
esac
prefix=${prefix%/}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd -- "$here"
if [ ! -f SHA256SUMS ] || [ ! -f bin/culvert ]; then die "run it from the unpacked tarball"; fi

# Files as in the tarball, relative to the prefix.
files() {
  case $prefix in
    /usr | /usr/local) find bin lib share -type f ;;
    *) find bin share -type f ;;
  esac
}
# What a package manager put there is not this script's to change.
if [ "$prefix" = /usr ] && command -v dpkg-query >/dev/null &&
  dpkg-query -S /usr/bin/culvert >/dev/null 2>&1; then
  die "/usr/bin/culvert belongs to the Debian package, which apt installs and removes"
fi
run() {
  if [ -n "$dry_run" ]; then printf '%s\n' "$*"; else "$@"; fi
}

if [ -n "$uninstall" ]; then
  files | while IFS= read -r file; do
    [ ! -f "$prefix/$file" ] || run rm -f -- "$prefix/$file"
  done
  for directory in "$prefix/share/doc/culvert/examples" "$prefix/share/doc/culvert" \
    "$prefix/share/culvert"; do
    # One that holds something else stays; rmdir fails then, and that is all right.
    [ ! -d "$directory" ] || run rmdir -- "$directory" 2>/dev/null || true
  done
  if [ -n "$dry_run" ]; then exit 0; fi
  printf 'culvert is removed from %s; configuration, keys and tokens stay where they are\n' "$prefix"
  exit 0
fi

[ "$(uname -s)" = Linux ] || die "this is for Linux; here is $(uname -s)"
[ "$(uname -m)" = "@MACHINE@" ] || die "this is for @MACHINE@; here is $(uname -m)"
command -v sha256sum >/dev/null || die "sha256sum is missing (package coreutils)"
sha256sum --quiet -c SHA256SUMS || die "a file differs from SHA256SUMS: fetch the tarball again"
if ! message=$(bin/culvert --version 2>&1); then
  case $message in
    *libgnutls*)
      die "GnuTLS is missing: install libgnutls30 or libgnutls30t64 (Debian, Ubuntu), gnutls (Fedora, Arch, openSUSE: libgnutls30)" ;;
    *GLIBC*) die "this system's C library is older than glibc @GLIBC@: $message" ;;
    *) die "it does not start here: $message" ;;
  esac
fi

files | while IFS= read -r file; do
  case $file in
    bin/*) mode=755 ;;
    *) mode=644 ;;
  esac
  run mkdir -p -- "$prefix/$(dirname -- "$file")"
  # Beside it first: a program that runs cannot be written over.
  run cp -- "$file" "$prefix/$file.new"
  run chmod $mode -- "$prefix/$file.new"
  case $file in
    lib/systemd/*) run sed -i "s|/usr/bin/culvert|$prefix/bin/culvert|" "$prefix/$file.new" ;;
  esac
  run mv -f -- "$prefix/$file.new" "$prefix/$file"
done
if [ -n "$dry_run" ]; then exit 0; fi
printf 'culvert %s is in %s/bin\n' "@VERSION@" "$prefix"
case ":${PATH:-}:" in
  *":$prefix/bin:"*) ;;
  *) printf 'Note: %s/bin is not in PATH\n' "$prefix" ;;
esac
if [ -d /run/systemd/system ] && [ -d "$prefix/lib/systemd/system" ]; then
  printf 'For its services: systemctl daemon-reload, then see %s/share/doc/culvert/examples\n' "$prefix"
fi

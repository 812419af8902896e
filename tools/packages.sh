# shellcheck shell=bash
# Debian packages by purpose, and ensure_packages, which installs what is missing.
# Sourced by ./dev. With nothing missing it costs one dpkg-query (a few hundredths of a second).

say() { printf '%s\n' "$*"; }
die() {
  printf 'dev: %s\n' "$*" >&2
  exit 1
}

# Read once: shell assignments such as ID=debian VERSION_ID="12".
os_field() { (
  # shellcheck disable=SC1091
  . /etc/os-release 2>/dev/null && printf '%s' "${!1:-}"
); }
debian_release() { # prints 12 or 13, or nothing on any other system
  [ "$(os_field ID)" = debian ] || return 0
  case "$(os_field VERSION_ID)" in 12 | 13) os_field VERSION_ID ;; esac
}

# packages_of GROUP RELEASE: one package a line.
packages_of() {
  local boost=libboost1.83-dev
  [ "$2" = 12 ] && boost=libboost1.81-dev
  case "$1" in
    build)
      printf '%s\n' clang-19 cmake ninja-build ccache mold pkgconf \
        libgnutls28-dev libngtcp2-dev libngtcp2-crypto-gnutls-dev libc-ares-dev "$boost" libfmt-dev \
        nlohmann-json3-dev libtomlplusplus-dev libgtest-dev libgmock-dev
      # Faster packet protection; the package exists for this architecture only.
      [ "$(dpkg --print-architecture)" = amd64 ] && printf '%s\n' libipsec-mb-dev
      ;;
    lint) printf '%s\n' git jq clang-format-19 clang-tidy-19 shellcheck ;;
    sanitize) printf '%s\n' libclang-rt-19-dev llvm-19 ;;
    package) printf '%s\n' git jq python3 binutils dpkg-dev lintian man-db ;;
    demo) printf '%s\n' curl jq iperf3 iproute2 python3 ;;
    test)
      packages_of sanitize "$2"
      packages_of demo "$2"
      packages_of lab "$2"
      packages_of gcc "$2"
      packages_of package "$2"
      # Clean systems to install packages on, which only root can make.
      [ "$(id -u)" -ne 0 ] || printf '%s\n' debootstrap skopeo
      printf '%s\n' binutils netcat-openbsd
      # iroh for Node needs Node 20: Debian 12 has 18, so there only a Node already here helps.
      if [ "$2" = 13 ] && ! command -v npm >/dev/null; then printf '%s\n' nodejs npm; fi
      ;;
    gcc) printf '%s\n' g++ ;;
    lab)
      printf '%s\n' iproute2 nftables conntrack socat jq
      # Its service starts when it is installed, so only where the lab can run at all.
      [ "$(id -u)" -ne 0 ] || printf '%s\n' openssh-client openssh-server rsync iperf3 \
        wireguard-go wireguard-tools
      ;;
    bench) printf '%s\n' jq iperf3 iproute2 openssh-client openssh-server wireguard-go wireguard-tools ;;
    *) die "no package group '$1'" ;;
  esac
  return 0
}

# missing_of PACKAGE...: those not installed; an ngtcp2 older than 1.11 counts as missing.
missing_of() {
  local name status version
  declare -A present=()
  while read -r name status version; do
    [ "$status" = installed ] || continue
    if [[ $name == libngtcp2* ]] && dpkg --compare-versions "$version" lt 1.11; then continue; fi
    present[$name]=1
  done < <(dpkg-query -W -f='${Package} ${db:Status-Status} ${Version}\n' "$@" 2>/dev/null)
  for name in "$@"; do
    [ -n "${present[$name]:-}" ] || printf '%s\n' "$name"
  done
}

# apt_entry DIRECTORY SUITE NEW_SUITE: an apt source for NEW_SUITE with the mirror and key that
# this machine uses for SUITE, in either format apt knows; nothing when it uses none. DIRECTORY
# is /etc/apt, except in tests.
apt_entry() {
  local apt=$1 suite=$2 wanted=$3 entry
  entry=$(cat "$apt"/sources.list.d/*.sources 2>/dev/null | awk -v suite="$suite" -v wanted="$wanted" '
    BEGIN { RS = ""; FS = "\n"; suites = "(^|\n)Suites:([^\n]*[ \t])?" suite "([ \t\n]|$)" }
    /(^|\n)Enabled:[ \t]*no/ { next }
    $0 ~ suites {
      uris = ""; key = ""; reading_key = 0
      for (i = 1; i <= NF; i++) {
        if ($i ~ /^URIs:/) uris = $i
        if ($i ~ /^Signed-By:/) { key = $i; reading_key = 1; continue }
        if (reading_key && $i ~ /^[ \t]/) key = key "\n" $i  # a key written inline
        else reading_key = 0
      }
      print "Types: deb\n" uris "\nSuites: " wanted "\nComponents: main" (key ? "\n" key : "")
      exit
    }')
  if [ -z "$entry" ]; then
    entry=$(cat "$apt/sources.list" "$apt"/sources.list.d/*.list 2>/dev/null | awk -v suite="$suite" -v wanted="$wanted" '
      $1 == "deb" {
        line = $0; options = ""
        if (match(line, /\[[^]]*\]/)) {
          options = substr(line, RSTART, RLENGTH)
          line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
        }
        split(line, field, /[ \t]+/)
        if (field[3] != suite) next
        key = ""
        if (match(options, /signed-by=[^] \t]+/))
          key = "\nSigned-By: " substr(options, RSTART + 10, RLENGTH - 10)
        print "Types: deb\nURIs: " field[2] "\nSuites: " wanted "\nComponents: main" key
        exit
      }')
  fi
  printf '%s' "$entry"
}
backports_entry() { apt_entry "$1" bookworm bookworm-backports; } # backports_entry DIRECTORY
has_backports() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources \
    2>/dev/null | grep -v '^[[:space:]]*#' | grep 'bookworm-backports' >/dev/null
}

# as_root COMMAND...: directly, or through sudo (which may ask for a password on a terminal).
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

# apt COMMAND...: quiet; on failure the first error becomes the one line the user sees.
apt_log=
apt() {
  [ -n "$apt_log" ] || apt_log=$(mktemp)
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >"$apt_log" 2>&1 </dev/null && return 0
  say "$(grep -m1 '^E:' "$apt_log" || tail -1 "$apt_log") (apt's output: $apt_log)" >&2
  return 1
}

# unknown_to_apt PACKAGE...: those apt could not install, each with a space before it.
unknown_to_apt() {
  local package
  for package in "$@"; do
    # grep reads to the end: with -q it may leave apt-cache writing to a closed pipe, and
    # pipefail would take that for "not found".
    LC_ALL=C apt-cache policy "$package" | grep '^  Candidate: [^(]' >/dev/null ||
      printf ' %s' "$package"
  done
}

# ensure_packages GROUP...
ensure_packages() {
  local release group package
  local -a wanted=() missing=() usual=() backports=()
  command -v dpkg-query >/dev/null ||
    die "needs Debian 12 or 13; this is $(os_field PRETTY_NAME). See tools/packages.sh for what to install by hand."
  release=$(debian_release)
  for group in "$@"; do
    while read -r package; do wanted+=("$package"); done < <(packages_of "$group" "$release" | sort -u)
  done
  while read -r package; do missing+=("$package"); done < <(missing_of "${wanted[@]}" | sort -u)
  [ ${#missing[@]} -eq 0 ] && return 0

  [ -n "$release" ] ||
    die "cannot install packages on $(os_field PRETTY_NAME): only Debian 12 and 13 are supported. Missing: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
    die "missing packages, and neither root nor sudo to install them: ${missing[*]}"
  fi
  say "Installing Debian packages: ${missing[*]}"
  for package in "${missing[@]}"; do
    if [ "$release" = 12 ] && [[ $package == libngtcp2* ]]; then
      backports+=("$package")
    else
      usual+=("$package")
    fi
  done
  if [ ${#backports[@]} -gt 0 ] && ! has_backports; then
    local entry
    entry=$(backports_entry /etc/apt)
    [ -n "$entry" ] || die "no apt source for bookworm found to derive bookworm-backports from; add it by hand, for ${backports[*]}"
    say "Adding bookworm-backports as /etc/apt/sources.list.d/culvert-backports.sources"
    printf '%s\n' "$entry" | as_root tee /etc/apt/sources.list.d/culvert-backports.sources >/dev/null ||
      die "could not write /etc/apt/sources.list.d/culvert-backports.sources"
  fi
  apt update || die "apt-get update failed: is there a network, and may this user install packages?"

  local absent
  absent=$(unknown_to_apt "${missing[@]}")
  [ -z "$absent" ] || die "apt knows no package$absent: is the network up, and are the sources of Debian $release complete?"

  if [ ${#backports[@]} -gt 0 ]; then
    apt install --no-install-recommends -t bookworm-backports "${backports[@]}" ||
      die "could not install ${backports[*]} from bookworm-backports"
  fi
  if [ ${#usual[@]} -gt 0 ]; then
    local replaced # another Boost's headers, for one: they conflict with 1.81's
    replaced=$(LC_ALL=C apt-get -s install --no-install-recommends "${usual[@]}" 2>/dev/null |
      awk '$1 == "Remv" { printf " %s", $2 }')
    [ -z "$replaced" ] || say "This replaces:$replaced"
    apt install --no-install-recommends "${usual[@]}" || die "could not install: ${usual[*]}"
  fi
  [ -z "$apt_log" ] || rm -f "$apt_log"
  local still
  still=$(missing_of "${missing[@]}")
  [ -z "$still" ] || die "still missing after installation: $still"
}

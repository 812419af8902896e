# shellcheck shell=bash
# What earlier tests and measurements left that were killed, since no trap runs then: network
# namespaces with what runs in them, and directories. Their names hold the id of the script that
# made them; where that is gone, so may they. Sourced.

# is_leftover NAME: of the form culvert-WHAT-PID or culvert-WHAT-PID.*, and PID is gone.
is_leftover() {
  [[ $1 =~ ^culvert-[a-z-]*-([0-9]+)(\..*)?$ ]] && [ ! -d "/proc/${BASH_REMATCH[1]}" ]
}

# Each "|| true": another test may have been quicker.
remove_leftovers() {
  local name path pid
  while read -r name _; do
    is_leftover "$name" || continue
    for pid in $(ip netns pids "$name" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null || true; done
    ip netns del "$name" 2>/dev/null || true
  done < <(ip netns list 2>/dev/null)
  for path in "${TMPDIR:-/tmp}"/culvert-*; do
    if [ -O "$path" ] && [ -d "$path" ] && [ ! -L "$path" ] && is_leftover "${path##*/}"; then
      rm -rf --one-file-system "$path" || true
    fi
  done
}
# work_directory WHAT: makes one that remove_leftovers() would find, and prints its name.
work_directory() { mktemp -d -t "culvert-$1-$$.XXXXXX"; }

# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # what it sets for others, what others set for it
# What the labs share: three network namespaces in a row, with processes started in them and
# ended by their ids. Sourced with $culvert and $tool set.
#
#   client 10.1.1.2 ---- router (NAT: 10.2.2.1) ---- server 10.2.2.2

# shellcheck source=tools/leftovers.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../../tools/leftovers.sh"
remove_leftovers
tag=$$
client_ns=culvert-c-$tag
router_ns=culvert-r-$tag
server_ns=culvert-s-$tag
work=$(work_directory lab)
pids=()
failures=0

skip() {
  printf 'SKIPPED: %s\n' "$*"
  rm -rf "$work"
  exit 77
}
finish() {
  local pid ns
  # A stopped process ends only once it may go on.
  for pid in "${pids[@]}"; do
    kill "$pid" 2>/dev/null || continue
    kill -CONT "$pid" 2>/dev/null || true
  done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  for ns in "$client_ns" "$router_ns" "$server_ns"; do ip netns del "$ns" 2>/dev/null || true; done
  rm -rf "$work"
}

in_client() { ip netns exec "$client_ns" "$@"; }
in_router() { ip netns exec "$router_ns" "$@"; }
in_server() { ip netns exec "$server_ns" "$@"; }
pass() { printf '  ok    %s\n' "$*"; }
broken() {
  printf '  FAIL  %s\n' "$*"
  failures=$((failures + 1))
}
wait_for() { # wait_for FILE PATTERN [SECONDS]: prints the line
  local i
  for ((i = 0; i < ${3:-15} * 20; i++)); do
    if grep -m1 -E "$2" "$1" 2>/dev/null; then return 0; fi
    sleep 0.05
  done
  printf 'no line matching "%s" in %s s:\n' "$2" "${3:-15}" >&2
  tail -20 "$1" >&2
  return 1
}
start() { # start NAME COMMAND...: no shell function, or $last is not the program's pid
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 <&0 & # in the background standard input would else be empty
  last=$!
  pids+=("$last")
}
stop_last() {
  kill "${pids[-1]}" 2>/dev/null || true
  wait "${pids[-1]}" 2>/dev/null || true
  unset 'pids[-1]'
}

masquerade() { # masquerade [HOW [WHAT]]: the NAT begins anew, without its mappings
  in_router nft flush ruleset
  in_router nft -f - <<RULES
table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat
    oifname "r1" ${2:-} masquerade ${1:-}
  }
}
RULES
  in_router conntrack -F >/dev/null 2>&1
}

# Makes the namespaces, or skips.
lay_out() {
  local ns device spec
  [ "$(id -u)" -eq 0 ] || skip "the lab makes network namespaces, which needs root"
  command -v nft >/dev/null || skip "nft is not installed (apt-get install nftables)"
  ip netns add "$client_ns" 2>/dev/null || skip "this kernel or container forbids network namespaces"
  trap finish EXIT
  ip netns add "$router_ns"
  ip netns add "$server_ns"
  ip link add c0 netns "$client_ns" type veth peer name r0 netns "$router_ns"
  ip link add s0 netns "$server_ns" type veth peer name r1 netns "$router_ns"
  in_client ip address add 10.1.1.2/24 dev c0
  in_router ip address add 10.1.1.1/24 dev r0
  in_router ip address add 10.2.2.1/24 dev r1
  in_server ip address add 10.2.2.2/24 dev s0
  for spec in "$client_ns lo" "$client_ns c0" "$router_ns lo" "$router_ns r0" "$router_ns r1" \
    "$server_ns lo" "$server_ns s0"; do
    read -r ns device <<<"$spec"
    ip -n "$ns" link set "$device" up
  done
  in_client ip route add default via 10.1.1.1
  in_router sysctl -qw net.ipv4.ip_forward=1
  masquerade fully-random
}

# start_server ADDRESS [FLAGS...]: its pid in $server_pid, its EndpointId in $id
start_server() {
  local address=$1
  shift
  "$culvert" key generate -o "$work/server.key" >/dev/null
  "$culvert" generate-auth-token >"$work/token"
  start server ip netns exec "$server_ns" "$culvert" server --listen "$address" \
    --secret-file "$work/server.key" --auth-tokens-file "$work/token" \
    --allowed-tcp 127.0.0.0/8 --allowed-udp 127.0.0.0/8 "$@"
  server_pid=$last
  wait_for "$work/server.log" 'Waiting for clients' >/dev/null
  id=$(sed -n 's/^EndpointId: //p' "$work/server.log" | head -1)
}

report() { # report: the end of a lab
  [ $failures -ne 0 ] || return 0
  printf '%d failed; client log:\n' "$failures"
  tail -20 "$work/client.log"
  printf 'server log:\n'
  tail -20 "$work/server.log"
  exit 1
}

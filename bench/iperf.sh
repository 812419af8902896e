# shellcheck shell=bash
# iperf ADDRESS PORT ARGUMENTS...: iperf3's report of one run, as JSON; through the words of
# iperf_within, if any. A server of iperf3 takes one run at a time and learns of the end of the last one
# after that one's client does, through a tunnel later still: one that says it is busy is asked again,
# for ten seconds.
iperf() {
  local report error i
  for ((i = 0; i < 100; i++)); do
    # When it fails its report says why, and that is looked at below.
    # shellcheck disable=SC2086
    report=$(${iperf_within:-} iperf3 -c "$1" -p "$2" "${@:3}" -J) || true
    error=$(jq -r '.error // empty' <<<"$report")
    case $error in
      '')
        if [ -n "$report" ]; then
          printf '%s\n' "$report"
          return 0
        fi
        break
        ;;
      *busy*) sleep 0.1 ;;
      *) break ;;
    esac
  done
  printf 'bench: iperf3 at %s:%s: %s\n' "$1" "$2" "${error:-no report}" >&2
  return 1
}

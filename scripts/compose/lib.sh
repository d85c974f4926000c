# What the scripts of the Compose lab share. The project's name is $COMPOSE_PROJECT_NAME, or drover.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-drover}
LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
die() { echo "${0##*/}: $*" >&2; exit 1; }
usage() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }

# docker compose, or its predecessor.
compose() {
	if docker compose version >/dev/null 2>&1; then
		docker compose -f "$here/docker-compose.yml" "$@"
	elif command -v docker-compose >/dev/null; then
		docker-compose -f "$here/docker-compose.yml" "$@"
	else
		die "there is neither docker compose nor docker-compose"
	fi
}

# Name, address, PID of each container of the lab, in the order of their names; the PID is 0 if it does not run.
declare -A ids ips pids
names=()
find_nodes() {
	local name id pid ip list
	names=()
	list=$(docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME") ||
		die "no Docker engine answers"
	[ -n "$list" ] || die "there is no lab $COMPOSE_PROJECT_NAME: scripts/compose/up starts one"
	while read -r name id pid ip; do
		names+=("$name")
		ids[$name]=$id ips[$name]=$ip pids[$name]=$pid
	done < <(docker inspect -f '{{index .Config.Labels "com.docker.compose.service"}} {{.Id}} {{.State.Pid}}{{range
		.NetworkSettings.Networks}} {{.IPAMConfig.IPv4Address}}{{end}}' $list | sort)
}

# The node's answer to a GET, asked from here.
get() { curl -sS -m "${3:-2}" "http://${ips[$1]}:4646$2" 2>/dev/null; } # NODE PATH [SECONDS]

await() { # SECONDS WHAT COMMAND ...: until the command succeeds
	local until=$((SECONDS + $1)) what=$2
	shift 2
	until "$@"; do
		((SECONDS < until)) || die "not in time: $what"
		sleep 0.1
	done
}

# In $leader the name of the server that the given ones, all of them, call the leader.
leader_of() { # NODE ...
	local name said first=
	leader=
	for name; do
		said=$(get "$name" /v1/status/leader)
		[[ $said == \"*:*\" ]] || return 1
		[ "${first:=$said}" = "$said" ] || return 1
	done
	for name in "${names[@]}"; do [ "$first" != "\"${ips[$name]}:4647\"" ] || leader=$name; done
	[ -n "$leader" ]
}

/* The server's own numbers, for GET /v1/metrics and GET /v1/agent/self. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "proto/error.h"
#include "server/core.h"
#include "server/link.h"
#include "server/sched_memory.h"
#include "server/workers.h"

enum { METRICS_MAX = 256, STATS_MAX = 64 };

/* ---- what the system knows of the process ---- */

static double resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (f != NULL) {
		if (fscanf(f, "%*u %lu", &pages) != 1) {
			pages = 0;
		}
		fclose(f);
	}
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void)
{
	struct rusage u = {0};

	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- metrics ---- */

/* Of those since the last look; "_cpu": without the time in which the thread had no processor. */
#define TURN_METRICS(X, loop, t)                                                                                       \
	X(loop ".turns", COUNTER, (t).n)                                                                               \
	X(loop ".longest_turn_ms", GAUGE, (double)(t).clock.longest_ns / 1e6)                                          \
	X(loop ".turn_p99_ms", GAUGE, (double)(t).clock.p99_ns / 1e6)                                                  \
	X(loop ".turn_p999_ms", GAUGE, (double)(t).clock.p999_ns / 1e6)                                                \
	X(loop ".longest_turn_cpu_ms", GAUGE, (double)(t).cpu.longest_ns / 1e6)                                        \
	X(loop ".turn_p999_cpu_ms", GAUGE, (double)(t).cpu.p999_ns / 1e6)

/* Where Nomad has the same number it has the same name. */
#define CORE_METRICS(X)                                                                                                \
	X("runtime.alloc_bytes", GAUGE, resident_bytes())                                                              \
	X("runtime.sys_bytes", GAUGE, resident_bytes())                                                                \
	X("runtime.cpu_seconds", COUNTER, cpu_seconds())                                                               \
	X("runtime.num_threads", GAUGE, 2 + workers.threads)                                                           \
	X("raft.state.leader", GAUGE, s->ready)                                                                        \
	X("raft.term", GAUGE, status.term)                                                                             \
	X("raft.lastIndex", GAUGE, status.last_index)                                                                  \
	X("raft.commitIndex", GAUGE, status.commit_index)                                                              \
	X("raft.appliedIndex", GAUGE, status.applied_index)                                                            \
	X("raft.snapshotIndex", GAUGE, status.snapshot_index)                                                          \
	X("raft.snapshot_bytes", GAUGE, status.snapshot_bytes)                                                         \
	X("raft.log_bytes", GAUGE, status.log_bytes)                                                                   \
	X("raft.disk_capacity_bytes", GAUGE, status.disk_capacity)                                                     \
	X("raft.disk_backlog_bytes", GAUGE, status.disk_backlog)                                                       \
	X("raft.dropped_messages", COUNTER, status.dropped)                                                            \
	X("raft.leader.lastContact", GAUGE, contact_of(&status))                                                       \
	X("raft.apply", COUNTER, s->proposer.n_entries)                                                                \
	X("raft.commands", COUNTER, s->proposer.n_commands)                                                            \
	X("raft.queue_depth", GAUGE, s->proposer.n)                                                                    \
	X("raft.queue_bytes", GAUGE, s->proposer.bytes)                                                                \
	X("raft.entries_under_way", GAUGE, s->proposer.under_way)                                                      \
	X("fsm.entries", COUNTER, s->fsm.stats.entries)                                                                \
	X("fsm.commands", COUNTER, s->fsm.stats.commands)                                                              \
	X("fsm.refused", COUNTER, s->fsm.stats.refused)                                                                \
	X("fsm.malformed", COUNTER, s->fsm.stats.malformed)                                                            \
	X("reads.waiting", GAUGE, s->reads.n)                                                                          \
	X("reads.questions", COUNTER, s->reads.questions)                                                              \
	TURN_METRICS(X, "core", turns)                                                                                 \
	X("core.mail", GAUGE, atomic_load(&s->mail.n))                                                                 \
	X("core.views_borrowed", GAUGE, s->core->n_borrowed)                                                           \
	TURN_METRICS(X, "http", http.turns)                                                                            \
	X("http.connections", GAUGE, http.conns)                                                                       \
	X("http.refused_connections", COUNTER, http.refused_conns)                                                     \
	X("http.limited", COUNTER, http.limited)                                                                       \
	X("http.tls_handshakes_failed", COUNTER, http.handshakes_failed)                                               \
	X("http.waiting", GAUGE, http.waiting)                                                                         \
	X("http.gone", COUNTER, http.gone)                                                                             \
	X("http.timeouts", COUNTER, http.timeouts)                                                                     \
	X("http.bytes_out", COUNTER, http.bytes_out)                                                                   \
	X("worker.threads", GAUGE, workers.threads)                                                                    \
	X("worker.evaluations", GAUGE, workers.evals)                                                                  \
	X("worker.evaluations_done", COUNTER, workers.evals_done)                                                      \
	X("worker.dry_runs", GAUGE, workers.dry_runs)                                                                  \
	X("worker.busy_seconds", COUNTER, (double)workers.busy_ns / 1e9)

static double contact_of(const struct replica_status *status)
{
	return status->leader_contact_ms == UINT64_MAX ? -1 : (double)status->leader_contact_ms;
}

static size_t core_metrics(struct server *s, struct metric *out, size_t max)
{
	struct replica_status status = replica_status(s->replica);
	struct meter_stats turns;
	struct workers_stats workers;
	struct httpd_stats http;
	size_t n = 0;

	replica_turns(s->replica, &turns);
	workers_get_stats(s->workers, &workers);
	httpd_get_stats(s->httpd, &http);
	{
		const struct metric all[] = {
#define X(name, kind, value) {name, METRIC_##kind, (double)(value)},
			CORE_METRICS(X)
#undef X
		};

		for (; n < sizeof(all) / sizeof(all[0]) && n < max; n++) {
			out[n] = all[n];
		}
	}
	return n;
}

static size_t at_most(size_t n, size_t max)
{
	return n < max ? n : max;
}

static int fill_metrics(struct server *s, struct core_stats *stats)
{
	struct metric *m = arena_alloc(stats->mem, METRICS_MAX * sizeof(*m));
	size_t n;

	if (m == NULL) {
		return ERR_NOMEM;
	}
	n = core_metrics(s, m, METRICS_MAX);
	n += at_most(leader_metrics(&s->leader, m + n, METRICS_MAX - n), METRICS_MAX - n);
	n += at_most(net_metrics(s->net, m + n, (unsigned)(METRICS_MAX - n)), METRICS_MAX - n);
	stats->metrics = m;
	stats->n_metrics = (uint32_t)n;
	return 0;
}

/* ---- texts ---- */

static void put(struct core_stats *stats, const char *group, const char *name, const char *value)
{
	if (stats->n_stats < STATS_MAX && value != NULL) {
		stats->stats[stats->n_stats++] = (struct core_stat){group, name, value};
	}
}

static void put_number(struct core_stats *stats, const char *group, const char *name, uint64_t value)
{
	put(stats, group, name, arena_printf(stats->mem, "%" PRIu64, value));
}

static const char *text_of(bool value)
{
	return value ? "true" : "false";
}

static void fill_nomad(struct server *s, struct core_stats *stats, const struct core_info *info,
		       const struct replica_status *status)
{
	put(stats, "nomad", "server", "true");
	put(stats, "nomad", "leader", text_of(s->ready));
	put(stats, "nomad", "leader_addr", arena_strdup(stats->mem, status->leader_address));
	put(stats, "nomad", "bootstrap", text_of(s->config.bootstrap_expect == 1));
	put_number(stats, "nomad", "known_regions", info->regions.n > 0 ? info->regions.n : 1);
}

/* As "raft" has it: capital letters first. */
static const char *state_name(const struct replica_status *status)
{
	switch (status->state) {
	case REPLICA_LEADER:
		return "Leader";
	case REPLICA_CANDIDATE:
		return "Candidate";
	case REPLICA_FOLLOWER:
		return "Follower";
	default:
		return "Uninitialized";
	}
}

static const char *contact_text(struct core_stats *stats, const struct replica_status *status)
{
	if (status->leader_contact_ms == UINT64_MAX) {
		return "never";
	}
	return arena_printf(stats->mem, status->leader_contact_ms == 0 ? "%" PRIu64 : "%" PRIu64 "ms",
			    status->leader_contact_ms);
}

/* The state's index is the API's, not the log's. Servers whose indexes are equal have equal hashes: what differs is a fault. */
static void fill_state(struct core_stats *stats, const struct view *v)
{
	put_number(stats, "raft", "state_index", state_index(v));
	put(stats, "raft", "state_hash", arena_printf(stats->mem, "%016" PRIx64, state_hash(v)));
}

static void fill_raft(struct core_stats *stats, const struct replica_status *status, unsigned servers)
{
	put(stats, "raft", "state", state_name(status));
	put_number(stats, "raft", "term", status->term);
	put_number(stats, "raft", "last_log_index", status->last_index);
	put_number(stats, "raft", "commit_index", status->commit_index);
	put_number(stats, "raft", "applied_index", status->applied_index);
	put_number(stats, "raft", "fsm_pending", 0);
	put_number(stats, "raft", "last_snapshot_index", status->snapshot_index);
	put_number(stats, "raft", "num_peers", servers > 0 ? servers - 1 : 0);
	put(stats, "raft", "last_contact", contact_text(stats, status));
	put(stats, "raft", "protocol_version", "3");
}

static void fill_runtime(struct core_stats *stats)
{
	struct utsname u;

	if (uname(&u) == 0) {
		put(stats, "runtime", "arch", arena_strdup(stats->mem, u.machine));
		put(stats, "runtime", "kernel.name", "linux");
		put(stats, "runtime", "kernel.version", arena_strdup(stats->mem, u.release));
	}
	put_number(stats, "runtime", "cpu_count", uv_available_parallelism());
	put_number(stats, "runtime", "resident_bytes", (uint64_t)resident_bytes());
}

/* ---- servers ---- */

static const char *name_of(const struct core_info *info, const char *address)
{
	for (uint32_t i = 0; i < info->peers.n; i++) {
		if (strcmp(info->peers.at[i].address, address) == 0) {
			return info->peers.at[i].id;
		}
	}
	return NULL;
}

static int fill_contacts(struct core_stats *stats, const struct core_info *info, const struct replica_status *status,
			 const struct replica_peer *peers, unsigned n)
{
	stats->contacts = arena_calloc(stats->mem, n + 1, sizeof(stats->contacts[0]));
	if (stats->contacts == NULL) {
		return ERR_NOMEM;
	}
	for (unsigned i = 0; i < n; i++) {
		const char *id = name_of(info, peers[i].server.address);
		bool self = peers[i].server.id == status->id;

		if (id != NULL) {
			stats->contacts[stats->n_contacts++] =
				(struct core_contact){id, peers[i].contact_ms, status->term,
						      self ? status->stored_index : peers[i].match_index};
		}
	}
	return 0;
}

static unsigned at_most_servers(unsigned n)
{
	return n < REPLICA_MAX_SERVERS ? n : REPLICA_MAX_SERVERS;
}

int link_stats_fill(struct server *s, struct core_stats *stats)
{
	struct replica_peer peers[REPLICA_MAX_SERVERS];
	unsigned n = at_most_servers(replica_configuration(s->replica, peers, REPLICA_MAX_SERVERS));
	struct replica_status status = replica_status(s->replica);
	struct core_info info = {0};
	int rc = fill_metrics(s, stats);

	stats->n_stats = stats->n_contacts = 0;
	stats->stats = arena_alloc(stats->mem, STATS_MAX * sizeof(stats->stats[0]));
	if (rc != 0 || stats->stats == NULL) {
		return ERR_NOMEM;
	}
	net_info(s->net, &info, stats->mem);
	fill_nomad(s, stats, &info, &status);
	fill_state(stats, server_view(s));
	fill_raft(stats, &status, n);
	fill_runtime(stats);
	return s->ready ? fill_contacts(stats, &info, &status, peers, n) : 0;
}

/**
 * A running server: its threads, from start to stop.
 *
 *     server_start()   opens the directory, replays the log, listens, joins or founds a cluster in the background
 *     server_stop()    hands on leadership, answers what is open, ends all threads
 *
 * It has a thread for the core loop, one for HTTP, and workers for schedulers; see server/shell.h.
 */
#ifndef SERVER_SERVER_H_
#define SERVER_SERVER_H_

#include "proto/object.h"
#include "server/acl_config.h"
#include "server/core_link.h"
#include "server/leader.h"

struct agent_facts;
struct server;
struct tls;

/* Strings are borrowed for the server's life; zero is the default. Addresses are "host:port". */
struct server_config {
	const char *dir; /* Exists or can be made. */
	const char *name;
	const char *region;
	const char *datacenter;
	const char *version;     /* Of the program. */
	const char *api_version; /* Of the API. */
	const struct agent_facts *facts; /* Of the machine and the process; NULL: nothing is told of them. */
	const char *node_id;     /* Of the client in this agent; NULL when there is none. */
	const char *config_json; /* The agent's configuration without secrets. */

	/* Where to listen, and where others reach it. */
	const char *bind_http_host; /* Numeric. */
	uint16_t http_port;
	struct tls *http_tls; /* Borrowed; NULL: plain text. */
	const char *bind_rpc;
	const char *bind_serf;
	const char *http_addr;
	const char *rpc_addr;
	const char *serf_addr;

	/* Finding the others. */
	unsigned bootstrap_expect; /* 0: join an existing cluster. */
	struct strs peers;         /* RPC or serf addresses to be tried, again and again. */
	unsigned join_ms;          /* Between two rounds of tries once the first seconds have passed: 30 s. */
	unsigned join_max;         /* Rounds without any success before the process gives up; 0: no end. */

	/* The log: see raft/replica.h. */
	unsigned election_ms, heartbeat_ms;
	uint64_t snapshot_log_bytes, trailing_bytes;

	unsigned schedulers; /* Worker threads: as many as cores, at most 8. */
	unsigned scheduler_queue; /* Evaluations that one of them gets before the next gets any: 4. */
	bool no_schedulers;  /* None at all on this server. */
	struct leader_config leader;
	struct autopilot_config autopilot;
	int64_t versions_kept;
	int64_t count_max; /* See struct api_config. */
	size_t source_bytes_max;
	size_t cache_bytes;
	bool wraps; /* Root keys are wrapped, by this key: see server/keyring.h. */
	uint8_t wrapping_key[KEYRING_KEY];
	struct acl_config acl; /* Without `reset_index`: that file is in `dir`. */

	/* How connections of RPC and Raft look on the wire: see proto/channel.h. Borrowed. */
	struct tls *rpc_tls;
	bool rpc_upgrade, rpc_verify_names;
	const void *rpc_secret;
	size_t rpc_secret_len;

	/* Limits. */
	unsigned http_conns_per_client, rpc_conns_per_client; /* 0: none. */
	double http_requests_per_s; /* From one address; 0: no limit. */
	unsigned http_requests_burst;
	uint32_t rpc_handshake_ms;
	uint32_t https_handshake_ms;
};

/* 0; or an ERR_ code with a text in `why`, and nothing is left running. The server runs whether or not it has found a
 * cluster. */
int server_start(const struct server_config *config, struct server **out, char *why, size_t why_size);

/* The port of the HTTP listener, for those who gave port 0. */
uint16_t server_http_port(const struct server *s);

/* A server that was removed from the cluster, or cannot go on, asks to be stopped: told on a thread of its own, once. */
void server_on_end(struct server *s, void (*end_cb)(void *ctx, const char *why), void *ctx);

/* Tell the others that this server leaves for good (leave_on_terminate), at most so long. */
void server_leave(struct server *s, unsigned timeout_ms);

/* Under a second: leadership is handed on, requests under way are answered. Frees it. */
void server_stop(struct server *s);

#endif /* SERVER_SERVER_H_ */

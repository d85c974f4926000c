/* The servers of a cluster: operator raft ..., operator autopilot ... */
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/show.h"
#include "cli/table.h"
#include "lib/timefmt.h"

#define RAFT_PEER_FIELDS(X, T)                                                                                         \
	X(T, STR, id, "ID")                                                                                            \
	X(T, STR, node, "Node")                                                                                        \
	X(T, STR, address, "Address")                                                                                  \
	X(T, BOOL, leader, "Leader")                                                                                   \
	X(T, BOOL, voter, "Voter")                                                                                     \
	X(T, STR, protocol, "RaftProtocol")
#define RAFT_PEERS_FIELDS(X, T)                                                                                        \
	X(T, LIST(raft_peer), servers, "Servers")                                                                      \
	X(T, INT, index, "Index")
#define PILOT_SERVER_FIELDS(X, T)                                                                                      \
	X(T, STR, id, "ID")                                                                                            \
	X(T, STR, name, "Name")                                                                                        \
	X(T, STR, address, "Address")                                                                                  \
	X(T, STR, serf, "SerfStatus")                                                                                  \
	X(T, STR, version, "Version")                                                                                  \
	X(T, BOOL, leader, "Leader")                                                                                   \
	X(T, BOOL, voter, "Voter")                                                                                     \
	X(T, BOOL, healthy, "Healthy")                                                                                 \
	X(T, STR, contact, "LastContact")                                                                              \
	X(T, INT, term, "LastTerm")                                                                                    \
	X(T, INT, index, "LastIndex")
#define PILOT_HEALTH_FIELDS(X, T)                                                                                      \
	X(T, BOOL, healthy, "Healthy")                                                                                 \
	X(T, INT, tolerance, "FailureTolerance")                                                                       \
	X(T, STR, leader, "Leader")                                                                                    \
	X(T, STRS, voters, "Voters")                                                                                   \
	X(T, LIST(pilot_server), servers, "Servers")

OBJECT_DECLARE(raft_peer, RAFT_PEER_FIELDS);
OBJECT_DECLARE(raft_peers, RAFT_PEERS_FIELDS);
OBJECT_DECLARE(pilot_server, PILOT_SERVER_FIELDS);
OBJECT_DECLARE(pilot_health, PILOT_HEALTH_FIELDS);
OBJECT_DEFINE(raft_peer, RAFT_PEER_FIELDS);
OBJECT_DEFINE(raft_peers, RAFT_PEERS_FIELDS);
OBJECT_DEFINE(pilot_server, PILOT_SERVER_FIELDS);
OBJECT_DEFINE(pilot_health, PILOT_HEALTH_FIELDS);

/* A command's part that needs a client. */
static int with_client(struct args *args, bool (*part)(struct client *c, const struct args *args))
{
	struct client c;
	bool good;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	good = part(&c, args);
	client_close(&c);
	return good ? EXIT_OK : EXIT_ERROR;
}

/* ---- raft ---- */

static bool list_peers(struct client *c, const struct args *args)
{
	struct table t = {0};
	struct raft_peers all;

	(void)args;
	client_url(c, "/v1/operator/raft/configuration");
	if (!client_read(c, "listing peers", &raft_peers_type, &all)) {
		return false;
	}
	table_row(&t, "Node", "ID", "Address", "State", "Voter", "RaftProtocol");
	for (uint32_t i = 0; i < all.servers.n; i++) {
		const struct raft_peer *p = &all.servers.at[i];

		table_row(&t, p->node, p->id, p->address, p->leader ? "leader" : "follower", format_bool(p->voter),
			  p->protocol);
	}
	table_print(&t, stdout);
	return true;
}

static int run_list_peers(struct args *args)
{
	return with_client(args, list_peers);
}

static const struct flag stale_flags[] = {{"stale", NULL, "Has no effect: any server answers."}, {NULL, NULL, NULL}};

const struct command command_operator_raft_list_peers = {
	.name = "operator raft list-peers",
	.usage = "[options]",
	.summary = "List the servers of the Raft configuration",
	.flags = stale_flags,
	.api = true,
	.run = run_list_peers,
};

/* -peer-id or -peer-address, one of them. */
static bool name_peer(struct client *c, const struct args *args)
{
	const char *id = args_get(args, "peer-id", "");
	const char *address = args_get(args, "peer-address", "");

	if ((id[0] == '\0') == (address[0] == '\0')) {
		fprintf(stderr, "Error: give one of -peer-id and -peer-address\n");
		return false;
	}
	client_param(c, id[0] != '\0' ? "id" : "address", id[0] != '\0' ? id : address);
	return true;
}

static bool remove_peer(struct client *c, const struct args *args)
{
	client_url(c, "/v1/operator/raft/peer");
	if (!name_peer(c, args) || !client_ok(c, "removing peer", "DELETE", NULL, 0)) {
		return false;
	}
	printf("Removed peer\n");
	return true;
}

static int run_remove_peer(struct args *args)
{
	return with_client(args, remove_peer);
}

static const struct flag peer_flags[] = {{"peer-id", "id", "The server's ID."},
					 {"peer-address", "address", "Its address, IP:PORT."},
					 {NULL, NULL, NULL}};

const struct command command_operator_raft_remove_peer = {
	.name = "operator raft remove-peer",
	.usage = "[options]",
	.summary = "Remove a server from the Raft configuration",
	.details = "The server is not taken in again, also while it runs and is connected. It comes back as a new one "
		   "when its data directory has been emptied.",
	.flags = peer_flags,
	.api = true,
	.run = run_remove_peer,
};

static bool transfer(struct client *c, const struct args *args)
{
	client_url(c, "/v1/operator/raft/transfer-leadership");
	if (!name_peer(c, args) || !client_ok(c, "transferring leadership", "PUT", NULL, 0)) {
		return false;
	}
	printf("Leadership transferred\n");
	return true;
}

static int run_transfer(struct args *args)
{
	return with_client(args, transfer);
}

const struct command command_operator_raft_transfer_leadership = {
	.name = "operator raft transfer-leadership",
	.usage = "[options]",
	.summary = "Make another server the leader",
	.flags = peer_flags,
	.api = true,
	.run = run_transfer,
};

/* ---- autopilot ---- */

static const char *text_of(struct arena *mem, int64_t ns)
{
	char text[DURATION_TEXT];
	const char *copy;

	duration_format(ns, text);
	copy = arena_strdup(mem, text);
	return copy != NULL ? copy : "";
}

static bool read_config(struct client *c, struct autopilot_config *config)
{
	client_url(c, "/v1/operator/autopilot/configuration");
	return client_read(c, "querying Autopilot configuration", &autopilot_config_type, config);
}

static bool get_config(struct client *c, const struct args *args)
{
	struct autopilot_config a;
	struct table t = {0};

	(void)args;
	if (!read_config(c, &a)) {
		return false;
	}
	table_row(&t, "CleanupDeadServers", format_bool(a.cleanup_dead_servers));
	table_row(&t, "LastContactThreshold", text_of(c->mem, a.last_contact_threshold));
	table_row(&t, "MaxTrailingLogs", format_int(c->mem, a.max_trailing_logs));
	table_row(&t, "MinQuorum", format_int(c->mem, a.min_quorum));
	table_row(&t, "ServerStabilizationTime", text_of(c->mem, a.server_stabilization_time));
	table_row(&t, "EnableRedundancyZones", format_bool(a.enable_redundancy_zones));
	table_row(&t, "DisableUpgradeMigration", format_bool(a.disable_upgrade_migration));
	table_row(&t, "EnableCustomUpgrades", format_bool(a.enable_custom_upgrades));
	table_print_pairs(&t, stdout);
	return true;
}

static int run_get_config(struct args *args)
{
	return with_client(args, get_config);
}

const struct command command_operator_autopilot_get_config = {
	.name = "operator autopilot get-config",
	.usage = "[options]",
	.summary = "Show how the leader looks after the servers",
	.api = true,
	.run = run_get_config,
};

static bool take_bool(const struct args *args, const char *name, bool *out)
{
	const char *text = args_get(args, name, NULL);

	if (text != NULL && strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
		fprintf(stderr, "Error: -%s is true or false\n", name);
		return false;
	}
	*out = text != NULL ? strcmp(text, "true") == 0 : *out;
	return true;
}

static bool take_number(const struct args *args, const char *name, int64_t *out)
{
	long long n = *out;
	bool good = args_number(args, name, &n);

	*out = n;
	return good;
}

static bool take_duration(const struct args *args, const char *name, int64_t *out)
{
	const char *text = args_get(args, name, NULL);

	if (text != NULL && !duration_parse(text, strlen(text), out)) {
		fprintf(stderr, "Error: -%s is no duration: \"%s\"\n", name, text);
		return false;
	}
	return true;
}

static bool take_flags(const struct args *args, struct autopilot_config *a)
{
	return take_bool(args, "cleanup-dead-servers", &a->cleanup_dead_servers) &&
	       take_bool(args, "enable-redundancy-zones", &a->enable_redundancy_zones) &&
	       take_bool(args, "disable-upgrade-migration", &a->disable_upgrade_migration) &&
	       take_bool(args, "enable-custom-upgrades", &a->enable_custom_upgrades) &&
	       take_number(args, "max-trailing-logs", &a->max_trailing_logs) &&
	       take_number(args, "min-quorum", &a->min_quorum) &&
	       take_duration(args, "last-contact-threshold", &a->last_contact_threshold) &&
	       take_duration(args, "server-stabilization-time", &a->server_stabilization_time);
}

/* Only if nobody else has changed it meanwhile. */
static bool set_config(struct client *c, const struct args *args)
{
	struct autopilot_config a;
	struct buf body = {0};
	bool good = read_config(c, &a) && take_flags(args, &a);

	if (good) {
		json_encode(&autopilot_config_type, &a, &body);
		client_url(c, "/v1/operator/autopilot/configuration");
		client_param(c, "cas", format_int(c->mem, a.modify_index));
		good = client_ok(c, "setting Autopilot configuration", "PUT", buf_text(&body), body.len);
	}
	if (good && strncmp(buf_text(&c->body), "true", 4) == 0) {
		printf("Configuration updated!\n");
	} else if (good) {
		fprintf(stderr, "Configuration could not be atomically updated, please try again\n");
		good = false;
	}
	buf_close(&body);
	return good;
}

static int run_set_config(struct args *args)
{
	return with_client(args, set_config);
}

static const struct flag config_flags[] = {
	{"cleanup-dead-servers", "bool", "Remove dead servers when new ones have taken their place."},
	{"last-contact-threshold", "duration", "A server that the leader has not heard of for longer is unhealthy."},
	{"max-trailing-logs", "count", "Kept for Nomad's sake."},
	{"min-quorum", "count", "Dead servers are not removed below so many."},
	{"server-stabilization-time", "duration", "A server must be dead for so long before it is removed."},
	{"enable-redundancy-zones", "bool", "Kept for Nomad's sake."},
	{"disable-upgrade-migration", "bool", "Kept for Nomad's sake."},
	{"enable-custom-upgrades", "bool", "Kept for Nomad's sake."},
	{NULL, NULL, NULL}};

const struct command command_operator_autopilot_set_config = {
	.name = "operator autopilot set-config",
	.usage = "[options]",
	.summary = "Change how the leader looks after the servers",
	.flags = config_flags,
	.api = true,
	.run = run_set_config,
};

/* 429 says that it is not healthy, and has the same body. */
static bool read_health(struct client *c, struct pilot_health *h)
{
	static const char doing[] = "querying Autopilot health";

	client_url(c, "/v1/operator/autopilot/health");
	if (client_send(c, "GET", NULL, 0) == 0 && c->status == 429) {
		return client_decode(c, doing, &pilot_health_type, h);
	}
	return client_read(c, doing, &pilot_health_type, h);
}

static bool show_health(struct client *c, const struct args *args)
{
	struct pilot_health h;
	struct table t = {0};

	if (!read_health(c, &h)) {
		return false;
	}
	if (args_has(args, "json")) {
		show_json(c);
		return true;
	}
	printf("Healthy: %s\nFailureTolerance: %lld\nLeader: %s\n\nServers:\n", format_bool(h.healthy),
	       (long long)h.tolerance, format_clean(c->mem, h.leader));
	table_row(&t, "ID", "Name", "Address", "SerfStatus", "Version", "Leader", "Voter", "Healthy", "LastContact",
		  "LastTerm", "LastIndex");
	for (uint32_t i = 0; i < h.servers.n; i++) {
		const struct pilot_server *s = &h.servers.at[i];

		table_row(&t, s->id, s->name, s->address, s->serf, s->version, format_bool(s->leader),
			  format_bool(s->voter), format_bool(s->healthy), s->contact, format_int(c->mem, s->term),
			  format_int(c->mem, s->index));
	}
	table_print(&t, stdout);
	return true;
}

static int run_health(struct args *args)
{
	return with_client(args, show_health);
}

static const struct flag health_flags[] = {{"json", NULL, "Print the server's answer."}, {NULL, NULL, NULL}};

const struct command command_operator_autopilot_health = {
	.name = "operator autopilot health",
	.usage = "[options]",
	.summary = "Show how the servers are",
	.flags = health_flags,
	.api = true,
	.run = run_health,
};

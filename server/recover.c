#include "server/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/log.h"
#include "proto/error.h"
#include "raft/replica.h"

enum { FILE_MAX = 64 << 10, PATH_SIZE = 4096 };

#define PEER_FIELDS(X, T)                                                                                              \
	X(T, STR, id, "id")                                                                                            \
	X(T, STR, address, "address")                                                                                  \
	X(T, BOOL, non_voter, "non_voter")
#define PEERS_FIELDS(X, T) X(T, LIST(peer), peers, "Peers")
OBJECT_DECLARE(peer, PEER_FIELDS);
OBJECT_DECLARE(peers, PEERS_FIELDS);
OBJECT_DEFINE(peer, PEER_FIELDS);
OBJECT_DEFINE(peers, PEERS_FIELDS);

static int fail(int rc, const char *path, const char *text, char *why, size_t why_size)
{
	snprintf(why, why_size, "%s: %s", path, text);
	return rc;
}

/* ERR_NOTFOUND: there is none. */
static int read_file(const char *path, struct buf *out)
{
	FILE *in = fopen(path, "re");
	char *room;
	int rc = 0;

	if (in == NULL) {
		return errno == ENOENT ? ERR_NOTFOUND : ERR_IO;
	}
	buf_str(out, "{\"Peers\":");
	room = buf_room(out, FILE_MAX + 1);
	if (room == NULL) {
		rc = ERR_NOMEM;
	} else {
		size_t n = fread(room, 1, FILE_MAX + 1, in);

		rc = ferror(in) ? ERR_IO : n > FILE_MAX ? ERR_TOOBIG : 0;
		out->len += n;
	}
	fclose(in);
	buf_str(out, "}");
	return rc;
}

/* A number of Raft's, or our own UUID; 0: neither. */
static uint64_t raft_id_of(const char *text, const struct identity *identity)
{
	struct uuid id;
	uint64_t number;
	char *end;

	if (uuid_parse(text, strlen(text), &id)) {
		return uuid_equal(&id, &identity->id) ? identity->raft_id : 0;
	}
	errno = 0;
	number = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 ? number : 0;
}

static const char *take_one(const struct peer *p, const struct identity *identity, struct replica_server *out)
{
	char host[ADDRESS_HOST_MAX];
	unsigned port;

	out->id = raft_id_of(p->id, identity);
	out->address = p->address;
	out->role = p->non_voter ? REPLICA_STANDBY : REPLICA_VOTER;
	if (out->id == 0) {
		return "an id is neither a RaftID of an identity.json nor this server's own ID";
	}
	return address_split(p->address, host, &port) && port != 0 ? NULL : "an address is not HOST:PORT";
}

/* NULL, or what is wrong. */
static const char *take(const struct peers *peers, const struct identity *identity, const char *address,
			struct replica_server *servers)
{
	const char *wrong = NULL;
	bool listed = false;

	if (uuid_is_zero(&identity->cluster)) {
		return "this server is in no cluster, so there is nothing to recover";
	}
	if (peers->peers.n == 0 || peers->peers.n > REPLICA_MAX_SERVERS) {
		return "it lists no servers, or too many";
	}
	for (uint32_t i = 0; i < peers->peers.n && wrong == NULL; i++) {
		wrong = take_one(&peers->peers.at[i], identity, &servers[i]);
		listed = listed || (servers[i].id == identity->raft_id && servers[i].role == REPLICA_VOTER &&
				    strcmp(servers[i].address, address) == 0);
		for (uint32_t k = 0; k < i && wrong == NULL; k++) {
			wrong = servers[k].id == servers[i].id || strcmp(servers[k].address, servers[i].address) == 0
					? "it lists a server twice"
					: NULL;
		}
	}
	return wrong != NULL || listed ? wrong : "this server is no voter in it, with the address that it advertises";
}

static int set_aside(const char *path)
{
	char aside[PATH_SIZE + 16];
	char dir[PATH_SIZE];
	int fd;
	int rc;

	snprintf(aside, sizeof(aside), "%s.recovered", path);
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	if (rename(path, aside) != 0) {
		return ERR_IO;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd >= 0 && fsync(fd) == 0 ? 0 : ERR_IO;
	if (fd >= 0) {
		close(fd);
	}
	return rc;
}

static int recover(const char *dir, const char *path, const struct identity *identity, const char *address,
		   struct buf *text, char *why, size_t why_size)
{
	struct replica_server servers[REPLICA_MAX_SERVERS];
	struct replica_fault fault = {""};
	struct fault wrong = {"", ""};
	struct arena mem = {0};
	struct peers peers;
	const char *no;
	char log_dir[PATH_SIZE];
	int rc = json_decode(&peers_type, &peers, buf_text(text), text->len, &mem, &wrong);

	snprintf(log_dir, sizeof(log_dir), "%s/raft", dir);
	if (rc != 0) {
		rc = fail(rc, path, wrong.why[0] != '\0' ? wrong.why : error_text(rc), why, why_size);
	} else if ((no = take(&peers, identity, address, servers)) != NULL) {
		rc = fail(ERR_INVALID, path, no, why, why_size);
	} else if ((rc = replica_recover(log_dir, servers, peers.peers.n, &fault)) != 0) {
		rc = fail(rc, path, fault.text[0] != '\0' ? fault.text : error_text(rc), why, why_size);
	} else {
		log_warn("server", "%s: the cluster's configuration is now %u servers", path, peers.peers.n);
	}
	arena_close(&mem);
	return rc;
}

int recover_servers(const char *dir, const struct identity *identity, const char *address, char *why, size_t why_size)
{
	char path[PATH_SIZE];
	struct buf text = {0};
	int rc;

	if ((size_t)snprintf(path, sizeof(path), "%s/raft/peers.json", dir) >= sizeof(path)) {
		return fail(ERR_TOOBIG, dir, "the path is too long", why, why_size);
	}
	rc = read_file(path, &text);
	if (rc == 0) {
		rc = recover(dir, path, identity, address, &text, why, why_size);
		if (rc == 0 && set_aside(path) != 0) {
			rc = fail(ERR_IO, path, "it was carried out, and cannot be renamed", why, why_size);
		}
	} else if (rc != ERR_NOTFOUND) {
		fail(rc, path, error_text(rc), why, why_size);
	}
	buf_close(&text);
	return rc == ERR_NOTFOUND ? 0 : rc;
}

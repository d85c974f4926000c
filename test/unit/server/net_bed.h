/** Several servers with all their threads, in one process and on loopback addresses; and clients that are played. */
#ifndef TEST_UNIT_SERVER_NET_BED_H_
#define TEST_UNIT_SERVER_NET_BED_H_

#include "test/unit/unit.h"

#include "lib/uuid.h"
#include "proto/error.h"
#include "proto/stream.h"
#include "server/server.h"

enum { SERVERS = 5, PATIENCE_MS = 60000, BODY_MAX = 4 << 20, KNOWN_MAX = 4096 };

/* One place where a server can stand; its addresses and its directory stay. */
struct bed {
	char dir[96], name[8], rpc[32], serf[32];
	const char *peers[SERVERS];
	struct server_config config;
	struct server *server; /* NULL: it does not run. */
	uint16_t http;
};

extern struct bed beds[SERVERS];

/* Set-up and tear-down of a test. */
int open_beds(void **state);
int close_beds(void **state);

/* Whom it looks for: places in `list`, a digit each. */
void set_peers(struct bed *b, const char *list);
void start(struct bed *b);
void stop(struct bed *b);
void wipe(const struct bed *b);
void three(void); /* The first three, looking for each other. */

int64_t now_ms(void);
void rest(unsigned ms);

/* The status, with the body in `body`; 0: no answer. */
extern char body[BODY_MAX];
int connect_to(uint16_t port); /* A socket; -1: nobody listens there. */
int ask(const struct bed *b, const char *method, const char *target, const char *text);
unsigned count(const char *text, const char *what);

/* How many members a server sees with this status. */
unsigned members_at(const struct bed *b, const char *status);
unsigned voters_at(const struct bed *b);

/* A leader that all who run agree on, and so many voters as all see it. */
struct bed *settled(unsigned voters);
struct bed *another_than(const struct bed *not);
void put_job(const struct bed *b, const char *id, unsigned n);

/* All servers that run have the same state. */
void same_state(void);

/* Wait for a condition. */
#define UNTIL(condition)                                              \
	do {                                                          \
		int64_t until_ = now_ms() + PATIENCE_MS;              \
		while (!(condition)) {                                \
			if (now_ms() > until_) {                      \
				fail_msg("never: %s", #condition);    \
			}                                             \
			rest(10);                                     \
		}                                                     \
	} while (0)

/* ---- a played client ---- */

struct player {
	uv_loop_t loop;
	struct rpc_host host;
	struct rpc_hello hello;
	char id[UUID_TEXT], secret[UUID_TEXT];
	struct rpc_conn *conn; /* NULL: closed. */
	bool ready, stopped;
	int closed_err;
	char closed_why[128];
	/* The last push, and what all together say: allocations by ID that it knows of. */
	struct arena mem;
	struct rpc_node_allocs push;
	unsigned pushes, wholes;
	size_t longest; /* Push, in bytes. */
	char known[KNOWN_MAX][UUID_TEXT], desired[KNOWN_MAX][8];
	unsigned n_known;
};

void player_open(struct player *p, const char *kind);
void player_close(struct player *p);
bool player_connect(struct player *p, const struct bed *b); /* False: refused. */
void player_turn(struct player *p, unsigned ms);

/* Ask and wait: 0 or an ERR_ code; the answer is decoded into memory of `mem`. */
int player_ask(struct player *p, uint32_t method, const struct type *t, const void *obj, const struct type *answer,
               void *out, struct arena *mem);

/* As above, of a payload that is no object; the answer is dropped. */
int player_send(struct player *p, uint32_t method, const char *payload, size_t len);

/* Short forms. */
int player_register(struct player *p, struct rpc_node_lease *lease);
int player_beat(struct player *p, struct rpc_node_lease *lease);
int player_watch(struct player *p);
int player_report(struct player *p, const char *alloc, const char *status);

#endif /* TEST_UNIT_SERVER_NET_BED_H_ */

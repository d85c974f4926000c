/* node_sim FILE COUNT [AUTHORITY CERTIFICATE KEY]: see node_sim.h. FILE has the servers' RPC addresses, one a line; FILE.ready
 * is made when all nodes have been ready. With the last three, connections are in TLS. Ends on SIGTERM, without a word to
 * the servers. */
#include "test/bench/node_sim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/tls.h"
#include "proto/channel.h"
#include "proto/error.h"

enum {
	NODES_MAX = 20000,
	CONNECTING_MAX = 128, /* At a time: as if the nodes were started one after the other, fast. */
	ATTEMPT_MS = 5000,
	CALL_MS = 10000,
	PAUSE_MS = 200,
	TTL_LEAST_MS = 500,
	TTL_FIRST_MS = 10000,
	DUES_A_TURN = 2000,
};

/* ---- time ---- */

int64_t sim_now_ms(const struct sim *sim)
{
	return (int64_t)uv_now(&sim->loop);
}

int64_t sim_unix_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint64_t sim_random(void)
{
	static uint64_t state = 88172645463325252U;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static bool due_before(const struct heap_link *a, const struct heap_link *b)
{
	return CONTAINER_OF(a, struct due, link)->at_ms < CONTAINER_OF(b, struct due, link)->at_ms;
}

static void timer_cb(uv_timer_t *timer);

static void arm(struct sim *sim)
{
	struct heap_link *first = heap_first(&sim->dues);
	int64_t wait_ms;

	if (first == NULL || sim->stopping) {
		uv_timer_stop(&sim->timer);
		return;
	}
	wait_ms = CONTAINER_OF(first, struct due, link)->at_ms - sim_now_ms(sim);
	uv_timer_start(&sim->timer, timer_cb, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

static void timer_cb(uv_timer_t *timer)
{
	struct sim *sim = timer->data;
	unsigned i;

	for (i = 0; i < DUES_A_TURN && !sim->stopping; i++) {
		struct heap_link *first = heap_first(&sim->dues);
		struct due *due = first == NULL ? NULL : CONTAINER_OF(first, struct due, link);

		if (due == NULL || due->at_ms > sim_now_ms(sim)) {
			break;
		}
		heap_remove(&sim->dues, first);
		due->cb(due);
	}
	arm(sim);
}

void due_clear(struct sim *sim, struct due *due)
{
	if (heap_has(&due->link)) {
		heap_remove(&sim->dues, &due->link);
	}
}

void due_set(struct sim *sim, struct due *due, int64_t at_ms)
{
	due_clear(sim, due);
	due->at_ms = at_ms;
	if (!heap_add(&sim->dues, &due->link)) {
		log_error("sim", "out of memory");
		abort();
	}
	if (heap_first(&sim->dues) == &due->link) {
		arm(sim);
	}
}

/* ---- the session ---- */

static void move(struct sim_node *n, enum sim_state to)
{
	n->sim->n_connecting -= n->state == SIM_CONNECTING;
	n->sim->n_connecting += to == SIM_CONNECTING;
	n->state = to;
}

static int64_t pause_until(const struct sim_node *n)
{
	return sim_now_ms(n->sim) + PAUSE_MS + (int64_t)(sim_random() % PAUSE_MS);
}

/* What the node knows has been told to this one: when is it to be heard of again? */
static int64_t next_beat(const struct sim_node *n)
{
	int64_t ttl_ms = n->ttl_ms < TTL_LEAST_MS ? TTL_LEAST_MS : n->ttl_ms;

	return sim_now_ms(n->sim) + ttl_ms / 2 - (int64_t)(sim_random() % (uint64_t)(ttl_ms / 10));
}

static void failed(struct sim_node *n, const char *what, int err)
{
	log_warn("sim", "node %u: %s: %s", n->number, what, error_text(err));
	if (err == ERR_BUSY || n->conn == NULL) {
		due_set(n->sim, &n->step, pause_until(n));
	} else {
		rpc_conn_doom(n->conn, ERR_CLOSED, "turning to another server");
	}
}

static bool take_lease(struct sim_node *n, const struct rpc_frame *frame, bool *unknown)
{
	struct arena mem = {0};
	struct rpc_node_lease lease;
	bool good = rpc_get(&rpc_node_lease_type, &lease, frame, &mem) == 0;

	if (good) {
		n->ttl_ms = lease.ttl > 0 ? lease.ttl / 1000000 : n->ttl_ms;
		*unknown = lease.unknown;
	}
	arena_close(&mem);
	return good;
}

static void go_on(struct sim_node *n, enum sim_state to)
{
	move(n, to);
	due_set(n->sim, &n->step, sim_now_ms(n->sim));
}

static void first_ready(struct sim_node *n)
{
	struct sim *sim = n->sim;
	int fd;

	n->was_ready = true;
	if (++sim->n_ready < sim->n) {
		return;
	}
	log_info("sim", "all %u nodes are ready", sim->n);
	fd = open(sim->ready_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) {
		log_error("sim", "%s: %s", sim->ready_file, strerror(errno));
	} else {
		close(fd);
	}
}

static void registered_cb(struct rpc_request *req, int err, const struct rpc_frame *frame)
{
	struct sim_node *n = CONTAINER_OF(req, struct sim_node, ask);
	bool unknown;

	if (n->state != SIM_REGISTERING) {
		return;
	}
	if (err != 0 || !take_lease(n, frame, &unknown)) {
		failed(n, "registering", err != 0 ? err : ERR_CORRUPT);
		return;
	}
	n->registered = true;
	go_on(n, SIM_WATCHING);
	sim_report_all(n);
}

static void watching_cb(struct rpc_request *req, int err, const struct rpc_frame *frame)
{
	struct sim_node *n = CONTAINER_OF(req, struct sim_node, ask);

	(void)frame;
	if (n->state != SIM_WATCHING) {
		return;
	}
	if (err == ERR_NOTFOUND) {
		n->registered = false;
		go_on(n, SIM_REGISTERING);
	} else if (err != 0) {
		failed(n, "asking for allocations", err);
	} else {
		go_on(n, SIM_READY);
	}
}

static void beat_cb(struct rpc_request *req, int err, const struct rpc_frame *frame)
{
	struct sim_node *n = CONTAINER_OF(req, struct sim_node, ask);
	bool unknown = false;

	if (n->state != SIM_READY) {
		return;
	}
	if (err != 0 || !take_lease(n, frame, &unknown)) {
		failed(n, "heartbeat", err != 0 ? err : ERR_CORRUPT);
	} else if (unknown) {
		n->index = 0;
		n->registered = false;
		go_on(n, SIM_REGISTERING);
	} else {
		due_set(n->sim, &n->step, next_beat(n));
		if (!n->was_ready) {
			first_ready(n);
		}
	}
}

static void ask(struct sim_node *n, uint32_t method, const struct type *type, const void *obj,
                void (*cb)(struct rpc_request *req, int err, const struct rpc_frame *frame))
{
	int rc;

	n->ask = (struct rpc_request){.reply_cb = cb};
	rc = rpc_send_object(n->conn, &n->ask, method, type, obj, CALL_MS);
	if (rc != 0) {
		due_set(n->sim, &n->step, pause_until(n));
	}
}

static void register_node(struct sim_node *n)
{
	struct arena mem = {0};
	struct node node;

	if (sim_node_fill(n, &node, &mem) == 0) {
		ask(n, RPC_METHOD_NODE_REGISTER, &node_type, &node, registered_cb);
	} else {
		due_set(n->sim, &n->step, pause_until(n));
	}
	arena_close(&mem);
}

static void watch(struct sim_node *n)
{
	struct rpc_node_watch w;
	char id[UUID_TEXT], secret[UUID_TEXT];

	uuid_format(&n->id, id);
	uuid_format(&n->secret, secret);
	object_init(&rpc_node_watch_type, &w);
	w.node_id = id;
	w.secret_id = secret;
	w.index = n->index;
	ask(n, RPC_METHOD_NODE_WATCH, &rpc_node_watch_type, &w, watching_cb);
}

static void beat(struct sim_node *n)
{
	struct rpc_node_heartbeat h;
	char id[UUID_TEXT], secret[UUID_TEXT];

	uuid_format(&n->id, id);
	uuid_format(&n->secret, secret);
	object_init(&rpc_node_heartbeat_type, &h);
	h.node_id = id;
	h.secret_id = secret;
	h.status = "ready";
	ask(n, RPC_METHOD_NODE_HEARTBEAT, &rpc_node_heartbeat_type, &h, beat_cb);
}

static void connect_node(struct sim_node *n)
{
	struct sim *sim = n->sim;
	char id[UUID_TEXT], secret[UUID_TEXT];

	if (sim->n_connecting >= CONNECTING_MAX) {
		due_set(sim, &n->step, sim_now_ms(sim) + 20 + (int64_t)(sim_random() % 20));
		return;
	}
	/* A hello is read when its connection is made. */
	uuid_format(&n->id, id);
	uuid_format(&n->secret, secret);
	sim->hello.id = id;
	sim->hello.secret = secret;
	n->conn = rpc_connect(&sim->host, sim->servers[n->server], ATTEMPT_MS, n);
	sim->hello.id = sim->hello.secret = "";
	if (n->conn == NULL) {
		due_set(sim, &n->step, pause_until(n));
	} else {
		move(n, SIM_CONNECTING);
	}
}

static void step_cb(struct due *due)
{
	static void (*const next[])(struct sim_node *n) = {
	        [SIM_DOWN] = connect_node, [SIM_REGISTERING] = register_node, [SIM_WATCHING] = watch, [SIM_READY] = beat};
	struct sim_node *n = CONTAINER_OF(due, struct sim_node, step);

	if (next[n->state] != NULL) {
		next[n->state](n);
	}
}

/* ---- connections ---- */

static void ready_cb(struct rpc_conn *c)
{
	struct sim_node *n = c->data;

	go_on(n, n->registered ? SIM_WATCHING : SIM_REGISTERING);
	if (n->registered) {
		sim_report_soon(n);
	}
}

static void push_cb(struct rpc_conn *c, uint32_t method, const char *payload, size_t len)
{
	if (method == RPC_METHOD_NODE_ALLOCS) {
		sim_take_push(c->data, payload, len);
	}
}

static void closed_cb(struct rpc_conn *c, int err, const char *why)
{
	struct sim_node *n = c->data;
	struct sim *sim = n->sim;

	if (n->conn != c) {
		return;
	}
	n->conn = NULL;
	move(n, SIM_DOWN);
	if (sim->stopping) {
		return;
	}
	sim->lost++;
	log_info("sim", "node %u: %s: %s", n->number, sim->servers[n->server], why != NULL ? why : error_text(err));
	n->server = (n->server + 1) % sim->n_servers;
	due_set(sim, &n->step, pause_until(n));
}

static void request_cb(struct rpc_conn *c, struct rpc_call *call)
{
	(void)c;
	rpc_fail(call, ERR_UNSUPPORTED, "a simulated node does not answer that");
}

static const struct rpc_handlers handlers = {
        .ready_cb = ready_cb, .request_cb = request_cb, .push_cb = push_cb, .closed_cb = closed_cb};

/* ---- begin and end ---- */

static void sim_node_start(struct sim_node *n)
{
	n->step.cb = step_cb;
	n->ttl_ms = TTL_FIRST_MS;
	n->server = n->number % n->sim->n_servers;
	due_set(n->sim, &n->step, sim_now_ms(n->sim));
}

static void host_stopped_cb(struct rpc_host *host)
{
	struct sim *sim = CONTAINER_OF(host, struct sim, host);
	unsigned i;

	uv_close((uv_handle_t *)&sim->timer, NULL);
	for (i = 0; i < 2; i++) {
		uv_close((uv_handle_t *)&sim->signals[i], NULL);
	}
}

static void signal_cb(uv_signal_t *handle, int number)
{
	struct sim *sim = handle->data;

	(void)number;
	if (!sim->stopping) {
		sim->stopping = true;
		uv_timer_stop(&sim->timer);
		rpc_host_stop(&sim->host, host_stopped_cb);
	}
}

static void read_servers(struct sim *sim, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256];

	while (file != NULL && sim->n_servers < SIM_SERVERS_MAX && fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '\0') {
			sim->servers[sim->n_servers++] = strdup(line);
		}
	}
	if (file != NULL) {
		fclose(file);
	}
}

static int init(struct sim *sim)
{
	struct rpc_config config = {.handlers = &handlers, .hello = &sim->hello, .ping_ms = 5000, .silence_ms = 15000};
	unsigned i;

	object_init(&rpc_hello_type, &sim->hello);
	sim->hello.protocol = RPC_VERSION;
	sim->hello.kind = "client";
	sim->hello.name = "sim";
	sim->hello.region = "global";
	sim->hello.datacenter = "dc1";
	sim->hello.version = DROVER_VERSION;
	heap_init(&sim->dues, due_before);
	sim->nodes = calloc(sim->n, sizeof(*sim->nodes));
	if (sim->nodes == NULL || uv_loop_init(&sim->loop) != 0 || rpc_host_init(&sim->host, &sim->loop, &config) != 0) {
		return ERR_NOMEM;
	}
	if (sim->tls != NULL) {
		const struct channels_config secured = {.tls = sim->tls, .verify_names = true, .region = sim->hello.region};

		sim->channels = channels_new(&secured);
		rpc_host_secure(&sim->host, sim->channels, sim->hello.region);
	}
	uv_timer_init(&sim->loop, &sim->timer);
	sim->timer.data = sim;
	for (i = 0; i < 2; i++) {
		uv_signal_init(&sim->loop, &sim->signals[i]);
		sim->signals[i].data = sim;
		uv_signal_start(&sim->signals[i], signal_cb, i == 0 ? SIGTERM : SIGINT);
	}
	for (i = 0; i < sim->n; i++) {
		sim_node_init(&sim->nodes[i], sim, i + 1);
		sim_node_start(&sim->nodes[i]);
	}
	return 0;
}

static void tell(const struct sim *sim)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	log_info("sim",
	         "%u nodes: %" PRIu64 " allocations started, %" PRIu64 " ended, %zu left; %" PRIu64 " reports of %" PRIu64
	         " allocations; %" PRIu64 " connections lost; %ld MB at most",
	         sim->n, sim->started, sim->ended, sim->allocs.n, sim->reports, sim->reported, sim->lost,
	         used.ru_maxrss / 1024);
}

static void close_all(struct sim *sim)
{
	unsigned i;

	sim_allocs_close(sim);
	heap_close(&sim->dues);
	free(sim->nodes);
	for (i = 0; i < sim->n_servers; i++) {
		free((char *)(uintptr_t)sim->servers[i]);
	}
	(void)uv_loop_close(&sim->loop);
	channels_free(sim->channels);
	tls_free(sim->tls);
}

static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static struct tls *read_files(char **names)
{
	const struct tls_config config = {
	        .ca_file = names[0], .cert_file = names[1], .key_file = names[2], .clients = TLS_CLIENTS_KNOWN};
	char why[TLS_WHY];
	struct tls *tls = tls_new(&config, why);

	if (tls == NULL) {
		fprintf(stderr, "node_sim: %s\n", why);
	}
	return tls;
}

int main(int argc, char **argv)
{
	static struct sim sim;
	char ready_file[4096];
	int count = argc == 3 || argc == 6 ? atoi(argv[2]) : 0;

	if (count < 1 || count > NODES_MAX) {
		fprintf(stderr, "usage: node_sim FILE COUNT (1 to %d) [AUTHORITY CERTIFICATE KEY]\n", NODES_MAX);
		return 2;
	}
	if (argc == 6 && (sim.tls = read_files(argv + 3)) == NULL) {
		return 2;
	}
	read_servers(&sim, argv[1]);
	if (sim.n_servers == 0) {
		fprintf(stderr, "node_sim: %s names no server\n", argv[1]);
		return 2;
	}
	snprintf(ready_file, sizeof(ready_file), "%s.ready", argv[1]);
	sim.ready_file = ready_file;
	sim.n = (unsigned)count;
	signal(SIGPIPE, SIG_IGN);
	raise_limit();
	if (init(&sim) != 0) {
		fprintf(stderr, "node_sim: out of memory\n");
		return 1;
	}
	uv_run(&sim.loop, UV_RUN_DEFAULT);
	tell(&sim);
	close_all(&sim);
	return 0;
}

/* A server for the replica's integration tests: keys and values in a forest, replicated; text lines on the replica's
 * own port, so that sharing it is tested too.
 *
 *     replica_server ID DIR ADDRESS [BIND]
 *     replica_server recover DIR ID@ADDRESS,...
 *
 * ELECTION and HEARTBEAT (ms), LOGBYTES, TRAILING, ENTRIES (the snapshot's policy) come from the environment. Each line
 * that a connection sends is answered by one line, in order:
 *
 *     put KEY VALUE | get KEY | hash | status | conf | barrier | snapshot | stop | bench OUT SIZE N | fill N SIZE
 *     bootstrap ID@ADDRESS,... | add ID ADDRESS | remove ID | assign ID ROLE | transfer ID
 *     fault OP FILE AFTER ERRNO    the disk's calls of that kind fail, after so many that do not; fault off */
#include "raft/disk.h"
#include "raft/replica.h"
#include "raft/tree.h"

#include "lib/crc.h"
#include "lib/list.h"
#include "lib/log.h"
#include "proto/error.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BATCH = 64 << 10, MAX_LINE = 1 << 20, N_TREES = 1 };

static uv_loop_t loop;
static struct replica *replica;
static bool removed;

/* --- the state --- */

struct row {
	struct tree_row row;
	uint32_t klen;
	uint32_t len;
	uint64_t index;
	char data[]; /* Key, then value. */
};

static struct forest forest;
static uint64_t state_hash; /* The sum over the rows. */
static uint64_t n_applied;

static struct tree_key row_key(const struct tree_row *row)
{
	const struct row *r = (const struct row *)row;

	return (struct tree_key){r->data, r->klen};
}

static const struct tree_type types[N_TREES] = {{row_key, true}};

static void row_release(struct tree_row *row)
{
	free(row);
}

static uint64_t row_hash(const struct row *r)
{
	uint64_t low = crc32c(0, r->data, r->klen + r->len);

	return low << 32 | crc32c(1, &r->index, sizeof(r->index));
}

static void row_set(const char *key, uint32_t klen, const char *value, uint32_t len, uint64_t index)
{
	struct row *r = calloc(1, sizeof(*r) + klen + len);
	struct tree_row *old;

	assert(r != NULL);
	r->klen = klen;
	r->len = len;
	r->index = index;
	memcpy(r->data, key, klen);
	memcpy(r->data + klen, value, len);
	assert(forest_put(&forest, 0, &r->row, &old) == 0);
	state_hash += row_hash(r);
	state_hash -= old != NULL ? row_hash((struct row *)old) : 0;
}

/* An entry is a row of these. */
struct op {
	uint32_t klen;
	uint32_t len;
};

static void on_apply(void *ctx, uint64_t index, uint64_t term, const void *data, size_t len, void *slot)
{
	const char *p = data;
	const char *end = p + len;

	(void)ctx;
	assert(term > 0);
	while (p < end) {
		struct op op;

		memcpy(&op, p, sizeof(op));
		p += sizeof(op);
		assert(op.klen + (uint64_t)op.len <= (uint64_t)(end - p));
		row_set(p, op.klen, p + op.klen, op.len, index);
		p += op.klen + op.len;
	}
	assert(forest_commit(&forest) == 0);
	n_applied++;
	if (slot != NULL) {
		*(uint64_t *)slot = index;
	}
}

static void *on_capture(void *ctx)
{
	(void)ctx;
	return (void *)(uintptr_t)forest_view(&forest);
}

static void on_release(void *ctx, void *capture)
{
	(void)ctx;
	view_release(capture);
}

/* Rows in the order of their keys, and one of length zero. */
static int on_encode(void *ctx, void *capture, struct replica_sink *to)
{
	static const struct tree_key all = {"", 0};
	struct cursor c;
	int rc = 0;

	(void)ctx;
	cursor_open(&c, capture, 0, all);
	for (struct tree_row *at = cursor_first(&c); at != NULL && rc == 0; at = cursor_next(&c)) {
		const struct row *r = (struct row *)at;
		uint64_t head[3] = {r->klen, r->len, r->index};

		rc = to->write(to, head, sizeof(head));
		rc = rc != 0 ? rc : to->write(to, r->data, r->klen + r->len);
	}
	return rc != 0 ? rc : to->write(to, (uint64_t[3]){0}, 3 * sizeof(uint64_t));
}

static int on_restore(void *ctx, struct replica_source *from)
{
	(void)ctx;
	forest_close(&forest);
	assert(forest_init(&forest, types, N_TREES, row_release) == 0);
	state_hash = 0;
	for (;;) {
		uint64_t head[3];
		char *data;
		int rc = from->read(from, head, sizeof(head));

		if (rc != 0 || head[0] == 0) {
			return rc != 0 ? rc : forest_commit(&forest);
		}
		data = malloc(head[0] + head[1]);
		assert(data != NULL);
		rc = from->read(from, data, head[0] + head[1]);
		if (rc == 0) {
			row_set(data, (uint32_t)head[0], data + head[0], (uint32_t)head[1], head[2]);
		}
		free(data);
		if (rc != 0) {
			return rc;
		}
	}
}

/* --- connections --- */

/* A line's answer, in its place among those of its connection. */
struct reply {
	struct list link;
	struct conn *conn; /* NULL: it has gone. */
	char *text;        /* NULL: not yet. */
};

struct conn {
	struct channel *ch;
	uv_tcp_t *tcp; /* The channel's, in plain text. */
	struct list replies;
	char *buf;
	size_t fill;
	size_t cap;
	bool closing;
};

static void on_conn_closed(void *conn)
{
	struct conn *c = conn;

	LIST_EACH (e, &c->replies) {
		struct reply *r = CONTAINER_OF(e, struct reply, link);

		list_remove(&r->link);
		r->conn = NULL;
		if (r->text != NULL) {
			free(r->text);
			free(r);
		}
	}
	free(c->buf);
	free(c);
}

static void conn_close(struct conn *c)
{
	if (!c->closing) {
		c->closing = true;
		uv_read_stop((uv_stream_t *)c->tcp);
		c->tcp->data = c->ch;
		channel_close(c->ch, on_conn_closed);
	}
}

struct write {
	uv_write_t req;
	char *text;
};

static void on_written(uv_write_t *req, int status)
{
	struct write *w = (struct write *)req;

	(void)status;
	free(w->text);
	free(w);
}

static void conn_flush(struct conn *c)
{
	while (!list_empty(&c->replies) && !c->closing) {
		struct reply *r = CONTAINER_OF(c->replies.next, struct reply, link);
		struct write *w;
		uv_buf_t buf;

		if (r->text == NULL) {
			return;
		}
		w = calloc(1, sizeof(*w));
		assert(w != NULL);
		w->text = r->text;
		buf = uv_buf_init(r->text, (unsigned)strlen(r->text));
		list_remove(&r->link);
		free(r);
		uv_write(&w->req, (uv_stream_t *)c->tcp, &buf, 1, on_written);
	}
}

static struct reply *reply_new(struct conn *c)
{
	struct reply *r = calloc(1, sizeof(*r));

	assert(r != NULL);
	r->conn = c;
	list_insert(&c->replies, &r->link);
	return r;
}

static void answer(struct reply *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void answer(struct reply *r, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	if (r->conn == NULL) {
		free(r);
		return;
	}
	va_start(args, format);
	assert(vasprintf(&text, format, args) >= 0);
	va_end(args);
	r->text = malloc(strlen(text) + 2);
	assert(r->text != NULL);
	sprintf(r->text, "%s\n", text);
	free(text);
	conn_flush(r->conn);
}

static void answer_code(struct reply *r, int rc, uint64_t index)
{
	if (rc == 0) {
		answer(r, "ok %" PRIu64, index);
	} else {
		answer(r, "error %d %s", rc, error_text(rc));
	}
}

static void on_done(void *data, int status, uint64_t index)
{
	answer_code(data, status, index);
}

/* --- puts: what comes in one turn goes as one entry --- */

struct put {
	struct reply *reply;
	struct put *next;
};

struct batch {
	struct put *puts;
	uint64_t slot;
	size_t len;
	char data[MAX_BATCH + MAX_LINE];
};

static struct batch *filling;

static void batch_done(void *data, int status, uint64_t index)
{
	struct batch *b = data;
	struct put *next;

	assert(status != 0 || b->slot == index); /* The slot reached apply. */
	for (struct put *p = b->puts; p != NULL; p = next) {
		next = p->next;
		answer_code(p->reply, status, index);
		free(p);
	}
	free(b);
}

static void batch_flush(void)
{
	struct batch *b = filling;
	int rc;

	if (b == NULL) {
		return;
	}
	rc = replica_propose(replica, b->data, b->len, &b->slot, batch_done, b);
	if (rc == ERR_BUSY) {
		return; /* It grows meanwhile. */
	}
	filling = NULL;
	if (rc != 0) {
		batch_done(b, rc, 0);
	}
}

static void op_put(struct batch *b, const char *key, const char *value)
{
	struct op op = {(uint32_t)strlen(key), (uint32_t)strlen(value)};
	char *p = b->data + b->len;

	p = mempcpy(p, &op, sizeof(op));
	p = mempcpy(p, key, op.klen);
	p = mempcpy(p, value, op.len);
	b->len = (size_t)(p - b->data);
}

static void do_put(struct reply *r, const char *key, const char *value)
{
	struct put *p = calloc(1, sizeof(*p));

	if (filling != NULL && filling->len + strlen(key) + strlen(value) > MAX_BATCH) {
		free(p);
		answer_code(r, ERR_BUSY, 0);
		return;
	}
	if (filling == NULL) {
		filling = malloc(sizeof(*filling));
		assert(filling != NULL);
		filling->puts = NULL;
		filling->slot = filling->len = 0;
	}
	assert(p != NULL);
	op_put(filling, key, value);
	*p = (struct put){r, filling->puts};
	filling->puts = p;
}

/* --- bench: entries proposed from inside, OUT at a time --- */

static struct bench {
	struct reply *reply;
	unsigned out, size, n, sent, done, failed;
	uint64_t start;
	double *latency_ms;
	char *data;
} bench;

struct probe {
	uint64_t start;
	uint64_t slot;
};

static int by_value(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static void bench_send(void);

static void bench_note(uint64_t start, int status)
{
	bench.latency_ms[bench.done++] = (double)(uv_hrtime() - start) / 1e6;
	bench.failed += status != 0;
}

static void bench_end(void)
{
	double s = (double)(uv_hrtime() - bench.start) / 1e9;
	double *l = bench.latency_ms;

	qsort(l, bench.n, sizeof(*l), by_value);
	answer(bench.reply, "{\"rate\": %.0f, \"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f, \"failed\": %u}",
	       bench.n / s, l[bench.n / 2], l[bench.n - 1 - bench.n / 100], l[bench.n - 1], bench.failed);
	free(l);
	free(bench.data);
	bench = (struct bench){0};
}

static void on_probe(void *data, int status, uint64_t index)
{
	struct probe *p = data;

	(void)index;
	bench_note(p->start, status);
	free(p);
	bench_send();
}

static void bench_send(void)
{
	while (bench.sent < bench.n && bench.sent - bench.done < bench.out) {
		struct probe *p = calloc(1, sizeof(*p));
		char key[16];
		struct op op = {(uint32_t)sprintf(key, "b%u", bench.sent % 1000), 0};
		int rc;

		assert(p != NULL);
		op.len = bench.size - (uint32_t)sizeof(op) - op.klen;
		memcpy(bench.data, &op, sizeof(op));
		memcpy(bench.data + sizeof(op), key, op.klen);
		p->start = uv_hrtime();
		rc = replica_propose(replica, bench.data, bench.size, &p->slot, on_probe, p);
		if (rc == ERR_BUSY) {
			free(p);
			return; /* The next turn goes on. */
		}
		bench.sent++;
		if (rc != 0) {
			bench_note(p->start, rc);
			free(p);
		}
	}
	if (bench.done == bench.n) {
		bench_end();
	}
}

static void do_bench(struct reply *r, unsigned out, unsigned size, unsigned n)
{
	if (bench.reply != NULL || n == 0 || size < 64) {
		answer(r, "error: busy");
		return;
	}
	bench = (struct bench){.reply = r, .out = out, .size = size, .n = n};
	bench.latency_ms = calloc(n, sizeof(double));
	bench.data = calloc(1, size);
	assert(bench.latency_ms != NULL && bench.data != NULL);
	bench.start = uv_hrtime();
	bench_send();
}

/* --- other commands --- */

static void do_get(struct reply *r, const char *key)
{
	struct row *row = (struct row *)view_find(forest_work(&forest), 0, (struct tree_key){key, strlen(key)});

	if (row == NULL) {
		answer(r, "-");
	} else {
		answer(r, "%.*s", (int)row->len, row->data + row->klen);
	}
}

static void do_status(struct reply *r)
{
	struct replica_status s = replica_status(replica);
	struct meter_stats t;

	replica_turns(replica, &t);
	answer(r,
	       "{\"state\": \"%s\", \"ready\": %d, \"full\": %d, \"term\": %" PRIu64 ", \"last\": %" PRIu64
	       ", \"stored\": %" PRIu64 ", \"commit\": %" PRIu64 ", \"applied\": %" PRIu64 ", \"snapshot\": %" PRIu64
	       ", \"snapshot_bytes\": %" PRIu64 ", \"leader\": %" PRIu64
	       ", \"leader_address\": \"%s\", \"contact_ms\": %" PRId64 ", \"log_bytes\": %" PRIu64
	       ", \"capacity\": %" PRIu64 ", \"backlog\": %" PRIu64 ", \"dropped\": %" PRIu64
	       ", \"removed\": %d, \"running\": %d, \"turn_ms\": %.3f, \"turns\": %" PRIu64 ", \"rows\": %zu}",
	       replica_state_text(s.state), s.ready, s.full, s.term, s.last_index, s.stored_index, s.commit_index,
	       s.applied_index, s.snapshot_index, s.snapshot_bytes, s.leader_id, s.leader_address,
	       (int64_t)s.leader_contact_ms, s.log_bytes, s.disk_capacity, s.disk_backlog, s.dropped, removed,
	       s.snapshot_running, (double)t.clock.longest_ns / 1e6, t.n, view_count(forest_work(&forest), 0));
}

static void do_conf(struct reply *r)
{
	struct replica_peer peers[REPLICA_MAX_SERVERS];
	unsigned n = replica_configuration(replica, peers, REPLICA_MAX_SERVERS);
	char text[8192] = "[";

	for (unsigned i = 0; i < n; i++) {
		size_t at = strlen(text);

		snprintf(text + at, sizeof(text) - at,
			 "%s{\"id\": %" PRIu64 ", \"address\": \"%s\", \"role\": \"%s\", \"match\": %" PRIu64 "}",
			 i > 0 ? ", " : "", peers[i].server.id, peers[i].server.address,
			 replica_role_text(peers[i].server.role), peers[i].match_index);
	}
	answer(r, "%s]", text);
}

/* id@address,... in place. */
static unsigned parse_servers(char *list, struct replica_server *servers)
{
	char *item;
	unsigned n = 0;

	while ((item = strsep(&list, ",")) != NULL && n < REPLICA_MAX_SERVERS) {
		char *at = strchr(item, '@');

		if (at != NULL) {
			servers[n++] = (struct replica_server){strtoull(item, NULL, 10), at + 1, REPLICA_VOTER};
		}
	}
	return n;
}

static void do_bootstrap(struct reply *r, char *list)
{
	struct replica_server servers[REPLICA_MAX_SERVERS];
	unsigned n = parse_servers(list, servers);

	answer_code(r, replica_bootstrap(replica, servers, n), 0);
}

static void answer_refused(struct reply *r, int rc)
{
	if (rc != 0) {
		answer_code(r, rc, 0);
	}
}

static enum replica_role parse_role(const char *text)
{
	return strcmp(text, "voter") == 0     ? REPLICA_VOTER
	       : strcmp(text, "standby") == 0 ? REPLICA_STANDBY
					      : REPLICA_SPARE;
}

/* --- faults --- */

static struct {
	enum disk_op op;
	enum disk_file file;
	int after;
	int code;
	bool on;
} fault;

static int disk_fault_cb(enum disk_op op, enum disk_file file, uint64_t at, size_t len)
{
	(void)at;
	(void)len;
	if (!__atomic_load_n(&fault.on, __ATOMIC_ACQUIRE) || op != fault.op || file != fault.file) {
		return 0;
	}
	return __atomic_fetch_sub(&fault.after, 1, __ATOMIC_RELAXED) > 0 ? 0 : fault.code;
}

static const char *const op_names[] = {"open", "write", "sync", "allocate", "rename"};
static const char *const file_names[] = {"log", "spare", "vote", "mark", "snapshot", "incoming", "dir"};

static unsigned index_of(const char *const *names, unsigned n, const char *name)
{
	unsigned i = 0;

	while (i < n && strcmp(names[i], name) != 0) {
		i++;
	}
	return i;
}

static void do_fault(struct reply *r, const char *op, const char *file, int after, const char *code)
{
	fault.on = false;
	fault.op = (enum disk_op)index_of(op_names, 5, op);
	fault.file = (enum disk_file)index_of(file_names, 7, file);
	fault.after = after;
	fault.code = strcmp(code, "ENOSPC") == 0 ? ENOSPC : EIO;
	__atomic_store_n(&fault.on, strcmp(op, "off") != 0, __ATOMIC_RELEASE);
	answer(r, "ok");
}

/* --- the end --- */

static uv_signal_t on_term;
static struct reply *stopping;

static void close_walk(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle)) {
		if (handle->type == UV_TCP) {
			conn_close(handle->data);
		} else {
			uv_close(handle, NULL);
		}
	}
}

static void on_stopped(void *data)
{
	(void)data;
	if (filling != NULL) {
		batch_done(filling, ERR_CLOSED, 0);
		filling = NULL;
	}
	if (stopping != NULL) {
		answer_code(stopping, 0, 0);
	}
	replica_free(replica);
	replica = NULL;
	uv_walk(&loop, close_walk, NULL);
}

static void do_stop(void)
{
	static bool begun;

	if (!begun) {
		begun = true;
		replica_stop(replica, on_stopped, NULL);
	}
}

static void on_signal(uv_signal_t *signal, int number)
{
	(void)signal;
	(void)number;
	do_stop();
}

/* --- lines --- */

static void on_line(struct conn *c, char *line)
{
	struct reply *r = reply_new(c);
	char *word[5] = {0};
	unsigned n = 0;

	while (n < 4 && (word[n] = strsep(&line, " ")) != NULL) {
		n++;
	}
	word[n] = line;
	for (; n < 5; n++) {
		word[n] = word[n] != NULL ? word[n] : (char *)(uintptr_t) "";
	}
#define IS(name) (strcmp(word[0], name) == 0)
#define NUMBER(i) strtoull(word[i], NULL, 10)
	if (IS("put")) {
		do_put(r, word[1], word[2]);
	} else if (IS("get")) {
		do_get(r, word[1]);
	} else if (IS("hash")) {
		answer(r, "%" PRIu64 " %016" PRIx64, replica_status(replica).applied_index, state_hash);
	} else if (IS("status")) {
		do_status(r);
	} else if (IS("conf")) {
		do_conf(r);
	} else if (IS("bench")) {
		do_bench(r, (unsigned)NUMBER(1), (unsigned)NUMBER(2), (unsigned)NUMBER(3));
	} else if (IS("barrier")) {
		answer_refused(r, replica_barrier(replica, on_done, r));
	} else if (IS("snapshot")) {
		replica_snapshot(replica);
		answer(r, "ok");
	} else if (IS("bootstrap")) {
		do_bootstrap(r, word[1]);
	} else if (IS("add")) {
		answer_refused(r, replica_add(replica, NUMBER(1), word[2], on_done, r));
	} else if (IS("remove")) {
		answer_refused(r, replica_remove(replica, NUMBER(1), on_done, r));
	} else if (IS("assign")) {
		answer_refused(r, replica_assign(replica, NUMBER(1), parse_role(word[2]), on_done, r));
	} else if (IS("transfer")) {
		answer_refused(r, replica_transfer(replica, NUMBER(1), on_done, r));
	} else if (IS("fault")) {
		do_fault(r, word[1], word[2], atoi(word[3]), word[4]);
	} else if (IS("stop")) {
		stopping = r;
		do_stop();
	} else {
		answer(r, "what?");
	}
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	struct conn *c = handle->data;

	(void)size;
	if (c->cap - c->fill < 4096) {
		c->cap = c->cap * 2 + 8192;
		c->buf = realloc(c->buf, c->cap);
		assert(c->buf != NULL);
	}
	*buf = uv_buf_init(c->buf + c->fill, (unsigned)(c->cap - c->fill));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct conn *c = stream->data;
	char *from = c->buf;
	char *end;

	(void)buf;
	if (n < 0 || c->fill > MAX_LINE) {
		conn_close(c);
		return;
	}
	c->fill += (size_t)n;
	while (!c->closing && (end = memchr(from, '\n', c->fill - (size_t)(from - c->buf))) != NULL) {
		*end = 0;
		on_line(c, from);
		from = end + 1;
	}
	c->fill -= (size_t)(from - c->buf);
	memmove(c->buf, from, c->fill);
}

static void on_connection(void *ctx, struct channel *ch, const char *listener, char first)
{
	struct conn *c = calloc(1, sizeof(*c));

	(void)ctx;
	(void)listener;
	assert(c != NULL);
	list_init(&c->replies);
	c->ch = ch;
	c->ch->data = c;
	c->tcp = ch->tcp;
	c->cap = 8192;
	c->buf = malloc(c->cap);
	assert(c->buf != NULL);
	c->buf[c->fill++] = first;
	c->tcp->data = c;
	uv_read_start((uv_stream_t *)c->tcp, on_alloc, on_read);
}

static void on_removed(void *ctx)
{
	(void)ctx;
	removed = true;
}

static void on_turn(void *ctx, bool ends)
{
	(void)ctx;
	(void)ends;
	batch_flush();
	if (bench.reply != NULL) {
		bench_send();
	}
	forest_reclaim(&forest, 100);
}

static unsigned env(const char *name)
{
	return getenv(name) != NULL ? (unsigned)strtoul(getenv(name), NULL, 10) : 0;
}

int main(int argc, char **argv)
{
	struct replica_config config = {.loop = &loop,
					.cluster = "test",
					.election_ms = env("ELECTION"),
					.heartbeat_ms = env("HEARTBEAT"),
					.handshake_ms = env("HANDSHAKE"),
					.snapshot_log_bytes = env("LOGBYTES"),
					.snapshot_entries = env("ENTRIES"),
					.trailing_bytes = env("TRAILING"),
					.callbacks = {.apply = on_apply,
						      .removed = on_removed,
						      .capture = on_capture,
						      .encode = on_encode,
						      .release = on_release,
						      .restore = on_restore,
						      .connection = on_connection,
						      .turn = on_turn}};
	struct replica_fault f;
	uint64_t began = uv_hrtime();

	if (argc == 4 && strcmp(argv[1], "recover") == 0) {
		struct replica_server servers[REPLICA_MAX_SERVERS];
		unsigned n = parse_servers(argv[3], servers);
		int rc = replica_recover(argv[2], servers, n, &f);

		if (rc != 0) {
			log_error("test", "%s", f.text);
		}
		return rc != 0;
	}
	if (argc < 4) {
		fprintf(stderr, "usage: replica_server ID DIR ADDRESS [BIND]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	log_set_name(argv[1]);
	disk_fault = disk_fault_cb;
	uv_loop_init(&loop);
	uv_signal_init(&loop, &on_term);
	uv_signal_start(&on_term, on_signal, SIGTERM);
	assert(forest_init(&forest, types, N_TREES, row_release) == 0);
	config.id = strtoull(argv[1], NULL, 10);
	config.dir = argv[2];
	config.address = argv[3];
	if (replica_new(&config, &replica, &f) != 0 ||
	    replica_listen(replica, argc > 4 ? argv[4] : argv[3], "raft", true, &f) != 0 ||
	    replica_start(replica, &f) != 0) {
		log_error("test", "%s", f.text);
		return 1;
	}
	log_info("test", "started in %.3f s", (double)(uv_hrtime() - began) / 1e9);
	uv_run(&loop, UV_RUN_DEFAULT);
	forest_close(&forest);
	assert(uv_loop_close(&loop) == 0);
	return 0;
}

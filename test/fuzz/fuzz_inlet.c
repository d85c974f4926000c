/* What a connection may send: the greeting, frames, a file, in pieces of any size. Built with checksums taken as they
 * come, so that what is behind them is reached. */
#include "raft/inlet.c"

#include <dirent.h>

static uv_loop_t loop;

static bool on_recv(struct transport *t, struct wire_message *m)
{
	(void)t;
	wire_message_close(m);
	return false;
}

static void on_number(struct transport *t, uint64_t number)
{
	(void)t;
	(void)number;
}

static void on_end(struct transport *t)
{
	(void)t;
}

/* Where snapshots are received. */
static char directory[] = "/tmp/fuzz-inlet-XXXXXX";

static void remove_directory(void)
{
	DIR *d = opendir(directory);
	const struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d != NULL) {
		closedir(d);
	}
	(void)rmdir(directory);
}

static int open_directory(void)
{
	int fd = mkdtemp(directory) != NULL ? open(directory, O_RDONLY | O_DIRECTORY) : -1;

	if (fd < 0 || atexit(remove_directory) != 0) {
		abort();
	}
	return fd;
}

static struct inlet *inlet_new(struct transport *t, struct listener *l)
{
	struct inlet *c = calloc(1, sizeof(*c));

	uv_tcp_t *tcp = malloc(sizeof(*tcp));

	uv_tcp_init(&loop, tcp);
	c->ch = channel_new(NULL, tcp);
	c->ch->data = c;
	c->t = t;
	c->listener = l;
	c->fd = -1;
	c->stage = INLET_HELLO;
	t->n_handles++;
	inlet_list(c);
	return c;
}

/* As libuv would: into the buffer that it is told to use, and not while a piece of a file is being written. The inlet
 * may be gone when it has ended. */
static void feed(struct inlet *c, const uint8_t *data, size_t size)
{
	const struct transport *t = c->t;
	size_t piece = size > 0 ? data[0] % 64 + 1 : 1;

	while (size > 0 && t->n_inlets > 0) {
		uv_buf_t buf;
		size_t n;

		if (c->working) {
			uv_run(&loop, UV_RUN_ONCE);
			continue;
		}
		on_alloc(c->ch, &buf);
		n = buf.len < size ? buf.len : size;
		n = n > piece ? piece : n;
		memcpy(buf.base, data, n);
		on_read(c->ch, (ssize_t)n, &buf);
		data += n;
		size -= n;
		piece = piece * 2 + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct listener listener = {.raft = true};
	static int dir = -1;
	struct transport t = {.loop = &loop,
			      .id = 1,
			      .cluster = 5,
			      .address = "a:1",
			      .recv_cb = on_recv,
			      .origin_cb = on_number,
			      .lost_cb = on_number,
			      .refused_cb = on_number,
			      .close_cb = on_end};
	struct wire_hello h;
	struct inlet *c;

	if (dir < 0) {
		dir = open_directory();
		uv_loop_init(&loop);
		log_set_level(LOG_OFF);
	}
	t.dirfd = dir;
	if (transport_init(&t) != 0) {
		return 0;
	}
	c = inlet_new(&t, &listener);
	if (size > 0 && data[0] % 8 != 0) { /* Mostly behind a good greeting. */
		wire_hello_make(&h, data[0] % 2 ? WIRE_MESSAGES : WIRE_SNAPSHOT, 5, 0, 9, "127.0.0.1:9");
		feed(c, (uint8_t *)&h, sizeof(h));
	}
	if (size > 0 && t.n_inlets > 0) {
		feed(c, data + 1, size - 1);
	}
	while (t.n_inlets > 0 && c->working) {
		uv_run(&loop, UV_RUN_ONCE);
	}
	t.closing = true;
	if (t.n_inlets > 0) {
		inlet_close(c);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	transport_free(&t);
	return 0;
}

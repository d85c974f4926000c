/* The connection that an engine turns into a command's streams: any bytes in its place, of frames or of a terminal, to
 * pipes that are read, or closed in the middle. */
#undef NDEBUG
#include <assert.h>

#include "client/docker_command.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drain(int fd)
{
	char piece[4096];

	while (fd >= 0 && read(fd, piece, sizeof(piece)) > 0) {
	}
}

static void head(const uint8_t *data, size_t size)
{
	struct buf text = {0};
	int fds[2];

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	size = size < 20000 ? size : 20000;
	assert(send(fds[1], data, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size);
	close(fds[1]);
	if (read_head(fds[0], &text)) {
		assert(text.len <= HEAD_MAX && memcmp(text.at + text.len - 4, "\r\n\r\n", 4) == 0);
	}
	buf_close(&text);
	close(fds[0]);
}

static void traffic(const uint8_t *data, size_t size, uint8_t how)
{
	static struct docker_run r;
	int ends[DRIVER_STREAMS] = {-1, -1, -1};
	size_t piece = 1 + how / 4U;

	memset(&r, 0, sizeof(r));
	r.terminal = (how & 1) != 0;
	r.to = DRIVER_STDOUT;
	for (int i = 0; i < DRIVER_STREAMS; i++) {
		int fds[2];

		assert(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
		ends[i] = fds[0];
		r.pipes[i] = fds[1];
	}
	if ((how & 2) != 0) {
		close(ends[DRIVER_STDERR]);
		ends[DRIVER_STDERR] = -1;
	}
	while (size > 0) {
		size_t n = size < piece ? size : piece;

		memcpy(r.down.data, data, n);
		r.down.at = 0;
		r.down.n = n;
		data += n;
		size -= n;
		for (unsigned tries = 0; r.down.n > 0; tries++) {
			assert(tries < 4);
			pass_down(&r);
			drain(ends[DRIVER_STDOUT]);
			drain(ends[DRIVER_STDERR]);
		}
	}
	for (int i = 0; i < DRIVER_STREAMS; i++) {
		close_pipe(&r, (enum driver_stream)i);
		if (ends[i] >= 0) {
			close(ends[i]);
		}
	}
}

static void answers(const uint8_t *data, size_t size)
{
	struct docker_inspected inspected;
	struct docker_created made;
	struct arena mem = {0};
	const char *text = arena_strndup(&mem, (const char *)data, size);

	if (json_decode(&docker_created_type, &made, text, size, &mem, NULL) == 0) {
		(void)is_id(made.id);
	}
	(void)json_decode(&docker_inspected_type, &inspected, text, size, &mem, NULL);
	arena_close(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	signal(SIGPIPE, SIG_IGN);
	if (size < 2) {
		return 0;
	}
	switch (data[0] % 4) {
	case 0:
		head(data + 2, size - 2);
		break;
	case 1:
		answers(data + 2, size - 2);
		break;
	default:
		traffic(data + 2, size - 2, data[1]);
	}
	return 0;
}

/* What a Docker engine answers: any bytes as its JSON, as the progress of a pull, as a container's output in frames or of
 * a terminal, cut in any places. The first byte says which, the second where it is cut. */
#undef NDEBUG
#include <assert.h>

#include "client/driver_docker.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void output(const char *data, size_t n, size_t piece, bool tty)
{
	static struct docker_task t;

	memset(&t, 0, sizeof(t));
	t.tty = tty;
	t.out.to = t.err.to = t.since_file = -1;
	atomic_store(&t.want, WANT_RUN);
	t.demux = (struct demux){.in_time = tty};
	while (n > 0) {
		size_t take = n < piece ? n : piece;
		char *copy = malloc(take); /* So that one byte too far is seen. */

		memcpy(copy, data, take);
		assert(sink_cb(&t, copy, take));
		assert(t.demux.head_n < FRAME_HEAD && t.demux.time_n < LINE_TIME);
		assert(memchr(t.last_time, '\0', sizeof(t.last_time)) != NULL);
		free(copy);
		data += take;
		n -= take;
	}
}

static void answers(struct buf *reply)
{
	struct docker_container container;
	struct docker_version version;
	struct driver_stats stats;
	struct arena mem = {0};
	int64_t seconds = 0;
	int64_t ns = 0;
	const char *text = buf_text(reply);

	(void)read_stats(reply, &stats);
	if (parse_time(text, &seconds, &ns)) {
		assert(ns >= 0 && ns < 1000000000);
	}
	(void)json_decode(&docker_container_type, &container, text, reply->len, &mem, NULL);
	(void)json_decode(&docker_version_type, &version, text, reply->len, &mem, NULL);
	arena_close(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[ENGINE_WHY] = "";
	struct buf reply = {0};

	if (size < 2) {
		return 0;
	}
	buf_put(&reply, data + 2, size - 2);
	(void)buf_text(&reply); /* As engine_call() leaves it. */
	switch (data[0] % 4) {
	case 0:
		answers(&reply);
		break;
	case 1:
		assert(!pull_failed(&reply, why) || why[0] != '\0');
		break;
	case 2:
		output(buf_text(&reply), reply.len, 1 + data[1], false);
		break;
	default:
		output(buf_text(&reply), reply.len, 1 + data[1], true);
	}
	buf_close(&reply);
	return 0;
}

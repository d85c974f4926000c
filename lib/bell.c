#include "lib/bell.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/list.h"

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct bell *bell = CONTAINER_OF(poll, struct bell, poll);
	uint64_t rings;

	(void)status;
	(void)events;
	if (read(bell->fd, &rings, sizeof(rings)) < 0 && errno == EAGAIN) {
		return;
	}
	atomic_store(&bell->rung, false); /* From here on who rings writes again; before, rung_cb is still to come. */
	bell->rung_cb(bell);
}

int bell_open(struct bell *bell, uv_loop_t *loop, void (*rung_cb)(struct bell *bell), void *data)
{
	int rv;

	*bell = (struct bell){.rung_cb = rung_cb, .data = data};
	bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bell->fd < 0) {
		return uv_translate_sys_error(errno);
	}
	rv = uv_poll_init(loop, &bell->poll, bell->fd);
	if (rv != 0) {
		close(bell->fd);
		bell->fd = -1;
		return rv;
	}
	return uv_poll_start(&bell->poll, UV_READABLE, on_readable); /* Cannot fail. */
}

void bell_ring(struct bell *bell)
{
	static const uint64_t one = 1;

	if (!atomic_exchange(&bell->rung, true)) {
		while (write(bell->fd, &one, sizeof(one)) < 0 && errno == EINTR) {
		}
	}
}

static void on_closed(uv_handle_t *handle)
{
	struct bell *bell = CONTAINER_OF(handle, struct bell, poll);

	close(bell->fd);
	bell->fd = -1;
	if (bell->closed_cb != NULL) {
		bell->closed_cb(bell);
	}
}

void bell_close(struct bell *bell, void (*closed_cb)(struct bell *bell))
{
	bell->closed_cb = closed_cb;
	uv_close((uv_handle_t *)&bell->poll, on_closed);
}

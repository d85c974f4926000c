/* Refusing without destroying the refusal.
 *
 * Who is refused while it still sends must have all of that read, or the kernel answers it with a reset, which destroys
 * the answer on its way. h2o closes at once; so before, the socket is doubled, and the double stays open, reading and
 * throwing away, until the other side closes, or for LINGER_MS. */
#include "server/httpd_parts.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	LEAVE_MS = 10, /* The answer gets so long to leave before we end our side. */
	LINGER_MS = 2000,
	LINGERING_MAX = 256, /* Further ones are closed at once. */
};

struct lingering {
	struct list link; /* In h->lingering. */
	struct httpd *h;
	uv_tcp_t tcp;
	uv_timer_t timer;
	unsigned n_handles;
	int fd;
	bool hung_up;
};

static void on_closed(uv_handle_t *handle)
{
	struct lingering *l = handle->data;

	if (--l->n_handles == 0) {
		list_remove(&l->link);
		l->h->n_lingering--;
		free(l);
	}
}

static void linger_close(struct lingering *l)
{
	if (!uv_is_closing((uv_handle_t *)&l->tcp)) {
		uv_close((uv_handle_t *)&l->tcp, on_closed);
		uv_close((uv_handle_t *)&l->timer, on_closed);
	}
}

static void alloc_waste(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static __thread char waste[16 << 10];

	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(waste, sizeof(waste));
}

static void on_waste(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
	(void)buf;
	if (n < 0) {
		linger_close(tcp->data);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct lingering *l = timer->data;

	if (l->hung_up) {
		linger_close(l);
		return;
	}
	l->hung_up = true;
	(void)shutdown(l->fd, SHUT_WR);
	uv_timer_start(timer, on_timer, LINGER_MS, 0);
}

void linger_start(struct httpd *h, int fd)
{
	struct lingering *l = h->n_lingering < LINGERING_MAX && !h->stopping ? calloc(1, sizeof(*l)) : NULL;

	if (l == NULL || uv_tcp_init(&h->loop, &l->tcp) != 0) {
		free(l);
		close(fd);
		return;
	}
	h->n_lingering++;
	list_insert(&h->lingering, &l->link);
	l->h = h;
	l->fd = fd;
	l->n_handles = 2;
	l->tcp.data = l;
	l->timer.data = l;
	uv_timer_init(&h->loop, &l->timer);
	if (uv_tcp_open(&l->tcp, fd) != 0) {
		close(fd);
		linger_close(l);
		return;
	}
	uv_read_start((uv_stream_t *)&l->tcp, alloc_waste, on_waste);
	uv_timer_start(&l->timer, on_timer, LEAVE_MS, 0);
}

void lingers_close(struct httpd *h)
{
	LIST_EACH (l, &h->lingering) {
		linger_close(CONTAINER_OF(l, struct lingering, link));
	}
}

/**
 * Wires between network namespaces, along which each packet is carried by hand: so it can be late, lost or come twice,
 * each way by itself, also where the kernel has nothing for that.
 *
 *     wire NAMESPACE=ADDRESS ...      at most 16; NAMESPACE is the path of its file, ADDRESS is IPv4
 *
 * Makes a device "wire0" in each namespace; what is sent there is carried to the device that has the address. Who
 * starts it gives the devices their addresses, after the line "ready". Then each line on stdin is a command, answered by
 * a line:
 *
 *     FROM TO DELAY_US JITTER_US LOST DOUBLED     from now on from one to the other, as numbers from 0; -1 is each. LOST
 *                                                 and DOUBLED are of a thousand packets. Answer: ok
 *     count FROM TO                               answer: packets carried and lost so far
 *
 * Ends with stdin; the devices end with it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/heap.h"
#include "lib/list.h"

enum {
	ENDS_MAX = 16,
	PACKET_MAX = 16384,
	WAITING_MAX = 20000, /* Packets under way; more are lost. */
	ROUND = 64,          /* Packets taken from one device before the next. */
};

struct way {
	int64_t delay_us;
	int64_t jitter_us;
	unsigned lost;
	unsigned doubled;
	uint64_t n_carried;
	uint64_t n_lost;
	int64_t last_us; /* Without jitter none overtakes another, also when the delay shrinks. */
};

struct end {
	int fd;
	uint32_t address; /* In network order. */
};

struct packet {
	struct heap_link link;
	int64_t at_us;
	uint64_t number; /* Of two for the same time the older one goes first. */
	int to;
	size_t len;
	char data[];
};

static struct end ends[ENDS_MAX];
static int n_ends;
static struct way ways[ENDS_MAX][ENDS_MAX];
static struct heap waiting;
static uint64_t random_state = 88172645463325252U;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t random_below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % n;
}

static bool goes_before(const struct heap_link *a, const struct heap_link *b)
{
	const struct packet *p = CONTAINER_OF(a, struct packet, link);
	const struct packet *q = CONTAINER_OF(b, struct packet, link);

	return p->at_us != q->at_us ? p->at_us < q->at_us : p->number < q->number;
}

/* ---- devices ---- */

static void enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) {
		die(path);
	}
	close(fd);
}

static int make_device(void)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	strcpy(request.ifr_name, "wire0");
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0) {
		die("/dev/net/tun");
	}
	return fd;
}

static void add_end(char *text)
{
	char *address = strchr(text, '=');
	struct end *e = &ends[n_ends];

	if (n_ends == ENDS_MAX || address == NULL || inet_pton(AF_INET, address + 1, &e->address) != 1) {
		errno = EINVAL;
		die(text);
	}
	*address = '\0';
	enter(text);
	e->fd = make_device();
	n_ends++;
}

/* ---- packets ---- */

static void deliver(int to, const void *data, size_t len)
{
	ssize_t n = write(ends[to].fd, data, len);

	(void)n; /* A device that is down or full loses it, as a network card would. */
}

static void put_off(const char *data, size_t len, int to, int64_t at_us)
{
	static uint64_t number;
	struct packet *p = waiting.n < WAITING_MAX ? malloc(sizeof(*p) + len) : NULL;

	if (p == NULL) {
		return;
	}
	*p = (struct packet){.at_us = at_us, .number = number++, .to = to, .len = len};
	memcpy(p->data, data, len);
	if (!heap_add(&waiting, &p->link)) {
		free(p);
	}
}

static void carry(struct way *w, int to, const char *data, size_t len)
{
	int64_t now = now_us();
	int64_t at = now + w->delay_us;

	if (w->jitter_us > 0) {
		at += (int64_t)random_below((uint64_t)w->jitter_us);
	} else if (at < w->last_us) {
		at = w->last_us;
	}
	if (at <= now) {
		deliver(to, data, len);
	} else {
		w->last_us = at > w->last_us ? at : w->last_us;
		put_off(data, len, to, at);
	}
}

static int end_with(const char *data, size_t len)
{
	uint32_t address;

	if (len < 20 || (data[0] & 0xf0) != 0x40) {
		return -1; /* What the kernel says of itself in IPv6. */
	}
	memcpy(&address, data + 16, sizeof(address));
	for (int i = 0; i < n_ends; i++) {
		if (ends[i].address == address) {
			return i;
		}
	}
	return -1;
}

static void take_packet(int from, const char *data, size_t len)
{
	int to = end_with(data, len);
	struct way *w;

	if (to < 0) {
		return;
	}
	w = &ways[from][to];
	if (random_below(1000) < w->lost) {
		w->n_lost++;
		return;
	}
	w->n_carried++;
	carry(w, to, data, len);
	if (random_below(1000) < w->doubled) {
		carry(w, to, data, len);
	}
}

static void take_from(int from)
{
	static char data[PACKET_MAX];

	for (int i = 0; i < ROUND; i++) {
		ssize_t n = read(ends[from].fd, data, sizeof(data));

		if (n <= 0) {
			return;
		}
		take_packet(from, data, (size_t)n);
	}
}

static void send_due(void)
{
	int64_t now = now_us();

	while (waiting.n > 0) {
		struct packet *p = CONTAINER_OF(heap_first(&waiting), struct packet, link);

		if (p->at_us > now) {
			return;
		}
		heap_remove(&waiting, &p->link);
		deliver(p->to, p->data, p->len);
		free(p);
	}
}

/* ---- commands ---- */

static bool concerns(long want, int i)
{
	return want == -1 || want == i;
}

static void change(long from, long to, const struct way *as)
{
	for (int i = 0; i < n_ends; i++) {
		for (int j = 0; j < n_ends; j++) {
			struct way *w = &ways[i][j];

			if (concerns(from, i) && concerns(to, j)) {
				w->delay_us = as->delay_us;
				w->jitter_us = as->jitter_us;
				w->lost = as->lost;
				w->doubled = as->doubled;
			}
		}
	}
}

static void obey(const char *line)
{
	struct way w = {0};
	long from, to;

	if (sscanf(line, "count %ld %ld", &from, &to) == 2 && from >= 0 && from < n_ends && to >= 0 && to < n_ends) {
		printf("%" PRIu64 " %" PRIu64 "\n", ways[from][to].n_carried, ways[from][to].n_lost);
	} else if (sscanf(line, "%ld %ld %" SCNd64 " %" SCNd64 " %u %u", &from, &to, &w.delay_us, &w.jitter_us, &w.lost,
			  &w.doubled) == 6) {
		change(from, to, &w);
		puts("ok");
	} else {
		puts("what?");
	}
	fflush(stdout);
}

/* Lines are short and come one at a time: whoever says them waits for the answer. */
static void listen_to_user(void)
{
	char line[256];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n <= 0) {
		exit(0);
	}
	line[n] = '\0';
	obey(line);
}

static void turn(void)
{
	struct pollfd fds[ENDS_MAX + 1] = {{.fd = STDIN_FILENO, .events = POLLIN}};
	struct timespec wait = {.tv_sec = 60};

	for (int i = 0; i < n_ends; i++) {
		fds[i + 1] = (struct pollfd){.fd = ends[i].fd, .events = POLLIN};
	}
	if (waiting.n > 0) {
		int64_t us = CONTAINER_OF(heap_first(&waiting), struct packet, link)->at_us - now_us();

		us = us > 0 ? us : 0;
		wait = (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
	}
	if (ppoll(fds, (nfds_t)n_ends + 1, &wait, NULL) < 0 && errno != EINTR) {
		die("poll");
	}
	send_due();
	for (int i = 0; i < n_ends; i++) {
		if (fds[i + 1].revents & POLLIN) {
			take_from(i);
		}
	}
	if (fds[0].revents != 0) {
		listen_to_user();
	}
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs("usage: wire NAMESPACE=ADDRESS ...\n", stderr);
		return 2;
	}
	heap_init(&waiting, goes_before);
	for (int i = 1; i < argc; i++) {
		add_end(argv[i]);
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		turn();
	}
}

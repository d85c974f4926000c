/* Runs seeds, each in a process of its own:
 *
 *     sim [--seeds A..B] [--jobs N] [--seconds N] [--plant BUG] [--first] [--verbose] [--trace]
 *
 * With --seconds it begins no more seeds after so long. With --first it ends at the first seed that fails. Without
 * anything it runs a few seeds, as a unit test.
 */
#include "test/sim/sim.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"

enum { CALM_S = 180, JOBS_MAX = 64, SEED_SECONDS = 120 };

struct options {
	uint64_t from, to;
	unsigned jobs;
	time_t seconds; /* 0: until all are done. */
	const char *plant;
	bool verbose;
	bool trace;
	bool first;
};

/* What a seed's process tells at its end. */
struct report {
	uint64_t seed;
	uint64_t trace;
	int64_t took_ns;
	uint64_t count[N_COUNTS];
};

static const char *const count_names[] = {
#define X(id) #id,
	COUNT_LIST(X)
#undef X
};

/* ---- one seed ---- */

/* Some hosts are there for servers to come. */
static void hosts_begin(unsigned n)
{
	sim.n_founders = n;
	sim.n_hosts = n + (unsigned)sim_below(3);
	for (unsigned i = 0; i < sim.n_hosts; i++) {
		struct host *h = &sim.hosts[i];
		bool founds = i < n;

		*h = (struct host){.at = i, .raft_id = founds ? i + 1 : 0, .member = founds, .powered = true};
		snprintf(h->address, sizeof(h->address), "10.0.0.%u:4647", i + 1);
		list_init(&h->fibers);
		list_init(&h->calls);
		list_init(&h->sends);
		loop_reset(h);
		h->fs = fs_new(h);
	}
	for (unsigned i = 0; i < n; i++) {
		host_start(&sim.hosts[i]);
	}
}

static void run_until(int64_t end)
{
	while (sim.now < end && sim_step()) {
	}
}

static bool settled(char *why, size_t size)
{
	return members_settled(why, size) && users_settled(why, size) && nodes_settled(why, size) &&
	       check_settled(why, size);
}

static void check_states(void)
{
	for (unsigned i = 0; i < sim.n_hosts; i++) {
		const struct view *v;

		if (!sim.hosts[i].alive) {
			continue;
		}
		v = host_view(&sim.hosts[i]);
		if (!state_check(v)) {
			sim_fail("the state of server %u is broken", i + 1);
		}
		view_release(v);
	}
}

static void come_to_rest(void)
{
	int64_t end = sim.now + CALM_S * SEC;
	char why[256] = "";

	sim_say("calm");
	faults_heal();
	nodes_calm();
	users_calm();
	while (!settled(why, sizeof(why))) {
		if (sim.now >= end) {
			members_tell();
			users_tell();
			sim_fail("does not come to rest: %s", why);
		}
		run_until(sim.now + 500 * MS);
	}
}

/* The power fails everywhere; nothing that was answered may be gone. */
static void start_cold(void)
{
	int64_t end;
	char why[256];

	for (unsigned i = 0; i < sim.n_hosts; i++) {
		host_kill(&sim.hosts[i], true);
	}
	faults_heal();
	end = sim.now + CALM_S * SEC;
	while (!members_settled(why, sizeof(why)) || !check_settled(why, sizeof(why))) {
		if (sim.now >= end) {
			members_tell();
			sim_fail("does not come back: %s", why);
		}
		run_until(sim.now + 100 * MS);
	}
}

static void run_seed(uint64_t seed, const struct options *o, struct report *r)
{
	int64_t trouble;

	sim_init(seed);
	sim.plant = o->plant;
	sim.verbose = o->verbose;
	log_set_level(o->verbose ? LOG_INFO : LOG_OFF);
	trouble = sim_between(8, 20) * SEC;
	hosts_begin(sim_chance(250) ? 5 : 3);
	members_begin();
	faults_begin(trouble);
	nodes_begin(4 + (unsigned)sim_below(3));
	users_begin(2 + (unsigned)sim_below(3));
	run_until(trouble);
	come_to_rest();
	start_cold();
	check_states();
	*r = (struct report){seed, sim.trace, sim.now, {0}};
	memcpy(r->count, sim.count, sizeof(sim.count));
}

/* ---- many ---- */

struct child {
	pid_t pid;
	int fd;
	uint64_t seed;
};

struct campaign {
	const struct options *o;
	struct child children[JOBS_MAX];
	unsigned n_children;
	uint64_t n_ok, n_failed;
	uint64_t first_failed;
	int64_t took_ns;
	uint64_t count[N_COUNTS];
};

static void child_run(uint64_t seed, const struct options *o, int fd)
{
	static struct report r;

	alarm(SEED_SECONDS);
	run_seed(seed, o, &r);
	if (write(fd, &r, sizeof(r)) != sizeof(r)) {
		_exit(1);
	}
	_exit(0);
}

static void child_start(struct campaign *c, uint64_t seed)
{
	struct child *child = &c->children[c->n_children];
	int fds[2];

	fflush(stdout);
	if (pipe(fds) != 0) {
		perror("pipe");
		exit(2);
	}
	*child = (struct child){fork(), fds[0], seed};
	if (child->pid < 0) {
		perror("fork");
		exit(2);
	}
	if (child->pid == 0) {
		close(fds[0]);
		child_run(seed, c->o, fds[1]);
	}
	close(fds[1]);
	c->n_children++;
}

static void seed_ok(struct campaign *c, const struct report *r)
{
	c->n_ok++;
	c->took_ns += r->took_ns;
	for (unsigned i = 0; i < N_COUNTS; i++) {
		c->count[i] += r->count[i];
	}
	if (c->o->trace) {
		printf("seed %" PRIu64 ": trace %016" PRIx64 ", %.1f s\n", r->seed, r->trace, (double)r->took_ns / 1e9);
	}
}

static void seed_failed(struct campaign *c, uint64_t seed, int status)
{
	if (c->n_failed++ == 0 || seed < c->first_failed) {
		c->first_failed = seed;
	}
	if (WIFSIGNALED(status)) {
		printf("seed %" PRIu64 ": ended by signal %d\n", seed, WTERMSIG(status));
	} else if (WEXITSTATUS(status) != 3) {
		printf("seed %" PRIu64 ": ended with status %d\n", seed, WEXITSTATUS(status));
	}
}

static void child_wait(struct campaign *c)
{
	struct report r;
	int status;
	pid_t pid = wait(&status);

	for (unsigned i = 0; i < c->n_children; i++) {
		struct child *child = &c->children[i];

		if (child->pid != pid) {
			continue;
		}
		if (status == 0 && read(child->fd, &r, sizeof(r)) == sizeof(r)) {
			seed_ok(c, &r);
		} else {
			seed_failed(c, child->seed, status);
		}
		close(child->fd);
		*child = c->children[--c->n_children];
		return;
	}
}

static void summary(const struct campaign *c)
{
	printf("simulated: %.0f s in %" PRIu64 " seeds\n", (double)c->took_ns / 1e9, c->n_ok);
	for (unsigned i = 0; i < N_COUNTS; i++) {
		printf("%s%s %" PRIu64, i == 0 ? "" : i % 8 == 0 ? "\n" : ", ", count_names[i], c->count[i]);
	}
	printf("\n");
	if (c->n_failed > 0) {
		printf("first failed: sim --seeds %" PRIu64 " --verbose\n", c->first_failed);
	}
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n", c->n_ok, c->n_failed);
}

/* ---- options ---- */

static void usage(void)
{
	fprintf(stderr, "usage: sim [--seeds A..B] [--jobs N] [--seconds N] [--plant BUG] [--first] [--trace] "
			"[--verbose]\n");
	exit(2);
}

static void parse_seeds(struct options *o, const char *text)
{
	char *end;

	o->from = o->to = strtoull(text, &end, 10);
	if (end != text && strncmp(end, "..", 2) == 0) {
		text = end + 2;
		o->to = strtoull(text, &end, 10);
	}
	if (end == text || *end != 0 || o->to < o->from) {
		usage();
	}
}

static struct options parse(int argc, char **argv)
{
	static const struct option names[] = {{"seeds", required_argument, NULL, 's'},
					      {"jobs", required_argument, NULL, 'j'},
					      {"seconds", required_argument, NULL, 'n'},
					      {"plant", required_argument, NULL, 'p'},
					      {"first", no_argument, NULL, 'f'},
					      {"trace", no_argument, NULL, 't'},
					      {"verbose", no_argument, NULL, 'v'},
					      {NULL, 0, NULL, 0}};
	struct options o = {.from = 1, .to = 12, .jobs = 2};
	int c;

	while ((c = getopt_long(argc, argv, "s:j:n:p:ftv", names, NULL)) != -1) {
		switch (c) {
		case 's':
			parse_seeds(&o, optarg);
			break;
		case 'j':
			o.jobs = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			o.seconds = strtol(optarg, NULL, 10);
			break;
		case 'p':
			o.plant = optarg;
			break;
		case 'f':
			o.first = true;
			break;
		case 't':
			o.trace = true;
			break;
		case 'v':
			o.verbose = true;
			break;
		default:
			usage();
		}
	}
	if (optind != argc || o.to < o.from || o.jobs < 1 || o.jobs > JOBS_MAX) {
		usage();
	}
	return o;
}

static bool is_enough(const struct campaign *c, time_t began)
{
	return (c->o->first && c->n_failed > 0) || (c->o->seconds > 0 && time(NULL) - began >= c->o->seconds);
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct campaign c = {.o = &o};
	time_t began = time(NULL);

	mallopt(M_MMAP_THRESHOLD, 1 << 30); /* Disks come and go: the kernel need not clear their pages each time. */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 8 << 20);

	for (uint64_t seed = o.from; seed <= o.to && !is_enough(&c, began); seed++) {
		if (c.n_children == o.jobs) {
			child_wait(&c);
		}
		child_start(&c, seed);
	}
	while (c.n_children > 0) {
		child_wait(&c);
	}
	summary(&c);
	return c.n_failed > 0 ? 1 : 0;
}

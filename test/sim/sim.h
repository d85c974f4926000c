/**
 * A whole cluster in one process, on simulated time, from one seed.
 *
 * The program is the servers' real code from the core loop down: server/core.c and workers.c, the leader with all its
 * parts, the schedulers, the state machine, the replica, libraft, the log's, the vote's and the snapshots' files. What
 * is simulated is what is below and around it:
 *
 *     sim.c        time, events, random bits, threads (as coroutines: one runs at a time, and only until it waits)
 *     disk.c       a file system in memory for each host, which forgets what was not synced when the power fails
 *     loop.c       what the program uses of libuv
 *     net.c        raft/transport.h, and packets that are lost, late, out of order, twice, or cut off
 *     host.c       a host: its clock, its disk, and the server that runs there, or does not
 *     check.c      what must hold, looked at after each entry that is applied and each answer
 *     nodes.c      client nodes: register, beat, run what they are given, report
 *     users.c      those who register and stop jobs, drain nodes, and read
 *     members.c    the operator, who adds, removes and replaces servers
 *     faults.c     what goes wrong, and when
 *     plant.c      bugs to be found, to see that they are
 *
 * The linker sends the program's calls of the C library's functions to those here (--wrap), so not a line of it knows
 * that it is simulated. A seed is one run in a process of its own; the same seed is the same run, byte by byte.
 */
#ifndef TEST_SIM_SIM_H_
#define TEST_SIM_SIM_H_

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/list.h"
#include "lib/uuid.h"
#include "raft/fsm.h"
#include "server/proposer.h"
#include "server/reads.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

enum {
	HOSTS_MAX = 7,
	TIMERS_MAX = 16,
	HANDLES_MAX = 16,
	LEASES_MAX = 64,
};

/* ---- faults that took hold, and what was done: counted, and told at the end ---- */

#define COUNT_LIST(X)                                                                                                  \
	X(events) X(turns) X(entries) X(commands) X(acks) X(refusals) X(unknowns) X(reads) X(elections) X(evals)       \
	X(placed) X(packets) X(lost) X(late) X(reordered) X(twice) X(cut) X(partitions) X(oneway) X(flaps) X(kills)    \
	X(power_cuts) X(torn) X(unsynced) X(stops) X(freezes) X(slow_disks) X(full_disks) X(no_space) X(disk_errors)   \
	X(clock_jumps) X(drifts) X(snapshots) X(installs) X(member_changes) X(transfers) X(wipes) X(node_cuts)         \
	X(node_losses) X(drains) X(task_failures) X(came_twice) X(planted)

enum count {
#define X(id) COUNT_##id,
	COUNT_LIST(X)
#undef X
	N_COUNTS
};

/* ---- a host ---- */

struct bell;
struct fs;
struct fiber;
struct packet;
struct call;

/* What the program has of libuv's loop. */
struct loop {
	struct uv_timer_s *timers[TIMERS_MAX]; /* Active ones. */
	unsigned n_timers;
	struct uv_prepare_s *prepares[HANDLES_MAX];
	unsigned n_prepares;
	struct uv_check_s *checks[HANDLES_MAX];
	unsigned n_checks;
	struct uv_idle_s *idles[HANDLES_MAX];
	unsigned n_idles;
	struct bell *rung[HANDLES_MAX];
	unsigned n_rung;
	struct uv_handle_s *closing[HANDLES_MAX * 4];
	unsigned n_closing;
	struct list works;   /* Done, to be told. */
	struct list packets; /* That have come in. */
	struct list calls;
	struct list later; /* struct later */
	uint64_t now_ms;
	int64_t wake_at; /* The turn that is scheduled; INT64_MAX: none. */
	bool stopped;
};

struct host {
	unsigned at; /* In sim.hosts. */
	uint64_t raft_id; /* 0: it is not used. */
	char address[32];
	struct fs *fs;
	uint64_t life; /* Goes up when a process begins or ends: what belongs to an earlier one is void. */
	bool alive;
	bool powered; /* Off: nobody can see that nothing listens there. */
	bool member;  /* In the cluster, as the operator wants it. */
	bool ending;  /* In order: handing on leadership. */
	struct server *server;
	struct transport *transport;
	struct loop loop;
	struct list fibers;
	struct list calls; /* With its server. */
	struct list sends; /* Messages held back until a vote is durable. */
	jmp_buf end;       /* For what ends the process in the middle of a turn. */
	unsigned incoming; /* Snapshots that come in. */

	/* Its clocks. */
	int64_t drift_ppm;
	int64_t wall_jump_ns;

	/* Faults. */
	int64_t frozen_until;
	int64_t disk_slow; /* How many times slower. */

	/* What it has said of itself, for the checks. */
	uint64_t leads_term; /* 0: it does not. */
	uint64_t index;      /* Of its state. */
	uint64_t leader_id;

	/* Reads: the question to the leader that is under way. */
	uint64_t asked;
	bool asking;
};

/* ---- the simulation ---- */

struct sim {
	uint64_t seed;
	uint64_t random;
	uint64_t trace; /* A hash of all that happened. */
	int64_t now;
	bool over;
	bool verbose;
	const char *plant; /* A bug to be put in, or NULL. */
	struct host hosts[HOSTS_MAX];
	unsigned n_hosts;
	unsigned n_founders; /* The first ones. */
	struct host *cur; /* Whose code runs; NULL: the simulation's own. */
	uint64_t count[N_COUNTS];
};

extern struct sim sim;

#define COUNT(what) (sim.count[COUNT_##what]++)

/* ---- sim.c: time, chance, threads ---- */

void sim_init(uint64_t seed);

/* Call fn(arg) at that time; if `host` is given, only as long as its process is the one it is now. */
void sim_at(int64_t at, struct host *host, void (*fn)(void *arg), void *arg);

/* The next event; false: there is none. */
bool sim_step(void);

uint64_t sim_random(void);
uint64_t sim_below(uint64_t n);                /* From 0 to n - 1. */
int64_t sim_between(int64_t from, int64_t to); /* Both included. */
bool sim_chance(unsigned permille);

/* What happened goes into the trace, and is told when asked for. */
void sim_note(uint64_t a, uint64_t b);
void sim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Something does not hold: say what, and end this seed. */
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Is this bug planted, and is it time for it? */
bool sim_planted(const char *name, unsigned permille);

/* Run fn(arg) as a thread of this host. */
struct fiber *fiber_start(struct host *host, void (*fn)(void *arg), void *arg);
bool fiber_here(void);           /* Is a thread running, rather than the loop? */
void fiber_sleep(int64_t ns);    /* The running thread waits. */
void fibers_end(struct host *h); /* Its process is gone. */
void fiber_leave(void) __attribute__((noreturn));

int64_t host_mono(const struct host *h);               /* Nanoseconds, now. */
int64_t host_wall(const struct host *h);               /* Of Unix time. */
int64_t host_when(const struct host *h, int64_t mono); /* The simulation's time then. */

/* ---- disk.c ---- */

struct fs *fs_new(struct host *host);
void fs_power_off(struct fs *fs);
void fs_close_all(struct fs *fs); /* The process is gone: its descriptors are. */
void fs_wipe(struct fs *fs);
void fs_fill(struct fs *fs, bool full);
void fs_spoil(struct fs *fs); /* The next write of the log fails. */
int fs_read_file(struct fs *fs, const char *name, char **data, size_t *len); /* 0, or -1. Copied. */

/* ---- loop.c ---- */

void loop_reset(struct host *h);
void loop_wake(struct host *h, int64_t at);
void loop_turn(struct host *h);
void loop_later(struct host *h, void (*fn)(void *arg), void *arg); /* At the end of a turn. */

/* ---- net.c ---- */

struct net_faults {
	unsigned loss, twice, reorder, late; /* Permille. */
	int64_t delay, jitter;
	bool cut[HOSTS_MAX][HOSTS_MAX]; /* From, to. */
};

extern struct net_faults net_faults;

void net_deliver(struct host *h, struct packet *p); /* In its turn. */
void net_host_died(struct host *h, bool power);
void net_sent(struct host *h); /* The end of a turn: a leader's lease looks at its own pauses. */

/* ---- host.c ---- */

void host_start(struct host *h);
void host_kill(struct host *h, bool power);
void host_stop(struct host *h); /* In order. */
void host_run(struct host *h);  /* One turn of its loop. */
struct host *host_leader(void);
struct host *host_of(uint64_t raft_id);
const struct view *host_view(struct host *h); /* To be released. */

/* A request to a server, and its answer. Embedded in what its sender keeps; it is his again from `done` on, which comes
 * exactly once. */
enum call_kind { CALL_WRITE, CALL_BEAT, CALL_PULL, CALL_READ };

struct call {
	enum call_kind kind;
	struct host *host;
	void (*done)(struct call *c);

	/* The question. */
	struct buf command;
	struct uuid node;
	unsigned from_node; /* Its number from 1, as the network knows it; 0: a user. */

	/* The answer: 0, ERR_UNKNOWN, or an error that says that it surely was not done. */
	int status;
	struct apply_result result;
	int64_t ttl_ns;
	uint64_t index;
	const struct view *view; /* Of a pull; the receiver releases it. */

	/* Private. */
	struct write write;
	struct read read;
	struct list link;
	bool there; /* It is with the server. */
	bool open;
	uint64_t hash;
	uint64_t floor;
	bool again;
	struct buf first_command;
};

void call_send(struct call *c, struct host *h);
void call_run(struct host *h, struct call *c); /* In its turn. */
void calls_drop(struct host *h);

/* ---- check.c ---- */

void check_applied(struct host *h, uint64_t before, const void *entry, size_t len);
void check_changes(struct host *h, const struct view *v, const struct change *changes, size_t n);
void check_replaced(struct host *h, uint64_t index, uint64_t hash);
void check_leads(struct host *h, uint64_t term);
void check_begun(struct host *h);
void check_ack(const struct call *c);
uint64_t check_floor(void); /* The highest index that was answered. */
uint64_t check_command_hash(const void *command, size_t len);
bool check_settled(char *why, size_t size); /* All servers are equal, all that was answered is there. */
uint64_t check_top(void);

/* ---- nodes.c, users.c, members.c, faults.c ---- */

void nodes_begin(unsigned n);
void nodes_calm(void);
bool nodes_settled(char *why, size_t size);
bool node_reaches(unsigned node, unsigned host);
unsigned nodes_count(void);
struct uuid node_id(unsigned i);
void node_fault(void);
void users_begin(unsigned n);
void users_calm(void);
void users_tell(void);
bool users_settled(char *why, size_t size);
void members_begin(void);
void members_wipe(void);
void members_change(void);
void members_tell(void);
bool members_settled(char *why, size_t size);
void faults_begin(int64_t until);
void faults_heal(void);

#endif /* TEST_SIM_SIM_H_ */

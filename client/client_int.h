/** The parts of a client, for the files that make it up: client.c, host.c, session.c, reports.c, saver.c, handlers.c. */
#ifndef CLIENT_CLIENT_INT_H_
#define CLIENT_CLIENT_INT_H_

#include <stdatomic.h>
#include <uv.h>

#include "client/access.h"
#include "client/alloc_runner.h"
#include "client/checks.h"
#include "client/client.h"
#include "client/driver.h"
#include "client/live.h"
#include "client/state.h"
#include "client/taskenv.h"
#include "client/vars.h"
#include "client/work.h"
#include "lib/list.h"
#include "lib/uuid.h"
#include "proto/rpc_objects.h"

enum {
	CLIENT_BUCKETS = 1024,
	REPORT_ALLOCS_MAX = 64,  /* Allocations in one report; the rest goes with the next: a server takes it in one go. */
	FS_CALLS_MAX = 1024,     /* Files that are read for somebody, and commands that are run, at a time; more are 429. */
	EXEC_CALLS_MAX = 256,
	SAVE_ALLOCS_MAX = 256,   /* Files in one job for a worker. */
};


struct client_alloc;
struct prepare_job;

/* A task that could run waits until what its driver needs to find it again is on disk. */
enum go { GO_NOTHING, GO_WANTED, GO_WRITING, GO_SAID };

/* An effect that is to be answered without any work: in the same turn of the loop, but not from inside it. */
enum ready { READY_NOTHING, READY_ADOPT_FAILED, READY_PREPARED, READY_PREPARE_FAILED, READY_START_FAILED };

enum { RENDER_SIGNALS_MAX = 4, RENDER_SIGNAL_TEXT = 16 };

/* A task's templates while it waits for what they want, and while it runs: host_render.c. Times are monotonic. */
struct task_render {
	struct prepare_job *job; /* Rendered again, of a task that runs; NULL otherwise. */
	bool waits;        /* Its preparation goes on when data has come, or that job has ended. */
	bool changed;      /* Data has. */
	char *told;        /* What is missing, as it was told last; from malloc(). */
	int64_t first_ns;  /* Data has changed then, and nothing was rendered since; 0: it has not. */
	int64_t due_ns;    /* When to render again; 0: never. */
	int64_t act_ns;    /* When to tell the task what has changed; 0: never. */
	bool restarts;     /* By a restart, else by these signals, and the scripts of these templates, a bit each. */
	uint64_t scripts;
	unsigned n_signals;
	char signals[RENDER_SIGNALS_MAX][RENDER_SIGNAL_TEXT];
};

struct client_task {
	struct client_alloc *alloc;
	struct live_set live; /* What its templates ask the cluster. */
	struct task_render render;
	struct driver_task *driver; /* NULL: none was started, or its records are gone. */
	void *handle;               /* What an earlier agent's driver told, for adopting the task; from malloc(). */
	uint32_t handle_len;
	struct map template_vars;
	struct arena vars_mem; /* Of these. */
	struct list stats;     /* struct stats_part: waiting for a measurement. */
	struct list scripts;   /* struct change_run: of its templates, under way. */
	struct driver_stats measured; /* The last one; at_ns is 0 before the first. */
	struct prepare_job *job; /* Under way; NULL otherwise. */
	struct task_failure failure; /* For READY_START_FAILED. */
	char *failure_text;
	enum ready ready;
	bool hooks_done; /* Payload and artifacts are there: a restart of the task does not fetch them again. */
	bool ended;      /* Its end has been told; its records go when that is on disk. */
	bool start_due;  /* It is to be started as soon as its last end is on disk. */
	enum go go;
	int64_t go_ns;   /* Unix time of the writing; 0: it was surely not started. */
};

struct client_alloc {
	struct alloc_runner ar;
	struct client *client;
	struct list link;     /* In client->allocs. */
	struct list ready;    /* In client->ready. */
	struct list waiting;  /* In client->waiting: for the end of the allocations it replaces. */
	struct list report;   /* In client->reports.dirty. */
	struct list save;     /* In client->saver.dirty. */
	struct client_alloc *next; /* In its bucket. */
	struct client_task *tasks; /* ar.n of them. */
	struct check_set *checks;  /* While they are being run; see checks.c. */
	struct migration *migration; /* See migrate.c; NULL: its data does not come from another node. */
	char id[UUID_TEXT];
	struct state_file file; /* Its local state; of the job that writes it while there is one. */
	uint64_t seen;        /* The last push that named it. */
	unsigned jobs;        /* Under way for it: it must not be freed. */
	bool ask_previous;    /* It is in `ready` to ask whether it may begin, */
	bool setup_failed;    /* or to be told that there was no memory for its setup. */
	bool ended;           /* Its last task has. */
	bool gone;            /* The servers do not know it any more, or somebody wants it removed. */
	bool destroying;      /* Its directory is being removed. */
};

/* What is to be told. At most one report is under way; meanwhile others gather. */
struct reports {
	struct list dirty;
	struct link_call call;
	struct list sent; /* Told by the call under way. */
	bool busy;
	int64_t not_before; /* Loop time in ns: a pause after the last report, longer after a failure. */
};

/* What is to be kept. */
struct saver {
	struct list dirty;
	bool busy;
	int64_t not_before;
};

struct session {
	struct sm sm;
	struct link_call call; /* Register, watch or heartbeat: one at a time. */
	bool busy;
	int64_t due;           /* Loop time in ns of the next step; 0: waits for an answer or the link. */
	int64_t ttl_ns;
	int64_t heard_ns;      /* Loop time of the last answer of a server. */
	int64_t heartbeat_wall_ns;
	int64_t index;         /* Of the last push. */
	uint64_t pushes;       /* Since the start. */
	unsigned failures;     /* In a row. */
	bool registered;       /* Since the start, or since the servers forgot the node. */
	bool told;             /* The servers have said what is to run, since the start. */
	bool outdated;         /* The node has changed while it is being registered. */
	bool bare;             /* The servers have access control, and this agent has not. */
};

struct client {
	uv_loop_t *loop;
	uv_prepare_t turn; /* Runs when the loop is about to sleep: does what the turn has left. */
	uv_timer_t timer;
	const struct client_config *config;
	struct client_link *link;
	struct driver_host *drivers;
	struct state_store store;
	struct work work;
	char node_id[UUID_TEXT], secret_id[UUID_TEXT];
	struct arena node_mem;
	struct node node;
	struct map *node_vars; /* A new one with each change: those that read an old one go on. */
	struct map meta_over;  /* See client/node_meta.h. */

	struct list allocs; /* All, oldest first. */
	struct client_alloc *buckets[CLIENT_BUCKETS];
	uint32_t n_allocs;
	struct list ready, waiting;
	struct list streams; /* struct fs_call: files that are being read for somebody. */
	struct list execs;   /* struct exec_call: commands that are being run for somebody. */
	unsigned n_streams, n_execs;
	struct list monitors; /* Of the agent's log, for somebody. */
	unsigned n_monitors;
	struct hoststats *hoststats; /* NULL: nobody has asked yet. */

	struct session session;
	struct reports reports;
	struct saver saver;
	struct http_router *router;
	struct token_book *access; /* NULL: there is no access control. */
	struct checks *checks;
	struct live live;

	uint64_t random;
	int64_t armed; /* Loop time the timer is set to; 0: it is not. */
	int64_t collect_due;
	int64_t last_added; /* Loop time at which an allocation came. */
	unsigned handles; /* Open, of the loop. */
	bool started, stopping;
	atomic_bool canceled; /* For workers: it is stopping. */
	unsigned collecting; /* Directories that are being removed. */
	bool link_up, link_stopped;
	bool end_tasks, letting_go; /* Of a stop. */
	void (*stopped_cb)(void *ctx);
	void *stopped_ctx;
};

/* ---- client.c ---- */

struct moment client_now(struct client *c);
int64_t client_time(const struct client *c); /* Loop time in ns, of this turn. */
struct client_alloc *client_find(const struct client *c, const char *id);

/* One of the handles counted in c->handles has been closed. */
void client_closed_handle(struct client *c);

/* ---- host.c: what the alloc runners ask for ---- */

/* A new allocation, begun. NULL when memory is exhausted. */
struct client_alloc *host_add(struct client *c, struct alloc_spec *spec);
/* One of an earlier agent, not begun yet. The memory becomes the allocation's. */
void host_restore(struct client *c, struct saved_alloc *saved, struct arena *mem);
void host_begin(struct client_alloc *ca);
/* End what still runs in directories of allocations that were not restored; before anything begins. Blocks. */
void host_sweep_unknown(struct client *c);
/* Answer what can be answered without work, until nothing is left of that. */
void host_serve(struct client *c);
/* What it waits for may have ended: ask again. */
void host_ask_previous(struct client_alloc *ca);
/* Its state was written to disk, as it was when the writing began; or could not be. */
void host_saved(struct client_alloc *ca, int rc);
/* The servers do not know it any more: end and remove it. */
void host_forget(struct client_alloc *ca);
/* Remove it from this node, if it has ended; servers keep what they know. */
void host_dispose(struct client_alloc *ca);
/* Remove directories of ended allocations: those that the servers have forgotten, and the oldest beyond the bound. */
void host_collect(struct client *c);
int64_t host_collect_every_ns(const struct client *c);
/* What is being prepared is of no use any more. */
void host_cancel(struct client_alloc *ca);
/* Let go of all tasks, or kill them, and free everything; nothing is under way any more. */
void host_close(struct client *c, bool end_tasks);
/* The environment of a task: 0 or ERR_NOMEM. */
int host_env(struct task_runner *tr, struct task_env *out, struct arena *mem);
const char *host_alloc_dir(const struct client_alloc *ca, struct arena *mem);

/* ---- host_render.c: templates of tasks that run, or wait for data ---- */

void host_render_step(struct client *c);
int64_t host_render_due(const struct client *c); /* Loop time in ns; 0: never. */

/* ---- session.c: what the servers know of the node ---- */

void session_init(struct client *c);
void session_step(struct client *c);
/* The node has changed: the servers are to know. */
void session_register_again(struct client *c);
int64_t session_due(const struct client *c);
extern const struct link_events session_events; /* Their ctx is the client. */

/* ---- reports.c ---- */

void reports_init(struct client *c);
void reports_add(struct client_alloc *ca);
void reports_all(struct client *c);
void reports_step(struct client *c);
int64_t reports_due(const struct client *c);

/* ---- saver.c ---- */

void saver_init(struct client *c);
void saver_add(struct client_alloc *ca);
void saver_step(struct client *c);
int64_t saver_due(const struct client *c);
/* Write what is left, here and now. */
void saver_flush(struct client *c);

/* ---- handlers.c ---- */

int handlers_init(struct client *c);
void handlers_close(struct client *c);
/* The task's driver is let go of: measurements that were asked for do not come. */
void stats_lost(struct client_task *task);

static inline struct client_alloc *alloc_of(struct alloc_runner *ar)
{
	return CONTAINER_OF(ar, struct client_alloc, ar);
}

static inline struct client_task *task_of(struct task_runner *tr)
{
	return &alloc_of(tr->alloc)->tasks[tr - tr->alloc->tasks];
}

#endif /* CLIENT_CLIENT_INT_H_ */

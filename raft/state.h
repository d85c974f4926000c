/**
 * The cluster's state: tables of rows, and what reads them.
 *
 * The state is one forest of persistent trees (raft/tree.h). A table is a tree that owns rows, an index another tree
 * over the same rows. The core loop changes it by applying commands (raft/fsm.h) and publishes a view with each entry
 * of the log; any thread takes the newest view and reads it for as long as it likes:
 *
 *     const struct view *v = state_view(state);
 *     const struct job_row *job = state_job(v, "default", "web");
 *     ...
 *     view_release(v);
 *
 * Rows
 *
 *     +-----------+----------------------------+----------+---------------------+
 *     | struct    | plain: numbers, statuses,  | pointers | text: what keys are |
 *     | row       | ids; no padding            | to blobs | made of, counters   |
 *     +-----------+----------------------------+----------+---------------------+
 *
 * A row holds what the program works with as plain members, and the rest of its object in blobs: counted pieces of
 * bytes, mostly packed objects (proto/object.h), which rows share. xxx_row_get() makes the API's object of a row.
 * A row and all it points to live as long as a view that sees it; copy what must live longer.
 *
 * New members of rows come at the end of the plain part, new blobs behind the others (raft/persist.h).
 *
 * Hashes. A row knows a hash of its content: of the plain part, the text, and the contents of its blobs. The state's
 * hash is the sum over all rows, so equal states have equal hashes whatever way they were reached. Members that are zero
 * at the end do not count: servers of two versions agree as long as nobody uses what is new.
 *
 * Index. The state counts the commands that were applied: this is the API's index. Each table carries the index of its
 * last change; rows carry those of their making and last change.
 */
#ifndef RAFT_STATE_H_
#define RAFT_STATE_H_

#include "lib/uuid.h"
#include "proto/acl.h"
#include "proto/cluster.h"
#include "proto/variable.h"
#include "raft/tree.h"

/* Numbers and names are stored: only append. The names are those of watches and metrics. */
#define TABLE_LIST(X)                      \
	X(JOBS, "jobs")                    \
	X(SUMMARIES, "job_summary")        \
	X(EVALS, "evals")                  \
	X(ALLOCS, "allocs")                \
	X(NODES, "nodes")                  \
	X(DEPLOYMENTS, "deployment")       \
	X(LAUNCHES, "periodic_launch")     \
	X(SCALINGS, "scaling_event")       \
	X(SUBMISSIONS, "job_submission")   \
	X(NAMESPACES, "namespaces")        \
	X(NODE_POOLS, "node_pools")        \
	X(CONFIGS, "config")               \
	X(SERVERS, "servers")              \
	X(RESTORES, "restore")             \
	X(SERVICES, "service_registrations") \
	X(VARIABLES, "variables")          \
	X(VARIABLE_HOLDS, "variable_locks") \
	X(ROOT_KEYS, "root_key_meta")      \
	X(ACL_POLICIES, "acl_policy")      \
	X(ACL_TOKENS, "acl_token")         \
	X(ACL_ROLES, "acl_roles")          \
	X(ACL_ONCE, "one_time_token")

/* An index, and the table over whose rows it is. The keys are given beside the rows. */
#define INDEX_LIST(X)                      \
	X(JOBS_CURRENT, JOBS)              \
	X(JOBS_SYSTEM, JOBS)               \
	X(EVALS_JOB, EVALS)                \
	X(ALLOCS_JOB, ALLOCS)              \
	X(ALLOCS_NODE, ALLOCS)             \
	X(ALLOCS_EVAL, ALLOCS)             \
	X(ALLOCS_DEPLOYMENT, ALLOCS)       \
	X(DEPLOYMENTS_JOB, DEPLOYMENTS)    \
	X(SERVICES_ALLOC, SERVICES)        \
	X(ACL_TOKENS_SECRET, ACL_TOKENS)   \
	X(ACL_TOKENS_EXPIRY, ACL_TOKENS)   \
	X(ACL_ROLES_NAME, ACL_ROLES)       \
	X(ACL_ONCE_SECRET, ACL_ONCE)       \
	X(ACL_ONCE_EXPIRY, ACL_ONCE)

enum table {
#define X(id, name) TABLE_##id,
	TABLE_LIST(X)
#undef X
	N_TABLES
};

/* The forest's trees: the tables, the indexes, and two without rows whose stamps carry the state's index and hash. */
enum tree {
	TREE_INDEXES_BEGIN = N_TABLES - 1,
#define X(id, table) INDEX_##id,
	INDEX_LIST(X)
#undef X
	TREE_STATE_INDEX,
	TREE_STATE_HASH,
	N_TREES
};

const char *table_name(enum table table);

enum {
	NAMESPACE_MAX = 128,  /* Bytes of a namespace's name. */
	JOB_ID_MAX = 1024,    /* Bytes; a register with a longer one is refused. */
	GROUP_NAME_MAX = 1024,
	JOB_GROUPS_MAX = 1024, /* Likewise one with more. */
	SERVICE_NAME_MAX = 255,
	SERVICE_ID_MAX = 1024,
	ALLOC_SERVICES_MAX = 256, /* What it reports beyond that is passed over. */
	ALLOC_NAME_MAX = JOB_ID_MAX + GROUP_NAME_MAX + 16,
};

/* ---- blobs and rows ---- */

/* Bytes that rows share. The writer counts; readers only look. */
struct blob {
	uint32_t refs;
	uint32_t len;
	uint64_t hash; /* Of the bytes. */
	uint8_t data[];
};

/* What all rows begin with. */
struct row {
	struct tree_row life;
	uint64_t hash;
	uint32_t change;   /* The writer's: its place in the list of this entry's changes. */
	uint16_t text_len; /* Bytes behind the fixed part. */
	uint8_t table;
	uint8_t mark;      /* The writer's. */
};

/* ---- jobs ---- */

enum job_flag {
	JOB_STOP = 1,
	JOB_STABLE = 2,
	JOB_PERIODIC = 4,          /* A periodic parent. */
	JOB_PERIODIC_ENABLED = 8,
	JOB_PARAMETERIZED = 16,    /* A parameterized parent, which is dispatched and never runs itself. */
	JOB_DISPATCHED = 32,       /* A child of one. */
	JOB_CHILD = 64,            /* Has a parent, of either kind. */
	JOB_TAGGED = 128,          /* This version has a tag, and outlives the limit of versions. */
};

/* One version of a job. The table's key is the namespace, a zero, the ID, a zero, the version (8 bytes, the highest
 * first byte first); INDEX_JOBS_CURRENT has the newest version of each job by the part before the version, and
 * INDEX_JOBS_SYSTEM those of type system and sysbatch among them. */
struct job_row {
	struct row row;
	uint64_t create_index;     /* No two jobs have the same. */
	uint64_t modify_index;
	uint64_t job_modify_index; /* The register or stop that made this version. */
	uint64_t version;
	int64_t submit_time_ns;
	uint16_t flags;
	uint16_t ns_len;
	uint16_t id_len;
	int16_t priority;
	uint8_t type;   /* enum job_type */
	uint8_t status; /* enum job_status */
	uint8_t pad[6];
	struct blob *spec;  /* What the user specifies: see job_spec_encode(). Versions that say the same share it. */
	struct blob *extra; /* A packed job_extra, or NULL. */
	uint32_t refs;      /* The writer's: 1 for the table, and 1 for each allocation row that points to this one. */
	char key[];
};

#define JOB_EXTRA_FIELDS(X, T)                                   \
	X(T, OBJ(version_tag), tag, "VersionTag")                \
	X(T, STR, status_description, "StatusDescription")       \
	X(T, STR, token_id, "NomadTokenID")
OBJECT_DECLARE(job_extra, JOB_EXTRA_FIELDS);

static inline const char *job_row_ns(const struct job_row *row)
{
	return row->key;
}

static inline const char *job_row_id(const struct job_row *row)
{
	return row->key + row->ns_len + 1;
}

/* From the specification, without decoding it. */
const char *job_row_name(const struct job_row *row);
const char *job_row_parent(const struct job_row *row);    /* "" when there is none. */
const char *job_row_node_pool(const struct job_row *row);
const char *job_row_token(const struct job_row *row);     /* The dispatch's idempotency token, or "". */
unsigned job_row_datacenters(const struct job_row *row);
const char *job_row_datacenter(const struct job_row *row, unsigned i);
unsigned job_row_groups(const struct job_row *row);
const char *job_row_group(const struct job_row *row, unsigned i); /* "" beyond the last. */
int job_row_group_find(const struct job_row *row, const char *name); /* Its place, or -1. */

/* Neither a periodic nor a parameterized parent: it gets evaluations. */
static inline bool job_row_runs(const struct job_row *row)
{
	return (row->flags & (JOB_PERIODIC | JOB_PARAMETERIZED)) == 0;
}

/* The form in which a specification is stored: the texts of the accessors above, and the packed job without what
 * servers set and without Stop. Equal specifications have equal bytes. */
void job_spec_encode(const struct job *job, struct buf *out);

/* Whether bytes have that form; the packed part is not looked into. */
bool job_spec_valid(const void *data, size_t len);

/* ---- summaries ---- */

#define GROUP_COUNT_LIST(X)                                        \
	X(QUEUED, queued) X(COMPLETE, complete) X(FAILED, failed)  \
	X(RUNNING, running) X(STARTING, starting) X(LOST, lost) X(UNKNOWN, unknown)

enum group_count {
#define X(id, member) GROUP_##id,
	GROUP_COUNT_LIST(X)
#undef X
	N_GROUP_COUNTS
};

/* One for each job, by namespace, zero, ID, zero. Complete, failed and lost count also what was collected since. */
struct summary_row {
	struct row row;
	uint64_t create_index;
	uint64_t modify_index;
	uint32_t children[JOB_STATUS_COUNT]; /* Pending, running, dead. */
	/* What the job's status follows from. */
	uint32_t allocs;
	uint32_t live_allocs; /* Not terminal: see alloc_row_terminal(). */
	uint32_t evals;
	uint32_t open_evals;  /* Pending or blocked. */
	uint32_t blocked_evals;
	uint16_t ns_len;
	uint16_t id_len;
	uint16_t groups;
	uint16_t pad;
	uint32_t pad2;
	struct blob *names; /* Of the groups, each with a zero behind. */
	uint32_t count[];   /* N_GROUP_COUNTS for each group; the key is behind them. */
};

static inline const uint32_t *summary_row_counts(const struct summary_row *row, unsigned group)
{
	return row->count + (size_t)group * N_GROUP_COUNTS;
}

static inline const char *summary_row_ns(const struct summary_row *row)
{
	return (const char *)(row->count + (size_t)row->groups * N_GROUP_COUNTS);
}

static inline const char *summary_row_id(const struct summary_row *row)
{
	return summary_row_ns(row) + row->ns_len + 1;
}

/* ---- evaluations ---- */

/* By ID. INDEX_EVALS_JOB: namespace, zero, job's ID, zero, 8 bytes that grow with each evaluation made. */
struct eval_row {
	struct row row;
	struct uuid id;
	uint64_t create_index;
	uint64_t modify_index;
	uint64_t job_modify_index;
	uint64_t snapshot_index;
	int64_t create_time_ns;
	int64_t modify_time_ns;
	int64_t wait_until_ns; /* 0: at once. */
	uint16_t ns_len;
	uint16_t id_len;
	int16_t priority;
	uint8_t type;    /* enum job_type */
	uint8_t status;  /* enum eval_status */
	uint8_t trigger; /* enum eval_trigger */
	uint8_t pad[7];
	struct blob *rest; /* The other members, a packed evaluation; NULL when there are none. */
	char key[];
};

static inline const char *eval_row_ns(const struct eval_row *row)
{
	return row->key;
}

static inline const char *eval_row_job(const struct eval_row *row)
{
	return row->key + row->ns_len + 1;
}

/* Complete, failed or canceled: it never changes again. */
static inline bool eval_row_terminal(const struct eval_row *row)
{
	return row->status != EVAL_STATUS_PENDING && row->status != EVAL_STATUS_BLOCKED;
}

/* ---- allocations ---- */

enum alloc_flag {
	ALLOC_CANARY = 1,
	ALLOC_HEALTHY = 2,   /* At most one of these two. */
	ALLOC_UNHEALTHY = 4,
	ALLOC_MIGRATE = 8, /* These five are the desired transition. */
	ALLOC_RESCHEDULE = 16,
	ALLOC_FORCE_RESCHEDULE = 32,
	ALLOC_MIGRATE_DISABLE_PLACEMENT = 64,
	ALLOC_NO_SHUTDOWN_DELAY = 128,
	ALLOC_REPLACED = 256,    /* Has a NextAllocation, */
	ALLOC_RESCHEDULED = 512, /* a reschedule tracker, */
	ALLOC_FOLLOWUP = 1024,   /* a followup evaluation. */
};

/* By ID. INDEX_ALLOCS_NODE: node and ID; INDEX_ALLOCS_EVAL and INDEX_ALLOCS_DEPLOYMENT (those that have one): that ID
 * and the serial; INDEX_ALLOCS_JOB: the job's create_index and the serial. Serials grow with each allocation made. All
 * serials are stored with the highest byte first. */
struct alloc_row {
	struct row row;
	struct uuid node_id;
	struct uuid id;
	struct uuid eval_id;
	uint8_t eval_serial[8];
	struct uuid deployment_id; /* Zero: none. */
	uint8_t deployment_serial[8];
	uint8_t job_key[8];
	uint8_t job_serial[8];
	uint64_t create_index;
	uint64_t modify_index;
	uint64_t alloc_modify_index; /* As seen from the client: what servers have changed. */
	int64_t create_time_ns;
	int64_t modify_time_ns;
	int64_t health_time_ns;      /* Of the deployment status. */
	uint64_t health_index;
	uint32_t cpu_mhz;
	uint32_t memory_mb;
	uint32_t memory_max_mb;
	uint32_t disk_mb;
	uint32_t index; /* In its name: "job.group[index]". */
	uint16_t group; /* Among the job's groups. */
	uint8_t desired; /* enum alloc_desired */
	uint8_t client;  /* enum alloc_client */
	uint32_t flags;
	uint32_t pad;
	struct blob *node_name; /* With a zero behind. */
	struct blob *metrics;   /* A packed alloc_metric, or NULL. */
	struct blob *server;    /* A packed alloc_server, or NULL. */
	struct blob *reported;  /* A packed alloc_reported, what the client last said, or NULL. */
	struct job_row *job;    /* The version it is of, as it was when it was placed or updated last. Never NULL. */
};

/* What few allocations have, set by servers. IDs are 16 bytes. */
#define ALLOC_SERVER_FIELDS(X, T)                                                        \
	X(T, STR, desired_description, "DesiredDescription")                             \
	X(T, BYTES, previous, "PreviousAllocation")                                      \
	X(T, BYTES, next, "NextAllocation")                                              \
	X(T, BYTES, followup_eval, "FollowupEvalID")                                     \
	X(T, BYTES, preempted_by, "PreemptedByAllocation")                               \
	X(T, STRS, preempted, "PreemptedAllocations")                                    \
	X(T, OBJ(reschedule_tracker), reschedule_tracker, "RescheduleTracker")           \
	X(T, LIST(alloc_port), ports, "Ports")                                           \
	X(T, LIST(network_resource), networks, "Networks")                               \
	X(T, OBJMAP(allocated_task), tasks, "Tasks")                                     \
	X(T, LIST(alloc_state), states, "AllocStates")

/* What its client reports. */
#define ALLOC_REPORTED_FIELDS(X, T)                                                      \
	X(T, STR, description, "ClientDescription")                                      \
	X(T, OBJMAP(task_state), task_states, "TaskStates")                              \
	X(T, OBJ(alloc_network_status), network_status, "NetworkStatus")

OBJECT_DECLARE(alloc_server, ALLOC_SERVER_FIELDS);
OBJECT_DECLARE(alloc_reported, ALLOC_REPORTED_FIELDS);

/* The client says that it is over: complete, failed or lost. */
static inline bool alloc_row_client_terminal(const struct alloc_row *row)
{
	return row->client == ALLOC_CLIENT_COMPLETE || row->client == ALLOC_CLIENT_FAILED ||
	       row->client == ALLOC_CLIENT_LOST;
}

/* It is over, or servers want it to be. */
static inline bool alloc_row_terminal(const struct alloc_row *row)
{
	return row->desired != ALLOC_DESIRED_RUN || alloc_row_client_terminal(row);
}

static inline const char *alloc_row_group(const struct alloc_row *row)
{
	return job_row_group(row->job, row->group);
}

/* "job.group[index]". */
void alloc_row_name(const struct alloc_row *row, char name[ALLOC_NAME_MAX]);

/* The parts, all zero where there is none. With memory of `mem`; ERR_NOMEM or ERR_CORRUPT. */
int alloc_row_server(const struct alloc_row *row, struct alloc_server *out, struct arena *mem);
int alloc_row_reported(const struct alloc_row *row, struct alloc_reported *out, struct arena *mem);
int alloc_row_metrics(const struct alloc_row *row, struct alloc_metric *out, struct arena *mem);

/* ---- nodes ---- */

enum node_flag {
	NODE_ELIGIBLE = 1,
	NODE_DRAIN = 2,
};

/* By ID. */
struct node_row {
	struct row row;
	struct uuid id;
	uint64_t create_index;
	uint64_t modify_index;
	uint64_t alloc_index;  /* LastAllocUpdateIndex: of the last report of its client. */
	uint64_t missed_index; /* LastMissedHeartbeatIndex. */
	uint64_t class_hash;   /* Of ComputedClass: nodes of equal class are equally feasible. */
	int64_t status_time_s;
	uint32_t cpu_mhz;      /* All it has, */
	uint32_t memory_mb;
	uint32_t disk_mb;
	uint32_t reserved_cpu_mhz; /* and what of it is not for allocations. */
	uint32_t reserved_memory_mb;
	uint32_t reserved_disk_mb;
	uint8_t status; /* enum node_status */
	uint8_t flags;
	uint8_t pad[6];
	struct blob *name;  /* With a zero behind. */
	struct blob *base;  /* A packed node: what the client registered. */
	struct blob *extra; /* A packed node_extra, or NULL. */
};

#define NODE_EXTRA_FIELDS(X, T)                                          \
	X(T, STR, status_description, "StatusDescription")               \
	X(T, OBJ(drain_strategy), drain_strategy, "DrainStrategy")       \
	X(T, OBJ(drain_metadata), last_drain, "LastDrain")               \
	X(T, LIST(node_event), events, "Events")
OBJECT_DECLARE(node_extra, NODE_EXTRA_FIELDS);

enum { NODE_EVENTS_MAX = 10 }; /* Older ones are dropped. */

static inline const char *node_row_name(const struct node_row *row)
{
	return (const char *)row->name->data;
}

/* New allocations may be placed here, as far as status, drain and eligibility go. */
static inline bool node_row_ready(const struct node_row *row)
{
	return row->status == NODE_STATUS_READY && (row->flags & (NODE_ELIGIBLE | NODE_DRAIN)) == NODE_ELIGIBLE;
}

/* ---- deployments ---- */

/* By ID. INDEX_DEPLOYMENTS_JOB: namespace, zero, job's ID, zero, 8 bytes that grow with each one made. */
struct deployment_row {
	struct row row;
	struct uuid id;
	uint64_t create_index;
	uint64_t modify_index;
	uint64_t job_version;
	uint64_t job_create_index;
	int64_t create_time_ns;
	int64_t modify_time_ns;
	uint16_t ns_len;
	uint16_t id_len;
	uint8_t status; /* enum deployment_status */
	uint8_t pad[3];
	struct blob *rest; /* The other members, a packed deployment. Never NULL. */
	char key[];
};

static inline const char *deployment_row_ns(const struct deployment_row *row)
{
	return row->key;
}

static inline const char *deployment_row_job(const struct deployment_row *row)
{
	return row->key + row->ns_len + 1;
}

/* Not failed, successful or cancelled. */
static inline bool deployment_row_active(const struct deployment_row *row)
{
	return row->status != DEPLOYMENT_STATUS_FAILED && row->status != DEPLOYMENT_STATUS_SUCCESSFUL &&
	       row->status != DEPLOYMENT_STATUS_CANCELLED;
}

/* ---- services ---- */

/* What a running allocation offers. The table's key is the namespace, a zero, the service's name, a zero, its ID, a zero;
 * INDEX_SERVICES_ALLOC: the allocation's ID and the serial. It goes when the allocation no longer runs. */
struct service_row {
	struct row row;
	struct uuid alloc_id;
	uint8_t serial[8];
	uint64_t create_index;
	uint64_t modify_index;
	uint16_t ns_len;
	uint16_t name_len;
	uint8_t pad[4];
	struct blob *tags; /* A packed service_tags, or NULL. */
	struct blob *rest; /* Address, port and datacenter: a packed service_registration, or NULL. */
	char key[];
};

#define SERVICE_TAGS_FIELDS(X, T) X(T, STRS, tags, "Tags")
OBJECT_DECLARE(service_tags, SERVICE_TAGS_FIELDS);

static inline const char *service_row_ns(const struct service_row *row)
{
	return row->key;
}

static inline const char *service_row_name(const struct service_row *row)
{
	return row->key + row->ns_len + 1;
}

static inline const char *service_row_id(const struct service_row *row)
{
	return row->key + row->ns_len + row->name_len + 2;
}

/* ---- access control ---- */

enum acl_token_flag {
	ACL_TOKEN_MANAGEMENT = 1,
	ACL_TOKEN_GLOBAL = 2,
};

/* By accessor. INDEX_ACL_TOKENS_SECRET: `lookup`, the first half of the SHA-256 of the secret's 16 bytes, so that the
 * time that a search takes says nothing of the secrets there are. INDEX_ACL_TOKENS_EXPIRY, those that expire: the time,
 * the highest byte first, and the accessor. */
struct acl_token_row {
	struct row row;
	struct uuid secret;
	uint8_t lookup[16];
	uint8_t expiry[8]; /* Unix nanoseconds; 0: never. */
	struct uuid accessor;
	uint64_t create_index;
	uint64_t modify_index;
	int64_t create_time_ns;
	uint16_t flags; /* enum acl_token_flag */
	uint8_t pad[6];
	struct blob *rest; /* The other members, a packed acl_token; of roles the IDs alone. Never NULL. */
};

/* By ID. INDEX_ACL_ROLES_NAME: the name, zero. */
struct acl_role_row {
	struct row row;
	struct uuid id;
	uint64_t create_index;
	uint64_t modify_index;
	struct blob *rest; /* The other members, a packed acl_role. Never NULL. */
	char name[];
};

/* A secret that is good for once: who brings it gets the token. One for each token, by accessor. INDEX_ACL_ONCE_SECRET:
 * `lookup`; INDEX_ACL_ONCE_EXPIRY: the time and the accessor; as above. */
struct acl_once_row {
	struct row row;
	struct uuid secret;
	uint8_t lookup[16];
	uint8_t expiry[8];
	struct uuid accessor;
	uint64_t create_index;
	uint64_t modify_index;
	char end[];
};

/* When a token expires; 0: never. */
int64_t acl_token_row_expiry(const struct acl_token_row *row);
int64_t acl_once_row_expiry(const struct acl_once_row *row);

static inline bool acl_token_row_expired(const struct acl_token_row *row, int64_t wall_ns)
{
	int64_t expiry_ns = acl_token_row_expiry(row);

	return expiry_ns != 0 && expiry_ns <= wall_ns;
}

/* ---- small tables ---- */

/* A whole packed object under a key:
 *     LAUNCHES      launch             namespace, zero, ID, zero of the parent
 *     SCALINGS      scaling_events     namespace, zero, ID, zero, group, zero
 *     SUBMISSIONS   submission         as for the job's version
 *     NAMESPACES    namespace_         name, zero
 *     NODE_POOLS    node_pool          name, zero
 *     CONFIGS       scheduler_config   "scheduler", zero
 *                   autopilot_config   "autopilot", zero; there is none until an operator has put one
 *                   acl_bootstrapped   "acl-bootstrap", zero; there is none before the first token
 *     SERVERS       server_meta        8 bytes of the ID, the highest first
 *     RESTORES      restore_part       8 bytes of its number, the highest first (raft/fsm_restore.c)
 *     VARIABLES     sealed_variable    namespace, zero, path, zero
 *     VARIABLE_HOLDS variable_hold     likewise: of those that are locked, or may not be for a while
 *     ROOT_KEYS     root_key           its ID, zero
 *     ACL_POLICIES  acl_policy         its name, zero
 */
struct object_row {
	struct row row;
	uint64_t create_index;
	uint64_t modify_index;
	struct blob *object;
	char key[];
};

/* Decode into `out`, which is of type `t`; ERR_NOMEM or ERR_CORRUPT. */
int object_row_get(const struct object_row *row, const struct type *t, void *out, struct arena *mem);

/* ---- the state ---- */

struct state {
	struct forest forest;
	/* The writer's, for the version being built. */
	uint64_t index;
	uint64_t hash;
};

/* The state of a new cluster: the default namespace, the node pools "all" and "default", and the scheduler's default
 * configuration, at index 1. Running out of memory here and in what changes the state ends the process: a server that
 * skips a change must not go on, and others do. */
void state_init(struct state *s);

/* All views must have been released: see state_idle(). */
void state_close(struct state *s);

/* Whether no view is in use, on the writer's thread. When another state has taken the place of this one and all readers
 * have been told, it stays so. */
bool state_idle(struct state *s);

/* The newest view, to be given back with view_release(). On any thread. */
static inline const struct view *state_view(struct state *s)
{
	return forest_view(&s->forest);
}

/* The index of the last command, that of a table's last change (0: never changed), and the hash. */
static inline uint64_t state_index(const struct view *v)
{
	return view_stamp(v, TREE_STATE_INDEX);
}

static inline uint64_t state_table_index(const struct view *v, enum table table)
{
	return view_stamp(v, (unsigned)table);
}

static inline uint64_t state_hash(const struct view *v)
{
	return view_stamp(v, TREE_STATE_HASH);
}

/* ---- finding one row: NULL when there is none ---- */

const struct job_row *state_job(const struct view *v, const char *ns, const char *id);
const struct job_row *state_job_version(const struct view *v, const char *ns, const char *id, uint64_t version);
const struct summary_row *state_summary(const struct view *v, const char *ns, const char *id);
const struct eval_row *state_eval(const struct view *v, const struct uuid *id);
const struct alloc_row *state_alloc(const struct view *v, const struct uuid *id);
const struct node_row *state_node(const struct view *v, const struct uuid *id);
const struct deployment_row *state_deployment(const struct view *v, const struct uuid *id);
const struct deployment_row *state_latest_deployment(const struct view *v, const char *ns, const char *job);
const struct object_row *state_launch(const struct view *v, const char *ns, const char *id);
const struct object_row *state_scaling(const struct view *v, const char *ns, const char *id, const char *group);
const struct object_row *state_submission(const struct view *v, const char *ns, const char *id, uint64_t version);
const struct object_row *state_namespace(const struct view *v, const char *name);
const struct object_row *state_node_pool(const struct view *v, const char *name);
const struct object_row *state_server(const struct view *v, uint64_t id);
const struct service_row *state_service(const struct view *v, const char *ns, const char *name, const char *id);

const struct object_row *state_variable(const struct view *v, const char *ns, const char *path);
const struct object_row *state_variable_hold(const struct view *v, const char *ns, const char *path);
const struct object_row *state_root_key(const struct view *v, const char *id);

/* A token or role by its ID as 36 characters; what is no UUID is the ID of none. Secrets are looked up by a hash, and
 * compared in constant time. An expired token is found like any other: see acl_token_row_expired(). */
const struct acl_token_row *state_acl_token(const struct view *v, const char *accessor);
const struct acl_token_row *state_acl_token_by_secret(const struct view *v, const char *secret);
const struct object_row *state_acl_policy(const struct view *v, const char *name);
const struct acl_role_row *state_acl_role(const struct view *v, const char *id);
const struct acl_role_row *state_acl_role_by_name(const struct view *v, const char *name);
const struct acl_once_row *state_acl_once(const struct view *v, const struct uuid *accessor);
const struct acl_once_row *state_acl_once_by_secret(const struct view *v, const struct uuid *secret);

/* That the first token was made. ERR_NOTFOUND: it was not; ERR_NOMEM, ERR_CORRUPT. */
int state_acl_bootstrapped(const struct view *v, struct acl_bootstrapped *out, struct arena *mem);

/* The root key that encrypts now. ERR_NOTFOUND: there is none yet; ERR_NOMEM, ERR_CORRUPT. */
int state_active_key(const struct view *v, struct root_key *out, struct arena *mem);

/* The path in the key of a row of VARIABLES or VARIABLE_HOLDS; what stands before is the namespace. */
const char *variable_row_path(const struct object_row *row);

const struct object_row *state_restore_part(const struct view *v, uint64_t number);

/* Never fails but for ERR_NOMEM and ERR_CORRUPT: the state has one from the beginning. */
int state_scheduler_config(const struct view *v, struct scheduler_config *out, struct arena *mem);

/* The same as it holds for jobs of a node pool, which may say otherwise in parts. */
int state_scheduler_config_in(const struct view *v, const char *pool, struct scheduler_config *out, struct arena *mem);

/* ERR_NOTFOUND: no operator has put one; ERR_NOMEM, ERR_CORRUPT. */
int state_autopilot_config(const struct view *v, struct autopilot_config *out, struct arena *mem);

/* ---- iterating ---- */

enum { ROWS_PREFIX_MAX = NAMESPACE_MAX + JOB_ID_MAX + GROUP_NAME_MAX + 16 };

/* Rows in the order of their keys, forwards with rows_next() or backwards with rows_prev(), not both. It needs no
 * closing, and is not copied. */
struct rows {
	struct cursor cursor;
	struct tree_key at; /* Where to begin; NULL: at the beginning. The caller's memory. */
	bool empty;
	bool begun;
	uint8_t prefix[ROWS_PREFIX_MAX];
};

/* The first 0 to 16 bytes of an ID. */
struct uuid_prefix {
	struct uuid id;
	unsigned len; /* Bytes. */
};

/* "" to a whole UUID, with or without its dashes. ERR_RANGE: an odd number of digits; ERR_SYNTAX: not hexadecimal;
 * ERR_TOOBIG: longer than a UUID. */
int uuid_prefix_parse(const char *text, struct uuid_prefix *out);

/* Jobs in the order of namespace and ID. A NULL namespace is all of them (then `prefix` is not looked at). */
void rows_jobs(struct rows *r, const struct view *v, const char *ns, const char *prefix);
void rows_system_jobs(struct rows *r, const struct view *v);
/* Versions in ascending order. */
void rows_versions(struct rows *r, const struct view *v, const char *ns, const char *id);
void rows_summaries(struct rows *r, const struct view *v, const char *ns, const char *prefix);
/* By ID; NULL is all. */
void rows_evals(struct rows *r, const struct view *v, const struct uuid_prefix *prefix);
void rows_allocs(struct rows *r, const struct view *v, const struct uuid_prefix *prefix);
void rows_nodes(struct rows *r, const struct view *v, const struct uuid_prefix *prefix);
void rows_deployments(struct rows *r, const struct view *v, const struct uuid_prefix *prefix);
/* In the order of their making. */
void rows_evals_of_job(struct rows *r, const struct view *v, const char *ns, const char *id);
void rows_deployments_of_job(struct rows *r, const struct view *v, const char *ns, const char *id);
void rows_allocs_of_job(struct rows *r, const struct view *v, const struct job_row *job); /* Of all its versions. */
void rows_allocs_of_eval(struct rows *r, const struct view *v, const struct uuid *eval);
void rows_allocs_of_deployment(struct rows *r, const struct view *v, const struct uuid *deployment);
/* By ID. */
void rows_allocs_of_node(struct rows *r, const struct view *v, const struct uuid *node);
/* In the order of namespace, name and ID. A NULL namespace is all of them; a NULL name all of the namespace. */
void rows_services(struct rows *r, const struct view *v, const char *ns, const char *name);
/* In the order of their making. */
void rows_services_of_alloc(struct rows *r, const struct view *v, const struct uuid *alloc);
/* Variables in the order of namespace and path. A NULL namespace is all of them (then `prefix` is not looked at). */
void rows_variables(struct rows *r, const struct view *v, const char *ns, const char *prefix);
/* By ID; NULL is all. */
void rows_acl_tokens(struct rows *r, const struct view *v, const struct uuid_prefix *accessor);
/* Tokens that expire, the first to do so first. */
void rows_expiring_tokens(struct rows *r, const struct view *v);
void rows_expiring_once(struct rows *r, const struct view *v);
/* The rows of one of the small tables. */
void rows_objects(struct rows *r, const struct view *v, enum table table);

/* Let the iteration begin at this key or after it (or, backwards, before it). Before the first step; the key must stay
 * until then. For tables by ID the key is the 16 bytes of a UUID, for jobs namespace, zero, ID, zero. */
void rows_seek(struct rows *r, const void *key, size_t len);

const struct row *rows_next(struct rows *r);
const struct row *rows_prev(struct rows *r);

/* job_next(&r) and so on: rows_next() of a known kind. */
#define ROW_TYPES(X)                                                                         \
	X(job) X(summary) X(eval) X(alloc) X(node) X(deployment) X(service) X(object)        \
		X(acl_token) X(acl_role) X(acl_once)
#define X(T)                                                                                 \
	static inline const struct T##_row *T##_next(struct rows *r)                         \
	{                                                                                    \
		return (const struct T##_row *)(const void *)rows_next(r);                   \
	}                                                                                    \
	static inline const struct T##_row *T##_prev(struct rows *r)                         \
	{                                                                                    \
		return (const struct T##_row *)(const void *)rows_prev(r);                   \
	}
ROW_TYPES(X)
#undef X

/* ---- rows as objects of the API: 0, ERR_NOMEM or ERR_CORRUPT; all memory is of `mem` or of the row ---- */

/* The whole job. */
int job_row_get(const struct job_row *row, struct job *out, struct arena *mem);

/* For lists; with its summary, if it has one. Its Meta is left out: it takes job_row_get(). */
int job_row_stub(const struct view *v, const struct job_row *row, struct job_stub *out, struct arena *mem);

int summary_row_get(const struct summary_row *row, struct job_summary *out, struct arena *mem);

int eval_row_get(const struct eval_row *row, struct evaluation *out, struct arena *mem);
int eval_row_stub(const struct eval_row *row, struct eval_stub *out, struct arena *mem);

/* The job decoded last, so that a list of allocations of one job decodes it once. Zeroed; of the arena's life. */
struct job_cache {
	const struct job_row *row;
	struct job *job;
};

/* The whole allocation, with its job. `cache` may be NULL. */
int alloc_row_get(const struct alloc_row *row, struct allocation *out, struct job_cache *cache, struct arena *mem);

enum {
	ALLOC_STUB_RESOURCES = 1,
	ALLOC_STUB_TASK_STATES = 2,
};

int alloc_row_stub(const struct alloc_row *row, unsigned what, struct alloc_stub *out, struct job_cache *cache,
                   struct arena *mem);

/* With its secret: see object_hide_secrets(). */
int node_row_get(const struct node_row *row, struct node *out, struct arena *mem);

enum {
	NODE_STUB_RESOURCES = 1,
	NODE_STUB_OS = 2, /* The attribute os.name. */
};

int node_row_stub(const struct node_row *row, unsigned what, struct node_stub *out, struct arena *mem);

int deployment_row_get(const struct deployment_row *row, struct deployment *out, struct arena *mem);

/* `v` is the view that the row is of: a part of what it tells is its allocation's. */
int service_row_get(const struct view *v, const struct service_row *row, struct service_registration *out,
                    struct arena *mem);
int service_row_tags(const struct service_row *row, struct service_tags *out, struct arena *mem);

/* With its secret. Roles have their IDs and the names that they have in `v`; those that are gone are left out. */
int acl_token_row_get(const struct view *v, const struct acl_token_row *row, struct acl_token *out, struct arena *mem);
int acl_token_row_stub(const struct view *v, const struct acl_token_row *row, struct acl_token_stub *out,
                       struct arena *mem);
/* Policies that are gone are left out, unless `v` is NULL. */
int acl_role_row_get(const struct view *v, const struct acl_role_row *row, struct acl_role *out, struct arena *mem);
int acl_policy_row_get(const struct object_row *row, struct acl_policy *out, struct arena *mem);

/* What INDEX_ACL_TOKENS_SECRET and INDEX_ACL_ONCE_SECRET have in a secret's place. */
void acl_lookup(const struct uuid *secret, uint8_t lookup[16]);

/* ---- for tests ---- */

/* Check all that must hold of a view: structure of the trees, indexes against tables, summaries and statuses against
 * rows, hashes against contents. Writes what is wrong to stderr; true when nothing is. On any thread. */
bool state_check(const struct view *v);

#endif /* RAFT_STATE_H_ */

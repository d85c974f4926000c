/**
 * Reads of the state: one table each, and everything that reads have in common.
 *
 *     begin   what the request asks for is checked and kept
 *     ...     until the view is new enough: at once on the leader and for ?stale, else after a read index or barrier
 *     find    in a view: the object, its index, what to watch for changes, and what its body depends on
 *     ...     while ?index is not passed: parked until a watch fires or time is up, then find again
 *     render  the body, unless the cache has it; a list is rendered row by row, in slices
 *
 * Handlers describe a read by a `struct query_kind`; the functions below are what they use in it.
 */
#ifndef SERVER_API_QUERY_H_
#define SERVER_API_QUERY_H_

#include "lib/sm.h"
#include "server/api_answer.h"

enum {
	QUERY_WATCHES_MAX = 4,
	LIST_STREAM = 1 << 20,      /* Bytes: a longer list leaves piece by piece. */
	LIST_PAGE_MAX = 8 << 20,    /* Bytes: a page ends here, whatever its number of elements. */
	LISTINGS_BYTES = 256 << 20, /* What all lists being rendered may take; others wait. */
};

struct query;
struct listing;

/* What is told of the rows of a list. */
struct list_scratch {
	struct arena mem;       /* For one element; may be emptied after any of them. */
	struct job_cache jobs;
	unsigned part;          /* Of a row that makes several elements: which of them. */
};

/* What `get` of a list may return besides 0: the row is no element; it has fewer parts than this. */
enum { LIST_SKIP = 1, LIST_NO_PART = 2 };

enum { LIST_PARTIAL_MAX = 3 };

/* What a table is sorted by, which page tokens are made of. Lists that are told whole have no pages. */
enum list_key { LIST_WHOLE, LIST_BY_ID, LIST_BY_JOB, LIST_BY_NAME, LIST_BY_SERVICE, LIST_BY_VARIABLE };

struct list_kind {
	const struct type *type; /* Of the elements. */
	/* Begin to iterate, in q->v. */
	void (*open)(struct query *q, struct rows *r);
	/* Whether a row belongs to the list, from its plain part; NULL: all do. */
	bool (*match)(const struct query *q, const struct row *row);
	/* Whether it may be seen by whoever asks, if that is not everybody (server/access.h); NULL: by all whom the route
	 * lets in. Every list of more than one namespace has it. */
	bool (*sees)(const struct acl *acl, const struct row *row);
	/* Make the element: 0, LIST_SKIP or an ERR_ code. */
	int (*get)(struct query *q, const struct row *row, void *obj, struct list_scratch *s);
	/* Filters may ask for more than the element has: that is a `whole`. NULL when there is nothing more. Words in a
	 * filter that make it ask for that if it can, as elements have these members only sometimes, or of another
	 * type. */
	const struct type *whole;
	int (*get_whole)(struct query *q, const struct row *row, void *obj, struct list_scratch *s);
	const char *partial[LIST_PARTIAL_MAX];
	enum list_key key;
	bool count;     /* Tell only how many there are: {"Count":N}. */
	bool backwards; /* The last row of the table is the first of the list. */
	bool in_parts;  /* A row makes any number of elements: `get` is asked for each. */
	bool first;     /* The answer is the first element alone; without one it is 404 and `missing`. */
	/* Rows by ID, told by age: the oldest first, by this number and then by ID. NULL: in the table's order. */
	uint64_t (*age)(const struct row *row);
	struct uuid (*id)(const struct row *row); /* Of page tokens by ID and by age, too. */
};

struct query_kind {
	/* Check the path, and keep what is asked for. 0, or not 0 when it has answered. The body is there only now.
	 * NULL: nothing to do. */
	int (*begin)(struct query *q);
	/* Look: see query_found() and query_table(). 0, or ERR_NOTFOUND: answered with 404 and `missing`. */
	int (*find)(struct query *q);
	/* Tell what was found: 0, or an ERR_ code, which is answered with 500. */
	int (*render)(struct query *q, struct buf *out);
	const struct list_kind *list; /* In place of render. */
	const char *missing;
};

struct query_watch {
	struct watcher watcher;
	struct query *query;
};

struct query {
	struct http_request *req;
	struct api *api;
	const struct query_kind *kind;
	struct http_options opt;
	const struct view *v; /* In find and render. */

	/* Kept by begin. */
	struct uuid id;
	unsigned flags;
	void *own;

	/* Set by find. */
	const void *row;
	uint64_t index;  /* X-Nomad-Index. */
	const char *missing; /* In place of the kind's, if not NULL. */
	uint64_t stamp;  /* Of the body: changes with all that it is made of. 0: not to be kept. */
	struct query_watch watches[QUERY_WATCHES_MAX];
	unsigned n_watches;

	/* Private. */
	struct sm state;
	struct list link; /* In the list of its state. */
	struct deadline deadline;
	struct leader_wait wait;
	struct listing *listing;
	uint64_t contact_ms;
	const char *next_token;
	const char *key;  /* In the cache. */
	size_t key_len;
	bool over;        /* Time is up: answer with what there is. */
	const char *fault; /* Set by a render that fails: what to answer with in place of the error's text; or NULL. */
};

/* Take a request. */
void query_begin(struct api *api, struct http_request *req, const struct query_kind *kind);

/* ---- for find ---- */

/* The read is of one row: its index is the row's `modify_index`, or, when it is not there (row NULL), the table's; it
 * waits for the row with this watch key. Returns 0 or ERR_NOTFOUND. */
int query_found(struct query *q, enum table table, uint64_t key, const struct row *row, uint64_t modify_index);

/* A row of any kind as `row` above, NULL as NULL. */
#define ROW_OF(typed) ((typed) != NULL ? &(typed)->row : NULL)

/* The body is made of rows of this table, too: its index is at least the table's, and it waits for the table. */
void query_table(struct query *q, enum table table);

/* The namespace asked for, NULL for all. */
static inline const char *query_ns(const struct query *q)
{
	return strcmp(q->opt.namespace_, "*") == 0 ? NULL : q->opt.namespace_;
}

static inline bool query_ns_is(const struct query *q, const char *ns)
{
	return strcmp(q->opt.namespace_, ns) == 0 || strcmp(q->opt.namespace_, "*") == 0;
}

/* An iteration over nothing, for open. */
static inline void rows_none(struct rows *r)
{
	r->empty = true;
}

/* ---- for begin ---- */

/* A UUID of the path into q->id; 0 or answered. */
int query_begin_id(struct query *q);

/* The same, where what is no UUID is that of nothing: zero. */
int query_begin_any_id(struct query *q);

/* The prefix of a list of UUIDs, checked and kept for query_prefix(); 0 or answered. */
int query_begin_prefix(struct query *q);
const struct uuid_prefix *query_prefix(const struct query *q); /* NULL: none. */

/* Whether there is one where it could mean two things; then answered with 400. */
bool query_refuses_prefix(struct query *q);

/* ---- api_list.c ---- */

/* Render the list that was found and answer, now or in slices. */
void listing_begin(struct query *q);

/* Its client has left. */
void listing_gone(struct query *q);

/* For api_list.c. Answer with a body, which it takes a reference of; with an error; with 400 and a text; with 404 and
 * `missing`; or end the stream that was begun with the head. */
void query_answer(struct query *q, struct http_body *body);
void query_fail(struct query *q, int err);
void query_refuse(struct query *q, const char *format, const char *why);
void query_missing(struct query *q);
struct http_response query_head(struct query *q);
void query_stream_end(struct query *q, bool whole);

/* Likewise: give up the view; find anew, in the next turn. */
void query_drop_view(struct query *q);
void query_look_again(struct query *q);

#endif /* SERVER_API_QUERY_H_ */

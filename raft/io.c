/* What libraft 0.22.1 asks of a raft_io, beyond what raft.h says:
 *
 *  - io->data is libraft's struct raft. LegacyFireCompletedRequests(io->data) must be called when the loop comes to and
 *    leaves its poll; the shared library hides it, so libraft is linked statically.
 *  - send, append and truncate must not fail: the rest of the same update (messages, commit index) would be skipped,
 * and some buffers freed twice. Send therefore reports failures by its callback, and append waits for space.
 *  - append's callback must not run inside append, and must keep the order.
 *  - set_term and set_vote must be durable before a message goes out or an append completes. We queue them before the
 *    appends that follow, and hold all messages back until they are.
 *  - A status other than 0 for append or snapshot_put is allowed only while closing (RAFT_CANCELED): errors are
 * retried, or end the process.
 *  - snapshot_put with trailing 0 is an installation: the whole log is void.
 *  - A message with entries has them all in one batch, and without any a NULL array.
 *  - Entries given by load may have buffers of their own, without a batch. They should: for each batch that it frees
 *    libraft walks the whole log, 10 s for 100,000 entries.
 *  - Where its release build has dropped an assert, a message must not break it: see wire.c, and is_welcome() here.
 *  - What it gets wrong about messages is put right by mend.c.
 *  - The same entry (index and term) that comes again while an older copy is being sent or written is refused in the
 *    middle of an update, which leaves its two pictures of the log different. Entries of an ended term are therefore
 * not sent; and when it happens all the same, the process ends and loads the log anew.
 *
 * The traps of the packaged back end (numbers of the design's library notes), and where they went:
 *
 *     1  Nagle's algorithm                        off in dial.c and inlet.c
 *     2  a snapshot encoded on the loop           on a worker, from what was captured
 *     3  a snapshot sent again each heartbeat     one at a time for a server, on its own connection, from the file
 *     4  InstallSnapshot during a snapshot        dropped here; it comes again
 *     5  waiting in io_destroy()                  no kernel AIO: one thread writes
 *     6  a failed write retried wrongly           ends the process (disk_die)
 *     7  capacity in 16 bits                      saturated
 *     8  a full disk                              io_status().full; the backlog has bounds on both sides; spares
 *     9  no no-op when full at an election        replica.c sends its barrier again and again
 *    10  a flipped bit taken for a torn end       told apart by the journal's one-record-at-a-time rule, and the mark
 *    11  snapshots without checksum               one for each chunk, and read back before they count
 *    12  snapshots over 2 GiB                     streams
 *    13  no lock on the directory                 flock
 *    14  empty messages at the in-flight limit    a limit of 256, and a window of 4 proposals
 *    15  a stopped follower's queue               bounded; stalled connections are closed
 *    16  removed servers                          are told (WIRE_REMOVED), and pre-vote keeps them harmless
 *    17  a wiped server under its old ID          the caller's: a new ID; origins keep clusters apart
 *    18  lengths believed, no checks              checked before they are allocated; a hello names cluster and origin
 *    19  asserts compiled out                     see above
 *    20  file systems that do not sync            cannot be seen from here; README says so
 */
#include "raft/io_parts.h"
#include "raft/mend.h"

#include "lib/log.h"
#include "proto/error.h"
#include "raft/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

_Static_assert((int)JOURNAL_TEXT <= (int)RAFT_ERRMSG_BUF_SIZE, "the journal's texts fit");

void LegacyFireCompletedRequests(struct raft *r); /* In libraft.a. */

int io_raft_code(int err)
{
	switch (err) {
	case 0:
		return 0;
	case ERR_NOMEM:
		return RAFT_NOMEM;
	case ERR_NOSPACE:
		return RAFT_NOSPACE;
	case ERR_CORRUPT:
		return RAFT_CORRUPT;
	case ERR_BUSY:
		return RAFT_BUSY;
	default:
		return RAFT_IOERR;
	}
}

uint64_t io_term_of(const struct raft *raft, uint64_t index)
{
	const struct raft_trail *t = &raft->trail;

	if (index == t->snapshot.index) {
		return t->snapshot.term;
	}
	if (index <= t->offset) {
		return 0;
	}
	for (unsigned i = t->front; i != t->back; i = (i + 1) % t->size) {
		if (index <= t->records[i].index) {
			return t->records[i].term;
		}
	}
	return 0;
}

/* --- opening --- */

static int fail(struct raft_io *io, int rc, const char *what, const char *why)
{
	snprintf(io->errmsg, sizeof(io->errmsg), "%s: %s", what, why);
	return rc;
}

static int lock_dir(struct raft_io *io, struct backend *b)
{
	b->dirfd = open(b->config.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->dirfd < 0) {
		return fail(io, ERR_IO, b->config.dir, strerror(errno));
	}
	if (flock(b->dirfd, LOCK_EX | LOCK_NB) != 0) {
		return fail(io, ERR_BUSY, b->config.dir, "in use by another process");
	}
	return 0;
}

static int load_snapshot_meta(struct raft_io *io, struct backend *b)
{
	struct snapshot_reader r;
	char name[SNAPSHOT_NAME];
	int rc = snapshot_find(b->dirfd, name);

	if (rc != 0 || name[0] == 0) {
		return rc == 0 ? 0 : fail(io, rc, b->config.dir, strerror(errno));
	}
	rc = snapshot_verify(b->dirfd, name);
	if (rc == 0) {
		rc = snapshot_open(&r, b->dirfd, name);
	}
	if (rc != 0) {
		return fail(io, rc, name, rc == ERR_CORRUPT ? "damaged" : error_text(rc));
	}
	b->snapshot = r.meta;
	r.meta.conf = NULL;
	snapshot_close(&r);
	b->snapshot_bytes = snapshot_size(b->dirfd, name);
	return wire_conf_valid(b->snapshot.conf, b->snapshot.conf_len) ? 0
								       : fail(io, ERR_CORRUPT, name, "configuration");
}

static int open_vote(struct raft_io *io, struct backend *b)
{
	int rc = vote_open(&b->vote, b->dirfd);

	if (rc != 0) {
		return fail(io, rc, "vote", rc == ERR_CORRUPT ? "both slots are damaged" : strerror(errno));
	}
	b->term = b->vote.term;
	b->voted_for = b->vote.voted_for;
	return 0;
}

static int open_all(struct raft_io *io, struct backend *b)
{
	int rc = lock_dir(io, b);

	if (rc == 0) {
		rc = open_vote(io, b);
	}
	if (rc == 0) {
		rc = load_snapshot_meta(io, b);
	}
	if (rc == 0) {
		b->opened = true;
		rc = journal_open(&b->journal, b->dirfd, &b->vote, io->errmsg);
	}
	return rc;
}

/* raft_init() has nothing left to do here. */
static int on_init(struct raft_io *io, raft_id id, const char *address)
{
	(void)io;
	(void)id;
	(void)address;
	return 0;
}

/* --- loading --- */

static const struct raft_entry *entry_at(const struct journal *j, uint64_t index)
{
	bool there = index >= j->start_index && index < j->start_index + j->n_entries;

	return there ? &j->entries[index - j->start_index] : NULL;
}

static void drop_entries(struct journal *j)
{
	for (size_t i = 0; i < j->n_entries; i++) {
		raft_free(j->entries[i].buf.base);
	}
	raft_free(j->entries);
	j->entries = NULL;
	j->n_entries = 0;
}

/* A log that does not hold the snapshot's last entry, or begin behind it, is from before its installation. */
static bool is_void(const struct journal *j, const struct snapshot_meta *s)
{
	const struct raft_entry *last = entry_at(j, s->index);

	return j->n_entries > 0 && s->index > 0 && j->start_index != s->index + 1 &&
	       (last == NULL || last->term != s->term);
}

static int check_entries(struct raft_io *io, const struct journal *j, uint64_t snapshot_index)
{
	if (j->n_entries == 0) {
		return 0;
	}
	if (j->start_index > snapshot_index + 1) {
		snprintf(io->errmsg, sizeof(io->errmsg), "the log begins at %llu, but the snapshot ends at %llu",
			 (unsigned long long)j->start_index, (unsigned long long)snapshot_index);
		return RAFT_CORRUPT;
	}
	if (snapshot_index == 0 && j->entries[0].type != RAFT_CHANGE) {
		fail(io, 0, "log", "it does not begin with a configuration");
		return RAFT_CORRUPT;
	}
	for (size_t i = 0; i < j->n_entries; i++) {
		const struct raft_entry *e = &j->entries[i];

		if ((e->type == RAFT_CHANGE && !wire_conf_valid(e->buf.base, e->buf.len)) ||
		    (i > 0 && e->term < e[-1].term)) {
			fail(io, 0, "log", "an entry that cannot be");
			return RAFT_CORRUPT;
		}
	}
	return 0;
}

static void weigh(struct backend *b, const struct journal *j, uint64_t start)
{
	weight_reset(&b->weight, start - 1);
	for (size_t i = 0; i < j->n_entries; i++) {
		weight_append(&b->weight, start + i, j->entries[i].buf.len);
	}
}

static int load_snapshot(struct raft_io *io, struct backend *b, struct raft_snapshot **snapshot)
{
	struct raft_snapshot *s = NULL;
	int rc = io_load_snapshot(b, &s);

	if (rc != 0) {
		return rc;
	}
	rc = b->config.restore_cb(b->config.ctx, &s->bufs[0]);
	if (rc != 0) {
		io_free_snapshot(s);
		fail(io, rc, "the state cannot be restored from its snapshot", error_text(rc));
		return io_raft_code(rc);
	}
	*snapshot = s;
	return 0;
}

static int on_load(struct raft_io *io, raft_term *term, raft_id *voted_for, struct raft_snapshot **snapshot,
		   raft_index *start_index, struct raft_entry **entries, size_t *n_entries)
{
	struct backend *b = io->impl;
	struct journal *j = &b->journal;
	uint64_t last = b->snapshot.index;
	int rc;

	*snapshot = NULL;
	if (is_void(j, &b->snapshot) && j->start_index <= last + 1) {
		drop_entries(j);
		b->void_log = true;
	}
	rc = check_entries(io, j, last);
	if (rc == 0 && last > 0) {
		rc = load_snapshot(io, b, snapshot);
	}
	if (rc != 0) {
		return rc;
	}
	*start_index = j->n_entries > 0 ? j->start_index : last + 1;
	*entries = j->entries;
	*n_entries = j->n_entries;
	weigh(b, j, *start_index);
	b->next_index = *start_index + *n_entries;
	if (j->n_entries > 0 && j->entries[j->n_entries - 1].term > b->term) {
		b->term = j->entries[j->n_entries - 1].term; /* The crash came between an entry and the vote's file. */
		b->voted_for = 0;
	}
	*term = b->term;
	*voted_for = b->voted_for;
	j->entries = NULL; /* libraft's now. */
	j->n_entries = 0;
	return 0;
}

/* --- the turn --- */

static void push_vote(struct backend *b);

static void report_capacity(struct backend *b)
{
	struct journal_status s = journal_status(&b->journal);
	size_t kib = s.no_space ? s.capacity / 1024 : UINT16_MAX;

	b->io->capacity = kib > UINT16_MAX ? UINT16_MAX : (unsigned short)kib;
}

/* Callbacks may end it all at any step. */
static void on_turn(struct backend *b, bool ends)
{
	report_capacity(b);
	push_vote(b); /* What votes decide starts its way to the disk before all else. */
	if (!b->closing) {
		LegacyFireCompletedRequests(b->io->data);
	}
	if (!b->closing) {
		b->config.turn_cb(b->config.ctx, ends);
	}
	if (!b->closing) {
		push_vote(b);
	}
	b->transport.held = b->n_votes > 0;
	transport_flush(&b->transport);
}

static void on_prepare(uv_prepare_t *handle)
{
	on_turn(handle->data, true);
}

static void on_check(uv_check_t *handle)
{
	on_turn(handle->data, false);
}

/* --- time --- */

static void on_tick(uv_timer_t *timer);

static void arm(struct backend *b, uint64_t delay)
{
	b->tick_due = uv_now(b->config.loop) + delay;
	uv_timer_start(&b->timer, on_tick, delay, 0);
}

void io_rearm(struct raft_io *io)
{
	struct backend *b = io->impl;
	uint64_t now = uv_now(b->config.loop);
	uint64_t at = raft_timeout(io->data);
	uint64_t delay = at > now ? at - now : 0;

	if (!b->started || b->closing) {
		return;
	}
	delay = delay < MIN_TICK_MS ? MIN_TICK_MS : delay;
	arm(b, delay > b->tick_ms ? b->tick_ms : delay);
}

/* After a long turn what has arrived meanwhile is read first: a leader that was not heard for as long as we did not
 * listen is no reason for an election. */
static void on_tick(uv_timer_t *timer)
{
	struct backend *b = timer->data;
	uint64_t now = uv_now(b->config.loop);

	if (!b->late && now > b->tick_due + b->tick_ms) {
		b->late = true;
		arm(b, 1);
		return;
	}
	b->late = false;
	transport_tick(&b->transport);
	b->tick_cb(b->io);
	io_rearm(b->io);
}

static raft_time on_time(struct raft_io *io)
{
	return uv_now(((struct backend *)io->impl)->config.loop);
}

static int on_random(struct raft_io *io, int min, int max)
{
	unsigned value = 0;

	(void)io;
	if (getrandom(&value, sizeof(value), 0) != sizeof(value)) {
		value = (unsigned)uv_hrtime();
	}
	return min + (int)(value % (unsigned)(max - min));
}

/* --- messages --- */

static struct contact *contact_of(struct backend *b, uint64_t id)
{
	for (unsigned i = 0; i < b->n_contacts; i++) {
		if (b->contacts[i].id == id) {
			return &b->contacts[i];
		}
	}
	return NULL;
}

/* In a full table the one heard of longest ago makes place. */
static struct contact *contact_note(struct backend *b, uint64_t id)
{
	struct contact *c = contact_of(b, id);

	if (c == NULL && b->n_contacts < MAX_CONTACTS) {
		c = &b->contacts[b->n_contacts++];
	}
	if (c == NULL) {
		c = &b->contacts[0];
		for (unsigned i = 1; i < b->n_contacts; i++) {
			c = b->contacts[i].at < c->at ? &b->contacts[i] : c;
		}
	}
	if (c->id != id) {
		*c = (struct contact){.id = id};
	}
	c->at = uv_now(b->config.loop);
	return c;
}

uint64_t io_contact_ms(struct raft_io *io, uint64_t id)
{
	struct backend *b = io->impl;
	struct contact *c = contact_of(b, id);

	return c == NULL ? UINT64_MAX : uv_now(b->config.loop) - c->at;
}

/* --- stamps ---
 *
 * A follower votes for nobody until an election timeout after it has heard of its leader. So a leader knows until when
 * nobody else can have been elected, if it knows when it sent what followers have heard: each message carries its time,
 * and followers send back that of the newest one they had in the term. How long wires, disks and pauses of processes
 * make an answer wait does not matter, and nobody compares two clocks. See server/lease.h. */

static uint64_t stamp_now(void)
{
	return uv_hrtime() / 1000000;
}

static void note_stamp(uint64_t *known_term, uint64_t *known, uint64_t term, uint64_t stamp)
{
	if (term != *known_term || stamp > *known) {
		*known_term = term;
		*known = stamp;
	}
}

/* Before libraft gets the message: its answer may leave at once. */
static void take_stamp(struct backend *b, struct contact *c, const struct wire_message *m)
{
	const struct raft *raft = b->io->data;

	if (m->raft.type == RAFT_APPEND_ENTRIES && m->raft.append_entries.term >= raft->current_term) {
		note_stamp(&c->heard_term, &c->heard_stamp, m->raft.append_entries.term, m->stamp);
	}
	if (m->raft.type == RAFT_APPEND_ENTRIES_RESULT && m->raft.append_entries_result.term == raft->current_term) {
		note_stamp(&c->answered_term, &c->answered_stamp, raft->current_term, m->stamp);
	}
}

static uint64_t stamp_for(struct backend *b, const struct raft_message *m)
{
	struct contact *c;

	if (m->type == RAFT_APPEND_ENTRIES) {
		return stamp_now();
	}
	c = m->type == RAFT_APPEND_ENTRIES_RESULT ? contact_of(b, m->server_id) : NULL;
	return c != NULL && c->heard_term == m->append_entries_result.term ? c->heard_stamp : 0;
}

uint64_t io_answered_ms(struct raft_io *io, uint64_t id)
{
	struct backend *b = io->impl;
	const struct raft *raft = io->data;
	struct contact *c = contact_of(b, id);

	return c != NULL && raft->state == RAFT_LEADER && c->answered_term == raft->current_term ? c->answered_stamp : 0;
}

/* Would this message, which is well-formed, break a promise that libraft relies on without looking? */
static bool is_welcome(struct backend *b, const struct raft_message *m)
{
	const struct raft *raft = b->io->data;
	uint64_t term = m->type == RAFT_APPEND_ENTRIES ? m->append_entries.term : m->install_snapshot.term;

	switch (m->type) {
	case RAFT_INSTALL_SNAPSHOT:
		if (raft->legacy.snapshot_taking || b->put != NULL) {
			return false; /* It comes again. */
		}
		/* fallthrough */
	case RAFT_APPEND_ENTRIES:
		if (raft->state == RAFT_LEADER && term == raft->current_term) {
			log_error("raft", "server %016llx leads in term %llu, as we do: is its ID used twice?",
				  (unsigned long long)m->server_id, (unsigned long long)term);
			return false;
		}
		return true;
	case RAFT_REQUEST_VOTE:
		if (uv_now(b->config.loop) < b->deaf_until && !m->request_vote.disrupt_leader) {
			return false; /* What we may have told a leader before we were started holds still. */
		}
		return m->request_vote.candidate_id == m->server_id;
	default:
		return true;
	}
}

/* A disk that is behind or full bounds what we take, and so does a state that is: fewer entries are a legal message too,
 * which says that the leader is there; it will send the others again. */
static void shed_entries(struct backend *b, struct raft_message *m)
{
	struct raft_append_entries *a = &m->append_entries;

	if (a->n_entries > 0 && (journal_status(&b->journal).backlog >= MAX_FOLLOWER_BACKLOG ||
				 b->config.lags_cb(b->config.ctx))) {
		mend_drop_entries(a);
	}
}

void io_deliver(struct raft_io *io, struct raft_message *m)
{
	struct backend *b = io->impl;
	struct raft *raft = io->data;

	raft->errmsg[0] = 0;
	b->recv_cb(io, m);
	if (strncmp(raft->errmsg, "append ", 7) == 0) {
		errno = EBUSY; /* See the essay: an entry that is still in use. */
		disk_die("log: an entry came twice");
	}
}

static bool is_server(const struct raft_configuration *conf, uint64_t id)
{
	for (unsigned i = 0; i < conf->n; i++) {
		if (conf->servers[i].id == id) {
			return true;
		}
	}
	return false;
}

/* A candidate that is in no configuration of ours has been removed and does not know it. */
static void tell_removed(struct backend *b, const struct raft_message *m)
{
	const struct raft *raft = b->io->data;

	if (m->type == RAFT_REQUEST_VOTE && raft->configuration_committed_index > 0 &&
	    !is_server(&raft->configuration, m->server_id) &&
	    !is_server(&raft->configuration_committed, m->server_id)) {
		transport_send_removed(&b->transport, m->server_id, m->server_address,
				       raft->configuration_committed_index);
	}
}

static void deliver_parts(struct backend *b, struct raft_message *m)
{
	struct raft_message rest = *m;

	while (m->type == RAFT_APPEND_ENTRIES && mend_split(&m->append_entries, &rest.append_entries)) {
		io_deliver(b->io, m);
		*m = rest;
		if (b->closing) {
			mend_drop_entries(&m->append_entries);
			return;
		}
	}
	io_deliver(b->io, m);
}

static bool on_message(struct transport *t, struct wire_message *m)
{
	struct backend *b = t->data;
	struct put *before = b->put;
	struct contact *c;

	if (!b->started || b->closing) {
		wire_message_close(m);
		return false;
	}
	if (m->type == WIRE_REMOVED) {
		b->config.removed_cb(b->config.ctx, m->conf_index);
		return false;
	}
	/* The turn may have begun long ago, and a leader is heard now: not before it has sent this. */
	uv_update_time(b->config.loop);
	c = contact_note(b, m->raft.server_id);
	if (!is_welcome(b, &m->raft)) {
		wire_message_close(m);
		return false;
	}
	take_stamp(b, c, m);
	if (m->raft.type == RAFT_APPEND_ENTRIES) {
		shed_entries(b, &m->raft);
		mend_append(b->io->data, &m->raft.append_entries);
	}
	tell_removed(b, &m->raft);
	deliver_parts(b, &m->raft);
	return b->put != before && b->put != NULL && b->put->trailing == 0;
}

/* Ends of connections: a leader whose process is gone need not be waited for. */
static void on_lost(struct transport *t, uint64_t id)
{
	struct backend *b = t->data;
	raft_id leader;
	const char *address;

	if (!b->started || b->closing) {
		return;
	}
	raft_leader(b->io->data, &leader, &address);
	if (leader == id) {
		transport_probe(t, id);
	}
}

static void on_refused(struct transport *t, uint64_t id)
{
	struct backend *b = t->data;

	if (b->started && !b->closing) {
		b->config.refused_cb(b->config.ctx, id);
	}
}

static void on_other(struct transport *t, struct channel *ch, const char *listener, char first)
{
	struct backend *b = t->data;

	b->config.other_cb(b->config.ctx, ch, listener, first);
}

static void mend_handing_on(struct raft *raft, const struct raft_message *m)
{
	raft_index match = 0;

	if (raft->state == RAFT_LEADER && raft_match_index(raft, m->server_id, &match) == 0) {
		(void)mend_transfer(raft, &m->timeout_now, match);
	}
}

static int on_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *m, raft_io_send_cb cb)
{
	struct backend *b = io->impl;
	struct raft_message mended = *m;

	req->cb = cb;
	if (m->type == RAFT_APPEND_ENTRIES_RESULT) {
		mend_answer(io->data, &mended.append_entries_result);
	} else if (m->type == RAFT_REQUEST_VOTE_RESULT) {
		mend_vote(io->data, &mended.request_vote_result);
	} else if (m->type == RAFT_TIMEOUT_NOW) {
		mend_handing_on(io->data, m);
	}
	transport_send(&b->transport, req, &mended, stamp_for(b, &mended));
	return 0;
}

/* --- term, vote, log --- */

/* One write for all that changes in one step of libraft's; before any append that follows, and before any message. */
static void push_vote(struct backend *b)
{
	struct journal_item *item;

	if (!b->vote_changed) {
		return;
	}
	item = calloc(1, sizeof(*item));
	if (item == NULL) {
		abort(); /* libraft cannot bear an error here. */
	}
	*item = (struct journal_item){
		.type = JOURNAL_VOTE, .term = b->term, .voted_for = b->voted_for, .origin = b->transport.origin};
	b->vote_changed = false;
	b->n_votes++;
	io_run(b);
	journal_push(&b->journal, item);
}

static void vote_change(struct backend *b)
{
	b->vote_changed = true;
	b->transport.held = true;
}

static int on_set_term(struct raft_io *io, raft_term term)
{
	struct backend *b = io->impl;

	b->term = term;
	b->voted_for = 0;
	vote_change(b);
	transport_forget(&b->transport);
	return 0;
}

static int on_set_vote(struct raft_io *io, raft_id id)
{
	struct backend *b = io->impl;

	b->voted_for = id;
	vote_change(b);
	return 0;
}

uint64_t io_origin(struct raft_io *io)
{
	return ((struct backend *)io->impl)->transport.origin;
}

void io_set_origin(struct raft_io *io, uint64_t origin)
{
	struct backend *b = io->impl;

	b->transport.origin = origin;
	vote_change(b);
}

static void on_origin(struct transport *t, uint64_t origin)
{
	struct backend *b = t->data;

	if (b->started && !b->closing) {
		io_set_origin(b->io, origin);
	}
}

struct append {
	struct journal_item item;
	struct raft_io_append *req;
};

static int on_append(struct raft_io *io, struct raft_io_append *req, const struct raft_entry entries[], unsigned n,
		     raft_io_append_cb cb)
{
	struct backend *b = io->impl;
	struct append *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		abort(); /* libraft cannot bear an error here. */
	}
	req->cb = cb;
	a->req = req;
	a->item = (struct journal_item){.type = JOURNAL_APPEND, .index = b->next_index, .entries = entries, .n = n};
	for (unsigned i = 0; i < n; i++) {
		weight_append(&b->weight, b->next_index + i, entries[i].buf.len);
	}
	b->next_index += n;
	push_vote(b);
	io_run(b);
	journal_push(&b->journal, &a->item);
	return 0;
}

/* The append that follows replaces the rest. */
static int on_truncate(struct raft_io *io, raft_index index)
{
	struct backend *b = io->impl;

	if (index < b->next_index) {
		b->next_index = index;
	}
	return 0;
}

static void finish_append(struct backend *b, struct append *a, int status)
{
	a->req->cb(a->req, b->closing ? RAFT_CANCELED : status);
	free(a);
}

static void finish_item(struct backend *b, struct journal_item *item, int status)
{
	switch (item->type) {
	case JOURNAL_APPEND:
		finish_append(b, CONTAINER_OF(item, struct append, item), status);
		break;
	case JOURNAL_VOTE:
		b->n_votes--;
		free(item);
		break;
	case JOURNAL_RESET:
		if (item == &b->reset) {
			b->void_log = false;
		} else {
			io_put_finish(CONTAINER_OF(item, struct put, reset), b->closing ? RAFT_CANCELED : status);
		}
		break;
	}
}

static void finish_items(struct backend *b, struct journal_item *item, int status)
{
	struct journal_item *next;

	for (; item != NULL; item = next) {
		next = item->next;
		finish_item(b, item, status);
	}
}

static void on_wake(struct bell *bell)
{
	struct backend *b = bell->data;

	if (!b->closed) {
		finish_items(b, journal_finished(&b->journal), 0);
	}
}

static void wake(void *data)
{
	bell_ring(&((struct backend *)data)->wake);
}

void io_run(struct backend *b)
{
	if (b->running) {
		return;
	}
	b->running = true;
	b->n_handles++;
	if (bell_open(&b->wake, b->config.loop, on_wake, b) != 0 || journal_start(&b->journal, wake, b) != 0) {
		abort(); /* No descriptor or no threads: nothing can be done. */
	}
	if (b->void_log) {
		b->reset = (struct journal_item){.type = JOURNAL_RESET, .index = b->snapshot.index + 1};
		journal_push(&b->journal, &b->reset);
	}
}

/* --- start --- */

static int on_start(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
	struct backend *b = io->impl;
	uv_loop_t *loop = b->config.loop;

	b->tick_cb = tick;
	b->recv_cb = recv;
	b->tick_ms = msecs;
	b->timer.data = b->prepare.data = b->check.data = b;
	uv_timer_init(loop, &b->timer);
	uv_prepare_init(loop, &b->prepare);
	uv_check_init(loop, &b->check);
	b->n_handles += 3;
	uv_prepare_start(&b->prepare, on_prepare);
	uv_check_start(&b->check, on_check);
	b->started = true;
	io_run(b);
	uv_update_time(loop); /* Loading took its time. */
	b->deaf_until = b->term > 0 ? uv_now(loop) + ((struct raft *)io->data)->election_timeout : 0;
	arm(b, MIN_TICK_MS);
	return 0;
}

/* --- the end --- */

static void on_transport_closed(struct transport *t)
{
	io_gone(t->data);
}

void io_gone(struct backend *b)
{
	if (--b->n_handles == 0 && b->closing) {
		b->close_cb(b->io);
	}
}

static void on_handle_closed(uv_handle_t *handle)
{
	io_gone(handle->data);
}

static void on_bell_closed(struct bell *bell)
{
	io_gone(bell->data);
}

static void join_work(uv_work_t *work)
{
	struct backend *b = work->data;

	journal_join(&b->journal);
}

void io_close_journal(struct backend *b)
{
	if (!b->joined || b->n_workers > 0) {
		return;
	}
	finish_items(b, journal_finished(&b->journal), RAFT_CANCELED);
	b->closed = true;
	finish_items(b, journal_close(&b->journal), RAFT_CANCELED);
	bell_close(&b->wake, on_bell_closed);
}

static void on_joined(uv_work_t *work, int status)
{
	struct backend *b = work->data;

	(void)status;
	free(work);
	b->joined = true;
	io_close_journal(b);
}

static void join_start(struct backend *b)
{
	uv_work_t *work = calloc(1, sizeof(*work));

	if (work == NULL) {
		abort(); /* As libraft's own: it cannot go on without memory. */
	}
	work->data = b;
	journal_stop(&b->journal);
	uv_queue_work(b->config.loop, work, join_work, on_joined);
}

static void on_close(struct raft_io *io, raft_io_close_cb cb)
{
	struct backend *b = io->impl;

	b->close_cb = cb;
	b->closing = true;
	b->n_handles++; /* The transport's. */
	io_put_cancel(b);
	if (b->running) {
		join_start(b);
	}
	if (b->started) {
		uv_close((uv_handle_t *)&b->timer, on_handle_closed);
		uv_close((uv_handle_t *)&b->prepare, on_handle_closed);
		uv_close((uv_handle_t *)&b->check, on_handle_closed);
	}
	transport_close(&b->transport);
}

/* --- outside --- */

struct io_status io_status(struct raft_io *io)
{
	struct backend *b = io->impl;
	struct journal_status j = journal_status(&b->journal);

	return (struct io_status){.capacity = j.capacity,
				  .backlog = j.backlog,
				  .dropped = b->transport.dropped,
				  .full = j.no_space && j.capacity<LOW_SPACE, .busy = j.backlog> MAX_BACKLOG,
				  .putting = b->put != NULL,
				  .snapshot_index = b->snapshot.index,
				  .snapshot_bytes = b->snapshot_bytes};
}

struct transport *io_transport(struct raft_io *io)
{
	return &((struct backend *)io->impl)->transport;
}

struct weight *io_weight(struct raft_io *io)
{
	return &((struct backend *)io->impl)->weight;
}

bool io_closing(struct raft_io *io)
{
	return ((struct backend *)io->impl)->closing;
}

static void no_wake(void *data)
{
	(void)data;
}

/* Behind the last entry, in a term that nobody has been in: no entry of any other server's log can be at the same place
 * in the same term and be another one, wherever that log ends. The next leader commits it with one of its own. */
enum { RECOVER_TERMS = 1 << 20 };

static int recover_term(struct backend *b, struct raft_entry *entry)
{
	entry->term = (entry->term > b->vote.term ? entry->term : b->vote.term) + RECOVER_TERMS;
	return vote_put(&b->vote, entry->term, 0, b->vote.origin);
}

int io_recover(struct raft_io *io, const struct raft_configuration *conf)
{
	struct backend *b = io->impl;
	struct journal *j = &b->journal;
	uint64_t next = j->start_index + j->n_entries;
	struct raft_entry entry = {.type = RAFT_CHANGE, .term = b->snapshot.term};
	struct journal_item item = {.type = JOURNAL_APPEND, .entries = &entry, .n = 1};

	if (j->n_entries > 0) {
		entry.term = j->entries[j->n_entries - 1].term;
	}
	item.index = next > b->snapshot.index ? next : b->snapshot.index + 1;
	if (entry.term == 0) {
		return fail(io, ERR_INVALID, b->config.dir, "there is no log");
	}
	if (recover_term(b, &entry) != 0) {
		return fail(io, ERR_IO, b->config.dir, "the term cannot be written");
	}
	if (raft_configuration_encode(conf, &entry.buf) != 0 || journal_start(j, no_wake, NULL) != 0) {
		return fail(io, ERR_NOMEM, b->config.dir, "out of memory");
	}
	journal_push(j, &item);
	while (journal_finished(j) == NULL) {
		usleep(1000);
	}
	raft_free(entry.buf.base);
	return 0;
}

static void transport_setup(struct backend *b)
{
	b->transport = (struct transport){.loop = b->config.loop,
					  .dirfd = b->dirfd,
					  .id = b->config.id,
					  .address = b->config.address,
					  .cluster = b->config.cluster,
					  .origin = b->vote.origin,
					  .connect_ms = b->config.connect_ms,
					  .handshake_ms = b->config.handshake_ms,
					  .per_address = b->config.per_address,
					  .channels = b->config.channels,
					  .region = b->config.region,
					  .data = b,
					  .recv_cb = on_message,
					  .origin_cb = on_origin,
					  .lost_cb = on_lost,
					  .refused_cb = on_refused,
					  .other_cb = b->config.other_cb == NULL ? NULL : on_other,
					  .close_cb = on_transport_closed};
}

int io_init(struct raft_io *io, const struct io_config *config)
{
	struct backend *b = calloc(1, sizeof(*b));
	int rc;

	if (b == NULL) {
		return fail(io, ERR_NOMEM, config->dir, "out of memory");
	}
	*io = (struct raft_io){.version = 2,
			       .impl = b,
			       .init = on_init,
			       .close = on_close,
			       .load = on_load,
			       .start = on_start,
			       .set_term = on_set_term,
			       .set_vote = on_set_vote,
			       .send = on_send,
			       .append = on_append,
			       .truncate = on_truncate,
			       .snapshot_put = io_snapshot_put,
			       .snapshot_get = io_snapshot_get,
			       .time = on_time,
			       .random = on_random};
	b->io = io;
	b->config = *config;
	b->dirfd = -1;
	b->vote.fd = -1;
	b->next_index = 1;
	rc = open_all(io, b);
	if (rc == 0) {
		transport_setup(b);
		rc = transport_init(&b->transport);
	}
	return rc;
}

void io_free(struct raft_io *io)
{
	struct backend *b = io->impl;

	if (b == NULL) {
		return;
	}
	if (b->opened && !b->closed) {
		journal_close(&b->journal);
	}
	transport_free(&b->transport);
	raft_free(b->snapshot.conf);
	vote_close(&b->vote);
	if (b->dirfd >= 0) {
		close(b->dirfd);
	}
	free(b);
	io->impl = NULL;
}

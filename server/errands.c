/*
 * Requests that only the leader can answer: a server that does not lead passes them on, and keeps them as long as there is
 * no leader. All of them may be carried out twice, so they are sent again when a connection is lost.
 *
 *     wait --> away (sent to the leader) --> answered
 *       ^ \--> away (a command is written) --> answered
 *       +------- no leader, connection lost
 */
#include "server/net_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "server/core.h"

/* An answer that takes so long is asked for again. */
enum { TRY_MS = 3000 };

void errands_init(struct net *n)
{
	list_init(&n->fresh);
	list_init(&n->errands);
	list_init(&n->away);
	list_init(&n->members_wait);
}

/* ---- the end of one ---- */

static void release(struct errand *e)
{
	list_remove(&e->link);
	e->net->n_errands--;
	e->net->errand_bytes -= e->payload.len;
	buf_close(&e->payload);
	buf_close(&e->command);
	free(e);
}

void errand_reply(struct errand *e, const struct type *t, const void *obj)
{
	rpc_reply_object(e->call, t, obj);
	release(e);
}

void errand_fail(struct errand *e, int err, const char *text)
{
	rpc_fail(e->call, err, text != NULL && text[0] != '\0' ? text : error_text(err));
	release(e);
}

static void reply_raw(struct errand *e, const struct rpc_frame *frame)
{
	rpc_reply(e->call, frame->payload, frame->len);
	release(e);
}

/* ---- on the leader ---- */

void errand_await_member(struct errand *e, uint64_t raft_id)
{
	e->raft_id = raft_id;
	list_remove(&e->link);
	list_insert(&e->net->members_wait, &e->link);
	e->net->change_next_ms = 0;
}

static struct member *member_of(struct errand *e, struct rpc_member *said, struct arena *mem)
{
	struct uuid id;

	if (pack_decode(&rpc_member_type, said, e->payload.at, e->payload.len, mem) != 0 || said->hello == NULL ||
	    !net_hello_valid(said->hello) || !uuid_parse(said->hello->id, strlen(said->hello->id), &id)) {
		return NULL;
	}
	return member_by_id(e->net, &id);
}

/* A new server is told of to the others when it says hello to one; until the leader is connected to it there is nothing
 * to be done. */
static void join_run(struct errand *e)
{
	struct arena mem = {0};
	struct rpc_member said;
	struct member *m = member_of(e, &said, &mem);

	arena_close(&mem);
	if (m == NULL || m->conn == NULL) {
		errand_fail(e, ERR_BUSY, "the leader is not connected to this server yet");
	} else if (!m->local) {
		errand_fail(e, ERR_REFUSED, "a server of another region");
	} else {
		m->asked_in = true;
		errand_await_member(e, m->raft_id);
	}
}

static void leave_run(struct errand *e)
{
	struct arena mem = {0};
	struct rpc_member said;
	struct member *m = member_of(e, &said, &mem);

	arena_close(&mem);
	if (m == NULL || !m->local) {
		errand_fail(e, ERR_NOTFOUND, "a server that is not known");
	} else {
		m->leaving = true;
		m->asked_in = false;
		errand_await_member(e, m->raft_id);
	}
}

static void run_here(struct errand *e)
{
	switch (e->method) {
	case RPC_METHOD_JOIN:
		join_run(e);
		break;
	case RPC_METHOD_LEAVE:
		leave_run(e);
		break;
	case RPC_METHOD_NODE_REGISTER:
		node_register_run(e);
		break;
	case RPC_METHOD_NODE_HEARTBEAT:
		node_heartbeat_run(e);
		break;
	case RPC_METHOD_NODE_UPDATE:
		node_update_run(e);
		break;
	default:
		errand_fail(e, ERR_UNSUPPORTED, NULL);
	}
}

static void answer_member(struct errand *e)
{
	struct rpc_members list;
	struct rpc_none none;
	struct arena mem = {0};

	if (e->method == RPC_METHOD_LEAVE) {
		object_init(&rpc_none_type, &none);
		errand_reply(e, &rpc_none_type, &none);
	} else if (members_all(e->net, &list, &mem) == 0) {
		errand_reply(e, &rpc_members_type, &list);
	} else {
		errand_fail(e, ERR_NOMEM, NULL);
	}
	arena_close(&mem);
}

static void look_at_members(struct net *n)
{
	struct replica_peer peers[REPLICA_MAX_SERVERS];
	unsigned count = replica_configuration(n->s->replica, peers, REPLICA_MAX_SERVERS);

	LIST_EACH (l, &n->members_wait) {
		struct errand *e = CONTAINER_OF(l, struct errand, link);
		bool listed = false;
		unsigned i;

		for (i = 0; i < count && i < REPLICA_MAX_SERVERS; i++) {
			listed = listed || peers[i].server.id == e->raft_id;
		}
		if (!n->s->ready) {
			errand_again(e, ERR_NOTLEADER);
		} else if (!n->changing && listed == (e->method == RPC_METHOD_JOIN)) {
			answer_member(e);
		} else if (net_now(n) >= e->until_ms) {
			errand_fail(e, ERR_TIMEOUT, NULL);
		}
	}
}

/* ---- writing ---- */

static void written_cb(struct write *w, int status, const struct apply_result *result)
{
	struct errand *e = CONTAINER_OF(w, struct errand, write);

	e->writing = false;
	if (status == ERR_NOTLEADER || status == ERR_UNKNOWN) {
		errand_again(e, status);
	} else if (status != 0) {
		errand_fail(e, status, NULL);
	} else if (result->status != 0) {
		errand_fail(e, result->status, result->text);
	} else {
		e->result = *result;
		e->written(e);
	}
}

void errand_write(struct errand *e, enum command type, const void *payload, errand_cb written)
{
	int rc;

	buf_close(&e->command);
	rc = command_encode(type, payload, &e->command);
	if (rc == 0) {
		e->write = (struct write){.command = e->command.at, .len = e->command.len, .done_cb = written_cb};
		e->written = written;
		e->writing = true;
		list_remove(&e->link);
		list_insert(&e->net->away, &e->link);
		rc = server_write(e->net->s, &e->write);
	}
	if (rc != 0) {
		e->writing = false;
		rc == ERR_NOTLEADER ? errand_again(e, rc) : errand_fail(e, rc, NULL);
	}
}

/* ---- to the leader ---- */

static void away_cb(struct rpc_request *req, int err, const struct rpc_frame *frame)
{
	struct errand *e = CONTAINER_OF(req, struct errand, req);
	char text[256];

	if (err == 0) {
		reply_raw(e, frame);
	} else if (err == ERR_NOTLEADER || err == ERR_CLOSED || err == ERR_UNKNOWN || err == ERR_TIMEOUT) {
		errand_again(e, err);
	} else {
		snprintf(text, sizeof(text), "%.*s", (int)(frame->len < 255 ? frame->len : 255), frame->payload);
		errand_fail(e, err, text);
	}
}

static void send_away(struct errand *e, struct net_conn *leader)
{
	int rc;

	e->req.reply_cb = away_cb;
	list_remove(&e->link);
	list_insert(&e->net->away, &e->link);
	rc = rpc_send(leader->rpc, &e->req, e->method, e->payload.at, e->payload.len, TRY_MS);
	if (rc == ERR_CLOSED) {
		errand_again(e, rc);
	} else if (rc != 0) {
		errand_fail(e, rc, NULL);
	} else {
		e->net->errands_sent++;
	}
}

/* It is at the list of those that wait. */
static void try_one(struct errand *e)
{
	struct net *n = e->net;
	struct net_conn *leader = net_leader_conn(n);

	if (n->s->ready) {
		run_here(e);
	} else if (e->passed_on) {
		errand_fail(e, ERR_NOTLEADER, n->leader_id != 0 ? "another server leads" : NULL);
	} else if (leader != NULL) {
		send_away(e, leader);
	}
}

void errand_again(struct errand *e, int err)
{
	if (e->gone || e->passed_on || e->net->stopping || net_now(e->net) >= e->until_ms) {
		errand_fail(e, err == ERR_CLOSED || err == ERR_NOTLEADER ? (e->passed_on ? ERR_NOTLEADER : ERR_NOLEADER) : err,
		            NULL);
	} else {
		list_remove(&e->link);
		list_insert(&e->net->errands, &e->link);
	}
}

/* Those that come to wait again are left for the next time. */
void errands_retry(struct net *n)
{
	struct list now;
	struct list *l;

	if (list_empty(&n->errands) || (!n->s->ready && net_leader_conn(n) == NULL)) {
		return;
	}
	list_init(&now);
	while ((l = list_pop(&n->errands)) != NULL) {
		list_insert(&now, l);
	}
	while ((l = list_pop(&now)) != NULL) {
		struct errand *e = CONTAINER_OF(l, struct errand, link);

		list_insert(&n->errands, &e->link);
		try_one(e);
	}
}

void errands_recall(struct net *n)
{
	LIST_EACH (l, &n->away) {
		struct errand *e = CONTAINER_OF(l, struct errand, link);

		if (!e->writing) {
			rpc_cancel(&e->req);
			errand_again(e, ERR_NOTLEADER);
		}
	}
}

void errands_tick(struct net *n)
{
	look_at_members(n);
	errands_retry(n);
	LIST_EACH (l, &n->errands) {
		struct errand *e = CONTAINER_OF(l, struct errand, link);

		if (net_now(n) >= e->until_ms) {
			errand_fail(e, ERR_NOLEADER, NULL);
		}
	}
}

/* ---- begin ---- */

static void gone_cb(struct rpc_call *call)
{
	struct errand *e = call->data;

	e->gone = true;
	if (e->writing) {
		return;
	}
	rpc_cancel(&e->req);
	errand_fail(e, ERR_CLOSED, NULL);
}

/* Whether a server speaks of itself: that is passed on, as what clients say. What was passed on already is not: two
 * servers that take each other for the leader would do it for ever. */
static bool speaks_for_itself(const struct net_conn *nc, const struct rpc_call *call)
{
	struct arena mem = {0};
	struct rpc_member said;
	bool is = (call->method == RPC_METHOD_JOIN || call->method == RPC_METHOD_LEAVE) &&
	          pack_decode(&rpc_member_type, &said, call->payload, call->len, &mem) == 0 && said.hello != NULL &&
	          strcmp(said.hello->id, nc->hello.id) == 0;

	arena_close(&mem);
	return is;
}

void errand_begin(struct net *n, struct net_conn *nc, struct rpc_call *call)
{
	struct errand *e = NULL;

	if (n->n_errands >= NET_ERRANDS_MAX || n->errand_bytes + call->len > NET_ERRAND_BYTES) {
		rpc_fail(call, ERR_BUSY, error_text(ERR_BUSY));
		return;
	}
	e = calloc(1, sizeof(*e));
	if (e != NULL) {
		buf_put(&e->payload, call->payload, call->len);
	}
	if (e == NULL || e->payload.failed) {
		free(e);
		rpc_fail(call, ERR_NOMEM, error_text(ERR_NOMEM));
		return;
	}
	e->net = n;
	e->call = call;
	e->method = call->method;
	e->until_ms = net_now(n) + NET_ERRAND_MS;
	e->passed_on = nc->kind == PEER_SERVER && !speaks_for_itself(nc, call);
	call->data = e;
	call->gone_cb = gone_cb;
	n->n_errands++;
	n->errand_bytes += e->payload.len;
	list_insert(&n->fresh, &e->link);
	net_soon(n);
}

void errands_turn(struct net *n)
{
	size_t spent = 0;

	while (spent < NET_ERRAND_TURN && !list_empty(&n->fresh) && (spent == 0 || server_time_left(n->s) > 0)) {
		struct errand *e = CONTAINER_OF(list_pop(&n->fresh), struct errand, link);

		spent += e->payload.len > NET_ERRAND_LEAST ? e->payload.len : NET_ERRAND_LEAST;
		list_insert(&n->errands, &e->link);
		try_one(e);
	}
	if (!list_empty(&n->fresh)) {
		core_wake(n->s);
	}
}

/* Those that are being written are answered by their command's end. */
void errands_stop(struct net *n)
{
	struct list *const lists[] = {&n->fresh, &n->errands, &n->members_wait, &n->away};
	unsigned i;

	for (i = 0; i < 4; i++) {
		LIST_EACH (l, lists[i]) {
			struct errand *e = CONTAINER_OF(l, struct errand, link);

			if (!e->writing) {
				rpc_cancel(&e->req);
				errand_fail(e, ERR_BUSY, "this server is stopping");
			}
		}
	}
}

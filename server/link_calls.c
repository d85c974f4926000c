/* What the API asks of the core thread, on its way there and back. */
#include <stdlib.h>

#include "proto/error.h"
#include "server/core.h"
#include "server/link.h"
#include "server/workers.h"

/* A call under way. */
struct asked {
	struct link *link;
	struct core_call *call;
	union {
		struct write write;
		struct read read;
		struct chore chore;
	} u;
};

static struct link *link_of(struct core_link *link)
{
	return CONTAINER_OF(link, struct link, core);
}

/* ---- there and back ---- */

static void finish(struct mail *mail)
{
	struct core_call *call = CONTAINER_OF(mail, struct core_call, mail);
	struct asked *a = call->link_data;

	a->link->calls--;
	free(a);
	call->done_cb(call);
}

static void finish_unasked(struct mail *mail)
{
	struct core_call *call = CONTAINER_OF(mail, struct core_call, mail);

	call->done_cb(call);
}

/* On the core thread. */
static void answer(struct asked *a, int status)
{
	a->call->status = status;
	a->call->mail.run_cb = finish;
	server_post_http(a->link->s, &a->call->mail);
}

/* On the HTTP thread: not even asked, and told so later. */
static void refuse(struct link *l, struct core_call *call, int status)
{
	call->status = status;
	call->mail.run_cb = finish_unasked;
	server_post_http(l->s, &call->mail);
}

static void ask(struct core_link *link, struct core_call *call, void (*run_cb)(struct mail *mail))
{
	struct link *l = link_of(link);
	struct asked *a = l->calls < LINK_CALLS_MAX ? malloc(sizeof(*a)) : NULL;

	if (a == NULL) {
		refuse(l, call, ERR_BUSY);
		return;
	}
	a->link = l;
	a->call = call;
	call->link_data = a;
	call->mail.run_cb = run_cb;
	if (mailbox_put(&l->s->mail, &call->mail)) {
		l->calls++;
	} else {
		free(a);
		refuse(l, call, ERR_BUSY);
	}
}

static struct asked *asked_of(struct mail *mail)
{
	return CONTAINER_OF(mail, struct core_call, mail)->link_data;
}

/* ---- writes ---- */

static void write_done(struct write *w, int status, const struct apply_result *result)
{
	struct asked *a = CONTAINER_OF(w, struct asked, u.write);

	if (result != NULL) {
		CONTAINER_OF(a->call, struct core_write, call)->result = *result;
	}
	answer(a, status);
}

static void run_write(struct mail *mail)
{
	struct asked *a = asked_of(mail);
	struct core_write *w = CONTAINER_OF(a->call, struct core_write, call);
	struct server *s = a->link->s;
	int rc;

	a->u.write = (struct write){.command = w->command, .len = w->len, .done_cb = write_done};
	rc = s->stopping ? ERR_CLOSED : server_write(s, &a->u.write);
	if (rc != 0) {
		answer(a, rc);
	}
}

static void link_write(struct core_link *link, struct core_write *w)
{
	ask(link, &w->call, run_write);
}

/* ---- reads ---- */

static void read_done(struct read *r, int status)
{
	answer(CONTAINER_OF(r, struct asked, u.read), status);
}

static void barrier_done(void *data, int status, uint64_t index)
{
	(void)index;
	answer(data, status == ERR_UNKNOWN ? ERR_NOLEADER : status);
}

/* Without a leader it is the API that waits for one. */
static int begin_read(struct server *s, struct asked *a, bool barrier)
{
	if (s->stopping) {
		return ERR_CLOSED;
	}
	if (!s->ready && replica_status(s->replica).leader_id == 0) {
		return ERR_NOLEADER;
	}
	if (barrier && s->ready) {
		return replica_barrier(s->replica, barrier_done, a);
	}
	a->u.read = (struct read){.done_cb = read_done};
	return reads_add(&s->reads, &a->u.read, server_now_ms(s));
}

static void run_read(struct mail *mail)
{
	struct asked *a = asked_of(mail);
	int rc = begin_read(a->link->s, a, CONTAINER_OF(a->call, struct core_read, call)->barrier);

	if (rc != 0) {
		answer(a, rc == ERR_NOTLEADER ? ERR_NOLEADER : rc);
	}
}

static void link_read(struct core_link *link, struct core_read *r)
{
	ask(link, &r->call, run_read);
}

/* ---- dry runs ---- */

static void plan_done(struct core_plan *p, int status)
{
	answer(p->call.link_data, status);
}

static void run_plan(struct mail *mail)
{
	struct asked *a = asked_of(mail);
	struct server *s = a->link->s;
	int rc = s->stopping ? ERR_CLOSED
			     : workers_dry_run(s->workers, CONTAINER_OF(a->call, struct core_plan, call), plan_done);

	if (rc != 0) {
		answer(a, rc);
	}
}

static void link_plan(struct core_link *link, struct core_plan *p)
{
	ask(link, &p->call, run_plan);
}

/* ---- chores ---- */

static void do_chore(struct chore *chore)
{
	struct asked *a = CONTAINER_OF(chore, struct asked, u.chore);
	struct core_chore *c = CONTAINER_OF(a->call, struct core_chore, call);

	c->run_cb(c);
}

static void chore_done(struct chore *chore, int status)
{
	answer(CONTAINER_OF(chore, struct asked, u.chore), status);
}

static void run_chore(struct mail *mail)
{
	struct asked *a = asked_of(mail);
	int rc;

	a->u.chore = (struct chore){.run_cb = do_chore, .done_cb = chore_done};
	rc = chores_add(&a->link->s->core->chores, &a->u.chore);
	if (rc != 0) {
		answer(a, rc);
	}
}

static void link_chore(struct core_link *link, struct core_chore *c)
{
	ask(link, &c->call, run_chore);
}

/* ---- actions ---- */

/* The command that a forced launch asks for. */
struct forced_launch {
	struct write write;
	struct asked *asked;
	struct buf command;
};

static void launch_done(struct write *w, int status, const struct apply_result *result)
{
	struct forced_launch *l = CONTAINER_OF(w, struct forced_launch, write);
	struct asked *a = l->asked;

	if (result != NULL) {
		CONTAINER_OF(a->call, struct core_action, call)->result = *result;
	}
	answer(a, status);
	buf_close(&l->command);
	free(l);
}

static int launch(struct server *s, struct core_action *action, struct forced_launch *l)
{
	struct moment at = server_moment(s);
	const char *child;
	int rc = leader_force_launch(&s->leader, server_view(s), action->ns, action->id, &at, &l->command, &child,
				     &action->text, action->mem);

	if (rc != 0) {
		return rc;
	}
	l->write = (struct write){.command = l->command.at, .len = l->command.len, .done_cb = launch_done};
	return server_write(s, &l->write);
}

/* Answers by itself. */
static void begin_launch(struct server *s, struct asked *a)
{
	struct forced_launch *l = calloc(1, sizeof(*l));
	int rc = ERR_NOMEM;

	if (l != NULL) {
		l->asked = a;
		rc = launch(s, CONTAINER_OF(a->call, struct core_action, call), l);
	}
	if (rc != 0) {
		answer(a, rc);
		if (l != NULL) {
			buf_close(&l->command);
			free(l);
		}
	}
}

static int collect_garbage(struct server *s)
{
	struct moment at = server_moment(s);

	return leader_gc(&s->leader, &at);
}

static void admin_done(void *ctx, int status, unsigned count)
{
	struct asked *a = ctx;

	CONTAINER_OF(a->call, struct core_action, call)->result.count = count;
	answer(a, status);
}

/* What is under way answers by itself. */
static void begun(struct asked *a, int rc)
{
	if (rc != 0) {
		answer(a, rc);
	}
}

static bool needs_leader(enum core_action_kind kind)
{
	return kind != CORE_JOIN && kind != CORE_FORCE_LEAVE && kind != CORE_PRUNE;
}

static void run_action(struct mail *mail)
{
	struct asked *a = asked_of(mail);
	struct server *s = a->link->s;
	struct core_action *action = CONTAINER_OF(a->call, struct core_action, call);

	if (s->stopping || (!s->ready && needs_leader(action->kind))) {
		answer(a, s->stopping ? ERR_CLOSED : ERR_NOTLEADER);
		return;
	}
	switch (action->kind) {
	case CORE_GC:
		answer(a, collect_garbage(s));
		break;
	case CORE_RECONCILE_SUMMARIES:
		answer(a, 0); /* They are kept with every change, and cannot be wrong. */
		break;
	case CORE_FORCE_LAUNCH:
		begin_launch(s, a);
		break;
	case CORE_REMOVE_PEER:
		begun(a, net_remove_peer(s->net, action->id, admin_done, a));
		break;
	case CORE_TRANSFER:
		begun(a, net_transfer(s->net, action->id, admin_done, a));
		break;
	case CORE_JOIN:
		begun(a, net_join(s->net, &action->addresses, admin_done, a));
		break;
	case CORE_FORCE_LEAVE:
	case CORE_PRUNE:
		answer(a, net_force_leave(s->net, action->id, action->kind == CORE_PRUNE));
		break;
	}
}

static void link_action(struct core_link *link, struct core_action *a)
{
	ask(link, &a->call, run_action);
}

/* ---- numbers ---- */

static void run_stats(struct mail *mail)
{
	struct asked *a = asked_of(mail);
	struct server *s = a->link->s;

	answer(a, s->stopping ? ERR_CLOSED : link_stats_fill(s, CONTAINER_OF(a->call, struct core_stats, call)));
}

static void link_stats(struct core_link *link, struct core_stats *s)
{
	ask(link, &s->call, run_stats);
}

/* ---- without asking ---- */

static void link_begin(struct core_link *link, const struct core_events *events, void *ctx)
{
	struct link *l = link_of(link);

	l->events = events;
	l->events_ctx = ctx;
}

static const struct view *link_view(struct core_link *link)
{
	return state_view(atomic_load(&link_of(link)->state));
}

static const struct core_info *link_info(struct core_link *link)
{
	return &link_of(link)->info->info;
}

static uint64_t link_contact_ms(struct core_link *link)
{
	struct link *l = link_of(link);
	int64_t since = (int64_t)uv_hrtime() - atomic_load_explicit(&l->contact_ns, memory_order_relaxed);

	return l->info->info.leads || since < 0 ? 0 : (uint64_t)(since / NS_PER_MS);
}

/* The clock is read here, not where the lease was found: whatever pause was between does not matter. */
static bool link_surely_leads(struct core_link *link)
{
	return uv_hrtime() / (uint64_t)NS_PER_MS < atomic_load(&link_of(link)->lease_ms);
}

static void link_forward(struct core_link *link, struct http_request *req, enum core_where where, const char *name)
{
	struct link *l = link_of(link);

	net_forward(l->s->net, req, where, name, l->events, l->events_ctx);
}

static bool link_state_hash(struct core_link *link, uint64_t index, uint64_t *hash)
{
	return net_state_hash(link_of(link)->s->net, index, hash);
}

const struct core_ops link_ops = {link_begin, link_view,   link_info,  link_contact_ms, link_write,     link_read,
				  link_plan,  link_action, link_stats, link_chore,  link_forward,    link_state_hash,
				  link_surely_leads};

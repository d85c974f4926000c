#include "server/workers.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/log.h"
#include "proto/error.h"
#include "server/core.h"
#include "server/sched_memory.h"

enum {
	STACK_BYTES = 1 << 20,
	NEWS_BATCH = 4096, /* Notes for a worker that has nothing to do: it is told all the same. */
	QUEUE_FIRST = 4,   /* Evaluations that one gets before the next gets any. */
};

struct worker {
	struct workers *all;
	pthread_t thread;

	/* The core thread's. */
	unsigned n;             /* With it, of all kinds, */
	unsigned deciding;      /* and those of them that have no plan with the applier. */
	struct nodes_news news; /* For its next mail. */
	bool told;              /* Mail with nothing but news is under way. */

	/* Shared. */
	struct mailbox box;
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool mail; /* There is some. */

	/* The worker's. */
	struct sched sched;
	bool ends;
	_Atomic(uint64_t) busy_ns;
};

struct workers {
	struct server *s;
	atomic_bool giving_up;
	unsigned n_threads;
	unsigned queue_first;
	unsigned evals, dry_runs, news; /* Under way. */
	uint64_t evals_done;
	struct worker at[];
};

/* An evaluation, a dry run, or news alone; it is one thread's at a time. */
struct work {
	struct mail mail;
	struct worker *worker;
	struct broker_delivery delivery;
	const struct view *view; /* That the scheduler has. */
	const struct view *next; /* The one that it gets, */
	struct nodes_news news;  /* and what has changed until then. */
	struct uuid seed;
	int64_t now_ns;
	struct sched_run *run;
	struct core_plan *plan; /* A dry run, */
	void (*done_cb)(struct core_plan *plan, int status);
	int status; /* How it went. */
};

unsigned workers_count(const struct server_config *config)
{
	unsigned cpus = uv_available_parallelism();
	unsigned automatic = cpus < 1 ? 1 : cpus > WORKERS_AUTO_MAX ? WORKERS_AUTO_MAX : cpus;

	if (config->no_schedulers) {
		return 1; /* A leader must be able to do its work. */
	}
	return config->schedulers == 0             ? automatic
	       : config->schedulers > WORKERS_MAX ? WORKERS_MAX
						   : config->schedulers;
}

/* ---- the worker's thread ---- */

static int64_t clock_ns(void *ctx)
{
	(void)ctx;
	return (int64_t)uv_hrtime();
}

static void wake(void *arg)
{
	struct worker *w = arg;

	pthread_mutex_lock(&w->lock);
	w->mail = true;
	pthread_cond_signal(&w->woken);
	pthread_mutex_unlock(&w->lock);
}

static void wait_for_mail(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->mail) {
		pthread_cond_wait(&w->woken, &w->lock);
	}
	w->mail = false;
	pthread_mutex_unlock(&w->lock);
}

static void *run(void *arg)
{
	struct worker *w = arg;

	while (!w->ends) {
		wait_for_mail(w);
		mailbox_run(&w->box);
	}
	return NULL;
}

static void drop_view(const struct view **v)
{
	if (*v != NULL) {
		view_release(*v);
		*v = NULL;
	}
}

static void post_back(struct work *work, void (*run_cb)(struct mail *mail))
{
	work->mail.run_cb = run_cb;
	server_post_core(work->worker->all->s, &work->mail);
}

static void on_submit(struct mail *mail);
static void on_done(struct mail *mail);

static void end_run(struct work *work, int status)
{
	work->status = status;
	if (work->run != NULL) {
		sched_end(&work->worker->sched, work->run);
		work->run = NULL;
	}
	drop_view(&work->view);
	post_back(work, on_done);
}

static enum sched_step step(struct work *work)
{
	struct sched *sched = &work->worker->sched;

	return work->run == NULL ? sched_begin(sched, work->next, &work->delivery.eval, work->now_ns, &work->seed,
					       &work->run)
				 : sched_resume(sched, work->run, work->next, work->now_ns, &work->seed);
}

/* The old view goes when the run has left it. */
static enum sched_step decide(struct work *work)
{
	enum sched_step next;

	sched_news(&work->worker->sched, work->next, &work->news);
	next = step(work);
	drop_view(&work->view);
	work->view = work->next;
	work->next = NULL;
	return next;
}

static void evaluate(struct work *work)
{
	if (decide(work) == SCHED_DONE) {
		end_run(work, work->run->status);
	} else if (atomic_load(&work->worker->all->giving_up)) {
		end_run(work, ERR_CLOSED);
	} else {
		work->run->plan->ctx = work;
		post_back(work, on_submit);
	}
}

static void count_busy(struct worker *w, uint64_t begun_ns)
{
	atomic_fetch_add_explicit(&w->busy_ns, uv_hrtime() - begun_ns, memory_order_relaxed);
}

static void on_evaluation(struct mail *mail)
{
	struct work *work = CONTAINER_OF(mail, struct work, mail);
	struct worker *w = work->worker;
	uint64_t begun_ns = uv_hrtime();

	evaluate(work);
	count_busy(w, begun_ns);
}

static void on_dry_run(struct mail *mail)
{
	struct work *work = CONTAINER_OF(mail, struct work, mail);
	struct worker *w = work->worker;
	struct core_plan *p = work->plan;
	uint64_t begun_ns = uv_hrtime();

	sched_news(&w->sched, work->next, &work->news);
	work->status =
		sched_dry_run(&w->sched, work->next, p->job, work->now_ns, &work->seed, &p->preview, p->mem);
	drop_view(&work->next);
	post_back(work, on_done);
	count_busy(w, begun_ns);
}

static void on_news(struct mail *mail)
{
	struct work *work = CONTAINER_OF(mail, struct work, mail);

	sched_news(&work->worker->sched, work->next, &work->news);
	drop_view(&work->next);
	post_back(work, on_done);
}

static void on_end(struct mail *mail)
{
	struct work *work = CONTAINER_OF(mail, struct work, mail);

	work->worker->ends = true;
	free(work);
}

/* ---- the core thread ---- */

static int64_t wall_now(struct server *s)
{
	return server_moment(s).wall_ns;
}

/* With the newest view, and the news until it. */
static void post(struct work *work, void (*run_cb)(struct mail *mail))
{
	struct worker *w = work->worker;
	struct server *s = w->all->s;

	work->next = state_view(s->state);
	work->news = w->news;
	w->news = (struct nodes_news){0};
	work->seed = core_random_id(s);
	work->now_ns = wall_now(s);
	work->mail.run_cb = run_cb;
	w->deciding++;
	mailbox_put_answer(&w->box, &work->mail);
}

static struct work *work_new(struct worker *w)
{
	struct work *work = sched_calloc(1, sizeof(*work));

	work->worker = w;
	w->n++;
	return work;
}

/* The first that has little to do, or else the one that has the least. Those that decide at the same time know nothing
 * of each other and choose the same nodes, and mostly deciding takes far less time than what comes of it. */
static struct worker *least_busy(struct workers *all)
{
	struct worker *best = &all->at[0];

	for (unsigned i = 1; i < all->n_threads && best->deciding >= all->queue_first; i++) {
		best = all->at[i].deciding < best->deciding ? &all->at[i] : best;
	}
	return best;
}

void workers_dispatch(struct workers *all, const struct broker_delivery *delivery)
{
	struct work *work = work_new(least_busy(all));

	work->delivery = *delivery;
	all->evals++;
	post(work, on_evaluation);
}

void workers_plan_done(struct workers *all, struct plan *plan)
{
	(void)all;
	post(plan->ctx, on_evaluation);
}

int workers_dry_run(struct workers *all, struct core_plan *p, void (*done_cb)(struct core_plan *p, int status))
{
	struct work *work;

	if (all->dry_runs >= WORKERS_DRY_RUNS) {
		return ERR_BUSY;
	}
	work = work_new(least_busy(all));
	work->plan = p;
	work->done_cb = done_cb;
	all->dry_runs++;
	post(work, on_dry_run);
	return 0;
}

static void on_submit(struct mail *mail)
{
	struct work *work = CONTAINER_OF(mail, struct work, mail);
	struct server *s = work->worker->all->s;
	struct moment at = server_moment(s);

	work->worker->deciding--;
	leader_submit(&s->leader, work->run->plan, work->delivery.token, &at);
}

static void evaluation_done(struct work *work)
{
	struct workers *all = work->worker->all;
	struct server *s = all->s;
	struct moment at = server_moment(s);
	const struct view *v = state_view(s->state);

	all->evals--;
	all->evals_done++;
	leader_eval_done(&s->leader, v, &work->delivery.eval, work->delivery.token, work->status, &at);
	view_release(v);
}

static void on_done(struct mail *mail)
{
	struct work *work = CONTAINER_OF(mail, struct work, mail);
	struct worker *w = work->worker;
	struct workers *all = w->all;

	w->n--;
	w->deciding--;
	if (work->plan != NULL) {
		all->dry_runs--;
		work->done_cb(work->plan, work->status);
	} else if (work->delivery.token != 0) {
		evaluation_done(work);
	} else {
		all->news--;
		w->told = false;
	}
	free(work);
	core_check_end(all->s);
}

/* Notes do not pile up for a worker that has nothing to do. */
static void tell_idle(struct workers *all, struct worker *w)
{
	if (w->news.n >= NEWS_BATCH && !w->told && w->n == 0 && !atomic_load(&all->giving_up)) {
		w->told = true;
		all->news++;
		post(work_new(w), on_news);
	}
}

void workers_changed(struct workers *all, const struct change *changes, size_t n)
{
	for (unsigned i = 0; i < all->n_threads; i++) {
		news_add(&all->at[i].news, changes, n);
		tell_idle(all, &all->at[i]);
	}
}

void workers_replaced(struct workers *all)
{
	for (unsigned i = 0; i < all->n_threads; i++) {
		news_close(&all->at[i].news);
		all->at[i].news.all = true;
	}
}

void workers_get_stats(const struct workers *all, struct workers_stats *stats)
{
	*stats = (struct workers_stats){.threads = all->n_threads,
					.evals = all->evals,
					.dry_runs = all->dry_runs,
					.evals_done = all->evals_done};
	for (unsigned i = 0; i < all->n_threads; i++) {
		stats->busy_ns += atomic_load_explicit(&all->at[i].busy_ns, memory_order_relaxed);
	}
}

/* ---- life ---- */

static int start_thread(struct worker *w)
{
	pthread_attr_t attr;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	rc = pthread_create(&w->thread, &attr, run, w);
	pthread_attr_destroy(&attr);
	return rc;
}

static void worker_init(struct worker *w, struct workers *all)
{
	const struct sched_env env = {.clock_ns = clock_ns};

	w->all = all;
	w->news.all = true;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->woken, NULL);
	mailbox_init(&w->box, 0, wake, w); /* Its bounds are the leader's slots, and WORKERS_DRY_RUNS. */
	sched_init(&w->sched, &env);
}

static void worker_close(struct worker *w)
{
	sched_close(&w->sched);
	news_close(&w->news);
	pthread_cond_destroy(&w->woken);
	pthread_mutex_destroy(&w->lock);
}

static void worker_end(struct worker *w)
{
	struct work *work = sched_calloc(1, sizeof(*work));

	work->worker = w;
	work->mail.run_cb = on_end;
	mailbox_put_answer(&w->box, &work->mail);
	pthread_join(w->thread, NULL);
	worker_close(w);
}

int workers_new(struct server *s, struct workers **out, char *why, size_t why_size)
{
	unsigned n = workers_count(&s->config);
	struct workers *all = sched_calloc(1, sizeof(*all) + n * sizeof(all->at[0]));

	all->s = s;
	all->queue_first = s->config.scheduler_queue > 0 ? s->config.scheduler_queue : QUEUE_FIRST;
	while (all->n_threads < n) {
		struct worker *w = &all->at[all->n_threads];
		int rc;

		worker_init(w, all);
		rc = start_thread(w);
		if (rc != 0) {
			worker_close(w);
			workers_free(all);
			snprintf(why, why_size, "cannot start a thread: %s", strerror(rc));
			return ERR_NOMEM;
		}
		all->n_threads++;
	}
	if (s->config.no_schedulers) {
		log_info("server", "num_schedulers is 0: there is one all the same, for times when this server leads");
	}
	*out = all;
	return 0;
}

void workers_give_up(struct workers *all)
{
	if (all != NULL) {
		atomic_store(&all->giving_up, true);
	}
}

bool workers_idle(const struct workers *all)
{
	return all == NULL || all->evals + all->dry_runs + all->news == 0;
}

void workers_free(struct workers *all)
{
	if (all == NULL) {
		return;
	}
	assert(workers_idle(all));
	for (unsigned i = 0; i < all->n_threads; i++) {
		worker_end(&all->at[i]);
	}
	free(all);
}

#include "test/unit/unit.h"

#include <jansson.h>

#include "proto/error.h"
#include "server/part.h"
#include "test/unit/server/api_bed.h"

static struct bed *bed_of(struct core_link *link)
{
	return CONTAINER_OF(link, struct bed, link);
}

/* ---- the environment ---- */

static int64_t env_now(void *ctx)
{
	struct bed *b = ctx;

	b->now += b->tick_ns;
	return b->now;
}

static int64_t env_wall(void *ctx)
{
	return ((struct bed *)ctx)->kit.now;
}

static uint64_t env_random(void *ctx)
{
	struct bed *b = ctx;

	b->random = b->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return b->random >> 11;
}

/* All but one. */
static bool env_zone_exists(void *ctx, const char *zone)
{
	(void)ctx;
	return strcmp(zone, "Mars/Base") != 0;
}

static void env_soon(void *ctx)
{
	((struct bed *)ctx)->soon = true;
}

static void env_at(void *ctx, int64_t at_ns)
{
	((struct bed *)ctx)->at = at_ns;
}

/* ---- the link ---- */

static void done(struct bed *b, struct core_call *call, int status)
{
	call->status = status;
	assert_true(b->n_calls < BED_CALLS_MAX);
	b->calls[b->n_calls++] = call;
}

static void link_start(struct core_link *link, const struct core_events *events, void *ctx)
{
	bed_of(link)->events = events;
	bed_of(link)->events_ctx = ctx;
}

static const struct view *link_view(struct core_link *link)
{
	return state_view(&bed_of(link)->kit.state);
}

static const struct core_info *link_info(struct core_link *link)
{
	return &bed_of(link)->info;
}

static uint64_t link_contact(struct core_link *link)
{
	return bed_of(link)->info.leads ? 0 : 17;
}

static void apply(struct bed *b, const void *command, size_t len, struct apply_result *result)
{
	struct kit *k = &b->kit;
	struct uuid seed = kit_id(k);

	batch_reset(&k->batch);
	assert_int_equal(batch_add(&k->batch, command, len, k->now, &seed), 0);
	k->now += SECOND / 1000;
	assert_int_equal(kit_entry(k, k->batch.entry.at, k->batch.entry.len), 0);
	assert_true(state_check(k->v));
	*result = k->result;
}

static void link_write(struct core_link *link, struct core_write *w)
{
	struct bed *b = bed_of(link);

	b->writes++;
	if (b->write_status != 0 || !b->info.leads) {
		done(b, &w->call, b->write_status != 0 ? b->write_status : ERR_NOTLEADER);
		return;
	}
	apply(b, w->command, w->len, &w->result);
	done(b, &w->call, 0);
}

static void link_read(struct core_link *link, struct core_read *r)
{
	struct bed *b = bed_of(link);

	b->reads++;
	b->barriers += r->barrier;
	done(b, &r->call, b->read_status != 0 ? b->read_status : b->info.leader_known ? 0 : ERR_NOLEADER);
}

static int64_t clock_ns(void *ctx)
{
	static int64_t now;

	(void)ctx;
	return now += 1000;
}

static void link_plan(struct core_link *link, struct core_plan *p)
{
	const struct sched_env env = {.clock_ns = clock_ns};
	struct bed *b = bed_of(link);
	struct nodes_news news = {.all = true};
	struct uuid seed = kit_id(&b->kit);
	struct sched sched;
	int rv;

	b->plans++;
	if (b->call_status != 0) {
		done(b, &p->call, b->call_status);
		return;
	}
	sched_init(&sched, &env);
	sched_news(&sched, b->kit.v, &news);
	rv = sched_dry_run(&sched, b->kit.v, p->job, b->kit.now, &seed, &p->preview, p->mem);
	sched_close(&sched);
	done(b, &p->call, rv);
}

static void track(struct bed *b)
{
	const struct job_row *row;
	struct rows r;

	periodic_reset(&b->periodic);
	rows_jobs(&r, b->kit.v, NULL, "");
	while ((row = job_next(&r)) != NULL) {
		periodic_load(&b->periodic, row);
	}
}

static int force(struct bed *b, struct core_action *a)
{
	struct buf command = {0};
	const char *child;
	int rv;

	track(b);
	rv = periodic_force(&b->periodic, b->kit.v, a->ns, a->id, b->kit.now, &command, &child, &a->text, a->mem);
	if (rv == 0) {
		apply(b, command.at, command.len, &a->result);
	}
	buf_close(&command);
	return rv;
}

static void link_action(struct core_link *link, struct core_action *a)
{
	struct bed *b = bed_of(link);

	b->actions++;
	b->last_action = a->kind;
	done(b, &a->call,
	     b->call_status != 0            ? b->call_status
	     : !b->info.leads               ? ERR_NOTLEADER
	     : a->kind == CORE_FORCE_LAUNCH ? force(b, a)
					    : 0);
}

static void link_stats(struct core_link *link, struct core_stats *s)
{
	static struct metric metrics[] = {{"broker.total_ready", METRIC_GAUGE, 3},
					  {"raft.commands", METRIC_COUNTER, 12}};
	static struct core_stat stats[] = {
		{"nomad", "server", "true"}, {"nomad", "leader", "true"}, {"raft", "term", "2"}};
	static struct core_contact contacts[] = {{"id-1", 0, 2, 10}, {"id-2", 30, 2, 10}, {"id-3", 90000, 1, 4}};

	s->metrics = metrics;
	s->n_metrics = 2;
	s->stats = stats;
	s->n_stats = 3;
	s->contacts = contacts;
	s->n_contacts = 3;
	done(bed_of(link), &s->call, bed_of(link)->call_status);
}

static void link_chore(struct core_link *link, struct core_chore *c)
{
	struct bed *b = bed_of(link);

	b->chores++;
	if (b->call_status == 0) {
		c->run_cb(c);
	}
	done(b, &c->call, b->call_status);
}

static void link_forward(struct core_link *link, struct http_request *req, enum core_where where, const char *name)
{
	struct bed *b = bed_of(link);

	assert_true(b->n_under_way < BED_FORWARDS_MAX);
	b->forwards++;
	b->under_way[b->n_under_way++] = b->forwarded = req;
	b->where = where;
	snprintf(b->to, sizeof(b->to), "%s", name);
}

/* Only index 7 is remembered. */
static bool link_state_hash(struct core_link *link, uint64_t index, uint64_t *hash)
{
	(void)link;
	*hash = 0xabc;
	return index == 7;
}

static bool link_surely_leads(struct core_link *link)
{
	return !bed_of(link)->unsure;
}

static const struct core_ops ops = {link_start, link_view,   link_info,  link_contact, link_write,     link_read,
				    link_plan,  link_action, link_stats, link_chore,  link_forward, link_state_hash, link_surely_leads};

/* ---- life ---- */

static void init_info(struct bed *b)
{
	static const char *const ids[] = {"id-1", "id-2", "id-3"};
	static const char *const names[] = {"s1.global", "s2.global", "s3.global"};

	b->info = (struct core_info){.leads = true,
				     .leader_known = true,
				     .leader_rpc = "10.0.0.1:4647",
				     .id = "id-1",
				     .name = "s1",
				     .region = "global",
				     .datacenter = "dc1",
				     .node_id = "",
				     .config_json = "{\"Region\":\"global\"}",
				     .peers_index = 9};
	for (unsigned i = 0; i < 3; i++) {
		object_init(&core_member_type, &b->members[i]);
		object_init(&core_peer_type, &b->peers[i]);
		b->members[i].name = b->peers[i].node = names[i];
		b->members[i].addr = "10.0.0.1";
		b->members[i].port = 4648;
		b->peers[i].id = ids[i];
		b->peers[i].address = i == 0 ? "10.0.0.1:4647" : i == 1 ? "10.0.0.2:4647" : "10.0.0.3:4647";
		b->peers[i].leader = i == 0;
		b->peers[i].voter = true;
	}
	b->info.members.at = b->members;
	b->info.members.n = 3;
	b->info.peers.at = b->peers;
	b->info.peers.n = 3;
	b->regions[0] = "europe";
	b->regions[1] = "global";
	b->info.regions = (struct strs){b->regions, 2};
	b->info.autopilot.last_contact_threshold = 200 * NS_PER_MS;
	b->info.autopilot.server_stabilization_time = 10 * SECOND;
}

static int64_t reset_index(void *ctx)
{
	return ((struct bed *)ctx)->reset_index;
}

static void open_with(struct bed *b, bool acl)
{
	const struct api_config config = {.cache_bytes = 4 << 20,
					  .version = "2.0.6",
					  .schedulers = 2,
					  .acl = acl,
					  .acl_config = {.enabled = acl, .reset_index = reset_index, .ctx = b}};

	memset(b, 0, sizeof(*b));
	kit_open(&b->kit);
	watch_hub_init(&b->hub);
	b->kit.fsm.hub = &b->hub;
	b->link.ops = &ops;
	b->now = 1000 * SECOND;
	b->at = INT64_MAX;
	b->random = 42;
	init_info(b);
	periodic_init(&b->periodic);
	b->env = (struct api_env){env_now, env_wall, env_random, env_soon, env_at, env_soon, NULL, env_zone_exists, b};
	b->api = api_new(&b->env, &b->link, &config);
	assert_non_null(b->api);
	watch_hub_add(&b->hub, api_ring(b->api));
}

void bed_open(struct bed *b)
{
	open_with(b, false);
}

void bed_open_acl(struct bed *b)
{
	open_with(b, true);
	b->token = BED_MANAGER;
	bed_want(b, "POST", "/v1/acl/bootstrap", "{\"BootstrapSecret\":\"" BED_MANAGER "\"}", 200, NULL);
}

/* ---- tokens ---- */

void bed_policy(struct bed *b, const char *name, const char *rules)
{
	struct acl_policy policy;

	object_init(&acl_policy_type, &policy);
	policy.name = name;
	policy.rules = rules;
	assert_int_equal(kit_apply(&b->kit, COMMAND_ACL_POLICY_PUT, &(struct acl_policy_put){&policy})->status, 0);
}

const char *bed_token(struct bed *b, const char *policy, int64_t ttl_s)
{
	struct uuid ids[2] = {kit_id(&b->kit), kit_id(&b->kit)};
	struct acl_token token;

	object_init(&acl_token_type, &token);
	token.accessor_id = kit_text(&b->kit, &ids[0]);
	token.secret_id = kit_text(&b->kit, &ids[1]);
	token.name = "of a test";
	token.type = policy[0] != '\0' ? "client" : "management";
	token.policies = (struct strs){&policy, policy[0] != '\0'};
	token.expiration_time = ttl_s != 0 ? b->kit.now + ttl_s * SECOND : 0;
	assert_int_equal(kit_apply(&b->kit, COMMAND_ACL_TOKEN_PUT, &(struct acl_token_put){&token, true})->status, 0);
	return token.secret_id;
}

void bed_close(struct bed *b)
{
	struct api_stats s;

	if (b->has_last) {
		kept_close(&b->last);
	}
	bed_pump(b);
	api_stop(b->api);
	bed_pump(b);
	api_get_stats(b->api, &s);
	assert_int_equal(s.parked, 0);
	assert_int_equal(s.rendering, 0);
	watch_hub_remove(&b->hub, api_ring(b->api));
	api_free(b->api);
	periodic_close(&b->periodic);
	assert_int_equal(b->kit.v->refs, 2); /* No view is left with anybody: ours, and the state's. */
	kit_close(&b->kit);
}

/* ---- what happens ---- */

static void tell_calls(struct bed *b)
{
	unsigned n = b->hold ? 0 : b->n_calls;

	for (unsigned i = 0; i < n; i++) {
		b->calls[i]->done_cb(b->calls[i]);
	}
	memmove(b->calls, b->calls + n, (b->n_calls - n) * sizeof(b->calls[0]));
	b->n_calls -= n;
}

void bed_pump(struct bed *b)
{
	unsigned turns = 0;

	while ((b->n_calls > 0 && !b->hold) || b->soon || b->at <= b->now) {
		assert_true(++turns < 100000);
		tell_calls(b);
		b->soon = false;
		api_run(b->api);
	}
}

void bed_sleep(struct bed *b, int64_t ns)
{
	int64_t end = b->now + ns;

	bed_pump(b);
	while (b->at < end) {
		b->now = b->at > b->now ? b->at : b->now;
		bed_pump(b);
	}
	b->now = end;
	bed_pump(b);
}

void bed_start(struct bed *b, struct kept *k, const char *method, const char *target, const char *body)
{
	assert_int_equal(kept_open(k, method, target), 0);
	k->req.token = b->token != NULL ? b->token : "";
	k->req.node = b->node != NULL ? b->node : "";
	if (body != NULL) {
		k->req.body = strdup(body); /* Gone after the handler has returned. */
		k->req.body_len = strlen(body);
	}
	{
		char *copy = body != NULL ? (char *)(uintptr_t)k->req.body : NULL;

		api_handle(b->api, &k->req);
		if (copy != NULL) {
			memset(copy, '#', strlen(copy));
			free(copy);
		}
	}
}

int bed_ask(struct bed *b, const char *method, const char *target, const char *body)
{
	if (b->has_last) {
		kept_close(&b->last);
	}
	b->has_last = true;
	bed_start(b, &b->last, method, target, body);
	bed_pump(b);
	while (b->last.answers == 0 && b->at - b->now < NS_PER_MS) { /* It goes on in a next turn. */
		bed_sleep(b, NS_PER_MS);
	}
	if (b->last.answers != 1) {
		fail_msg("%s %s: %d answers", method, target, b->last.answers);
	}
	return b->last.res.status;
}

const char *bed_text(struct bed *b)
{
	return b->last.body.at != NULL ? buf_text(&b->last.body) : "";
}

void bed_want(struct bed *b, const char *method, const char *target, const char *body, int status, const char *text)
{
	int got = bed_ask(b, method, target, body);
	const char *type = b->last.res.type != NULL ? b->last.res.type : "";

	if (got != status || (text != NULL && strcmp(bed_text(b), text) != 0)) {
		fail_msg("%s %s %s: %d %s", method, target, body != NULL ? body : "", got, bed_text(b));
	}
	if (status >= 400 && b->last.body.len > 0 && strncmp(type, "text/plain", 10) != 0 && text != NULL) {
		fail_msg("%s %s: the type is %s", method, target, type);
	}
}

void bed_lead(struct bed *b, bool leads, bool known)
{
	b->info.leads = leads;
	b->info.leader_known = known;
	b->info.leader_rpc = known ? "10.0.0.1:4647" : "";
	b->events->info_cb(b->events_ctx);
}

static struct http_request *take_forwarded(struct bed *b)
{
	struct http_request *req = b->under_way[--b->n_under_way];

	b->forwarded = b->n_under_way > 0 ? b->under_way[b->n_under_way - 1] : NULL;
	return req;
}

void bed_return(struct bed *b, int err)
{
	struct http_request *req = take_forwarded(b);

	b->events->returned_cb(b->events_ctx, req, err);
	bed_pump(b);
}

void bed_answer(struct bed *b, int status, const char *text)
{
	struct http_request *req = take_forwarded(b);

	http_answer_text(req, status, "%s", text);
}

/* ---- JSON ---- */

static const json_t *walk(const json_t *at, const char *path)
{
	char key[256];

	while (at != NULL && path[0] != '\0') {
		size_t len = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		at = json_is_array(at) ? json_array_get(at, (size_t)atoi(key)) : json_object_get(at, key);
		path += len + (path[len] == '.');
	}
	return at;
}

static json_t *parse(struct buf *body)
{
	json_error_t error;
	json_t *root =
		json_loadb(body->at != NULL ? body->at : "", body->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

	if (root == NULL) {
		fail_msg("no JSON: %s: %.400s", error.text, buf_text(body));
	}
	return root;
}

static const char *json_at(struct bed *b, struct buf *body, const char *path)
{
	json_t *root = parse(body);
	const json_t *at = walk(root, path);
	char *text = at != NULL ? json_dumps(at, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : strdup("none");
	const char *copy = arena_strdup(&b->kit.mem, text);

	free(text);
	json_decref(root);
	return copy;
}

const char *bed_json(struct bed *b, const char *path)
{
	return json_at(b, &b->last.body, path);
}

const char *kept_json(struct bed *b, struct kept *k, const char *path)
{
	return json_at(b, &k->body, path);
}

long long bed_number(struct bed *b, const char *path)
{
	return atoll(bed_json(b, path));
}

unsigned bed_length(struct bed *b, const char *path)
{
	json_t *root = parse(&b->last.body);
	const json_t *at = walk(root, path);
	unsigned n = json_is_array(at) ? (unsigned)json_array_size(at) : (unsigned)json_object_size(at);

	json_decref(root);
	return n;
}

/* ---- jobs ---- */

const char *bed_quote(struct bed *b, const char *format, ...)
{
	char text[8192];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *c = text; *c != '\0'; c++) {
		*c = *c == '\'' ? '"' : *c;
	}
	return arena_strdup(&b->kit.mem, text);
}

const char *bed_job(struct bed *b, const char *id, const char *more)
{
	return bed_quote(b,
			 "{'Job':{%s'ID':'%s','Datacenters':['dc1'],'TaskGroups':[{'Name':'g','Count':1,"
			 "'EphemeralDisk':{'SizeMB':10},'Tasks':[{'Name':'t','Driver':'raw_exec',"
			 "'Config':{'command':'/bin/sleep','args':['600']},'Resources':{'CPU':20,'MemoryMB':10},"
			 "'LogConfig':{'MaxFiles':1,'MaxFileSizeMB':1}}]}]}}",
			 more, id);
}

long long bed_register(struct bed *b, const char *id, const char *more)
{
	bed_want(b, "POST", "/v1/jobs", bed_job(b, id, more), 200, NULL);
	return bed_number(b, "JobModifyIndex");
}

struct uuid bed_place(struct bed *b, const char *job, unsigned n, struct uuid *ids)
{
	struct uuid node = kit_node(&b->kit, "n1");
	struct uuid eval = kit_newest_eval(&b->kit, job)->id;

	kit_place(&b->kit, job, &eval, &node, n, ids);
	assert_int_equal(b->kit.result.count, n);
	return node;
}

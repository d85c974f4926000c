/* Entries of the log: any bytes, and any payload of any command on a state that has something of everything. The state
 * must hold together whatever comes, and be the same on a second server. */
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"
#include "raft/fsm.h"
#include "raft/persist.h"

static const struct uuid family = {{3}};

/* The IDs that the dictionary of a fuzzer may guess: 16 times the same byte. */
static struct uuid same(uint8_t byte)
{
	struct uuid id;

	memset(&id, byte, sizeof(id));
	return id;
}

static void must(bool ok)
{
	if (!ok) {
		abort();
	}
}

struct server {
	struct state state;
	struct fsm fsm;
};

static void apply(struct server *s, enum command type, const void *payload, uint64_t n)
{
	struct uuid seed = uuid_derive(&family, n);
	struct buf command = {0};
	struct batch batch = {0};

	must(command_encode(type, payload, &command) == 0);
	must(batch_add(&batch, command.at, command.len, (int64_t)n, &seed) == 0);
	must(fsm_apply(&s->fsm, batch.entry.at, batch.entry.len, NULL) == 0);
	buf_close(&command);
	batch_close(&batch);
}

static void add_node(struct server *s)
{
	struct uuid id = same('n');
	struct node_register p;
	char text[UUID_TEXT];
	struct node node;

	uuid_format(&id, text);
	object_init(&node_type, &node);
	node.id = text;
	node.name = "n";
	node.status = "ready";
	p.node = &node;
	apply(s, COMMAND_NODE_REGISTER, &p, 1);
}

static void add_job(struct server *s, struct arena *mem)
{
	static const char json[] =
		"{\"ID\":\"a\",\"Name\":\"a\",\"Datacenters\":[\"dc1\"],\"TaskGroups\":[{\"Name\":\"g\","
		"\"ReschedulePolicy\":{\"Attempts\":1},\"Tasks\":[{\"Name\":\"t\"}]}]}";
	struct job_register p;
	struct job job;

	must(json_decode(&job_type, &job, json, sizeof(json) - 1, mem, NULL) == 0);
	must(job_register_fill(&p, &job, mem) == 0);
	apply(s, COMMAND_JOB_REGISTER, &p, 2);
}

static void add_alloc(struct server *s)
{
	const struct job_row *job = state_job(forest_work(&s->state.forest), "default", "a");
	struct uuid ids[] = {same('A'), same('n'), same('d')};
	struct deployment_group group;
	struct deployment d;
	struct plan_group plan_group = {"g", 1, 2, 3, 4};
	struct plan_place place;
	struct plan_result p;
	char text[UUID_TEXT];
	const char *name = "g";

	object_init(&plan_result_type, &p);
	object_init(&plan_place_type, &place);
	object_init(&deployment_type, &d);
	object_init(&deployment_group_type, &group);
	uuid_format(&ids[2], text);
	d.id = text;
	d.namespace_ = "default";
	d.job_id = "a";
	d.job_create_index = (int64_t)job->create_index;
	d.status = "running";
	group.desired_canaries = 1;
	d.task_groups.keys = &name;
	d.task_groups.at = &group;
	d.task_groups.n = 1;
	place.id = uuid_bytes(&ids[0]);
	place.node_id = uuid_bytes(&ids[1]);
	place.canary = true;
	p.namespace_ = "default";
	p.job_id = "a";
	p.job_create_index = (int64_t)job->create_index;
	p.groups.at = &plan_group;
	p.groups.n = 1;
	p.places.at = &place;
	p.places.n = 1;
	p.deployment = &d;
	p.deployment_id = uuid_bytes(&ids[2]);
	apply(s, COMMAND_PLAN, &p, 3);
}

/* A policy, a role that has it, a token that has both and ends, and a one-time token. */
static void add_acl(struct server *s)
{
	const struct uuid ids[] = {same('t'), same('s'), same('r'), same('o')};
	const char *names[] = {"p"};
	struct acl_policy_link policy_link = {"p"};
	struct acl_role_link role_link = {"", "r"};
	char text[3][UUID_TEXT];
	struct acl_policy policy;
	struct acl_token token;
	struct acl_role role;

	for (unsigned i = 0; i < 3; i++) {
		uuid_format(&ids[i], text[i]);
	}
	object_init(&acl_policy_type, &policy);
	object_init(&acl_token_type, &token);
	object_init(&acl_role_type, &role);
	policy.name = "p";
	apply(s, COMMAND_ACL_POLICY_PUT, &(struct acl_policy_put){&policy}, 4);
	role.id = text[2];
	role.name = "r";
	role.policies.at = &policy_link;
	role.policies.n = 1;
	apply(s, COMMAND_ACL_ROLE_PUT, &(struct acl_role_put){&role, true}, 5);
	token.accessor_id = text[0];
	token.secret_id = text[1];
	token.type = "client";
	token.policies = (struct strs){names, 1};
	token.roles.at = &role_link;
	token.roles.n = 1;
	token.expiration_time = 15;
	apply(s, COMMAND_ACL_TOKEN_PUT, &(struct acl_token_put){&token, true}, 6);
	apply(s, COMMAND_ACL_ONCE_PUT, &(struct acl_once_put){uuid_bytes(&ids[0]), uuid_bytes(&ids[3]), 5}, 7);
	must(state_acl_once(forest_work(&s->state.forest), &ids[0]) != NULL);
}

static void open_server(struct server *s)
{
	struct arena mem = {0};

	state_init(&s->state);
	fsm_init(&s->fsm, &s->state, NULL, NULL, NULL);
	add_node(s);
	add_job(s, &mem);
	add_alloc(s);
	add_acl(s);
	arena_close(&mem);
}

static uint64_t close_server(struct server *s)
{
	const struct view *v = state_view(&s->state);
	uint64_t hash = state_hash(v);

	must(state_check(v));
	view_release(v);
	fsm_close(&s->fsm);
	state_close(&s->state);
	return hash;
}

/* One command after another: its number, two bytes of length, its payload. */
static void run_commands(struct server *s, const uint8_t *data, size_t len)
{
	uint64_t n = 10;

	while (len >= 3) {
		enum command type = (enum command)(data[0] % N_COMMANDS);
		size_t size = (size_t)data[1] | (size_t)data[2] << 8;
		struct arena mem = {0};
		void *payload;

		data += 3;
		len -= 3;
		size = size < len ? size : len;
		payload = calloc(1, command_payload(type)->size);
		if (pack_decode(command_payload(type), payload, data, size, &mem) == 0) {
			apply(s, type, payload, n++);
		}
		free(payload);
		arena_close(&mem);
		data += size;
		len -= size;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct server a;
	struct server b;

	log_set_level(LOG_OFF);
	open_server(&a);
	open_server(&b);
	if (len > 0 && data[0] == 0) {
		must(fsm_apply(&a.fsm, data + 1, len - 1, NULL) == fsm_apply(&b.fsm, data + 1, len - 1, NULL));
	} else if (len > 0) {
		run_commands(&a, data + 1, len - 1);
		run_commands(&b, data + 1, len - 1);
	}
	must(close_server(&a) == close_server(&b));
	return 0;
}

/*
 * A job's specification as one blob: texts that lists and schedulers want without decoding, then the packed job.
 *
 *     | head | flags of each group | name 0 parent 0 pool 0 token 0 datacenters, groups, each with a 0 | packed job |
 *
 * What stands in the texts or in the row's key is left out of the packed job.
 */
#include "raft/spec.h"

#include <string.h>

#include "raft/table.h"

struct head {
	uint32_t packed_at;
	uint16_t datacenters;
	uint16_t groups;
};

enum { NAME, PARENT, NODE_POOL, TOKEN, N_TEXTS };

static struct head head_of(const uint8_t *spec)
{
	struct head h;

	memcpy(&h, spec, sizeof(h));
	return h;
}

static void put_text(struct buf *out, const char *text)
{
	buf_put(out, text, strlen(text) + 1);
}

static bool reschedules(const struct task_group *group)
{
	const struct reschedule_policy *p = group->reschedule_policy;

	return p != NULL && ((p->unlimited.set && p->unlimited.at != 0) || (p->attempts.set && p->attempts.at > 0));
}

static bool disconnects(const struct task_group *group)
{
	return (group->disconnect != NULL && group->disconnect->lost_after.at > 0) ||
	       group->max_client_disconnect.at > 0;
}

static bool scales(const struct task_group *group)
{
	uint32_t i = 0;

	while (i < group->tasks.n && group->tasks.at[i].scaling_policies.n == 0) {
		i++;
	}
	return group->scaling != NULL || i < group->tasks.n;
}

static char group_flags(const struct task_group *group)
{
	return (char)((reschedules(group) ? SPEC_GROUP_RESCHEDULES : 0) |
		      (disconnects(group) ? SPEC_GROUP_DISCONNECTS : 0) | (scales(group) ? SPEC_GROUP_SCALES : 0));
}

/* What a user specifies, and what is not told elsewhere. */
static struct job stripped(const struct job *job)
{
	struct job j = *job;

	j.id = j.name = j.namespace_ = j.node_pool = j.parent_id = j.dispatch_idempotency_token = "";
	j.datacenters.n = 0;
	j.nomad_token_id = j.status = j.status_description = "";
	j.stop = j.stable = false;
	j.version = j.submit_time = j.create_index = j.modify_index = j.job_modify_index = 0;
	j.version_tag = NULL;
	return j;
}

void job_spec_encode(const struct job *job, struct buf *out)
{
	struct head head = {0, (uint16_t)job->datacenters.n, (uint16_t)job->task_groups.n};
	struct job rest = stripped(job);
	size_t begin = out->len;
	uint32_t i;

	buf_put(out, &head, sizeof(head));
	for (i = 0; i < head.groups; i++) {
		buf_byte(out, group_flags(&job->task_groups.at[i]));
	}
	put_text(out, job->name);
	put_text(out, job->parent_id);
	put_text(out, job->node_pool);
	put_text(out, job->dispatch_idempotency_token);
	for (i = 0; i < head.datacenters; i++) {
		put_text(out, job->datacenters.at[i]);
	}
	for (i = 0; i < head.groups; i++) {
		put_text(out, job->task_groups.at[i].name);
	}
	head.packed_at = (uint32_t)(out->len - begin);
	if (!out->failed) {
		memcpy(out->at + begin, &head, sizeof(head));
	}
	pack_encode(&job_type, &rest, out);
}

bool job_spec_valid(const void *data, size_t len)
{
	const uint8_t *spec = data;
	struct head h;
	size_t texts;
	size_t at;

	if (len < sizeof(h)) {
		return false;
	}
	h = head_of(spec);
	texts = (size_t)N_TEXTS + h.datacenters + h.groups;
	at = sizeof(h) + h.groups;
	if (h.packed_at > len || at > h.packed_at) {
		return false;
	}
	for (; texts > 0; texts--) {
		const uint8_t *end = memchr(spec + at, '\0', h.packed_at - at);

		if (end == NULL) {
			return false;
		}
		at = (size_t)(end - spec) + 1;
	}
	return at == h.packed_at && len > at;
}

/* ---- the texts ---- */

static const char *text(const struct job_row *row, unsigned i)
{
	const char *at = (const char *)row->spec->data + sizeof(struct head) + job_row_groups(row);

	for (; i > 0; i--) {
		at += strlen(at) + 1;
	}
	return at;
}

const char *job_row_name(const struct job_row *row)
{
	return text(row, NAME);
}

const char *job_row_parent(const struct job_row *row)
{
	return text(row, PARENT);
}

const char *job_row_node_pool(const struct job_row *row)
{
	return text(row, NODE_POOL);
}

const char *job_row_token(const struct job_row *row)
{
	return text(row, TOKEN);
}

unsigned job_row_datacenters(const struct job_row *row)
{
	return head_of(row->spec->data).datacenters;
}

unsigned job_row_groups(const struct job_row *row)
{
	return head_of(row->spec->data).groups;
}

const char *job_row_datacenter(const struct job_row *row, unsigned i)
{
	return i < job_row_datacenters(row) ? text(row, N_TEXTS + i) : "";
}

const char *job_row_group(const struct job_row *row, unsigned i)
{
	return i < job_row_groups(row) ? text(row, N_TEXTS + job_row_datacenters(row) + i) : "";
}

int job_row_group_find(const struct job_row *row, const char *name)
{
	unsigned n = job_row_groups(row);
	const char *at = text(row, N_TEXTS + job_row_datacenters(row));
	unsigned i;

	for (i = 0; i < n; i++) {
		if (strcmp(at, name) == 0) {
			return (int)i;
		}
		at += strlen(at) + 1;
	}
	return -1;
}

unsigned job_row_group_flags(const struct job_row *row, unsigned i)
{
	return i < job_row_groups(row) ? row->spec->data[sizeof(struct head) + i] : 0;
}

const void *job_row_packed(const struct job_row *row, size_t *len)
{
	uint32_t at = head_of(row->spec->data).packed_at;

	*len = row->spec->len - at;
	return row->spec->data + at;
}

/* What the HTTP thread is told of the cluster. */
#include <stdlib.h>

#include "server/core.h"
#include "server/link.h"
#include "server/sched_memory.h"

static const char *text_or_none(const char *text)
{
	return text != NULL ? text : "";
}

static const char *own_copy(struct arena *mem, const char *text)
{
	return sched_got(arena_strdup(mem, text_or_none(text)));
}

static void describe_self(struct server *s, struct link_info *i)
{
	const struct server_config *c = &s->config;
	char id[UUID_TEXT];

	uuid_format(&s->identity.id, id);
	i->info.id = own_copy(&i->mem, id);
	i->info.name = text_or_none(c->name);
	i->info.region = text_or_none(c->region);
	i->info.datacenter = text_or_none(c->datacenter);
	i->info.node_id = text_or_none(c->node_id);
	i->info.config_json = c->config_json != NULL ? c->config_json : "{}";
	i->info.autopilot = server_autopilot(s);
}

/* A leader that is not ready is not known as one, so that nobody sends its requests in a circle. */
static void describe_leader(struct server *s, struct link_info *i)
{
	struct replica_status status = replica_status(s->replica);

	i->info.leads = s->ready;
	i->info.leader_known = status.leader_id != 0 && (s->ready || status.leader_id != s->identity.raft_id);
	i->info.leader_rpc = own_copy(&i->mem, i->info.leader_known ? status.leader_address : "");
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *region_of(const struct core_member *m)
{
	for (uint32_t i = 0; i < m->tags.n; i++) {
		if (strcmp(m->tags.at[i].key, "region") == 0) {
			return m->tags.at[i].value;
		}
	}
	return NULL;
}

static bool has_region(const struct strs *regions, const char *region)
{
	for (uint32_t i = 0; i < regions->n; i++) {
		if (strcmp(regions->at[i], region) == 0) {
			return true;
		}
	}
	return false;
}

static void describe_regions(struct link_info *i)
{
	struct strs *regions = &i->info.regions;

	regions->at = arena_need(&i->mem, i->info.members.n + 1, sizeof(regions->at[0]));
	regions->at[regions->n++] = i->info.region;
	for (uint32_t m = 0; m < i->info.members.n; m++) {
		const char *region = region_of(&i->info.members.at[m]);

		if (region != NULL && !has_region(regions, region)) {
			regions->at[regions->n++] = region;
		}
	}
	sched_sort(regions->at, regions->n, sizeof(regions->at[0]), by_text);
}

/* Members are called NAME.REGION. */
static void find_self(struct link_info *i)
{
	const char *name = sched_got(arena_printf(&i->mem, "%s.%s", i->info.name, i->info.region));

	for (uint32_t m = 0; m < i->info.members.n; m++) {
		if (strcmp(i->info.members.at[m].name, name) == 0) {
			i->info.self = m;
		}
	}
}

void core_info_publish(struct server *s)
{
	struct link_info *i = sched_calloc(1, sizeof(*i));

	s->core->info_changed = false;
	describe_self(s, i);
	describe_leader(s, i);
	net_info(s->net, &i->info, &i->mem);
	find_self(i);
	if (i->info.regions.n == 0) {
		describe_regions(i);
	}
	link_tell(s->link, i);
}

/* The picture of the nodes, its news and its claims. */
#include "test/unit/server/sched_case.h"

static struct nodes *picture(void)
{
	sched_news(&b.sched, b.v, &b.news);
	return &b.sched.nodes;
}

static const char *fact(const struct nodes *nodes, uint32_t slot, const char *key)
{
	uint32_t value = nodes_fact(nodes, slot, intern_find(&nodes->names, key));

	return value != INTERN_NONE ? intern_text(&nodes->names, value) : "(none)";
}

static const struct use small = {100, 100, 10, 1};

CASE(a_node_is_seen_with_what_it_is)
{
	struct uuid id = bed_node(&b, "{'Name':'n1','NodeClass':'big','Meta':{'rack':'r7'},"
				      "'HostVolumes':{'data':{'Path':'/x','ReadOnly':true}}}");
	struct nodes *nodes = picture();
	uint32_t slot = nodes_find(nodes, &id);

	assert_int_not_equal(slot, NODE_NONE);
	assert_string_equal(fact(nodes, slot, "attr.kernel.name"), "linux");
	assert_string_equal(fact(nodes, slot, "meta.rack"), "r7");
	assert_string_equal(fact(nodes, slot, "node.class"), "big");
	assert_string_equal(fact(nodes, slot, "node.unique.name"), "n1");
	assert_string_equal(fact(nodes, slot, FACT_DRIVER "raw_exec"), "1");
	assert_string_equal(fact(nodes, slot, FACT_DRIVER "sick"), "(none)");
	assert_string_equal(fact(nodes, slot, FACT_VOLUME "data"), "ro");
	assert_int_equal(nodes->at[slot].cpu_mhz, 4000);
	assert_int_equal(nodes->at[slot].core_mhz, 1000);
	assert_int_equal(nodes->at[slot].flags, NODE_AT_USED | NODE_AT_READY);
}

CASE(nodes_that_differ_in_what_is_unique_are_of_one_class)
{
	struct uuid x = bed_node(&b, "{'Name':'x','Attributes':{'arch':'arm','unique.id':'1'}}");
	struct uuid y = bed_node(&b, "{'Name':'y','Attributes':{'arch':'arm','unique.id':'2'}}");
	struct uuid z = bed_node(&b, "{'Name':'z','Attributes':{'arch':'x86','unique.id':'3'}}");
	struct nodes *nodes = picture();
	uint32_t class_ = nodes->at[nodes_find(nodes, &x)].class_;

	assert_int_equal(nodes->at[nodes_find(nodes, &y)].class_, class_);
	assert_int_not_equal(nodes->at[nodes_find(nodes, &z)].class_, class_);
}

CASE(news_of_a_node_change_its_facts)
{
	struct uuid id = bed_node(&b, "{'Meta':{'rack':'r1'}}");
	char text[UUID_TEXT];
	struct nodes *nodes = picture();

	uuid_format(&id, text);
	assert_string_equal(fact(nodes, nodes_find(nodes, &id), "meta.rack"), "r1");
	bed_node(&b, bed_json(&b, "{'ID':'%s','Meta':{'rack':'r2'}}", text));
	nodes = picture();
	assert_int_equal(nodes->n_used, 1);
	assert_string_equal(fact(nodes, nodes_find(nodes, &id), "meta.rack"), "r2");
	bed_node_purge(&b, &id);
	nodes = picture();
	assert_int_equal(nodes->n_used, 0);
	assert_int_equal(nodes_find(nodes, &id), NODE_NONE);
	bed_node(&b, "{}");
	assert_int_equal(picture()->n, 1); /* The slot is used again. */
}

/* A job's allocation that is placed and stopped behind the picture's back. */
static struct uuid placed(void)
{
	bed_register_simple(&b, "web", "service", 1, "", "");
	bed_run(&b);
	return bed_alloc(&b, "web", 0)->id;
}

CASE(a_claim_counts_until_its_allocation_is_seen)
{
	struct uuid node = bed_node(&b, "{}");
	struct uuid id = placed();
	struct nodes_news news = {0};
	struct nodes nodes;
	struct change change = {.table = TABLE_ALLOCS, .now = &state_alloc(b.v, &id)->row};
	uint32_t slot;

	nodes_init(&nodes, false);
	slot = nodes_load(&nodes, b.v, &node);
	nodes.at[slot].used = (struct use){0}; /* As if it had not been there yet. */
	nodes_claim(&nodes, slot, &id, &small, NULL, false, 5);
	assert_int_equal(nodes.at[slot].used.cpu_mhz, 100);
	news_add(&news, &change, 1);
	nodes_update(&nodes, b.v, &news);
	assert_int_equal(nodes.at[slot].used.cpu_mhz, 100);
	assert_int_equal(nodes.n_claims, 0);
	nodes_disown(&nodes, 5);
	assert_int_equal(nodes.at[slot].used.cpu_mhz, 100);
	nodes_close(&nodes);
}

CASE(owners_give_up_their_claims_and_no_others)
{
	struct uuid node = bed_node(&b, "{}");
	struct nodes *nodes = picture();
	uint32_t slot = nodes_find(nodes, &node);
	unsigned i;

	for (i = 0; i < 30; i++) {
		nodes_claim(nodes, slot, &(struct uuid){{(uint8_t)(i + 1)}}, &small, NULL, false, i % 3);
	}
	assert_int_equal(nodes->at[slot].used.count, 30);
	nodes_disown(nodes, 1);
	assert_int_equal(nodes->at[slot].used.count, 20);
	nodes_unclaim(nodes, &(struct uuid){{1}});
	nodes_unclaim(nodes, &(struct uuid){{1}});
	assert_int_equal(nodes->at[slot].used.count, 19);
	nodes_disown(nodes, 0);
	nodes_disown(nodes, 2);
	assert_int_equal(nodes->at[slot].used.count, 0);
	assert_int_equal(nodes->n_claims, 0);
	assert_int_equal(nodes->more[slot].claim, CLAIM_NONE);
}

CASE(claims_outlive_a_picture_that_is_made_anew)
{
	struct uuid node = bed_node(&b, "{}");
	struct uuid id = placed();
	struct use less = {-100, -100, -10, -1};
	struct uuid future = {{1}};
	struct nodes_news all = {.all = true};
	struct nodes nodes;
	uint32_t slot;

	nodes_init(&nodes, true);
	nodes_update(&nodes, b.v, &all);
	slot = nodes_find(&nodes, &node);
	nodes_claim(&nodes, slot, &future, &small, NULL, false, 1);
	nodes_claim(&nodes, slot, &id, &less, NULL, true, 1);
	assert_int_equal(nodes.at[slot].used.count, 1);
	all.all = true;
	nodes_update(&nodes, b.v, &all);
	assert_int_equal(nodes.n_claims, 2);
	assert_int_equal(nodes.at[nodes_find(&nodes, &node)].used.count, 1);
	bed_stop(&b, "web");
	bed_run(&b); /* The stop has taken place: its claim has had its time. */
	all.all = true;
	nodes_update(&nodes, b.v, &all);
	assert_int_equal(nodes.n_claims, 1);
	assert_int_equal(nodes.at[nodes_find(&nodes, &node)].used.count, 1);
	nodes_close(&nodes);
}

CASE(claims_on_a_node_that_goes_go_with_it)
{
	struct uuid node = bed_node(&b, "{}");
	struct nodes *nodes = picture();

	nodes_claim(nodes, nodes_find(nodes, &node), &(struct uuid){{1}}, &small, NULL, false, 1);
	bed_node_purge(&b, &node);
	nodes = picture();
	assert_int_equal(nodes->n_claims, 0);
}

CASE(too_many_news_are_news_of_everything)
{
	struct uuid node = bed_node(&b, "{}");
	struct change change = {.table = TABLE_NODES, .now = &state_node(b.v, &node)->row};
	struct nodes_news news = {0};
	unsigned i;

	for (i = 0; i < NEWS_MAX; i++) {
		news_add(&news, &change, 1);
	}
	assert_false(news.all);
	assert_int_equal(news.n, NEWS_MAX);
	news_add(&news, &change, 1);
	assert_true(news.all);
	assert_null(news.notes);
	nodes_update(&b.sched.nodes, b.v, &news);
	assert_int_equal(b.sched.nodes.n_used, 1);
	assert_false(news.all);
}

CASE(a_client_that_tells_new_values_for_ever_costs_no_memory)
{
	struct uuid id = bed_node(&b, "{}");
	char text[UUID_TEXT];
	size_t most = 0;
	unsigned i;

	uuid_format(&id, text);
	for (i = 0; i < 3000; i++) {
		struct nodes *nodes;

		bed_node(&b, bed_json(&b, "{'ID':'%s','Attributes':{'unique.bytesfree':'%u-%01000u'}}", text, i, i));
		nodes = picture();
		most = nodes->names.mem.total > most ? nodes->names.mem.total : most;
	}
	assert_true(most < 2 << 20);
}

CASE(ports_cores_and_devices_are_marked_and_given_back)
{
	struct uuid id = bed_node(&b, "{'NodeResources':{'Cpu':{'CpuShares':4000,'ReservableCpuCores':[0,2]},"
				      "'Memory':{'MemoryMB':8000},'Disk':{'DiskMB':1000},'Networks':[{'IP':'10.0.0.1'}],'Devices':[{'Vendor':'v','Type':'t','Name':'n',"
				      "'Instances':[{'ID':'i1','Healthy':true}]}]}}");
	const struct port_hold ports[] = {{"10.0.0.1", 80}, {"", 81}};
	const uint16_t cores[] = {2};
	const struct device_hold devices[] = {{"v/t/n", "i1"}};
	const struct holds h = {ports, cores, devices, 2, 1, 1};
	const struct uuid alloc = {{1}};
	struct nodes *nodes = picture();
	uint32_t slot = nodes_find(nodes, &id);

	assert_int_equal(nodes_fit(nodes, b.v, slot, &small, &h), FIT_OK);
	nodes_claim(nodes, slot, &alloc, &small, &h, false, 1);
	assert_int_equal(nodes_fit(nodes, b.v, slot, &small, &h), FIT_PORT);
	nodes_unclaim(nodes, &alloc);
	assert_int_equal(nodes_fit(nodes, b.v, slot, &small, &h), FIT_OK);
	assert_false(node_holds_fit(nodes_holds(nodes, b.v, slot),
				    &(struct holds){.cores = (const uint16_t[]){1}, .n_cores = 1}));
}

#define CASES(X)                                                                                                       \
	X(a_node_is_seen_with_what_it_is)                                                                              \
	X(nodes_that_differ_in_what_is_unique_are_of_one_class)                                                        \
	X(news_of_a_node_change_its_facts)                                                                             \
	X(a_claim_counts_until_its_allocation_is_seen)                                                                 \
	X(owners_give_up_their_claims_and_no_others)                                                                   \
	X(claims_outlive_a_picture_that_is_made_anew)                                                                  \
	X(claims_on_a_node_that_goes_go_with_it)                                                                       \
	X(too_many_news_are_news_of_everything)                                                                        \
	X(a_client_that_tells_new_values_for_ever_costs_no_memory)                                                     \
	X(ports_cores_and_devices_are_marked_and_given_back)
RUN_CASES(CASES)

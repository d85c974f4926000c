/* The event stream. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "server/events.h"
#include "test/unit/server/api_case.h"

static struct kept stream;
static bool listening;

static void on_changed(void *ctx, const struct change *changes, size_t n)
{
	struct bed *bed = ctx;
	const struct view *v = state_view(&bed->kit.state);

	events_push(api_feed(bed->api), &bed->kit.fsm, v, changes, n);
	view_release(v);
}

static int open_events(void **state)
{
	open_bed(state);
	b.kit.fsm.changed = on_changed;
	b.kit.fsm.ctx = &b;
	listening = false;
	return 0;
}

static int close_events(void **state)
{
	if (listening) {
		api_stop(b.api);
		assert_int_equal(stream.ends, 1);
		kept_close(&stream);
	}
	return close_bed(state);
}

static void listen(const char *query)
{
	listening = true;
	bed_start(&b, &stream, "GET", query, NULL);
	bed_pump(&b);
	assert_int_equal(stream.answers, 1);
	assert_int_equal(stream.res.status, 200);
}

/* The types of the events in all lines so far, one line of the stream each: "NodeRegistration;JobRegistered,..;" A
 * heartbeat is "-". */
static const char *told(void)
{
	static char out[16384];
	const char *at = buf_text(&stream.body);
	size_t len = 0;

	out[0] = '\0';
	for (; *at != '\0'; at++) {
		if (strncmp(at, "{}\n", 3) == 0) {
			out[len++] = '-';
			at += 2;
		} else if (strncmp(at, "{\"Topic\":", 9) == 0) {
			const char *type = strstr(at, "\"Type\":\"") + 8;
			size_t n = (size_t)(strchr(type, '"') - type);

			if (len > 0 && out[len - 1] != ';' && out[len - 1] != '-') {
				out[len++] = ',';
			}
			memcpy(out + len, type, n);
			len += n;
		} else if (*at == '\n') {
			out[len++] = ';';
		}
	}
	out[len] = '\0';
	return out;
}

static void forget(void)
{
	stream.body.len = 0;
}

CASE(what_was_told_lately_comes_first)
{
	bed_register(&b, "web", "");
	listen("/v1/event/stream");
	assert_string_equal(told(), "-JobRegistered,JobRegistered;");
	bed_register(&b, "db", "");
	bed_pump(&b);
	assert_string_equal(told(), "-JobRegistered,JobRegistered;JobRegistered,JobRegistered;");
}

/* As much as is kept has come long ago, and more waits that nobody has asked for. */
CASE(a_stream_of_an_old_server_begins_at_what_is_left)
{
	unsigned i;

	for (i = 0; i < 300; i++) {
		bed_register(&b, "web", "");
	}
	for (i = 0; i < 10; i++) {
		kit_register(&b.kit, kit_job(&b.kit, "late", "service"));
	}
	listen("/v1/event/stream?topic=Job");
	assert_null(strstr(buf_text(&stream.body), "fallen behind"));
	forget();
	bed_register(&b, "web", "'Priority':60,");
	bed_pump(&b);
	assert_string_equal(told(), "JobRegistered;");
	assert_int_equal(stream.ends, 0);
}

CASE(an_event_tells_the_object_as_it_was_then)
{
	listen("/v1/event/stream?topic=Job");
	bed_register(&b, "web", "'Priority':60,");
	bed_register(&b, "web", "'Priority':70,");
	bed_pump(&b);
	assert_string_equal(told(), "-JobRegistered;JobRegistered;");
	assert_non_null(strstr(buf_text(&stream.body), "\"Priority\":60"));
	assert_non_null(strstr(buf_text(&stream.body), "\"Priority\":70"));
	assert_non_null(strstr(buf_text(&stream.body),
			       "{\"Topic\":\"Job\",\"Type\":\"JobRegistered\",\"Key\":\"web\",\"Namespace\":\"default\","
			       "\"FilterKeys\":null,\"Index\":"));
	assert_non_null(strstr(buf_text(&stream.body), "\"Payload\":{\"Job\":{"));
}

CASE(topics_and_keys_choose)
{
	struct uuid ids[1];

	bed_register(&b, "web", "");
	bed_place(&b, "web", 1, ids);
	bed_register(&b, "db", "");
	listen("/v1/event/stream?topic=Allocation:web&topic=Job:db");
	assert_string_equal(told(), "-PlanResult;JobRegistered;");
	kit_report(&b.kit, &ids[0], "running");
	bed_pump(&b);
	assert_string_equal(told(), "-PlanResult;JobRegistered;AllocationUpdated;");
	assert_null(strstr(buf_text(&stream.body), "\"Job\":{\"Stop\"")); /* An allocation is told without its job. */
	assert_non_null(strstr(buf_text(&stream.body), "\"Job\":null"));
	assert_non_null(strstr(buf_text(&stream.body), "\"FilterKeys\":[\"web\"]"));
}

CASE(namespaces_choose_and_nodes_have_none)
{
	kit_node(&b.kit, "n1");
	bed_register(&b, "web", "");
	listen("/v1/event/stream?namespace=other");
	assert_string_equal(told(), "-NodeRegistration;");
	assert_null(strstr(buf_text(&stream.body), "\"SecretID\":\"s"));
}

CASE(an_index_passes_over_what_was_before)
{
	char query[64];

	bed_register(&b, "web", "");
	snprintf(query, sizeof(query), "/v1/event/stream?index=%lld", bed_register(&b, "db", ""));
	listen(query);
	assert_string_equal(told(), "-JobRegistered,JobRegistered;");
	assert_null(strstr(buf_text(&stream.body), "\"web\""));
}

CASE(a_purge_is_told_with_what_is_gone)
{
	bed_register(&b, "web", "'Priority':61,");
	listen("/v1/event/stream?topic=Job:web");
	forget();
	bed_want(&b, "DELETE", "/v1/job/web", NULL, 200, NULL);
	bed_pump(&b);
	assert_string_equal(told(), "JobDeregistered;");
	assert_null(strstr(buf_text(&stream.body), "\"Deleted\""));
	forget();
	bed_want(&b, "DELETE", "/v1/job/web?purge=true", NULL, 200, NULL);
	bed_pump(&b);
	assert_string_equal(told(), "JobDeregistered;");
	assert_non_null(strstr(buf_text(&stream.body), "\"Deleted\":true}"));
	assert_non_null(strstr(buf_text(&stream.body), "\"Priority\":61"));
}

CASE(services_come_and_go)
{
	struct uuid ids[1];

	bed_register(&b, "web", "");
	bed_place(&b, "web", 1, ids);
	listen("/v1/event/stream?topic=Service");
	kit_serve(&b.kit, &ids[0], "front", 80);
	kit_report(&b.kit, &ids[0], "complete");
	bed_pump(&b);
	assert_string_equal(told(), "-ServiceRegistration;ServiceDeregistration;");
	assert_non_null(strstr(buf_text(&stream.body), "\"FilterKeys\":[\"web\",\"front\"]"));
}

CASE(a_quiet_stream_has_heartbeats)
{
	listen("/v1/event/stream");
	bed_sleep(&b, 25 * SECOND);
	assert_string_equal(told(), "---");
}

/* The slow one stands still, the other goes on; when what the slow one lacks is gone, it is told and cut. */
CASE(a_slow_reader_holds_nobody_and_is_cut)
{
	struct kept other;

	listen("/v1/event/stream?topic=Job");
	bed_start(&b, &other, "GET", "/v1/event/stream?topic=Job", NULL);
	bed_pump(&b);
	stream.full = true;
	for (int i = 0; i < 300; i++) {
		char id[16];

		snprintf(id, sizeof(id), "j%d", i);
		bed_register(&b, id, "");
		bed_pump(&b);
	}
	assert_non_null(strstr(buf_text(&other.body), "\"j299\""));
	assert_string_equal(told(), "-JobRegistered;");
	stream.full = false;
	stream.req.drain_cb(&stream.req);
	bed_pump(&b);
	assert_int_equal(stream.ends, 1);
	assert_false(stream.whole);
	assert_non_null(strstr(buf_text(&stream.body), "{\"Error\":\"the stream has fallen behind"));
	listening = false;
	kept_close(&stream);
	other.req.gone_cb(&other.req);
	assert_int_equal(other.ends, 1);
	kept_close(&other);
}

/* Nobody takes the feed's batches: it lets go of them, and says so. */
CASE(a_feed_that_nobody_empties_has_a_bound)
{
	listen("/v1/event/stream?topic=Job");
	for (int i = 0; i < 2 * EVENTS_RING; i++) {
		kit_register(&b.kit, kit_job(&b.kit, "web", "service"));
	}
	bed_pump(&b);
	assert_int_equal(stream.ends, 1);
	assert_non_null(strstr(buf_text(&stream.body), "fallen behind"));
	kept_close(&stream);
	listen("/v1/event/stream?topic=Job:web");
	forget();
	bed_register(&b, "web", "'Priority':33,");
	bed_pump(&b);
	assert_string_equal(told(), "JobRegistered;");
}

CASE(bad_parameters_are_told)
{
	bed_want(&b, "GET", "/v1/event/stream?topic=Job:::*", NULL, 400,
		 "Invalid key value pair for topic, topic: Job:::*");
	bed_want(&b, "GET", "/v1/event/stream?topic=Job:", NULL, 400, "Invalid key value pair for topic, topic: Job:");
	bed_want(&b, "GET", "/v1/event/stream?topic=", NULL, 400, "Invalid key value pair for topic, topic: ");
	bed_want(&b, "GET", "/v1/event/stream?index=x", NULL, 400, "Unable to parse index: x");
	bed_want(&b, "GET", "/v1/event/stream?index=-1", NULL, 400, "Unable to parse index: -1");
	bed_want(&b, "PUT", "/v1/event/stream", "{}", 405, NULL);
}

#undef T
#define T(name) cmocka_unit_test_setup_teardown(name, open_events, close_events)

static int open_acl_events(void **state)
{
	(void)state;
	bed_open_acl(&b);
	b.kit.fsm.changed = on_changed;
	b.kit.fsm.ctx = &b;
	listening = false;
	return 0;
}

CASE(access_control_is_told_without_secrets)
{
	char secret[UUID_TEXT];

	listen("/v1/event/stream?topic=ACLToken&topic=ACLPolicy&topic=ACLRole");
	bed_want(&b, "PUT", "/v1/acl/policy/p", bed_quote(&b, "{'Name':'p'}"), 200, NULL);
	bed_want(&b, "PUT", "/v1/acl/role", bed_quote(&b, "{'Name':'r','Policies':[{'Name':'p'}]}"), 200, NULL);
	bed_want(&b, "PUT", "/v1/acl/token", bed_quote(&b, "{'Type':'client','Policies':['p']}"), 200, NULL);
	memcpy(secret, bed_json(&b, "SecretID") + 1, UUID_TEXT - 1);
	secret[UUID_TEXT - 1] = '\0';
	bed_want(&b, "DELETE",
		 arena_printf(&b.kit.mem, "/v1/acl/token/%.36s", bed_json(&b, "AccessorID") + 1), NULL, 200, NULL);
	bed_want(&b, "DELETE", "/v1/acl/policy/p", NULL, 200, NULL);
	bed_pump(&b);
	assert_string_equal(told(), "-ACLPolicyUpserted;ACLRoleUpserted;ACLTokenUpserted;ACLTokenDeleted;ACLPolicyDeleted;");
	assert_null(strstr(buf_text(&stream.body), secret));
	assert_null(strstr(buf_text(&stream.body), "SecretID"));
	assert_non_null(strstr(buf_text(&stream.body), "\"Payload\":{\"ACLToken\":{\"AccessorID\":\""));
}

CASE(access_control_is_told_to_managers_alone)
{
	const char *rules = "{'Name':'all','Rules':'namespace \\\"*\\\" { policy = \\\"write\\\" } node { policy = \\\"write\\\" }'}";

	bed_want(&b, "PUT", "/v1/acl/policy/all", bed_quote(&b, rules, 0), 200, NULL);
	bed_want(&b, "PUT", "/v1/acl/token", bed_quote(&b, "{'Type':'client','Policies':['all']}"), 200, NULL);
	b.token = arena_printf(&b.kit.mem, "%.36s", bed_json(&b, "SecretID") + 1);
	bed_want(&b, "GET", "/v1/event/stream?topic=ACLToken", NULL, 403, NULL);
	listen("/v1/event/stream");
	b.token = BED_MANAGER;
	bed_want(&b, "PUT", "/v1/acl/policy/p", bed_quote(&b, "{'Name':'p'}"), 200, NULL);
	bed_want(&b, "PUT", "/v1/acl/token", bed_quote(&b, "{'Type':'client','Policies':['p']}"), 200, NULL);
	bed_register(&b, "web", "");
	bed_pump(&b);
	assert_string_equal(told(), "-JobRegistered,JobRegistered;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_was_told_lately_comes_first),
		T(a_stream_of_an_old_server_begins_at_what_is_left),
		T(an_event_tells_the_object_as_it_was_then),
		T(topics_and_keys_choose),
		T(namespaces_choose_and_nodes_have_none),
		T(an_index_passes_over_what_was_before),
		T(a_purge_is_told_with_what_is_gone),
		T(services_come_and_go),
		T(a_quiet_stream_has_heartbeats),
		T(a_slow_reader_holds_nobody_and_is_cut),
		T(a_feed_that_nobody_empties_has_a_bound),
		T(bad_parameters_are_told),
		cmocka_unit_test_setup_teardown(access_control_is_told_without_secrets, open_acl_events, close_events),
		cmocka_unit_test_setup_teardown(access_control_is_told_to_managers_alone, open_acl_events, close_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

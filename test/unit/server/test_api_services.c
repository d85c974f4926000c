/* Services. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/api_case.h"

static struct uuid allocs[4];

/* Jobs "web" with three allocations and "db" with one, which offer services. */
static void open_services(void)
{
	bed_register(&b, "web", "");
	bed_place(&b, "web", 3, allocs);
	bed_register(&b, "db", "");
	bed_place(&b, "db", 1, allocs + 3);
	kit_serve(&b.kit, &allocs[0], "front", 80);
	kit_serve(&b.kit, &allocs[1], "front", 81);
	kit_serve(&b.kit, &allocs[2], "front", 82);
	kit_serve(&b.kit, &allocs[3], "back", 90);
}

CASE(services_are_listed_by_namespace)
{
	bed_want(&b, "GET", "/v1/services", NULL, 200, "[]");
	open_services();
	bed_want(&b, "GET", "/v1/services", NULL, 200,
		 "[{\"Namespace\":\"default\",\"Services\":[{\"ServiceName\":\"back\",\"Tags\":[\"a\",\"back\"]},"
		 "{\"ServiceName\":\"front\",\"Tags\":[\"a\",\"front\"]}]}]");
	bed_want(&b, "GET", "/v1/services?namespace=*", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, "0.Services"), 2);
	bed_want(&b, "GET", "/v1/services?namespace=other", NULL, 200, "[]");
	bed_want(&b, "POST", "/v1/services", "{}", 405, NULL);
}

CASE(a_service_tells_where_it_is)
{
	open_services();
	bed_want(&b, "GET", "/v1/service/back", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.ServiceName", "\"back\"");
	bed_is(&b, "0.Namespace", "\"default\"");
	bed_is(&b, "0.JobID", "\"db\"");
	bed_is(&b, "0.Datacenter", "\"dc1\"");
	bed_is(&b, "0.Address", "\"127.0.0.1\"");
	bed_is(&b, "0.Port", "90");
	bed_is(&b, "0.Tags", "[\"back\",\"a\"]");
	bed_is(&b, "0.AllocID", bed_quote(&b, "'%s'", kit_text(&b.kit, &allocs[3])));
	bed_want(&b, "GET", "/v1/service/front", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 3);
	bed_want(&b, "GET", "/v1/service/front?filter=Port%20==%2081", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/service/front?namespace=*", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 3);
	bed_want(&b, "GET", "/v1/service/none", NULL, 200, "[]");
}

CASE(services_are_told_in_pages)
{
	const char *token;

	open_services();
	bed_want(&b, "GET", "/v1/service/front?per_page=2", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	token = b.last.res.next_token;
	assert_non_null(token);
	bed_want(&b, "GET", bed_quote(&b, "/v1/service/front?per_page=2&next_token=%s", token), NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/service/front?next_token=%25", NULL, 400, NULL);
}

CASE(who_asks_with_the_same_key_gets_the_same_ones)
{
	char first[128];
	unsigned others = 0;
	unsigned i;

	open_services();
	bed_want(&b, "GET", "/v1/service/front?choose=1%7Cme", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	snprintf(first, sizeof(first), "%s", bed_json(&b, "0.ID"));
	bed_want(&b, "GET", "/v1/service/front?choose=1%7Cme", NULL, 200, NULL);
	bed_is(&b, "0.ID", first);
	bed_want(&b, "GET", "/v1/service/front?choose=2%7Cme", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_is(&b, "0.ID", first);
	bed_want(&b, "GET", "/v1/service/front?choose=9%7Cme", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 3);
	for (i = 0; i < 20; i++) {
		bed_want(&b, "GET", bed_quote(&b, "/v1/service/front?choose=1%%7C%u", i), NULL, 200, NULL);
		others += strcmp(bed_json(&b, "0.ID"), first) != 0;
	}
	assert_in_range(others, 4, 19);
	bed_want(&b, "GET", "/v1/service/front?choose=1", NULL, 400, NULL);
	bed_want(&b, "GET", "/v1/service/front?choose=0%7Cme", NULL, 400, NULL);
	bed_want(&b, "GET", "/v1/service/front?choose=-1%7Cme", NULL, 400, NULL);
	bed_want(&b, "GET", "/v1/service/front?choose=1%7C", NULL, 400, NULL);
}

CASE(jobs_and_allocations_tell_their_services)
{
	open_services();
	bed_want(&b, "GET", "/v1/job/web/services", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 3);
	bed_is(&b, "0.JobID", "\"web\"");
	bed_want(&b, "GET", "/v1/job/none/services", NULL, 404, "job not found");
	bed_want(&b, "GET", bed_quote(&b, "/v1/allocation/%s/services", kit_text(&b.kit, &allocs[1])), NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.Port", "81");
	bed_want(&b, "GET", "/v1/allocation/deadbeef-0000-0000-0000-000000000000/services", NULL, 404, "allocation not found");
	bed_want(&b, "GET", bed_quote(&b, "/v1/allocation/%s/services?namespace=other", kit_text(&b.kit, &allocs[1])), NULL, 404,
		 "allocation not found");
}

CASE(a_service_is_waited_for)
{
	struct kept k = {0};

	open_services();
	bed_ask(&b, "GET", "/v1/service/front", NULL);
	bed_start(&b, &k, "GET", bed_quote(&b, "/v1/service/front?index=%llu", (unsigned long long)b.last.res.index), NULL);
	bed_pump(&b);
	assert_int_equal(k.answers, 0);
	kit_report(&b.kit, &allocs[0], "complete"); /* A service that goes is news, too. */
	bed_sleep(&b, 1000000);
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.res.status, 200);
	kept_close(&k);
	bed_ask(&b, "GET", "/v1/service/front", NULL);
	assert_int_equal(bed_length(&b, ""), 2);
}

CASE(a_service_is_deleted)
{
	const char *path;

	open_services();
	bed_ask(&b, "GET", "/v1/service/back", NULL);
	path = bed_quote(&b, "/v1/service/back/%.200s", bed_json(&b, "0.ID") + 1);
	path = arena_strndup(&b.kit.mem, path, strlen(path) - 1);
	bed_want(&b, "DELETE", path, NULL, 200, "");
	bed_want(&b, "GET", "/v1/service/back", NULL, 200, "[]");
	bed_want(&b, "DELETE", path, NULL, 404, "service registration not found");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(services_are_listed_by_namespace),
		T(a_service_tells_where_it_is),
		T(services_are_told_in_pages),
		T(who_asks_with_the_same_key_gets_the_same_ones),
		T(jobs_and_allocations_tell_their_services),
		T(a_service_is_waited_for),
		T(a_service_is_deleted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

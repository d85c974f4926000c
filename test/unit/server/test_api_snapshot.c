/* Backups by HTTP: streamed as fast as the client reads, checked before anything goes into the log. */
#include "test/unit/unit.h"

#include <zlib.h>

#include "test/unit/server/api_bed.h"

#include "proto/error.h"
#include "raft/archive.h"

/* A request with a body that may have zeros in it. */
static void put(struct bed *b, struct kept *k, const struct buf *body)
{
	assert_int_equal(kept_open(k, "PUT", "/v1/operator/snapshot"), 0);
	k->req.body = body->at;
	k->req.body_len = body->len;
	api_handle(b->api, &k->req);
	bed_pump(b);
}

static void save(struct bed *b, struct buf *out)
{
	struct kept k;

	bed_start(b, &k, "GET", "/v1/operator/snapshot", NULL);
	bed_pump(b);
	assert_int_equal(k.res.status == 0 ? 200 : k.res.status, 200);
	assert_string_equal(k.res.type, "application/x-gzip");
	assert_int_equal(k.res.index, state_index(b->kit.v));
	assert_int_equal(k.ends, 1);
	assert_true(k.whole);
	out->len = 0;
	buf_put(out, k.body.at, k.body.len);
	buf_byte(out, '\0');
	out->len--;
	kept_close(&k);
}

static void fill(struct bed *b, unsigned n)
{
	char id[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "job-%u", i);
		bed_register(b, id, "");
	}
}

struct bytes_left {
	const struct buf *b;
	bool given;
};

static size_t next_bytes(void *ctx, const void **data)
{
	struct bytes_left *left = ctx;
	size_t n = left->given ? 0 : left->b->len;

	left->given = true;
	*data = left->b->at;
	return n;
}

static void a_backup_holds_the_state_of_one_moment(void **state)
{
	struct buf saved = {0};
	struct bytes_left left = {&saved, false};
	struct archive_info info;
	const char *why = "";
	struct bed b;

	(void)state;
	bed_open(&b);
	fill(&b, 30);
	save(&b, &saved);
	assert_int_equal(b.barriers, 1);
	assert_int_equal(archive_inspect(next_bytes, &left, &info, &why), 0);
	assert_int_equal(info.index, state_index(b.kit.v));
	assert_int_equal(info.hash, state_hash(b.kit.v));
	buf_close(&saved);
	bed_close(&b);
}

static void a_client_that_does_not_read_is_waited_for(void **state)
{
	struct buf saved = {0};
	struct kept k;
	struct bed b;
	unsigned waits = 0;

	(void)state;
	bed_open(&b);
	fill(&b, 300);
	save(&b, &saved);
	bed_start(&b, &k, "GET", "/v1/operator/snapshot", NULL);
	k.full = true;
	bed_pump(&b);
	while (k.ends == 0) {
		size_t before = k.body.len;

		bed_pump(&b);
		assert_int_equal(k.body.len, before); /* It is not asked for more. */
		k.req.drain_cb(&k.req);
		bed_pump(&b);
		waits++;
		assert_true(waits < 1000);
	}
	assert_true(waits > 0 && k.whole);
	assert_int_equal(k.body.len, saved.len);
	kept_close(&k);
	buf_close(&saved);
	bed_close(&b);
}

static void a_client_that_leaves_ends_the_save(void **state)
{
	struct kept k;
	struct bed b;

	(void)state;
	bed_open(&b);
	fill(&b, 300);
	bed_start(&b, &k, "GET", "/v1/operator/snapshot", NULL);
	k.full = true;
	bed_pump(&b);
	assert_int_equal(k.ends, 0);
	k.req.gone = true;
	k.req.gone_cb(&k.req);
	assert_int_equal(k.ends, 1);
	assert_false(k.whole);
	kept_close(&k);
	bed_close(&b);
}

static void no_more_than_a_few_are_made_at_a_time(void **state)
{
	struct kept k[5];
	struct bed b;

	(void)state;
	bed_open(&b);
	fill(&b, 300);
	for (int i = 0; i < 5; i++) {
		bed_start(&b, &k[i], "GET", "/v1/operator/snapshot", NULL);
		k[i].full = true;
	}
	bed_pump(&b);
	assert_int_equal(k[4].res.status, 429);
	for (int i = 0; i < 5; i++) {
		if (i < 4) {
			k[i].req.gone_cb(&k[i].req);
		}
		kept_close(&k[i]);
	}
	bed_close(&b);
}

static void a_backup_is_restored(void **state)
{
	struct buf saved = {0};
	struct kept k;
	struct bed b;
	uint64_t before;

	(void)state;
	bed_open(&b);
	fill(&b, 30);
	save(&b, &saved);
	bed_register(&b, "since", "");
	before = state_index(b.kit.v);
	put(&b, &k, &saved);
	assert_int_equal(k.res.status, 200);
	assert_int_equal(k.res.index, state_index(b.kit.v));
	assert_true(k.res.index > before);
	kept_close(&k);
	bed_want(&b, "GET", "/v1/job/since", NULL, 404, NULL);
	bed_want(&b, "GET", "/v1/job/job-29", NULL, 200, NULL);
	buf_close(&saved);
	bed_close(&b);
}

static void refused(struct bed *b, const struct buf *body)
{
	unsigned writes = b->writes;
	struct kept k;

	put(b, &k, body);
	assert_int_equal(k.res.status, 400);
	assert_int_equal(b->writes, writes); /* Nothing has gone into the log. */
	kept_close(&k);
}

/* What gzip makes of a file; its length, or 0 when it finds it damaged. */
static size_t unpacked(const struct buf *file, unsigned char *out, size_t size)
{
	z_stream z = {.next_in = (Bytef *)file->at, .avail_in = (uInt)file->len, .next_out = out, .avail_out = (uInt)size};
	int rv;

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	rv = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return rv == Z_STREAM_END ? z.total_out : 0;
}

/* Some bits of a compressed file may be either: a piece that is repeated may be copied from one place or another. */
static bool is_damage(const struct buf *file, size_t at)
{
	static unsigned char was[1 << 20];
	static unsigned char is[1 << 20];
	size_t n;
	size_t m;

	n = unpacked(file, was, sizeof(was));
	assert_true(n > 0);
	file->at[at] ^= 1;
	m = unpacked(file, is, sizeof(is));
	file->at[at] ^= 1;
	return m != n || memcmp(was, is, n) != 0;
}

static void a_damaged_file_costs_no_entry_of_the_log(void **state)
{
	struct buf saved = {0};
	struct bed b;
	unsigned harmless = 0;
	size_t whole;

	(void)state;
	bed_open(&b);
	fill(&b, 30);
	save(&b, &saved);
	whole = saved.len;
	for (size_t at = 10; at < whole; at += 1 + whole / 97) {
		if (is_damage(&saved, at)) {
			saved.at[at] ^= 1;
			refused(&b, &saved);
			saved.at[at] ^= 1;
		} else {
			harmless++;
		}
		saved.len = at;
		refused(&b, &saved);
		saved.len = whole;
	}
	assert_true(harmless < 5);
	saved.len = 0;
	refused(&b, &saved);
	buf_close(&saved);
	bed_close(&b);
}

static void lost_leadership_in_the_middle_is_told_and_nothing_is_restored(void **state)
{
	struct buf saved = {0};
	struct kept k;
	struct bed b;

	(void)state;
	bed_open(&b);
	fill(&b, 30);
	save(&b, &saved);
	bed_register(&b, "since", "");
	b.write_status = ERR_NOTLEADER;
	put(&b, &k, &saved);
	assert_int_equal(k.res.status, 500);
	assert_non_null(strstr(buf_text(&k.body), "nothing was restored"));
	kept_close(&k);
	b.write_status = ERR_BUSY;
	put(&b, &k, &saved);
	assert_int_equal(k.res.status, 429);
	kept_close(&k);
	b.write_status = 0;
	bed_want(&b, "GET", "/v1/job/since", NULL, 200, NULL);
	buf_close(&saved);
	bed_close(&b);
}

static void what_operators_ask_of_servers_is_passed_on_and_its_errors_told(void **state)
{
	struct bed b;

	(void)state;
	bed_open(&b);
	bed_want(&b, "DELETE", "/v1/operator/raft/peer?id=id-2", NULL, 200, NULL);
	assert_int_equal(b.last_action, CORE_REMOVE_PEER);
	bed_want(&b, "DELETE", "/v1/operator/raft/peer", NULL, 400, NULL);
	bed_want(&b, "DELETE", "/v1/operator/raft/peer?id=a&address=b", NULL, 400, NULL);
	bed_want(&b, "PUT", "/v1/agent/join?address=10.0.0.1", NULL, 200, NULL);
	assert_int_equal(b.last_action, CORE_JOIN);
	bed_want(&b, "PUT", "/v1/agent/force-leave?node=s2.global&prune", NULL, 200, NULL);
	assert_int_equal(b.last_action, CORE_PRUNE);
	bed_want(&b, "PUT", "/v1/agent/force-leave", NULL, 400, NULL);
	bed_want(&b, "PUT", "/v1/operator/raft/transfer-leadership?id=id-2", NULL, 200, NULL);
	assert_int_equal(b.last_action, CORE_TRANSFER);
	bed_is(&b, "Noop", "false");
	b.call_status = ERR_NOTFOUND;
	bed_want(&b, "DELETE", "/v1/operator/raft/peer?id=id-9", NULL, 500,
		 "id \"id-9\" was not found in the Raft configuration");
	bed_want(&b, "PUT", "/v1/operator/raft/transfer-leadership?id=id-9", NULL, 400, NULL);
	b.call_status = ERR_EXISTS;
	bed_want(&b, "PUT", "/v1/agent/force-leave?node=s2.global", NULL, 400,
		 "this member is alive: it has not failed");
	b.call_status = 0;
	bed_close(&b);
}

static void the_pilots_configuration_is_put_with_check_and_set(void **state)
{
	struct bed b;

	(void)state;
	bed_open(&b);
	bed_want(&b, "PUT", "/v1/operator/autopilot/configuration?cas=5", "{\"MinQuorum\":3}", 200, "false");
	bed_want(&b, "PUT", "/v1/operator/autopilot/configuration?cas=0", "{\"LastContactThreshold\":\"1s\"}", 200, "true");
	bed_want(&b, "PUT", "/v1/operator/autopilot/configuration", "{\"MinQuorum\":-1}", 400, NULL);
	bed_want(&b, "PUT", "/v1/operator/autopilot/configuration?cas=x", "{}", 400, NULL);
	bed_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_backup_holds_the_state_of_one_moment),
		cmocka_unit_test(a_client_that_does_not_read_is_waited_for),
		cmocka_unit_test(a_client_that_leaves_ends_the_save),
		cmocka_unit_test(no_more_than_a_few_are_made_at_a_time),
		cmocka_unit_test(a_backup_is_restored),
		cmocka_unit_test(a_damaged_file_costs_no_entry_of_the_log),
		cmocka_unit_test(lost_leadership_in_the_middle_is_told_and_nothing_is_restored),
		cmocka_unit_test(what_operators_ask_of_servers_is_passed_on_and_its_errors_told),
		cmocka_unit_test(the_pilots_configuration_is_put_with_check_and_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

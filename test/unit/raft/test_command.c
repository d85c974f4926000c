#include "test/unit/unit.h"

#include "lib/log.h"
#include "proto/error.h"
#include "test/unit/raft/kit.h"

static const struct uuid seed = {{1, 2, 3}};

/* A command that does nothing, encoded. */
static struct buf encoded(enum command type, const void *payload)
{
	struct buf b = {0};

	assert_int_equal(command_encode(type, payload, &b), 0);
	return b;
}

static void a_batch_holds_commands_in_their_order(void **state)
{
	struct no_payload nothing = {5};
	struct launch_record launch = {"default", "job", 7};
	struct buf a = encoded(COMMAND_NOTHING, &nothing);
	struct buf b = encoded(COMMAND_LAUNCH, &launch);
	struct batch batch = {0};
	struct arena mem = {0};
	struct command_in *in;
	unsigned n;

	(void)state;
	assert_int_equal(batch_add(&batch, a.at, a.len, 100, &seed), 0);
	assert_int_equal(batch_add(&batch, b.at, b.len, 200, &seed), 0);
	assert_int_equal(batch.count, 2);
	assert_int_equal(batch.entry.len % 8, 0);
	assert_int_equal(entry_decode(batch.entry.at, batch.entry.len, &in, &n, &mem), 0);
	assert_int_equal(n, 2);
	assert_int_equal(in[0].type, COMMAND_NOTHING);
	assert_int_equal(in[0].now_ns, 100);
	assert_int_equal(((const struct no_payload *)in[0].payload)->nothing, 5);
	assert_int_equal(in[1].type, COMMAND_LAUNCH);
	assert_int_equal(in[1].now_ns, 200);
	assert_true(uuid_equal(&in[1].seed, &seed));
	assert_string_equal(((const struct launch_record *)in[1].payload)->id, "job");
	batch_reset(&batch);
	assert_int_equal(batch_add(&batch, b.at, b.len, 300, &seed), 0);
	assert_int_equal(entry_decode(batch.entry.at, batch.entry.len, &in, &n, &mem), 0);
	assert_int_equal(n, 1);
	arena_close(&mem);
	batch_close(&batch);
	buf_close(&a);
	buf_close(&b);
}

static char *long_text(size_t len)
{
	char *text = malloc(len + 1);

	memset(text, 'x', len);
	text[len] = '\0';
	return text;
}

static void a_full_batch_says_so_and_a_large_command_goes_alone(void **state)
{
	char *text = long_text(ENTRY_BEST / 2 - 2000);
	char *huge = long_text(ENTRY_BEST + 1000);
	struct name_delete name = {text};
	struct name_delete name2 = {huge};
	struct buf a = encoded(COMMAND_NAMESPACE_DELETE, &name);
	struct buf b = encoded(COMMAND_NAMESPACE_DELETE, &name2);
	struct batch batch = {0};
	size_t len;

	(void)state;
	assert_int_equal(batch_add(&batch, a.at, a.len, 0, &seed), 0);
	assert_int_equal(batch_add(&batch, a.at, a.len, 0, &seed), 0);
	len = batch.entry.len;
	assert_int_equal(batch_add(&batch, a.at, a.len, 0, &seed), ERR_BUSY);
	assert_int_equal(batch.entry.len, len);
	assert_int_equal(batch.count, 2);
	batch_reset(&batch);
	assert_int_equal(batch_add(&batch, b.at, b.len, 0, &seed), 0);
	assert_int_equal(batch_add(&batch, a.at, a.len, 0, &seed), ERR_BUSY);
	assert_int_equal(batch_add(&batch, a.at, a.len - 8, 0, &seed), ERR_SYNTAX);
	batch_close(&batch);
	buf_close(&a);
	buf_close(&b);
	free(text);
	free(huge);
}

static void a_command_beyond_the_limit_is_refused(void **state)
{
	char *text = long_text(ENTRY_MAX);
	struct name_delete name = {text};
	struct buf b = {0};

	(void)state;
	assert_int_equal(command_encode(COMMAND_NAMESPACE_DELETE, &name, &b), ERR_TOOBIG);
	assert_int_equal(b.len, 0);
	buf_close(&b);
	free(text);
}

/* A malformed entry is passed over whole: also the good command before the bad one does nothing. */
static void a_malformed_entry_changes_nothing(void **state)
{
	struct launch_record launch = {"default", "job", 7};
	struct namespace_ ns;
	struct namespace_put put = {&ns};
	struct buf a;
	struct buf b = encoded(COMMAND_LAUNCH, &launch);
	struct batch batch = {0};
	struct kit k;
	uint64_t hash;
	size_t i;

	(void)state;
	kit_open(&k);
	object_init(&namespace__type, &ns);
	ns.name = "x";
	a = encoded(COMMAND_NAMESPACE_PUT, &put);
	batch_add(&batch, a.at, a.len, 0, &seed);
	batch_add(&batch, b.at, b.len, 0, &seed);
	hash = state_hash(k.v);
	for (i = 0; i < batch.entry.len; i++) {
		assert_int_not_equal(kit_entry(&k, batch.entry.at, i), 0);
	}
	i = ENTRY_HEADER + a.len + 4; /* The second command's type. */
	batch.entry.at[i] = (char)N_COMMANDS;
	assert_int_not_equal(kit_entry(&k, batch.entry.at, batch.entry.len), 0);
	assert_int_equal(state_hash(k.v), hash);
	assert_int_equal(state_index(k.v), 1);
	assert_null(state_namespace(k.v, "x"));
	assert_int_equal(k.fsm.stats.malformed, batch.entry.len + 1);
	batch_close(&batch);
	buf_close(&a);
	buf_close(&b);
	kit_close(&k);
}

/* Commands of one entry are of many clients: one that cannot be read takes none of the others along. */
static void a_malformed_payload_harms_its_command_alone(void **state)
{
	struct launch_record launch = {"default", "job", 7};
	struct apply_result results[3];
	struct namespace_ ns;
	struct namespace_put put = {&ns};
	struct batch batch = {0};
	struct buf first, bad, last;
	struct kit k;

	(void)state;
	kit_open(&k);
	object_init(&namespace__type, &ns);
	ns.name = "x";
	first = encoded(COMMAND_NAMESPACE_PUT, &put);
	bad = encoded(COMMAND_LAUNCH, &launch);
	bad.at[COMMAND_HEADER] = (char)0xc1;
	ns.name = "y";
	last = encoded(COMMAND_NAMESPACE_PUT, &put);
	batch_add(&batch, first.at, first.len, 0, &seed);
	batch_add(&batch, bad.at, bad.len, 0, &seed);
	batch_add(&batch, last.at, last.len, 0, &seed);
	assert_int_equal(fsm_apply(&k.fsm, batch.entry.at, batch.entry.len, results), 0);
	view_release(k.v);
	k.v = state_view(&k.state);
	assert_int_equal(results[0].status, 0);
	assert_int_equal(results[1].status, ERR_CORRUPT);
	assert_int_equal(results[2].status, 0);
	assert_non_null(state_namespace(k.v, "x"));
	assert_non_null(state_namespace(k.v, "y"));
	assert_int_equal(state_index(k.v), 4);
	batch_close(&batch);
	buf_close(&first);
	buf_close(&bad);
	buf_close(&last);
	kit_close(&k);
}

static void every_command_has_a_name_and_a_payload(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < N_COMMANDS; i++) {
		assert_non_null(command_payload((enum command)i));
		assert_string_not_equal(command_name((enum command)i), "?");
	}
	assert_null(command_payload(N_COMMANDS));
	assert_string_equal(command_name(N_COMMANDS), "?");
	/* The numbers are in logs. */
	assert_int_equal(COMMAND_JOB_REGISTER, 0);
	assert_int_equal(COMMAND_PLAN, 17);
	assert_int_equal(COMMAND_NOTHING, 32);
}

/* Every command with an empty payload: refused or without effect, never a crash. */
static void empty_payloads_do_no_harm(void **state)
{
	struct kit k;
	int i;

	(void)state;
	kit_open(&k);
	for (i = 0; i < N_COMMANDS; i++) {
		void *payload = arena_calloc(&k.mem, 1, command_payload((enum command)i)->size);

		pack_decode(command_payload((enum command)i), payload, "\x80", 1, &k.mem);
		kit_apply(&k, (enum command)i, payload);
	}
	assert_int_equal(state_index(k.v), 1 + N_COMMANDS);
	kit_close(&k);
}

static void uuids_as_bytes_and_back(void **state)
{
	struct bytes bytes = uuid_bytes(&seed);
	struct uuid id;

	(void)state;
	assert_true(bytes_uuid(&bytes, &id));
	assert_true(uuid_equal(&id, &seed));
	bytes.n = 15;
	assert_false(bytes_uuid(&bytes, &id));
	assert_true(uuid_is_zero(&id));
	assert_int_equal(uuid_bytes(&id).n, 0);
}

static void prefixes_of_uuids(void **state)
{
	struct uuid_prefix p;

	(void)state;
	assert_int_equal(uuid_prefix_parse("", &p), 0);
	assert_int_equal(p.len, 0);
	assert_int_equal(uuid_prefix_parse("aB", &p), 0);
	assert_int_equal(p.len, 1);
	assert_int_equal(p.id.at[0], 0xab);
	assert_int_equal(uuid_prefix_parse("deadbeef-", &p), 0);
	assert_int_equal(p.len, 4);
	assert_int_equal(uuid_prefix_parse("deadbeef-00", &p), 0);
	assert_int_equal(p.len, 5);
	assert_int_equal(uuid_prefix_parse("deadbeef-0000-0000-0000-000000000000", &p), 0);
	assert_int_equal(p.len, 16);
	assert_int_equal(uuid_prefix_parse("deadbeef-0", &p), ERR_RANGE);
	assert_int_equal(uuid_prefix_parse("abc", &p), ERR_RANGE);
	assert_int_equal(uuid_prefix_parse("zz", &p), ERR_SYNTAX);
	assert_int_equal(uuid_prefix_parse("ab-c", &p), ERR_SYNTAX);
	assert_int_equal(uuid_prefix_parse("deadbeef-0000-0000-0000-00000000000011", &p), ERR_TOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_holds_commands_in_their_order),
		cmocka_unit_test(a_full_batch_says_so_and_a_large_command_goes_alone),
		cmocka_unit_test(a_command_beyond_the_limit_is_refused),
		cmocka_unit_test(a_malformed_entry_changes_nothing),
		cmocka_unit_test(a_malformed_payload_harms_its_command_alone),
		cmocka_unit_test(every_command_has_a_name_and_a_payload),
		cmocka_unit_test(empty_payloads_do_no_harm),
		cmocka_unit_test(uuids_as_bytes_and_back),
		cmocka_unit_test(prefixes_of_uuids),
	};

	log_set_level(LOG_OFF); /* Malformed entries are told of as errors. */
	return cmocka_run_group_tests(tests, NULL, NULL);
}

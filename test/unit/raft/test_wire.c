/* Messages as bytes. SEED=N chooses another random run. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "raft/wire.h"

static uint64_t seed;

static uint64_t rnd(uint64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

static void seed_set(void)
{
	const char *text = getenv("SEED");

	seed = text != NULL ? strtoull(text, NULL, 0) : 1;
	print_message("seed %llu\n", (unsigned long long)seed);
}

/* --- bodies --- */

struct body {
	char at[4096];
	size_t len;
};

static void body_put(struct body *b, const void *data, size_t len)
{
	assert_true(b->len + len <= sizeof(b->at));
	memcpy(b->at + b->len, data, len);
	b->len += len;
}

enum { STAMP = 77777 };

static void body_of(struct body *b, const struct raft_message *m)
{
	uint64_t w[WIRE_WORDS];

	b->len = 0;
	wire_words(m, STAMP, w);
	body_put(b, w, sizeof(w));
	if (m->type != RAFT_APPEND_ENTRIES) {
		return;
	}
	for (unsigned i = 0; i < m->append_entries.n_entries; i++) {
		uint64_t e[2];

		wire_entry(&m->append_entries.entries[i], e);
		body_put(b, e, sizeof(e));
	}
	for (unsigned i = 0; i < m->append_entries.n_entries; i++) {
		const struct raft_entry *e = &m->append_entries.entries[i];

		if (e->buf.len > 0) {
			body_put(b, e->buf.base, e->buf.len);
		}
	}
}

static int decode(const struct body *b, struct wire_message *m)
{
	char *exact = malloc(b->len + 1); /* So that AddressSanitizer sees a byte too far. */
	int rc;

	memcpy(exact, b->at, b->len);
	rc = wire_decode(exact, b->len, m);
	free(exact);
	return rc;
}

static void numbers_come_back(void **state)
{
	(void)state;
	seed_set();
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t a = rnd(1 << 30);
		struct raft_message m = {.type = RAFT_APPEND_ENTRIES_RESULT};
		struct wire_message got;
		struct body b;

		m.append_entries_result = (struct raft_append_entries_result){2, a, a + 1, a + 2, 3, 65535};
		body_of(&b, &m);
		assert_int_equal(decode(&b, &got), 0);
		assert_memory_equal(&got.raft.append_entries_result.term, &m.append_entries_result.term, 24);
		assert_int_equal(got.raft.append_entries_result.capacity, 65535);
		assert_int_equal(got.raft.append_entries_result.features, 3);
		assert_int_equal(got.stamp, STAMP);

		m = (struct raft_message){.type = RAFT_REQUEST_VOTE};
		m.request_vote = (struct raft_request_vote){2, a, a + 1, a + 2, a, a & 1, a & 2};
		body_of(&b, &m);
		assert_int_equal(decode(&b, &got), 0);
		assert_int_equal(got.raft.request_vote.candidate_id, a + 1);
		assert_int_equal(got.stamp, 0);
		assert_int_equal(got.raft.request_vote.last_log_index, a + 2);
		assert_int_equal(got.raft.request_vote.disrupt_leader, (a & 1) != 0);
		assert_int_equal(got.raft.request_vote.pre_vote, (a & 2) != 0);

		m = (struct raft_message){.type = RAFT_REQUEST_VOTE_RESULT};
		m.request_vote_result = (struct raft_request_vote_result){2, a, a & 1, a & 2, 7, 8};
		body_of(&b, &m);
		assert_int_equal(decode(&b, &got), 0);
		assert_int_equal(got.raft.request_vote_result.vote_granted, (a & 1) != 0);
		assert_int_equal(got.raft.request_vote_result.capacity, 8);

		m = (struct raft_message){.type = RAFT_TIMEOUT_NOW};
		m.timeout_now = (struct raft_timeout_now){1, a, a + 1, a + 2};
		body_of(&b, &m);
		assert_int_equal(decode(&b, &got), 0);
		assert_int_equal(got.raft.timeout_now.last_log_term, a + 2);
	}
}

/* A message with n entries of terms that do not fall. */
static unsigned append_make(struct raft_message *m, struct raft_entry *entries, char *data)
{
	unsigned n = (unsigned)rnd(9);
	uint64_t term = 1 + rnd(5);

	*m = (struct raft_message){.type = RAFT_APPEND_ENTRIES};
	m->append_entries = (struct raft_append_entries){
		.prev_log_index = 1 + rnd(100), .prev_log_term = term, .leader_commit = rnd(100), .n_entries = n};
	for (unsigned i = 0; i < n; i++) {
		term += rnd(2);
		entries[i] = (struct raft_entry){
			.term = term, .type = rnd(2) ? RAFT_COMMAND : RAFT_BARRIER, .buf = {data, rnd(200)}};
		data += entries[i].buf.len;
	}
	m->append_entries.term = term + rnd(2);
	m->append_entries.entries = entries;
	return n;
}

static void entries_come_back(void **state)
{
	char data[2000];

	(void)state;
	seed_set();
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (char)rnd(256);
	}
	for (unsigned i = 0; i < 2000; i++) {
		struct raft_entry entries[9];
		struct raft_message m;
		struct wire_message got;
		struct body b;
		unsigned n = append_make(&m, entries, data);

		body_of(&b, &m);
		assert_int_equal(decode(&b, &got), 0);
		assert_int_equal(got.raft.append_entries.n_entries, n);
		assert_int_equal(got.raft.append_entries.prev_log_index, m.append_entries.prev_log_index);
		for (unsigned k = 0; k < n; k++) {
			const struct raft_entry *e = &got.raft.append_entries.entries[k];

			assert_int_equal(e->term, entries[k].term);
			assert_int_equal(e->type, entries[k].type);
			assert_int_equal(e->buf.len, entries[k].buf.len);
			assert_memory_equal(e->buf.base, entries[k].buf.base, e->buf.len);
			assert_ptr_equal(e->batch, got.raft.append_entries.entries[0].batch);
		}
		wire_message_close(&got);
	}
}

/* Whatever is changed in a message, it is decoded to something legal or refused. */
static void damaged_messages_are_refused_or_legal(void **state)
{
	char data[2000] = {0};
	unsigned refused = 0;

	(void)state;
	seed_set();
	for (unsigned i = 0; i < 50000; i++) {
		struct raft_entry entries[9];
		struct raft_message m;
		struct wire_message got;
		struct body b;

		append_make(&m, entries, data);
		body_of(&b, &m);
		for (unsigned k = 0; k < 1 + rnd(4); k++) {
			b.at[rnd(b.len < 200 ? b.len : 200)] ^= (char)(1 << rnd(8));
		}
		if (rnd(4) == 0) {
			b.len = rnd(b.len);
		}
		if (decode(&b, &got) != 0) {
			refused++;
		} else {
			wire_message_close(&got);
		}
	}
	assert_true(refused > 10000);
}

static void what_libraft_only_asserts_is_refused(void **state)
{
	struct raft_entry entry = {.term = 3, .type = RAFT_COMMAND, .buf = {(char *)(uintptr_t) "12345678", 8}};
	struct raft_message good = {
		.type = RAFT_APPEND_ENTRIES,
		.append_entries = {
			.term = 3, .prev_log_index = 5, .prev_log_term = 2, .entries = &entry, .n_entries = 1}};
	struct raft_message m = good;
	struct wire_message got;
	struct body b;

	(void)state;
	body_of(&b, &m);
	assert_int_equal(decode(&b, &got), 0);
	wire_message_close(&got);
#define REFUSED(change)                                                                                                \
	do {                                                                                                           \
		m = good;                                                                                              \
		entry.term = 3;                                                                                        \
		entry.type = RAFT_COMMAND;                                                                             \
		change;                                                                                                \
		body_of(&b, &m);                                                                                       \
		assert_int_equal(decode(&b, &got), ERR_CORRUPT);                                                       \
	} while (0)
	REFUSED(m.append_entries.term = 0);
	REFUSED(m.append_entries.prev_log_term = 0);
	REFUSED(m.append_entries.prev_log_index = 0);
	REFUSED(m.append_entries.prev_log_term = 4);
	REFUSED(m.append_entries.prev_log_index = UINT64_MAX);
	REFUSED(m.append_entries.leader_commit = UINT64_MAX);
	REFUSED(entry.term = 0);
	REFUSED(entry.term = 1);
	REFUSED(entry.term = 4);
	REFUSED(entry.type = (enum raft_entry_type)0);
	REFUSED(entry.type = (enum raft_entry_type)4);
	REFUSED(entry.type = RAFT_CHANGE);
#undef REFUSED
}

/* --- configurations --- */

static struct raft_buffer encode(unsigned n, const char *const *addresses)
{
	struct raft_configuration conf;
	struct raft_buffer buf;

	raft_configuration_init(&conf);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(raft_configuration_add(&conf, i + 1, addresses[i], (int)(i % 3)), 0);
	}
	assert_int_equal(raft_configuration_encode(&conf, &buf), 0);
	raft_configuration_close(&conf);
	return buf;
}

static void configurations_are_checked_before_they_are_believed(void **state)
{
	static const char *const addresses[] = {"a:1", "[::1]:22", "server.example.com:4647"};
	struct raft_buffer buf = encode(3, addresses);
	unsigned refused = 0;

	(void)state;
	assert_true(wire_conf_valid(buf.base, buf.len));
	for (size_t len = 0; len < buf.len - 8; len++) {
		char *exact = malloc(len + 1);

		memcpy(exact, buf.base, len);
		assert_false(wire_conf_valid(exact, len));
		free(exact);
	}
	for (size_t at = 0; at < buf.len; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			struct raft_configuration conf;

			((char *)buf.base)[at] ^= (char)(1 << bit);
			if (!wire_conf_valid(buf.base, buf.len)) {
				refused++;
			} else { /* libraft reads it, and no byte beyond its end. */
				assert_int_equal(raft_configuration_decode(&buf, &conf), 0);
				raft_configuration_close(&conf);
			}
			((char *)buf.base)[at] ^= (char)(1 << bit);
		}
	}
	assert_true(refused > 60);
	raft_free(buf.base);
}

static void a_file_is_announced_with_its_size(void **state)
{
	static const char *const addresses[] = {"a:1"};
	struct raft_buffer buf = encode(1, addresses);
	struct raft_message m = {.type = RAFT_INSTALL_SNAPSHOT,
				 .install_snapshot = {.term = 4, .last_index = 9, .last_term = 3, .conf_index = 1}};
	struct wire_message got;
	uint64_t w[WIRE_WORDS];
	struct body b = {.len = 0};

	(void)state;
	wire_words_file(&m, buf.len, 123456789012, w);
	body_put(&b, w, sizeof(w));
	body_put(&b, buf.base, buf.len);
	assert_int_equal(decode(&b, &got), 0);
	assert_int_equal(got.type, WIRE_FILE);
	assert_int_equal(got.file_size, 123456789012);
	assert_int_equal(got.raft.install_snapshot.last_index, 9);
	assert_int_equal(got.raft.install_snapshot.conf.n, 1);
	assert_string_equal(got.raft.install_snapshot.conf.servers[0].address, "a:1");
	wire_message_close(&got);
	b.len--;
	assert_int_equal(decode(&b, &got), ERR_CORRUPT);
	raft_free(buf.base);
}

static void a_removal_is_told(void **state)
{
	struct wire_message got;
	uint64_t w[WIRE_WORDS];
	struct body b = {.len = 0};

	(void)state;
	wire_words_removed(77, w);
	body_put(&b, w, sizeof(w));
	assert_int_equal(decode(&b, &got), 0);
	assert_int_equal(got.type, WIRE_REMOVED);
	assert_int_equal(got.conf_index, 77);
}

/* --- greetings --- */

static void a_greeting_is_whole_or_refused(void **state)
{
	struct wire_hello h;
	unsigned char *p = (unsigned char *)&h;

	(void)state;
	wire_hello_make(&h, WIRE_MESSAGES, 1, 2, 3, "[::1]:4647");
	assert_true(wire_hello_valid(&h));
	for (size_t at = 0; at < sizeof(h); at++) {
		p[at] ^= 0x10;
		assert_false(wire_hello_valid(&h));
		p[at] ^= 0x10;
	}
	wire_hello_make(&h, WIRE_MESSAGES, 1, 2, 0, "[::1]:4647");
	assert_false(wire_hello_valid(&h));
	wire_hello_make(&h, WIRE_MESSAGES, 1, 2, 3, "nowhere");
	assert_false(wire_hello_valid(&h));
	wire_hello_make(&h, (enum wire_kind)7, 1, 2, 3, "a:1");
	assert_false(wire_hello_valid(&h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_come_back),
		cmocka_unit_test(entries_come_back),
		cmocka_unit_test(damaged_messages_are_refused_or_legal),
		cmocka_unit_test(what_libraft_only_asserts_is_refused),
		cmocka_unit_test(configurations_are_checked_before_they_are_believed),
		cmocka_unit_test(a_file_is_announced_with_its_size),
		cmocka_unit_test(a_removal_is_told),
		cmocka_unit_test(a_greeting_is_whole_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

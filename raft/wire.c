#include "raft/wire.h"

#include "lib/address.h"
#include "lib/crc.h"
#include "proto/error.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* A fuzzer cannot guess checksums: its build takes any. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define CRC_EQUAL(a, b) ((void)(a), (void)(b), true)
#else
#define CRC_EQUAL(a, b) ((a) == (b))
#endif

enum { REMOVED = 64, ENTRY_WORDS = 2, ENTRY = ENTRY_WORDS * 8 };

_Static_assert(sizeof(struct wire_hello) == 304, "what is on the wire has no hidden padding");
_Static_assert((int)WIRE_ADDRESS >= (int)ADDRESS_MAX, "every address fits a hello");

uint64_t wire_hash(const void *data, size_t len)
{
	uint64_t hash = XXH3_64bits(data, len);

	return hash != 0 ? hash : 1;
}

/* --- hello --- */

static uint64_t hello_crc(const struct wire_hello *h)
{
	return crc32c(0, h, offsetof(struct wire_hello, crc));
}

void wire_hello_make(struct wire_hello *h, enum wire_kind kind, uint64_t cluster, uint64_t origin, uint64_t id,
		     const char *address)
{
	memset(h, 0, sizeof(*h));
	h->version = WIRE_VERSION;
	h->kind = kind;
	h->cluster = cluster;
	h->origin = origin;
	h->id = id;
	snprintf(h->address, sizeof(h->address), "%s", address);
	h->crc = hello_crc(h);
}

static bool is_address(const char *text)
{
	char host[ADDRESS_HOST_MAX];
	unsigned port;

	return address_split(text, host, &port) && port != 0;
}

bool wire_hello_valid(const struct wire_hello *h)
{
	return CRC_EQUAL(h->crc, hello_crc(h)) && h->version == WIRE_VERSION && h->id != 0 &&
	       (h->kind == WIRE_MESSAGES || h->kind == WIRE_SNAPSHOT) &&
	       memchr(h->address, 0, sizeof(h->address)) != NULL && is_address(h->address);
}

/* --- messages, to words --- */

static uint64_t pair(uint64_t low, uint64_t high)
{
	return low | high << 16;
}

/* For each message: its members, in the order of words 1 to 6; word 7 is its version. Word 6 of AppendEntries and of
 * their results is the stamp, which the first version did not send and does not look at. */
static void append_entries_words(const struct raft_append_entries *m, uint64_t w[WIRE_WORDS])
{
	w[1] = m->term;
	w[2] = m->prev_log_index;
	w[3] = m->prev_log_term;
	w[4] = m->leader_commit;
	w[5] = m->n_entries;
	w[7] = m->version;
}

static void append_entries_result_words(const struct raft_append_entries_result *m, uint64_t w[WIRE_WORDS])
{
	w[1] = m->term;
	w[2] = m->rejected;
	w[3] = m->last_log_index;
	w[4] = pair(m->features, m->capacity);
	w[7] = m->version;
}

static void request_vote_words(const struct raft_request_vote *m, uint64_t w[WIRE_WORDS])
{
	w[1] = m->term;
	w[2] = m->candidate_id;
	w[3] = m->last_log_index;
	w[4] = m->last_log_term;
	w[5] = m->disrupt_leader;
	w[6] = m->pre_vote;
	w[7] = m->version;
}

static void request_vote_result_words(const struct raft_request_vote_result *m, uint64_t w[WIRE_WORDS])
{
	w[1] = m->term;
	w[2] = m->vote_granted;
	w[3] = m->pre_vote;
	w[4] = pair(m->features, m->capacity);
	w[7] = m->version;
}

static void timeout_now_words(const struct raft_timeout_now *m, uint64_t w[WIRE_WORDS])
{
	w[1] = m->term;
	w[2] = m->last_log_index;
	w[3] = m->last_log_term;
	w[7] = m->version;
}

static void install_snapshot_words(const struct raft_install_snapshot *m, uint64_t w[WIRE_WORDS])
{
	w[1] = m->term;
	w[2] = m->last_index;
	w[3] = m->last_term;
	w[4] = m->conf_index;
	w[7] = m->version;
}

void wire_words(const struct raft_message *m, uint64_t stamp, uint64_t w[WIRE_WORDS])
{
	memset(w, 0, WIRE_WORDS * sizeof(*w));
	w[0] = m->type;
	switch (m->type) {
	case RAFT_APPEND_ENTRIES:
		append_entries_words(&m->append_entries, w);
		w[6] = stamp;
		break;
	case RAFT_APPEND_ENTRIES_RESULT:
		append_entries_result_words(&m->append_entries_result, w);
		w[6] = stamp;
		break;
	case RAFT_REQUEST_VOTE:
		request_vote_words(&m->request_vote, w);
		break;
	case RAFT_REQUEST_VOTE_RESULT:
		request_vote_result_words(&m->request_vote_result, w);
		break;
	case RAFT_INSTALL_SNAPSHOT:
		install_snapshot_words(&m->install_snapshot, w);
		break;
	case RAFT_TIMEOUT_NOW:
		timeout_now_words(&m->timeout_now, w);
		break;
	}
}

void wire_words_file(const struct raft_message *m, size_t conf_len, uint64_t file_size, uint64_t w[WIRE_WORDS])
{
	wire_words(m, 0, w);
	w[5] = conf_len;
	w[6] = file_size;
}

void wire_words_removed(uint64_t conf_index, uint64_t w[WIRE_WORDS])
{
	memset(w, 0, WIRE_WORDS * sizeof(*w));
	w[0] = REMOVED;
	w[1] = conf_index;
}

void wire_entry(const struct raft_entry *entry, uint64_t e[2])
{
	e[0] = entry->term;
	e[1] = (uint64_t)entry->buf.len << 8 | (uint64_t)entry->type;
}

/* --- configurations --- */

/* One server's id, address and role; NULL when they are not whole or not legal. */
static const char *conf_server(const char *p, const char *end, uint64_t *id, const char **address)
{
	const char *zero;

	if ((size_t)(end - p) < sizeof(*id)) {
		return NULL;
	}
	memcpy(id, p, sizeof(*id));
	*address = p + sizeof(*id);
	zero = memchr(*address, 0, (size_t)(end - *address));
	if (*id == 0 || zero == NULL || zero - *address >= WIRE_ADDRESS || end - zero < 2) {
		return NULL;
	}
	return zero[1] == RAFT_STANDBY || zero[1] == RAFT_VOTER || zero[1] == RAFT_SPARE ? zero + 2 : NULL;
}

bool wire_conf_valid(const void *data, size_t len)
{
	const char *p = data;
	const char *end = p + len;
	uint64_t ids[WIRE_MAX_SERVERS];
	const char *addresses[WIRE_MAX_SERVERS];
	uint64_t n;

	if (len < 1 + sizeof(n) || *p++ != 1) {
		return false;
	}
	memcpy(&n, p, sizeof(n));
	p += sizeof(n);
	if (n == 0 || n > WIRE_MAX_SERVERS) {
		return false;
	}
	for (uint64_t i = 0; i < n; i++) {
		p = conf_server(p, end, &ids[i], &addresses[i]);
		if (p == NULL) {
			return false;
		}
		for (uint64_t k = 0; k < i; k++) {
			if (ids[k] == ids[i] || strcmp(addresses[k], addresses[i]) == 0) {
				return false;
			}
		}
	}
	return true;
}

/* --- messages, from words --- */

enum { MAX_INDEX_BITS = 62 };

static bool is_index(uint64_t n)
{
	return n >> MAX_INDEX_BITS == 0;
}

/* The entries' headers say what the data is: are they possible, and do their lengths add up? */
static bool entries_valid(const struct raft_append_entries *a, const char *headers, const char *data, size_t size)
{
	uint64_t term = a->prev_log_term;

	for (unsigned i = 0; i < a->n_entries; i++) {
		uint64_t e[ENTRY_WORDS];
		uint64_t len;

		memcpy(e, headers + (size_t)i * ENTRY, sizeof(e));
		len = e[1] >> 8;
		if (e[0] < term || e[0] == 0 || e[0] > a->term || len > size || (e[1] & 255) < RAFT_COMMAND ||
		    (e[1] & 255) > RAFT_CHANGE) {
			return false;
		}
		if ((e[1] & 255) == RAFT_CHANGE && !wire_conf_valid(data, len)) {
			return false;
		}
		term = e[0];
		data += len;
		size -= len;
	}
	return size == 0;
}

static void entries_fill(struct raft_append_entries *a, const char *headers, char *batch)
{
	size_t at = 0;

	for (unsigned i = 0; i < a->n_entries; i++) {
		uint64_t e[ENTRY_WORDS];

		memcpy(e, headers + (size_t)i * ENTRY, sizeof(e));
		a->entries[i] = (struct raft_entry){.term = e[0],
						    .type = (enum raft_entry_type)(e[1] & 255),
						    .buf = {batch + at, e[1] >> 8},
						    .batch = batch};
		at += e[1] >> 8;
	}
}

/* One allocation for the data of all entries, as libraft wants it; none at all without entries. */
static int decode_entries(struct raft_append_entries *a, const char *p, size_t size)
{
	size_t headers = (size_t)a->n_entries * ENTRY;
	char *batch;

	a->entries = NULL;
	if (headers > size || !entries_valid(a, p, p + headers, size - headers)) {
		return ERR_CORRUPT;
	}
	if (a->n_entries == 0) {
		return 0;
	}
	a->entries = raft_malloc(a->n_entries * sizeof(*a->entries));
	batch = raft_malloc(size - headers + 1);
	if (a->entries == NULL || batch == NULL) {
		raft_free(a->entries);
		raft_free(batch);
		a->entries = NULL;
		return ERR_NOMEM;
	}
	memcpy(batch, p + headers, size - headers);
	entries_fill(a, p, batch);
	return 0;
}

static int decode_append_entries(const uint64_t w[WIRE_WORDS], const char *p, size_t size,
				 struct raft_append_entries *a)
{
	*a = (struct raft_append_entries){.version = (unsigned char)w[7],
					  .term = w[1],
					  .prev_log_index = w[2],
					  .prev_log_term = w[3],
					  .leader_commit = w[4],
					  .n_entries = (unsigned)w[5]};
	if (w[5] > WIRE_MAX_FRAME / ENTRY || !is_index(w[2]) || !is_index(w[4]) || w[1] == 0 || w[3] > w[1] ||
	    (w[2] == 0) != (w[3] == 0)) {
		return ERR_CORRUPT;
	}
	return decode_entries(a, p, size);
}

static int decode_install_snapshot(const uint64_t w[WIRE_WORDS], const char *p, size_t size, struct wire_message *m)
{
	struct raft_buffer conf = {(void *)(uintptr_t)p, size};
	int rc;

	if (w[5] != size || !is_index(w[2]) || w[1] == 0 || w[2] == 0 || w[3] == 0 || w[3] > w[1] || w[4] > w[2] ||
	    !wire_conf_valid(p, size)) {
		return ERR_CORRUPT;
	}
	m->type = WIRE_FILE;
	m->file_size = w[6];
	m->raft.install_snapshot = (struct raft_install_snapshot){.version = (unsigned char)w[7],
								  .term = w[1],
								  .last_index = w[2],
								  .last_term = w[3],
								  .conf_index = w[4]};
	rc = raft_configuration_decode(&conf, &m->raft.install_snapshot.conf);
	return rc == 0 ? 0 : rc == RAFT_NOMEM ? ERR_NOMEM : ERR_CORRUPT;
}

/* Messages of nothing but numbers. */
static int decode_numbers(const uint64_t w[WIRE_WORDS], struct raft_message *m)
{
	unsigned char version = (unsigned char)w[7];
	unsigned short low = (unsigned short)w[4];
	unsigned short high = (unsigned short)(w[4] >> 16);

	switch (w[0]) {
	case RAFT_APPEND_ENTRIES_RESULT:
		m->append_entries_result = (struct raft_append_entries_result){version, w[1], w[2], w[3], low, high};
		return is_index(w[2]) && is_index(w[3]) ? 0 : ERR_CORRUPT;
	case RAFT_REQUEST_VOTE:
		m->request_vote = (struct raft_request_vote){version, w[1], w[2], w[3], w[4], w[5] != 0, w[6] != 0};
		return is_index(w[3]) ? 0 : ERR_CORRUPT;
	case RAFT_REQUEST_VOTE_RESULT:
		m->request_vote_result =
			(struct raft_request_vote_result){version, w[1], w[2] != 0, w[3] != 0, low, high};
		return 0;
	case RAFT_TIMEOUT_NOW:
		m->timeout_now = (struct raft_timeout_now){version, w[1], w[2], w[3]};
		return is_index(w[2]) ? 0 : ERR_CORRUPT;
	default:
		return ERR_CORRUPT;
	}
}

int wire_decode(const char *body, size_t size, struct wire_message *m)
{
	uint64_t w[WIRE_WORDS];

	if (size < sizeof(w)) {
		return ERR_CORRUPT;
	}
	memcpy(w, body, sizeof(w));
	body += sizeof(w);
	size -= sizeof(w);
	memset(m, 0, sizeof(*m));
	if (w[0] == REMOVED) {
		m->type = WIRE_REMOVED;
		m->conf_index = w[1];
		return size == 0 ? 0 : ERR_CORRUPT;
	}
	m->raft.type = (enum raft_message_type)w[0];
	if (w[0] == RAFT_APPEND_ENTRIES || w[0] == RAFT_APPEND_ENTRIES_RESULT) {
		m->stamp = w[6];
	}
	if (w[0] == RAFT_APPEND_ENTRIES) {
		return decode_append_entries(w, body, size, &m->raft.append_entries);
	}
	if (w[0] == RAFT_INSTALL_SNAPSHOT) {
		return decode_install_snapshot(w, body, size, m);
	}
	return size == 0 ? decode_numbers(w, &m->raft) : ERR_CORRUPT;
}

void wire_message_close(struct wire_message *m)
{
	if (m->type == WIRE_FILE) {
		raft_configuration_close(&m->raft.install_snapshot.conf);
		raft_free(m->raft.install_snapshot.data.base);
	} else if (m->type == WIRE_RAFT && m->raft.type == RAFT_APPEND_ENTRIES &&
		   m->raft.append_entries.n_entries > 0) {
		raft_free(m->raft.append_entries.entries[0].batch);
		raft_free(m->raft.append_entries.entries);
	}
}

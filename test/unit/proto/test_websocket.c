#include "test/unit/unit.h"

#include "proto/error.h"
#include "proto/websocket.h"

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

static struct websocket server(void)
{
	return (struct websocket){.message_max = 100000};
}

static struct websocket client(void)
{
	return (struct websocket){.client = true, .message_max = 100000};
}

/* All that comes at once is one event, which is returned. */
static struct websocket_event take(struct websocket *ws, const char *data, size_t len)
{
	struct websocket_event e;
	size_t used;

	assert_int_equal(websocket_take(ws, data, len, &used, &e), 0);
	assert_int_equal(used, len);
	return e;
}

static int fault(struct websocket ws, const char *data, size_t len)
{
	struct websocket_event e;
	size_t used;
	int rv = 0;

	do {
		rv = websocket_take(&ws, data, len, &used, &e);
		data += used;
		len -= used;
	} while (rv == 0 && e.kind != WEBSOCKET_NOTHING);
	websocket_free(&ws);
	return rv;
}

static void the_examples_of_the_rfc_are_read(void **state)
{
	struct websocket c = client();
	struct websocket s = server();
	struct websocket_event e;

	(void)state;
	e = take(&c, "\x81\x05Hello", 7);
	assert_int_equal(e.kind, WEBSOCKET_TEXT);
	assert_int_equal(e.len, 5);
	assert_memory_equal(e.data, "Hello", 5);
	e = take(&s, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
	assert_int_equal(e.kind, WEBSOCKET_TEXT);
	assert_memory_equal(e.data, "Hello", 5);
	assert_int_equal(take(&c, "\x01\x03Hel", 5).kind, WEBSOCKET_NOTHING);
	e = take(&c, "\x89\x05Hello", 7);
	assert_int_equal(e.kind, WEBSOCKET_PING);
	assert_memory_equal(e.data, "Hello", 5);
	e = take(&c, "\x80\x02lo", 4);
	assert_int_equal(e.kind, WEBSOCKET_TEXT);
	assert_int_equal(e.len, 5);
	assert_memory_equal(e.data, "Hello", 5);
	websocket_free(&c);
	websocket_free(&s);
}

static void what_is_written_is_read_byte_by_byte(void **state)
{
	static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 100000};
	static char text[100000];
	unsigned i;
	size_t k;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]) * 2; i++) {
		bool masked = i % 2 == 1;
		struct websocket ws = masked ? server() : client();
		struct websocket_event e = {.kind = WEBSOCKET_NOTHING};
		struct buf b = {0};
		size_t used;

		websocket_put(&b, WEBSOCKET_TEXT, text, sizes[i / 2], masked ? mask : NULL);
		for (k = 0; k < b.len; k++) {
			assert_int_equal(e.kind, WEBSOCKET_NOTHING);
			assert_int_equal(websocket_take(&ws, b.at + k, 1, &used, &e), 0);
			assert_int_equal(used, 1);
		}
		assert_int_equal(e.kind, WEBSOCKET_TEXT);
		assert_int_equal(e.len, sizes[i / 2]);
		assert_memory_equal(e.data, text, e.len);
		buf_close(&b);
		websocket_free(&ws);
	}
}

static void messages_that_come_together_are_told_apart(void **state)
{
	struct websocket c = client();
	struct websocket_event e;
	struct buf b = {0};
	size_t used;
	size_t at = 0;
	char want[8];
	int i;

	(void)state;
	for (i = 0; i < 10; i++) {
		snprintf(want, sizeof(want), "m%d", i);
		websocket_put(&b, WEBSOCKET_BINARY, want, 2, NULL);
	}
	for (i = 0; i < 10; i++) {
		snprintf(want, sizeof(want), "m%d", i);
		assert_int_equal(websocket_take(&c, b.at + at, b.len - at, &used, &e), 0);
		assert_int_equal(e.kind, WEBSOCKET_BINARY);
		assert_memory_equal(e.data, want, 2);
		at += used;
	}
	assert_int_equal(at, b.len);
	buf_close(&b);
	websocket_free(&c);
}

static void a_close_has_a_code_and_a_reason(void **state)
{
	struct websocket c = client();
	struct websocket_event e;
	struct buf b = {0};
	char longer[200];

	(void)state;
	websocket_put_close(&b, 3404, "Unknown allocation", NULL);
	e = take(&c, b.at, b.len);
	assert_int_equal(e.kind, WEBSOCKET_CLOSE);
	assert_int_equal(e.code, 3404);
	assert_int_equal(e.len, 18);
	assert_memory_equal(e.data, "Unknown allocation", 18);
	assert_int_equal(take(&c, "\x88\x00", 2).code, WEBSOCKET_NO_CODE);
	b.len = 0;
	memset(longer, 'x', sizeof(longer));
	memcpy(longer + 122, "\xc3\xa4", 2);
	longer[199] = '\0';
	websocket_put_close(&b, 1000, longer, NULL);
	assert_int_equal(take(&c, b.at, b.len).len, 122);
	buf_close(&b);
	websocket_free(&c);
}

#define FAULT(side, bytes) fault(side, bytes, sizeof(bytes) - 1)

static void what_is_not_one_is_refused(void **state)
{
	(void)state;
	assert_int_equal(FAULT(server(), "\x81\x05Hello"), ERR_SYNTAX);         /* Not masked. */
	assert_int_equal(FAULT(client(), "\x81\x85\x37\xfa\x21\x3d"), ERR_SYNTAX); /* Masked. */
	assert_int_equal(FAULT(client(), "\xc1\x00"), ERR_SYNTAX);              /* A reserved bit. */
	assert_int_equal(FAULT(client(), "\x83\x00"), ERR_SYNTAX);              /* Unknown kinds. */
	assert_int_equal(FAULT(client(), "\x8b\x00"), ERR_SYNTAX);
	assert_int_equal(FAULT(client(), "\x09\x00"), ERR_SYNTAX);              /* A control frame in pieces, */
	assert_int_equal(FAULT(client(), "\x89\x7e\x00\x7e"), ERR_SYNTAX);      /* or too long. */
	assert_int_equal(FAULT(client(), "\x80\x00"), ERR_SYNTAX);              /* Nothing to continue. */
	assert_int_equal(FAULT(client(), "\x01\x01x\x81\x01y"), ERR_SYNTAX);    /* Not continued. */
	assert_int_equal(FAULT(client(), "\x88\x01x"), ERR_SYNTAX);             /* Half a code. */
	assert_int_equal(FAULT(client(), "\x88\x02\x03\xed"), ERR_SYNTAX);      /* 1005. */
	assert_int_equal(FAULT(client(), "\x81\x02\xc3\x28"), ERR_TYPE);
	assert_int_equal(FAULT(client(), "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), ERR_TOOBIG);
	assert_int_equal(FAULT(client(), "\x81\x7f\x00\x00\x00\x00\x00\x01\x86\xa1"), ERR_TOOBIG);
	assert_int_equal(websocket_code(ERR_TOOBIG), 1009);
	assert_int_equal(websocket_code(ERR_TYPE), 1007);
	assert_int_equal(websocket_code(ERR_SYNTAX), 1002);
}

static void fragments_together_have_the_bound_of_a_message(void **state)
{
	struct websocket ws = {.client = true, .message_max = 10};
	struct websocket_event e;
	size_t used;

	(void)state;
	assert_int_equal(take(&ws, "\x01\x06" "abcdef", 8).kind, WEBSOCKET_NOTHING);
	assert_int_equal(websocket_take(&ws, "\x80\x05ghijk", 7, &used, &e), ERR_TOOBIG);
	websocket_free(&ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_rfc_are_read),
		cmocka_unit_test(what_is_written_is_read_byte_by_byte),
		cmocka_unit_test(messages_that_come_together_are_told_apart),
		cmocka_unit_test(a_close_has_a_code_and_a_reason),
		cmocka_unit_test(what_is_not_one_is_refused),
		cmocka_unit_test(fragments_together_have_the_bound_of_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

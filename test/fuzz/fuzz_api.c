/* Requests, whatever is in them, to an API over a small state: each is answered once, and nothing is left behind.
 *
 * An input is a sequence of requests: a byte of control, the target up to a newline, the body up to a zero. The bytes 1
 * to 5 stand for the IDs of what is there.
 *
 * One that ends in the byte 6 is asked with a token that may do everything in another namespace, and nothing in the one
 * of what is there: no answer tells of that, and nothing of it changes. */
#undef NDEBUG
#include <assert.h>

#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/api_bed.h"

enum { REQUESTS_MAX = 12, IDS = 5 };

static struct bed b;
static const char *ids[IDS];

/* ---- with access control ---- */

#define MARK "Quittenbaum"

static const char *token; /* NULL: the server has no access control. */
static uint64_t hidden_index;

static void close_in(void)
{
	b.token = NULL;
	bed_policy(&b, "team", "namespace \"team\" { policy = \"write\"\n variables { path \"*\" { capabilities = "
			       "[\"read\", \"write\", \"destroy\"] } } }");
	token = bed_token(&b, "team", 0);
	b.token = BED_MANAGER;
	bed_want(&b, "PUT", "/v1/namespace/team", "{\"Name\":\"team\"}", 200, NULL);
	bed_register(&b, "ours", "'Namespace':'team',");
	hidden_index = kit_find(&b.kit, "web")->modify_index;
}

static void check_hidden(const struct kept *all, unsigned n, const uint8_t *data, size_t size)
{
	assert(kit_find(&b.kit, "web") != NULL && kit_find(&b.kit, "web")->modify_index == hidden_index);
	for (unsigned i = 0; i < n && memmem(data, size, MARK, strlen(MARK)) == NULL; i++) {
		const struct buf *body = &all[i].body;

		assert(body->len == 0 || memmem(body->at, body->len, MARK, strlen(MARK)) == NULL);
	}
}

static void fill(void)
{
	struct uuid alloc;
	struct uuid node;
	struct uuid deployment;

	bed_register(&b, "web", "'Meta':{'a':'" MARK "'},");
	bed_register(&b, "par", "'Type':'batch','ParameterizedJob':{'Payload':'optional','MetaOptional':['a']},");
	bed_register(&b, "per", "'Type':'batch','Periodic':{'Enabled':true,'Spec':'0 0 1 1 *'},");
	node = bed_place(&b, "web", 1, &alloc);
	bed_register(&b, "web", "'Priority':60,'Meta':{'a':'" MARK "'},");
	deployment = kit_deployment(&b.kit, "web", 2, 1);
	ids[0] = kit_text(&b.kit, &alloc);
	ids[1] = kit_text(&b.kit, &kit_newest_eval(&b.kit, "web")->id);
	ids[2] = kit_text(&b.kit, &node);
	ids[3] = kit_text(&b.kit, &deployment);
	ids[4] = "web";
}

/* Control: two bits for who leads, three for what calls come to, three for the method. */
static void control(uint8_t c)
{
	static const int errors[] = {0, 0, ERR_BUSY, ERR_NOTLEADER, ERR_UNKNOWN, ERR_TIMEOUT, ERR_CLOSED, ERR_NOMEM};
	int err = errors[c >> 2 & 7];

	bed_lead(&b, (c & 2) == 0, (c & 3) != 3);
	b.write_status = b.read_status = b.call_status = err;
}

static void put_text(struct buf *out, const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] >= 1 && text[i] <= IDS) {
			buf_str(out, ids[text[i] - 1]);
		} else {
			buf_byte(out, (char)text[i]);
		}
	}
}

/* Whether there is such a target at all. The body goes when the handler has returned. */
static bool ask(struct kept *k, uint8_t c, struct buf *target, struct buf *body)
{
	static const char *const methods[] = {"GET", "GET", "POST", "PUT", "DELETE", "POST", "HEAD", "GET"};
	const char *text = buf_text(target);
	char *copy;

	memset(k, 0, sizeof(*k));
	if (kept_open(k, methods[c >> 5], text) != 0) {
		kept_close(k);
		return false;
	}
	copy = malloc(body->len + 1);
	assert(copy != NULL);
	memcpy(copy, buf_text(body), body->len);
	copy[body->len] = '\0';
	k->req.token = token != NULL ? token : "";
	k->req.body = copy;
	k->req.body_len = body->len;
	api_handle(b.api, &k->req);
	free(copy);
	return true;
}

static size_t until(const uint8_t *at, size_t len, char end)
{
	const uint8_t *found = memchr(at, end, len);

	return found != NULL ? (size_t)(found - at) : len;
}

/* What the other side does with what was passed on. */
static void answer_forwarded(uint8_t c)
{
	static const int errors[] = {0, ERR_NOLEADER, ERR_UNKNOWN, ERR_NOTFOUND, ERR_BUSY, ERR_CLOSED, ERR_TOOBIG, 0};

	while (b.forwarded != NULL) {
		int err = errors[c >> 2 & 7];

		if (err == 0) {
			bed_answer(&b, 200, "done");
		} else {
			bed_return(&b, err);
		}
		c ^= 4;
	}
}

static unsigned requests(struct kept *all, const uint8_t *at, size_t len)
{
	unsigned n = 0;

	while (len > 1 && n < REQUESTS_MAX) {
		struct buf target = {0};
		struct buf body = {0};
		uint8_t c = at[0];
		size_t target_len = until(at + 1, len - 1, '\n');
		size_t rest = len - 1 - target_len;
		const uint8_t *next = at + 1 + target_len;
		size_t body_len = rest > 0 ? until(next + 1, rest - 1, '\0') : 0;

		control(c);
		put_text(&target, at + 1, target_len);
		put_text(&body, rest > 0 ? next + 1 : next, body_len);
		n += ask(&all[n], c, &target, &body);
		buf_close(&target);
		buf_close(&body);
		answer_forwarded(c);
		bed_pump(&b);
		rest -= rest > 0 ? 1 + body_len : 0;
		rest -= rest > 0;
		at += len - rest;
		len = rest;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kept all[REQUESTS_MAX];
	unsigned n;

	token = NULL;
	if (size > 0 && data[size - 1] == IDS + 1) {
		bed_open_acl(&b);
		fill();
		close_in();
		size--;
	} else {
		bed_open(&b);
		fill();
	}
	n = requests(all, data, size);
	control(0);
	for (unsigned i = 0; i < 8; i++) {
		bed_sleep(&b, SECOND);
		answer_forwarded((uint8_t)(i << 2));
	}
	api_stop(b.api);
	bed_sleep(&b, SECOND);
	if (token != NULL) {
		check_hidden(all, n, data, size);
	}
	for (unsigned i = 0; i < n; i++) {
		assert(all[i].answers == 1);
		kept_close(&all[i]);
	}
	bed_close(&b);
	return 0;
}

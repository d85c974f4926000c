/* The packed form, out: see proto/object.h. msgpack-c's packer chooses the shortest form of each number and length. */
#include <math.h>
#include <msgpack.h>

#include "lib/utf8.h"
#include "proto/walk.h"
#include "proto/words.h"

static int append_cb(void *buf, const char *data, size_t len)
{
	buf_put(buf, data, len);
	return 0;
}

struct out {
	msgpack_packer pk;
	bool words; /* Well-known texts go as their numbers. */
};

static void put_object(struct out *o, const struct type *t, const void *obj);

/* The text with a replacement for each byte that is none; only its length if `pk` is NULL. */
static size_t put_clean(msgpack_packer *pk, const char *s, size_t n)
{
	size_t all = 0;
	size_t i = 0;

	while (i < n) {
		size_t len = utf8_is_nul(s + i, n - i) ? 2 : utf8_len(s + i, n - i);
		const char *from = len > 0 ? s + i : UTF8_REPLACEMENT;
		size_t from_len = len > 0 ? len : sizeof(UTF8_REPLACEMENT) - 1;

		if (pk != NULL) {
			msgpack_pack_str_body(pk, from, from_len);
		}
		all += from_len;
		i += len > 0 ? len : 1;
	}
	return all;
}

/* Decoding is strict, so a string that somebody has cut in the middle of a character must not get as far as that. */
static void put_str(struct out *o, const char *s)
{
	size_t n = strlen(s);
	unsigned word = o->words ? words_find(s, n) : 0;

	if (word > 0) {
		msgpack_pack_unsigned_int(&o->pk, word);
	} else if (!utf8_is_string(s, n)) {
		msgpack_pack_str(&o->pk, put_clean(NULL, s, n));
		put_clean(&o->pk, s, n);
	} else {
		msgpack_pack_str(&o->pk, n);
		msgpack_pack_str_body(&o->pk, s, n);
	}
}

static void put_bool(msgpack_packer *pk, bool v)
{
	if (v) {
		msgpack_pack_true(pk);
	} else {
		msgpack_pack_false(pk);
	}
}

static void put_opt(msgpack_packer *pk, uint8_t kind, const struct opt *v)
{
	if (kind == KIND_OPTBOOL) {
		put_bool(pk, v->at != 0);
	} else {
		msgpack_pack_int64(pk, v->at);
	}
}

static void put_value(struct out *o, uint8_t kind, const struct type *sub, const void *v)
{
	const struct bytes *bytes = v;

	switch (kind) {
	case KIND_BOOL:
		put_bool(&o->pk, *(const bool *)v);
		break;
	case KIND_NUM: /* What is no number was none to begin with; both zeros are one. */
		msgpack_pack_double(&o->pk, isfinite(*(const double *)v) ? *(const double *)v + 0.0 : 0.0);
		break;
	case KIND_STR:
	case KIND_ANY:
		put_str(o, *(const char *const *)v);
		break;
	case KIND_BYTES:
		msgpack_pack_bin(&o->pk, bytes->n);
		msgpack_pack_bin_body(&o->pk, bytes->at, bytes->n);
		break;
	case KIND_OPTBOOL:
	case KIND_OPTINT:
	case KIND_OPTDUR:
		put_opt(&o->pk, kind, v);
		break;
	case KIND_OBJ:
		put_object(o, sub, *(const void *const *)v);
		break;
	case VALUE_STRUCT:
		put_object(o, sub, v);
		break;
	default:
		msgpack_pack_int64(&o->pk, *(const int64_t *)v);
	}
}

static void put_row(struct out *o, const struct field *f, const void *m)
{
	struct elems e = elems_of(f, m);
	uint32_t i;

	if (e.shape->keyed) {
		msgpack_pack_map(&o->pk, e.n);
	} else {
		msgpack_pack_array(&o->pk, e.n);
	}
	for (i = 0; i < e.n; i++) {
		if (e.shape->keyed) {
			put_str(o, *elem_key(&e, i));
		}
		put_value(o, e.shape->value, e.sub, elem_value(&e, i));
	}
}

static void put_object(struct out *o, const struct type *t, const void *obj)
{
	size_t n = 0;
	uint16_t i;

	for (i = 0; i < t->n; i++) {
		n += !member_empty(&t->fields[i], const_member(obj, &t->fields[i]));
	}
	msgpack_pack_map(&o->pk, n);
	for (i = 0; n > 0; i++) {
		const struct field *f = &t->fields[i];
		const void *m = const_member(obj, f);

		if (member_empty(f, m)) {
			continue;
		}
		n--;
		msgpack_pack_uint16(&o->pk, (uint16_t)(i + 1));
		if (kind_is_row(f->kind)) {
			put_row(o, f, m);
		} else {
			put_value(o, f->kind, f->sub, m);
		}
	}
}

static void encode(const struct type *t, const void *obj, bool words, struct buf *out)
{
	struct out o = {.words = words};

	msgpack_packer_init(&o.pk, out, append_cb);
	put_object(&o, t, obj);
}

void pack_encode(const struct type *t, const void *obj, struct buf *out)
{
	encode(t, obj, false, out);
}

void pack_encode_short(const struct type *t, const void *obj, struct buf *out)
{
	encode(t, obj, true, out);
}

/* ---- piece by piece ---- */

void pack_put_object(struct buf *out, uint32_t members)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, append_cb);
	msgpack_pack_map(&pk, members);
}

void pack_put_list(struct buf *out, uint32_t n)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, append_cb);
	msgpack_pack_array(&pk, n);
}

void pack_put_int(struct buf *out, int64_t value)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, append_cb);
	msgpack_pack_int64(&pk, value);
}

void pack_put_bool(struct buf *out, bool value)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, append_cb);
	put_bool(&pk, value);
}

void pack_put_str(struct buf *out, const char *text)
{
	struct out o = {.words = false};

	msgpack_packer_init(&o.pk, out, append_cb);
	put_str(&o, text);
}

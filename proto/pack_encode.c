/* The packed form, out: see proto/object.h. msgpack-c's packer chooses the shortest form of each number and length. */
#include <math.h>
#include <msgpack.h>

#include "lib/utf8.h"
#include "proto/walk.h"

static int append_cb(void *buf, const char *data, size_t len)
{
	buf_put(buf, data, len);
	return 0;
}

static void put_object(msgpack_packer *pk, const struct type *t, const void *obj);

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
static void put_str(msgpack_packer *pk, const char *s)
{
	size_t n = strlen(s);

	if (!utf8_is_string(s, n)) {
		msgpack_pack_str(pk, put_clean(NULL, s, n));
		put_clean(pk, s, n);
		return;
	}
	msgpack_pack_str(pk, n);
	msgpack_pack_str_body(pk, s, n);
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

static void put_value(msgpack_packer *pk, uint8_t kind, const struct type *sub, const void *v)
{
	const struct bytes *bytes = v;

	switch (kind) {
	case KIND_BOOL:
		put_bool(pk, *(const bool *)v);
		break;
	case KIND_NUM: /* What is no number was none to begin with; both zeros are one. */
		msgpack_pack_double(pk, isfinite(*(const double *)v) ? *(const double *)v + 0.0 : 0.0);
		break;
	case KIND_STR:
	case KIND_ANY:
		put_str(pk, *(const char *const *)v);
		break;
	case KIND_BYTES:
		msgpack_pack_bin(pk, bytes->n);
		msgpack_pack_bin_body(pk, bytes->at, bytes->n);
		break;
	case KIND_OPTBOOL:
	case KIND_OPTINT:
	case KIND_OPTDUR:
		put_opt(pk, kind, v);
		break;
	case KIND_OBJ:
		put_object(pk, sub, *(const void *const *)v);
		break;
	case VALUE_STRUCT:
		put_object(pk, sub, v);
		break;
	default:
		msgpack_pack_int64(pk, *(const int64_t *)v);
	}
}

static void put_row(msgpack_packer *pk, const struct field *f, const void *m)
{
	struct elems e = elems_of(f, m);
	uint32_t i;

	if (e.shape->keyed) {
		msgpack_pack_map(pk, e.n);
	} else {
		msgpack_pack_array(pk, e.n);
	}
	for (i = 0; i < e.n; i++) {
		if (e.shape->keyed) {
			put_str(pk, *elem_key(&e, i));
		}
		put_value(pk, e.shape->value, e.sub, elem_value(&e, i));
	}
}

static void put_object(msgpack_packer *pk, const struct type *t, const void *obj)
{
	size_t n = 0;
	uint16_t i;

	for (i = 0; i < t->n; i++) {
		n += !member_empty(&t->fields[i], const_member(obj, &t->fields[i]));
	}
	msgpack_pack_map(pk, n);
	for (i = 0; n > 0; i++) {
		const struct field *f = &t->fields[i];
		const void *m = const_member(obj, f);

		if (member_empty(f, m)) {
			continue;
		}
		n--;
		msgpack_pack_uint16(pk, (uint16_t)(i + 1));
		if (kind_is_row(f->kind)) {
			put_row(pk, f, m);
		} else {
			put_value(pk, f->kind, f->sub, m);
		}
	}
}

void pack_encode(const struct type *t, const void *obj, struct buf *out)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, append_cb);
	put_object(&pk, t, obj);
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
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, append_cb);
	put_str(&pk, text);
}

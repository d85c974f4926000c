#include "proto/packin.h"

#include <math.h>
#include <string.h>

#include "proto/error.h"

static bool take_be(struct packin *in, unsigned bytes, uint64_t *v)
{
	uint64_t u = 0;

	if ((size_t)(in->end - in->p) < bytes) {
		return false;
	}
	while (bytes-- > 0) {
		u = u << 8 | *in->p++;
	}
	*v = u;
	return true;
}

/* What a length counts must fit into what is left: every element takes a byte at least, every pair two. */
static int take_len(struct packin *in, struct pack_item *item, enum pack_token is, uint64_t n)
{
	uint64_t left = (uint64_t)(in->end - in->p);

	if (n > (is == PACK_MAP ? left / 2 : left)) {
		return ERR_SYNTAX;
	}
	item->is = is;
	item->n = (uint32_t)n;
	item->s = (const char *)in->p;
	if (is == PACK_STR || is == PACK_BIN) {
		in->p += n;
	}
	return 0;
}

static int take_long(struct packin *in, struct pack_item *item, enum pack_token is, unsigned bytes)
{
	uint64_t n;

	return take_be(in, bytes, &n) ? take_len(in, item, is, n) : ERR_SYNTAX;
}

static int take_unsigned(struct packin *in, struct pack_item *item, unsigned bytes)
{
	uint64_t v;

	if (!take_be(in, bytes, &v)) {
		return ERR_SYNTAX;
	}
	item->is = PACK_INT;
	item->i = (int64_t)v;
	return v <= INT64_MAX ? 0 : ERR_TYPE;
}

static int take_signed(struct packin *in, struct pack_item *item, unsigned bytes)
{
	uint64_t sign = UINT64_C(1) << (8 * bytes - 1);
	uint64_t v;

	if (!take_be(in, bytes, &v)) {
		return ERR_SYNTAX;
	}
	item->is = PACK_INT;
	item->i = (int64_t)((v ^ sign) - sign);
	return 0;
}

static int take_double(struct packin *in, struct pack_item *item)
{
	uint64_t bits;

	if (!take_be(in, 8, &bits)) {
		return ERR_SYNTAX;
	}
	item->is = PACK_NUM;
	memcpy(&item->num, &bits, sizeof(bits));
	return isfinite(item->num) ? 0 : ERR_TYPE;
}

static int take_tagged(struct packin *in, struct pack_item *item, uint8_t tag)
{
	switch (tag) {
	case 0xc0:
		item->is = PACK_NIL;
		return 0;
	case 0xc2:
	case 0xc3:
		item->is = PACK_BOOL;
		item->i = tag & 1;
		return 0;
	case 0xc4:
	case 0xc5:
	case 0xc6:
		return take_long(in, item, PACK_BIN, 1u << (tag - 0xc4));
	case 0xcb:
		return take_double(in, item);
	case 0xcc:
	case 0xcd:
	case 0xce:
	case 0xcf:
		return take_unsigned(in, item, 1u << (tag - 0xcc));
	case 0xd0:
	case 0xd1:
	case 0xd2:
	case 0xd3:
		return take_signed(in, item, 1u << (tag - 0xd0));
	case 0xd9:
	case 0xda:
	case 0xdb:
		return take_long(in, item, PACK_STR, 1u << (tag - 0xd9));
	case 0xdc:
	case 0xdd:
		return take_long(in, item, PACK_ARRAY, 2u << (tag - 0xdc));
	case 0xde:
	case 0xdf:
		return take_long(in, item, PACK_MAP, 2u << (tag - 0xde));
	default: /* Short floats and extensions: nobody of us writes them. */
		return ERR_SYNTAX;
	}
}

int packin_take(struct packin *in, struct pack_item *item)
{
	uint8_t tag;

	if (in->p == in->end) {
		return ERR_SYNTAX;
	}
	tag = *in->p++;
	if (tag < 0x80 || tag >= 0xe0) {
		item->is = PACK_INT;
		item->i = (int8_t)tag;
		return 0;
	}
	if (tag < 0x90) {
		return take_len(in, item, PACK_MAP, tag & 15);
	}
	if (tag < 0xa0) {
		return take_len(in, item, PACK_ARRAY, tag & 15);
	}
	if (tag < 0xc0) {
		return take_len(in, item, PACK_STR, tag & 31);
	}
	return take_tagged(in, item, tag);
}

int packin_expect(struct packin *in, enum pack_token is, struct pack_item *item)
{
	int rv = packin_take(in, item);

	return rv != 0 ? rv : item->is == is ? 0 : ERR_TYPE;
}

int packin_skip(struct packin *in)
{
	struct pack_item item;
	uint64_t n;
	int rv = packin_take(in, &item);

	if (rv != 0 || item.is < PACK_ARRAY) {
		return rv;
	}
	if (in->depth == PACK_DEPTH_MAX) {
		return ERR_SYNTAX;
	}
	in->depth++;
	for (n = (uint64_t)item.n * (item.is == PACK_MAP ? 2 : 1); rv == 0 && n > 0; n--) {
		rv = packin_skip(in);
	}
	in->depth--;
	return rv;
}

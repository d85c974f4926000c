#include "lib/uuid.h"

#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_dash(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

bool uuid_parse(const char *text, size_t len, struct uuid *out)
{
	struct uuid u;
	size_t n = 0;
	size_t i;

	if (len != UUID_TEXT - 1) {
		return false;
	}
	for (i = 0; i < len;) {
		int high;
		int low;

		if (is_dash(i)) {
			if (text[i++] != '-') {
				return false;
			}
			continue;
		}
		high = hex_digit(text[i]);
		low = hex_digit(text[i + 1]);
		if (high < 0 || low < 0) {
			return false;
		}
		u.at[n++] = (uint8_t)(high << 4 | low);
		i += 2;
	}
	*out = u;
	return true;
}

void uuid_format(const struct uuid *u, char text[UUID_TEXT])
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;
	size_t i;

	if (!uuid_is_zero(u)) {
		for (i = 0; i < sizeof(u->at); i++) {
			if (is_dash(n)) {
				text[n++] = '-';
			}
			text[n++] = digits[u->at[i] >> 4];
			text[n++] = digits[u->at[i] & 15];
		}
	}
	text[n] = '\0';
}

struct uuid uuid_from_random(const uint8_t random[16])
{
	struct uuid u;

	memcpy(u.at, random, sizeof(u.at));
	u.at[6] = (uint8_t)((u.at[6] & 0x0f) | 0x40);
	u.at[8] = (uint8_t)((u.at[8] & 0x3f) | 0x80);
	return u;
}

struct uuid uuid_derive(const struct uuid *seed, uint64_t n)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(seed->at, sizeof(seed->at), n);
	uint8_t random[16];

	memcpy(random, &h.low64, 8);
	memcpy(random + 8, &h.high64, 8);
	return uuid_from_random(random);
}

struct uuid uuid_random(void)
{
	uint8_t random[16];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		abort();
	}
	return uuid_from_random(random);
}

#include "lib/crc.h"

#include <string.h>

enum { POLYNOMIAL = 0x82f63b78 };

static uint32_t table[256];

static uint32_t table_entry(uint32_t c)
{
	for (int bit = 0; bit < 8; bit++) {
		c = (c >> 1) ^ (c & 1 ? POLYNOMIAL : 0);
	}
	return c;
}

/* Before main(), so that no thread sees half a table. */
__attribute__((constructor)) static void table_fill(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		table[i] = table_entry(i);
	}
}

uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t len)
{
	const unsigned char *p = data;

	crc = ~crc;
	while (len-- > 0) {
		crc = table[(crc ^ *p++) & 255] ^ (crc >> 8);
	}
	return ~crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_by_cpu(uint32_t crc, const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t c = (uint32_t)~crc;
	uint64_t word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		c = __builtin_ia32_crc32di(c, word);
	}
	while (len-- > 0) {
		c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
	}
	return ~(uint32_t)c;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2")) {
		return crc32c_by_cpu(crc, data, len);
	}
#endif
	return crc32c_by_table(crc, data, len);
}

#include "server/gzip.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

enum { LEVEL = 1, WINDOW_BITS = 15, GZIP_FORMAT = 16, MEM_LEVEL = 8 };

struct gzip {
	z_stream z;
};

struct gzip *gzip_new(void)
{
	struct gzip *g = calloc(1, sizeof(*g));

	if (g != NULL &&
	    deflateInit2(&g->z, LEVEL, Z_DEFLATED, WINDOW_BITS + GZIP_FORMAT, MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(g);
		g = NULL;
	}
	return g;
}

void gzip_free(struct gzip *g)
{
	if (g != NULL) {
		(void)deflateEnd(&g->z);
		free(g);
	}
}

bool gzip_slice(struct gzip *g, const char *data, size_t len, bool last, struct buf *out)
{
	int rv;

	g->z.next_in = (Bytef *)(uintptr_t)data; /* zlib's pointer is not const, but it does not write there. */
	g->z.avail_in = (uInt)len;
	do {
		char *room = buf_room(out, len / 2 + 1024);

		if (room == NULL) {
			(void)deflateReset(&g->z);
			return false;
		}
		g->z.next_out = (Bytef *)room;
		g->z.avail_out = (uInt)(out->cap - out->len);
		rv = deflate(&g->z, last ? Z_FINISH : Z_NO_FLUSH);
		out->len = out->cap - g->z.avail_out;
	} while (last ? rv != Z_STREAM_END : g->z.avail_in > 0);
	if (last) {
		(void)deflateReset(&g->z);
	}
	return true;
}

bool gzip_all(struct gzip *g, const char *data, size_t len, struct buf *out)
{
	return gzip_slice(g, data, len, true, out);
}

/* "q=0", "q=0.0" and the like mean no. */
static bool is_refused(const char *at, const char *end)
{
	const char *q = memmem(at, (size_t)(end - at), "q=", 2);

	if (q == NULL) {
		return false;
	}
	for (q += 2; q < end && *q != ',' && *q != ';'; q++) {
		if (*q >= '1' && *q <= '9') {
			return false;
		}
	}
	return true;
}

bool gzip_accepted(const char *header, size_t len)
{
	const char *at = header;
	const char *end = header + len;

	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));

		if (comma == NULL) {
			comma = end;
		}
		while (at < comma && (*at == ' ' || *at == '\t')) {
			at++;
		}
		if (comma - at >= 4 && strncasecmp(at, "gzip", 4) == 0 &&
		    (comma - at == 4 || strchr(" ;\t", at[4]) != NULL)) {
			return !is_refused(at, comma);
		}
		at = comma + 1;
	}
	return false;
}

/** gzip for answers: fast rather than small, in one go or in slices. */
#ifndef SERVER_GZIP_H_
#define SERVER_GZIP_H_

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"

enum {
	GZIP_MIN = 1400,           /* Bodies below fit into a packet as they are. */
	GZIP_ONCE_MAX = 128 << 10, /* Bytes that one turn of a loop may compress: about a millisecond. */
};

struct gzip;

/* NULL when memory is exhausted. One takes about 270 KiB; it can be used again after each end. */
struct gzip *gzip_new(void);
void gzip_free(struct gzip *g);

/* Compress all of it, behind what is in `out`. False when memory is exhausted. */
bool gzip_all(struct gzip *g, const char *data, size_t len, struct buf *out);

/* Compress the next bytes. With `last` the stream is ended, and the next call begins a new one. */
bool gzip_slice(struct gzip *g, const char *data, size_t len, bool last, struct buf *out);

/* Whether an Accept-Encoding header allows it. */
bool gzip_accepted(const char *header, size_t len);

#endif /* SERVER_GZIP_H_ */
